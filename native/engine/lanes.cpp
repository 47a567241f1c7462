#include "lanes.h"

#include <algorithm>

namespace anabranch {

LaneTree::LaneTree(BlockPool& pool) : pool_(pool) {
  Lane trunk;
  trunk.context.push_back(std::make_shared<Segment>(pool, 0));
  lanes_.push_back(std::move(trunk));
}

std::span<Lane> LaneTree::branches() {
  return std::span<Lane>(lanes_).subspan(lanes_.size() - branches_);
}

void LaneTree::begin_segment() {
  Lane& lane = trunk();
  const int start = lane.next_position();
  lane.context.push_back(std::make_shared<Segment>(pool_, start));
}

void LaneTree::drop_segment() {
  Lane& lane = trunk();
  lane.pending.clear();
  lane.context.pop_back();
}

void LaneTree::fork(const std::vector<std::vector<int>>& openings) {
  const int start = trunk().next_position();
  const Context shared = trunk().context;
  ++stages_;
  for (const auto& opening : openings) {
    Lane branch;
    branch.id = static_cast<int>(lanes_.size());
    branch.stage = stages_;
    branch.context = shared;
    branch.context.push_back(std::make_shared<Segment>(pool_, start));
    branch.pending = opening;
    lanes_.push_back(std::move(branch));
  }
  branches_ = static_cast<int>(openings.size());
  trunk().live = false;
}

void LaneTree::join(ResumeRule rule) {
  int sum = 0, longest = 0;
  for (const Lane& branch : branches()) {
    sum += branch.length();
    longest = std::max(longest, branch.length());
  }
  Lane& lane = trunk();
  const int start = lane.next_position();
  for (Lane& branch : branches()) {
    lane.context.push_back(branch.segment());
    branch.live = false;
  }
  lane.context.push_back(
      std::make_shared<Segment>(pool_, start + (rule == ResumeRule::kSum ? sum : longest)));
  branches_ = 0;
  lane.live = true;
}

bool LaneTree::waits(const Lane& lane) const {
  if (!sequential_ || lane.id == 0) return false;
  for (size_t i = lanes_.size() - branches_; i < lanes_.size(); ++i) {
    if (lanes_[i].id >= lane.id) return false;
    if (lanes_[i].live) return true;
  }
  return false;
}

int LaneTree::live_lanes() const {
  int live = 0;
  for (const Lane& lane : lanes_) live += lane.live && !waits(lane);
  return live;
}

int LaneTree::pending_rows() const {
  int rows = 0;
  for (const Lane& lane : lanes_) {
    if (!waits(lane)) rows += static_cast<int>(lane.pending.size());
  }
  return rows;
}

std::vector<LaneLogits> LaneTree::add_rows(Batch& batch, int allowance, bool every_row) {
  struct Added {
    Lane* lane;
    size_t first;  // of batch.rows
    int count;
  };
  std::vector<Added> added;
  std::vector<LaneLogits> logits;
  for (Lane& lane : lanes_) {
    const int count = std::min(allowance, static_cast<int>(lane.pending.size()));
    if (count <= 0 || waits(lane)) continue;
    allowance -= count;
    Segment& segment = *lane.segment();
    added.push_back({&lane, batch.rows.size(), count});
    for (int i = 0; i < count; ++i) {
      Row row;
      row.token = lane.pending[i];
      row.position = segment.next_position();
      const int offset = segment.append();
      row.block = segment.blocks()[offset / kBlockTokens];
      row.offset = offset % kBlockTokens;
      const bool last = i + 1 == static_cast<int>(lane.pending.size());
      if (every_row || (last && lane.live)) {
        row.logits = batch.logits_rows++;
        logits.push_back({lane.id, row.logits});
      }
      batch.rows.push_back(row);
    }
    lane.pending.erase(lane.pending.begin(), lane.pending.begin() + count);
  }
  // Segments have their length of this step now, so that rows can see what others write in it.
  for (const Added& part : added) {
    const Context& context = part.lane->context;
    const int before = part.lane->segment()->length() - part.count;
    for (int i = 0; i < part.count; ++i) {
      Row& row = batch.rows[part.first + i];
      row.first_span = static_cast<int>(batch.spans.size());
      for (size_t s = 0; s + 1 < context.size(); ++s) {
        if (context[s]->length() == 0) continue;
        batch.spans.push_back({context[s]->blocks().data(), context[s]->length()});
      }
      batch.spans.push_back({context.back()->blocks().data(), before + i + 1});
      row.spans = static_cast<int>(batch.spans.size()) - row.first_span;
    }
  }
  return logits;
}

}  // namespace anabranch
