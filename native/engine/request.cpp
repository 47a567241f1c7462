#include "request.h"

#include <algorithm>

namespace anabranch {

Request::Request(RequestSpec spec, BlockPool& pool)
    : spec_(std::move(spec)),
      tree_(pool),
      prefill_left_(static_cast<int>(spec_.prompt.size())),
      written_(1, 0),
      counts_(1) {
  tree_.trunk().pending = spec_.prompt;
  tree_.set_sequential(spec_.sequential);
  usage_.prompt_tokens = prefill_left_;
}

void Request::add_rows(Batch& batch, int allowance) {
  const auto before = batch.rows.size();
  wanted_ = tree_.add_rows(batch, allowance, false);
  const int added = static_cast<int>(batch.rows.size() - before);
  if (prefill_left_ > 0) prefill_left_ -= added;
  else if (added > 0) ++usage_.steps;
}

void Request::advance(Guide& guide, float* logits, int vocabulary, Events& events) {
  if (wanted_.empty() || finished()) return;
  if (spec_.return_logits) {
    for (const LaneLogits& lane : wanted_) {
      std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(lane.lane),
                                            written_[lane.lane]};
      const float* row = logits + static_cast<size_t>(lane.row) * vocabulary;
      for (int i = 0; i < vocabulary; ++i) payload.push_back(std::bit_cast<std::uint32_t>(row[i]));
      events.add(EventKind::kLogits, spec_.id, payload);
    }
  }
  guide.step(*this, wanted_, logits, vocabulary, events);
  wanted_.clear();
}

void Request::emit(Lane& lane, const WrittenToken& token, Events& events) {
  ++written_[lane.id];
  ++usage_.completion_tokens;
  if (token.flags & WrittenToken::kVisible) ++usage_.visible_tokens;
  events.token(spec_.id, lane.id, token);
}

void Request::open_stage(const std::vector<std::vector<int>>& titles,
                         const std::vector<std::vector<int>>& openings, Events& events) {
  const TokenCounts seen = counts_[0];
  tree_.fork(openings);
  ++usage_.stages;
  usage_.branches += static_cast<int>(openings.size());
  std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(tree_.stages()), 0,
                                        static_cast<std::uint32_t>(openings.size())};
  for (size_t i = 0; i < openings.size(); ++i) {
    Lane& lane = tree_.branches()[i];
    written_.push_back(0);
    counts_.push_back(seen);
    payload.push_back(static_cast<std::uint32_t>(lane.id));
    payload.push_back(static_cast<std::uint32_t>(titles[i].size()));
    payload.insert(payload.end(), titles[i].begin(), titles[i].end());
  }
  events.add(EventKind::kStageOpened, spec_.id, payload);
  for (size_t i = 0; i < openings.size(); ++i) {
    for (int token : openings[i]) {
      emit(tree_.branches()[i], {token, WrittenToken::kForced, 0, {}}, events);
    }
  }
}

void Request::close_branch(Lane& lane, CloseReason reason, Events& events) {
  lane.live = false;
  events.add(EventKind::kBranchClosed, spec_.id,
             {static_cast<std::uint32_t>(lane.id), static_cast<std::uint32_t>(reason)});
}

void Request::close_stage(ResumeRule rule, Events& events) {
  // The trunk has now seen every branch: its counts are its own plus what each branch added.
  const TokenCounts before = counts_[0];
  for (const Lane& branch : tree_.branches()) {
    for (const auto& [token, count] : counts_[branch.id]) {
      const auto old = before.find(token);
      const int added = count - (old == before.end() ? 0 : old->second);
      if (added > 0) counts_[0][token] += added;
    }
  }
  tree_.join(rule);
  events.add(EventKind::kStageClosed, spec_.id, {static_cast<std::uint32_t>(tree_.stages())});
}

}  // namespace anabranch
