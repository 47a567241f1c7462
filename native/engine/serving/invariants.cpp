#include "serving/invariants.h"

#include <algorithm>

namespace anabranch {
namespace {

std::string check_segment(const Segment& segment) {
  if (segment.num_computed() > segment.length()) return "a segment has more KV than tokens";
  if (static_cast<int>(segment.blocks().size()) != blocks_for(segment.num_computed())) {
    return "a segment has " + std::to_string(segment.num_computed()) + " computed tokens in " +
           std::to_string(segment.blocks().size()) + " blocks";
  }
  return "";
}

std::string check_lane(const Lane& lane, const std::vector<Lane>& lanes) {
  const std::string at = "lane " + std::to_string(lane.id);
  for (const Lane& other : lanes) {
    if (other.id == lane.id || other.stage != lane.stage || lane.stage == 0) continue;
    if (other.segment->start() != lane.segment->start()) {
      return at + " and its sibling start at different positions";
    }
    for (const SeenSegment& seen : lane.segment->before()) {
      if (seen.segment == other.segment) return at + " sees its sibling";
    }
  }
  return "";
}

}  // namespace

std::string broken_invariant(const BlockPool& pool, const std::vector<const Request*>& requests) {
  std::vector<std::uint32_t> expected(pool.total(), 0);
  for (const Request* request : requests) {
    const LaneTree& tree = request->tree();
    std::string wrong;
    for (const SegmentPtr& segment : tree.segments()) {
      if (wrong.empty()) wrong = check_segment(*segment);
      if (!request->running() && !segment->blocks().empty()) wrong = "it waits but holds KV";
      for (int block : segment->blocks()) ++expected[block];
    }
    for (const Lane& lane : tree.lanes()) {
      if (wrong.empty()) wrong = check_lane(lane, tree.lanes());
    }
    if (!wrong.empty()) return "request " + std::to_string(request->spec().id) + ": " + wrong;
  }
  int used = 0;
  for (int block = 0; block < pool.total(); ++block) {
    if (pool.references(block) != expected[block]) {
      return "block " + std::to_string(block) + " has " + std::to_string(pool.references(block)) +
             " references, " + std::to_string(expected[block]) + " expected";
    }
    used += expected[block] > 0;
  }
  if (used + pool.free() != pool.total()) return "free and used blocks do not add up to the total";
  return "";
}

}  // namespace anabranch
