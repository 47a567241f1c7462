#include "kv/lanes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace anabranch {
namespace {

/// The context of a segment that follows `segment`.
Context context_after(const SegmentPtr& segment) {
  Context out = segment->before();
  out.push_back({segment});
  return out;
}

/// The trunk position after branches that start at `start`.
int resume_at(int start, std::span<const SegmentPtr> branches, ResumeRule rule) {
  int sum = 0, longest = 0;
  for (const SegmentPtr& branch : branches) {
    sum += branch->length();
    longest = std::max(longest, branch->length());
  }
  return start + (rule == ResumeRule::kSum ? sum : longest);
}

}  // namespace

LaneTree::LaneTree(BlockPool& pool, std::span<const std::uint8_t> salt, std::uint64_t adapter)
    : pool_(pool) {
  if (!salt.empty()) {
    const std::vector<std::uint32_t> words(salt.begin(), salt.end());
    root_ = extend(PrefixKey{}, words);
    if (adapter != 0) {
      const std::uint32_t id[] = {static_cast<std::uint32_t>(adapter),
                                  static_cast<std::uint32_t>(adapter >> 32)};
      root_ = extend(*root_, id);
    }
  }
  lanes_.emplace_back().segment = open_segment(0, 0, {});
}

const SegmentPtr& LaneTree::open_segment(int lane, int start, Context before) {
  return segments_.emplace_back(
      std::make_shared<Segment>(pool_, lane, start, std::move(before), root_));
}

std::span<Lane> LaneTree::branches() {
  return std::span<Lane>(lanes_).subspan(lanes_.size() - branches_);
}

std::span<const Lane> LaneTree::branches() const {
  return std::span<const Lane>(lanes_).subspan(lanes_.size() - branches_);
}

void LaneTree::write_prompt(const std::vector<StructureRun>& runs, ResumeRule rule) {
  Lane& lane = trunk();
  bool first = true;
  for (const StructureRun& run : runs) {
    if (!run.parallel) {
      if (!std::exchange(first, false)) begin_segment();
      lane.write(run.tokens[0]);
      continue;
    }
    const int start = lane.segment->next_position();
    const Context shared = context_after(lane.segment);
    std::vector<SegmentPtr> opened;
    for (const auto& tokens : run.tokens) {
      opened.push_back(open_segment(0, start, shared));
      for (int token : tokens) opened.back()->write(token);
    }
    Context joined = shared;
    for (const SegmentPtr& branch : opened) joined.push_back({branch});
    lane.segment = open_segment(0, resume_at(start, opened, rule), std::move(joined));
    first = true;
  }
  mark_for_prefill();
}

void LaneTree::begin_segment() {
  Lane& lane = trunk();
  lane.segment = open_segment(0, lane.segment->next_position(), context_after(lane.segment));
}

void LaneTree::drop_segment(int extra) {
  Lane& lane = trunk();
  lane.segment = lane.segment->before().back().segment;
  lane.segment->remove_last(extra);
  lane.segment->recompute_last();
  segments_.pop_back();
}

void LaneTree::take_back(int tokens) {
  commit_draft();
  trunk().segment->remove_last(tokens);
}

void LaneTree::open_branches(int start, const Context& seen, const std::optional<PrefixKey>& root,
                             const std::vector<std::vector<int>>& openings) {
  ++stages_;
  for (const auto& opening : openings) {
    Lane branch;
    branch.id = static_cast<int>(lanes_.size());
    branch.stage = stages_;
    branch.segment =
        segments_.emplace_back(std::make_shared<Segment>(pool_, branch.id, start, seen, root));
    branch.write(opening);
    lanes_.push_back(std::move(branch));
  }
  branches_ = static_cast<int>(openings.size());
}

void LaneTree::fork(const std::vector<std::vector<int>>& openings) {
  const SegmentPtr segment = trunk().segment;
  open_branches(segment->next_position(), context_after(segment), root_, openings);
  trunk().live = false;
}

int LaneTree::open_beside(int at) {
  Context seen = trunk().segment->before();
  seen.push_back({trunk().segment, at});
  Lane side;
  side.id = static_cast<int>(lanes_.size());
  side.segment = segments_.emplace_back(std::make_shared<Segment>(
      pool_, side.id, trunk().segment->start() + at, std::move(seen), std::nullopt));
  lanes_.push_back(std::move(side));
  return lanes_.back().id;
}

void LaneTree::fork_beside(int side, const std::vector<std::vector<int>>& openings) {
  const SegmentPtr segment = lanes_[side].segment;
  open_branches(segment->next_position(), context_after(segment), std::nullopt, openings);
}

void LaneTree::drop_lane(Lane& lane) {
  lane.live = false;
  lane.segment->release_blocks();
  std::erase(segments_, lane.segment);
}

void LaneTree::join(ResumeRule rule) {
  Lane& lane = trunk();
  const int start = lane.segment->next_position();
  std::vector<SegmentPtr> closed;
  for (Lane& branch : branches()) {
    closed.push_back(branch.segment);
    branch.live = false;
  }
  Context joined = context_after(lane.segment);
  for (const SegmentPtr& branch : closed) joined.push_back({branch});
  lane.segment = open_segment(0, resume_at(start, closed, rule), std::move(joined));
  branches_ = 0;
  lane.live = true;
}

void LaneTree::mark_for_prefill() {
  for (const SegmentPtr& segment : segments_) {
    if (!is_held(*segment)) segment->mark_for_prefill();
  }
}

int LaneTree::pending_prefill() const {
  int tokens = 0;
  for (const SegmentPtr& segment : segments_) tokens += segment->pending_prefill();
  return tokens;
}

int LaneTree::live_lanes() const {
  return static_cast<int>(std::ranges::count(lanes_, true, &Lane::live));
}

bool LaneTree::needs_logits(const Segment& segment) const {
  const Lane& lane = lanes_[segment.lane()];
  return lane.live && lane.segment.get() == &segment;
}

bool LaneTree::is_held(const Segment& segment) const {
  return lanes_[segment.lane()].held && needs_logits(segment);
}

int LaneTree::rows_of(const Segment& segment, bool prefilling) const {
  if (prefilling) return segment.pending_prefill();
  return is_held(segment) ? 0 : segment.num_uncomputed();
}

int LaneTree::draft_rows_of(const Segment& segment, bool prefilling) const {
  const bool follows = !prefilling && segment.lane() == 0 && needs_logits(segment);
  return follows ? static_cast<int>(draft_.tokens.size()) : 0;
}

int LaneTree::rows_needed() const {
  const bool prefilling = pending_prefill() > 0;
  int rows = 0;
  for (const SegmentPtr& segment : segments_) {
    rows += rows_of(*segment, prefilling) + draft_rows_of(*segment, prefilling);
  }
  return rows;
}

int LaneTree::blocks_needed(int allowance) const {
  const bool prefilling = pending_prefill() > 0;
  int blocks = 0;
  for (const SegmentPtr& segment : segments_) {
    const int wanted = rows_of(*segment, prefilling) + draft_rows_of(*segment, prefilling);
    const int count = std::min(allowance, wanted);
    allowance -= count;
    blocks += blocks_for(segment->num_computed() + count) - blocks_for(segment->num_computed());
  }
  return blocks;
}

StepLogits LaneTree::add_rows(Batch& batch, int allowance, bool every_row) {
  struct Added {
    const Segment* segment;
    size_t first;  // in batch.rows
    int count;
  };
  const bool prefilling = pending_prefill() > 0;
  std::vector<Added> added;
  StepLogits logits;
  for (size_t s = 0; s < segments_.size(); ++s) {
    Segment& segment = *segments_[s];
    const int count = std::min(allowance, rows_of(segment, prefilling));
    if (count <= 0) continue;
    allowance -= count;
    added.push_back({&segment, batch.rows.size(), count});
    const auto add = [&](int token, int index, std::vector<LaneLogits>* logits_rows) {
      Row row;
      row.token = token;
      row.position = segment.start() + index;
      row.block = segment.blocks().back();
      row.offset = index % kBlockTokens;
      if (logits_rows) {
        row.logits_row = batch.logits_rows++;
        logits_rows->push_back({segment.lane(), row.logits_row, static_cast<int>(s), index});
      }
      batch.rows.push_back(row);
    };
    const bool last_needs_logits = needs_logits(segment);
    const std::vector<int>& probes = lanes_[segment.lane()].probes;
    for (int i = 0; i < count; ++i) {
      const int index = segment.append_slot();
      const bool needed =
          every_row || (last_needs_logits && (index + 1 == segment.length() ||
                                              std::ranges::binary_search(probes, index)));
      add(segment.tokens()[index], index, needed ? &logits.written : nullptr);
    }
    const int draft = draft_rows_of(segment, prefilling);
    if (draft == 0 || draft > allowance || segment.num_uncomputed() > 0) continue;
    allowance -= draft;
    added.back().count += draft;
    draft_.forwarded = true;
    for (int token : draft_.tokens) add(token, segment.append_lookahead(), &logits.draft);
  }
  // Spans are added after all blocks are allocated, because rows see what others write in this
  // step.
  for (const Added& part : added) {
    const int before = part.segment->num_computed() + part.segment->num_lookahead() - part.count;
    for (int i = 0; i < part.count; ++i) {
      Row& row = batch.rows[part.first + i];
      row.first_span = static_cast<int>(batch.spans.size());
      for (const SeenSegment& seen : part.segment->before()) {
        if (seen.length() == 0) continue;
        const Segment& segment = *seen.segment;
        batch.spans.push_back({segment.blocks().data(), seen.length(), segment.start()});
      }
      batch.spans.push_back({part.segment->blocks().data(), before + i + 1, part.segment->start()});
      row.num_spans = static_cast<int>(batch.spans.size()) - row.first_span;
    }
  }
  return logits;
}

void LaneTree::set_draft(std::vector<int> tokens) {
  draft_ = {std::move(tokens), trunk().segment, trunk().length()};
}

int LaneTree::num_accepted() const {
  const Lane& lane = lanes_.front();
  if (!lane.live || lane.segment != draft_.segment) return 0;
  const auto written = std::span(lane.segment->tokens()).subspan(draft_.from);
  const bool accepted = written.size() <= draft_.tokens.size() &&
                        std::equal(written.begin(), written.end(), draft_.tokens.begin());
  return accepted ? static_cast<int>(written.size()) : 0;
}

void LaneTree::commit_draft() {
  if (std::exchange(draft_.forwarded, false)) {
    const auto written = std::span(draft_.segment->tokens()).subspan(draft_.from);
    const auto end =
        std::mismatch(draft_.tokens.begin(), draft_.tokens.end(), written.begin(), written.end());
    draft_.segment->commit_lookahead(static_cast<int>(end.first - draft_.tokens.begin()));
  }
  draft_ = {};
}

int LaneTree::use_cached_prefix() {
  int tokens = 0;
  for (const SegmentPtr& segment : segments_) {
    int limit = segment->num_computed() + segment->pending_prefill();
    // Tokens whose logits are needed must be forwarded.
    if (needs_logits(*segment)) {
      const std::vector<int>& probes = lanes_[segment->lane()].probes;
      limit = std::min(limit, probes.empty() ? segment->length() - 1 : probes.front());
    }
    tokens += segment->use_cached_prefix(limit);
  }
  return tokens;
}

void LaneTree::release_blocks() {
  for (const SegmentPtr& segment : segments_) segment->release_blocks();
}

std::optional<PrefixKey> LaneTree::next_key() const {
  for (const SegmentPtr& segment : segments_) {
    if (auto key = segment->next_key()) return key;
  }
  return std::nullopt;
}

bool LaneTree::will_publish(const PrefixKey& key) const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [&](const SegmentPtr& segment) { return segment->will_publish(key); });
}

}  // namespace anabranch
