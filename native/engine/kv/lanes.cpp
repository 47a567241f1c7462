#include "kv/lanes.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace anabranch {
namespace {

/// What the next segment sees after `segment`.
Context through(const SegmentPtr& segment) {
  Context out = segment->before();
  out.push_back(segment);
  return out;
}

/// Where the trunk goes on after branches that start at `start`.
int resume_at(int start, std::span<const SegmentPtr> branches, ResumeRule rule) {
  int sum = 0, longest = 0;
  for (const SegmentPtr& branch : branches) {
    sum += branch->length();
    longest = std::max(longest, branch->length());
  }
  return start + (rule == ResumeRule::kSum ? sum : longest);
}

}  // namespace

LaneTree::LaneTree(BlockPool& pool, std::span<const std::uint8_t> salt) : pool_(pool) {
  if (!salt.empty()) {
    const std::vector<std::uint32_t> words(salt.begin(), salt.end());
    root_ = extend(PrefixKey{}, words);
  }
  lanes_.emplace_back().segment = open(0, 0, {});
}

const SegmentPtr& LaneTree::open(int lane, int start, Context before) {
  return segments_.emplace_back(
      std::make_shared<Segment>(pool_, lane, start, std::move(before), root_));
}

std::span<Lane> LaneTree::branches() {
  return std::span<Lane>(lanes_).subspan(lanes_.size() - branches_);
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
    const Context shared = through(lane.segment);
    std::vector<SegmentPtr> opened;
    for (const auto& tokens : run.tokens) {
      opened.push_back(open(0, start, shared));
      for (int token : tokens) opened.back()->write(token);
    }
    Context joined = shared;
    joined.insert(joined.end(), opened.begin(), opened.end());
    lane.segment = open(0, resume_at(start, opened, rule), std::move(joined));
    first = true;
  }
  settle();
}

void LaneTree::begin_segment() {
  Lane& lane = trunk();
  lane.segment = open(0, lane.segment->next_position(), through(lane.segment));
}

void LaneTree::drop_segment(int more) {
  Lane& lane = trunk();
  lane.segment = lane.segment->before().back();
  lane.segment->remove_last(more);
  lane.segment->unfill_last();
  segments_.pop_back();
}

void LaneTree::fork(const std::vector<std::vector<int>>& openings) {
  const int start = trunk().segment->next_position();
  const Context shared = through(trunk().segment);
  ++stages_;
  for (const auto& opening : openings) {
    Lane branch;
    branch.id = static_cast<int>(lanes_.size());
    branch.stage = stages_;
    branch.segment = open(branch.id, start, shared);
    branch.write(opening);
    lanes_.push_back(std::move(branch));
  }
  branches_ = static_cast<int>(openings.size());
  trunk().live = false;
}

void LaneTree::join(ResumeRule rule) {
  Lane& lane = trunk();
  const int start = lane.segment->next_position();
  std::vector<SegmentPtr> closed;
  for (Lane& branch : branches()) {
    closed.push_back(branch.segment);
    branch.live = false;
  }
  Context joined = through(lane.segment);
  joined.insert(joined.end(), closed.begin(), closed.end());
  lane.segment = open(0, resume_at(start, closed, rule), std::move(joined));
  branches_ = 0;
  lane.live = true;
}

void LaneTree::settle() {
  for (const SegmentPtr& segment : segments_) {
    if (!waits(lanes_[segment->lane()])) segment->settle();
  }
}

int LaneTree::behind() const {
  int tokens = 0;
  for (const SegmentPtr& segment : segments_) tokens += segment->behind();
  return tokens;
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
  for (const Lane& lane : lanes_) live += decodes(lane);
  return live;
}

bool LaneTree::gives_logits(const Segment& segment) const {
  const Lane& lane = lanes_[segment.lane()];
  return lane.live && lane.segment.get() == &segment;
}

int LaneTree::unfilled(const Segment& segment, bool catching_up) const {
  if (catching_up) return segment.behind();
  return waits(lanes_[segment.lane()]) ? 0 : segment.unfilled();
}

int LaneTree::guessed(const Segment& segment, bool catching_up) const {
  const bool follows = !catching_up && segment.lane() == 0 && gives_logits(segment);
  return follows ? static_cast<int>(guess_.tokens.size()) : 0;
}

int LaneTree::rows_wanted() const {
  const bool catching_up = behind() > 0;
  int rows = 0;
  for (const SegmentPtr& segment : segments_) {
    rows += unfilled(*segment, catching_up) + guessed(*segment, catching_up);
  }
  return rows;
}

int LaneTree::blocks_wanted(int allowance) const {
  const bool catching_up = behind() > 0;
  int blocks = 0;
  for (const SegmentPtr& segment : segments_) {
    const int wanted = unfilled(*segment, catching_up) + guessed(*segment, catching_up);
    const int count = std::min(allowance, wanted);
    allowance -= count;
    blocks += blocks_for(segment->filled() + count) - blocks_for(segment->filled());
  }
  return blocks;
}

StepLogits LaneTree::add_rows(Batch& batch, int allowance, bool every_row) {
  struct Added {
    const Segment* segment;
    size_t first;  // of batch.rows
    int count;
  };
  const bool catching_up = behind() > 0;
  std::vector<Added> added;
  StepLogits logits;
  for (size_t s = 0; s < segments_.size(); ++s) {
    Segment& segment = *segments_[s];
    const int count = std::min(allowance, unfilled(segment, catching_up));
    if (count <= 0) continue;
    allowance -= count;
    added.push_back({&segment, batch.rows.size(), count});
    const auto add = [&](int token, int index, std::vector<LaneLogits>* gives) {
      Row row;
      row.token = token;
      row.position = segment.start() + index;
      row.block = segment.blocks().back();
      row.offset = index % kBlockTokens;
      if (gives) {
        row.logits = batch.logits_rows++;
        gives->push_back({segment.lane(), row.logits, static_cast<int>(s), index});
      }
      batch.rows.push_back(row);
    };
    const bool last_gives = gives_logits(segment);
    for (int i = 0; i < count; ++i) {
      const int index = segment.fill();
      const bool gives = every_row || (last_gives && index + 1 == segment.length());
      add(segment.tokens()[index], index, gives ? &logits.written : nullptr);
    }
    const int guess = guessed(segment, catching_up);
    if (guess == 0 || guess > allowance || segment.unfilled() > 0) continue;
    allowance -= guess;
    added.back().count += guess;
    guess_.forwarded = true;
    for (int token : guess_.tokens) add(token, segment.fill_ahead(), &logits.guessed);
  }
  // All blocks are there now, so that rows can see what others write in this step.
  for (const Added& part : added) {
    const int before = part.segment->filled() + part.segment->ahead() - part.count;
    for (int i = 0; i < part.count; ++i) {
      Row& row = batch.rows[part.first + i];
      row.first_span = static_cast<int>(batch.spans.size());
      for (const SegmentPtr& seen : part.segment->before()) {
        if (seen->length() == 0) continue;
        batch.spans.push_back({seen->blocks().data(), seen->length()});
      }
      batch.spans.push_back({part.segment->blocks().data(), before + i + 1});
      row.spans = static_cast<int>(batch.spans.size()) - row.first_span;
    }
  }
  return logits;
}

void LaneTree::guess(std::vector<int> tokens) {
  guess_ = {std::move(tokens), trunk().segment, trunk().length()};
}

int LaneTree::as_guessed() const {
  const Lane& lane = lanes_.front();
  if (!lane.live || lane.segment != guess_.segment) return 0;
  const auto written = std::span(lane.segment->tokens()).subspan(guess_.from);
  const bool right = written.size() <= guess_.tokens.size() &&
                     std::equal(written.begin(), written.end(), guess_.tokens.begin());
  return right ? static_cast<int>(written.size()) : 0;
}

void LaneTree::settle_guess() {
  if (std::exchange(guess_.forwarded, false)) {
    const auto written = std::span(guess_.segment->tokens()).subspan(guess_.from);
    const auto end = std::mismatch(guess_.tokens.begin(), guess_.tokens.end(), written.begin(), written.end());
    guess_.segment->settle_ahead(static_cast<int>(end.first - guess_.tokens.begin()));
  }
  guess_ = {};
}

int LaneTree::adopt() {
  int tokens = 0;
  for (const SegmentPtr& segment : segments_) {
    // A token whose logits are wanted has to be forwarded.
    const int limit = segment->filled() + segment->behind();
    tokens += segment->adopt(limit == segment->length() && gives_logits(*segment) ? limit - 1
                                                                                  : limit);
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
