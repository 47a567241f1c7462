#include "invariants.h"

#include <algorithm>
#include <set>

namespace anabranch {
namespace {

std::string check_lane(const Lane& lane, const std::vector<Lane>& lanes) {
  const std::string at = "lane " + std::to_string(lane.id);
  if (lane.context.empty()) return at + " has no segment";
  for (const SegmentPtr& segment : lane.context) {
    const int needed = (segment->length() + kBlockTokens - 1) / kBlockTokens;
    if (static_cast<int>(segment->blocks().size()) != needed) {
      return at + " names a segment of " + std::to_string(segment->length()) + " tokens in " +
             std::to_string(segment->blocks().size()) + " blocks";
    }
  }
  for (const Lane& other : lanes) {
    if (other.id == lane.id || other.stage != lane.stage || lane.stage == 0) continue;
    if (other.segment()->start() != lane.segment()->start()) {
      return at + " and its sibling start at different positions";
    }
    for (const SegmentPtr& segment : lane.context) {
      if (segment == other.segment()) return at + " sees its sibling";
    }
  }
  return "";
}

}  // namespace

std::string broken_invariant(const BlockPool& pool, const std::vector<const Request*>& requests) {
  std::vector<std::uint32_t> expected(pool.total(), 0);
  std::set<const Segment*> seen;
  for (const Request* request : requests) {
    for (const Lane& lane : request->tree().lanes()) {
      if (auto wrong = check_lane(lane, request->tree().lanes()); !wrong.empty()) {
        return "request " + std::to_string(request->spec().id) + ": " + wrong;
      }
      for (const SegmentPtr& segment : lane.context) {
        if (!seen.insert(segment.get()).second) continue;
        for (int block : segment->blocks()) ++expected[block];
      }
    }
  }
  int used = 0;
  for (int block = 0; block < pool.total(); ++block) {
    if (pool.references(block) != expected[block]) {
      return "block " + std::to_string(block) + " has " +
             std::to_string(pool.references(block)) + " references, " +
             std::to_string(expected[block]) + " expected";
    }
    used += expected[block] > 0;
  }
  if (used + pool.free() != pool.total()) return "free and used blocks do not add up to the total";
  return "";
}

}  // namespace anabranch
