#include "serving/request.h"

#include <algorithm>
#include <utility>

#include "error.h"
#include "serving/score.h"

namespace anabranch {
namespace {

std::vector<std::vector<int>> ids_of(const std::vector<std::vector<EmittedToken>>& lists) {
  std::vector<std::vector<int>> out;
  for (const auto& list : lists) {
    auto& ids = out.emplace_back();
    for (const EmittedToken& token : list) ids.push_back(token.id);
  }
  return out;
}

}  // namespace

Request::Request(RequestSpec spec, BlockPool& pool)
    : spec_(std::move(spec)),
      tree_(pool, spec_.cache_salt, spec_.adapter ? spec_.adapter->weights.id : 0),
      written_(1, 0),
      visible_(1, 0),
      counts_(1) {
  const ResumeRule rule = spec_.resume.value_or(ResumeRule::kSum);
  usage_.prompt_tokens = static_cast<int>(tokens_of(spec_.prompt));
  tree_.write_prompt(spec_.prompt, rule);
}

Request::~Request() = default;

// ---- replay of an answer that another engine began ---------------------------------------------

const LoggedLane* Request::log_of(int lane) const {
  for (const LoggedLane& logged : spec_.log) {
    if (logged.lane == lane) return &logged;
  }
  return nullptr;
}

std::optional<LaneToken> DecodingPolicy::replayed(const Request& request, const Lane& lane) const {
  const auto token = request.logged(lane);
  if (!token) return std::nullopt;
  return LaneToken{lane.id, {*token, 0, {}}};
}

std::optional<int> Request::logged(const Lane& lane) const {
  const LoggedLane* log = log_of(lane.id);
  if (!log || written(lane) >= log->tokens.size()) return std::nullopt;
  return log->tokens[written(lane)];
}

/// The lanes that step next, and their logged tokens; none if the log ends here.
std::vector<LaneToken> Request::replayed_lanes() const {
  const std::vector<int> independent = policy->independent_lanes(*this);
  std::vector<LaneToken> lanes;
  for (const Lane& lane : tree_.lanes()) {
    if (!lane.live) continue;
    if (!independent.empty() && !std::ranges::binary_search(independent, lane.id)) continue;
    const auto replayed = policy->replayed(*this, lane);
    if (!replayed) {
      if (independent.empty()) return {};
      continue;
    }
    LaneToken& next = lanes.emplace_back(*replayed);
    const LoggedLane* log = log_of(lane.id);
    if (!log || !log->closed || *log->closed == CloseReason::kMarker) continue;
    const auto left = log->tokens.size() - written(lane);
    if (left == static_cast<size_t>(policy->forced_close_tokens())) next.closed = log->closed;
  }
  return lanes;
}

void Request::replay() {
  while (!finished()) {
    const std::vector<LaneToken> lanes = replayed_lanes();
    if (lanes.empty()) break;
    for (const LaneToken& next : lanes) {
      const auto input = policy->sampling_input(*this, tree_.lanes()[next.lane]);
      if (!input || next.closed || allows(input->constraint, next.sampled.token)) continue;
      throw bad_argument("resume: lane " + std::to_string(next.lane) + " holds token " +
                         std::to_string(next.sampled.token) + " where it is not allowed");
    }
    // The last token of a lane whose log has ended gives the logits of its next one.
    for (Lane& lane : tree_.lanes()) lane.held = true;
    for (const LaneToken& next : lanes) tree_.lanes()[next.lane].held = false;
    tree_.mark_for_prefill();
    // Prefill sampled the first token, and what follows an outlined stage. Accepted draft tokens
    // took no step of their own either; every other token did.
    if (!std::exchange(step_counted_, false)) count_step();
    for (Lane& lane : tree_.lanes()) lane.held = false;
    step_lanes(lanes, replayed_);
    if (tree_.num_accepted() > 0)
      step_counted_ = true;
    else
      tree_.set_draft(draft_tokens());
  }
  for (const LoggedLane& log : spec_.log) {
    const bool known = log.lane < static_cast<int>(tree_.lanes().size());
    if (!known || written_[log.lane] < log.tokens.size()) {
      throw bad_argument("resume: the tokens of lane " + std::to_string(log.lane) +
                         " do not fit those of the other lanes");
    }
  }
  tree_.set_draft(draft_tokens());
}

// ---- steps -------------------------------------------------------------------------------------

bool Request::start(int cached, EventBuffer& events) {
  status_ = RequestStatus::kRunning;
  return emit_start(cached, events);
}

bool Request::emit_start(int cached, EventBuffer& events) {
  if (std::exchange(start_emitted_, true) || scorer) return false;
  usage_.cached_tokens = std::min(cached, usage_.prompt_tokens);
  events.add(EventKind::kStarted, spec_.id,
             {static_cast<std::uint32_t>(usage_.prompt_tokens),
              static_cast<std::uint32_t>(usage_.cached_tokens)});
  events.append(replayed_);
  return true;
}

void Request::preempt() {
  tree_.release_blocks();
  status_ = RequestStatus::kWaiting;
}

/// Counts a step of the lanes that are not held. Where lanes step apart, rounds count: the steps of
/// the lane that took most.
void Request::count_step() {
  int rounds = 0;
  for (const int id : policy->independent_lanes(*this)) {
    const Lane& lane = tree_.lanes()[id];
    if (!lane.held) rounds = std::max(rounds, lane.rounds + 1);
  }
  if (rounds > 0 && rounds <= rounds_counted_) return;
  ++usage_.steps;
  rounds_counted_ = std::max(rounds, rounds_counted_);
}

void Request::step_lanes(const std::vector<LaneToken>& lanes, EventBuffer& events) {
  for (const LaneToken& next : lanes) ++tree_.lanes()[next.lane].rounds;
  policy->step(*this, lanes, events);
}

int Request::add_rows(Batch& batch, int allowance) {
  const auto before = batch.rows.size();
  const bool prefilling = tree_.pending_prefill() > 0;
  StepLogits logits = tree_.add_rows(batch, allowance, scorer != nullptr);
  logits_rows_ = std::move(logits.written);
  draft_logits_rows_ = std::move(logits.draft);
  const int added = static_cast<int>(batch.rows.size() - before);
  for (auto at = before; spec_.adapter && at < batch.rows.size(); ++at) {
    batch.rows[at].adapter = &spec_.adapter->weights;
  }
  if (!prefilling && added > 0) count_step();
  return added;
}

void Request::add_sampling_rows(Backend& backend, std::vector<SamplingRow>& rows,
                                EventBuffer& events) {
  sampled_lanes_.clear();
  for (const LaneLogits& at : logits_rows_) {
    if (scorer) {
      scorer->take(at, backend.logits(at.row));
      continue;
    }
    const Lane& lane = tree_.lanes()[at.lane];
    if (at.index + 1 < lane.length()) {
      // Only asked what it says of a token that follows it already.
      probed_[at.lane][at.index] = log_probability(
          backend.logits(at.row), lane.segment->tokens()[static_cast<size_t>(at.index) + 1]);
      continue;
    }
    const auto input = policy->sampling_input(*this, lane);
    auto& sampled = sampled_lanes_.emplace_back(
        SampledLane{at.lane, input ? static_cast<int>(rows.size()) : -1, {}});
    for (const int index : lane.probes) sampled.probed.push_back(probed_[at.lane][index]);
    probed_.erase(at.lane);
    if (input) rows.push_back({at.row, *input});
    if (spec_.return_logits) emit_logits(at.lane, backend.logits(at.row), events);
  }
  logits_rows_.clear();
}

void Request::emit_logits(int lane, std::span<const float> logits, EventBuffer& events) const {
  std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(lane), written_[lane]};
  for (float x : logits) payload.push_back(std::bit_cast<std::uint32_t>(x));
  events.add(EventKind::kLogits, spec_.id, payload);
}

std::vector<int> Request::draft_tokens() const {
  if (finished() || spec_.sequential || tree_.in_stage()) return {};
  std::vector<int> draft = policy->draft(*this);
  // If all are accepted, one more token follows them.
  draft.resize(std::min(draft.size(), static_cast<size_t>(std::max(0, remaining() - 1))));
  return draft;
}

bool Request::advance(const std::vector<SampledToken>& sampled, EventBuffer& events) {
  if (scorer) {
    if (tree_.pending_prefill() > 0) return false;
    scorer->finish();
    finish(FinishReason::kStop);
    return false;
  }
  if (sampled_lanes_.empty()) return false;
  std::vector<LaneToken> lanes;
  for (auto& [lane, row, probed] : sampled_lanes_) {
    lanes.push_back(
        {lane, row < 0 ? SampledToken{} : sampled[row], std::nullopt, std::move(probed)});
  }
  step_lanes(lanes, events);
  const int accepted = finished() ? 0 : tree_.num_accepted();
  if (accepted > 0 && !draft_logits_rows_.empty()) {
    logits_rows_ = {draft_logits_rows_[accepted - 1]};
    return true;
  }
  tree_.commit_draft();
  tree_.set_draft(draft_tokens());
  return false;
}

// ---- what lanes write --------------------------------------------------------------------------

void Request::emit(Lane& lane, const EmittedToken& token, EventBuffer& events) {
  const auto expected = logged(lane);
  if (expected && *expected != token.id) {
    throw bad_argument("resume: token " + std::to_string(written(lane)) + " of lane " +
                       std::to_string(lane.id) + " is " + std::to_string(*expected) +
                       " where only " + std::to_string(token.id) + " is possible");
  }
  ++written_[lane.id];
  ++usage_.completion_tokens;
  if (!first_token_at_) {
    first_token_at_ = std::chrono::steady_clock::now();
    tokens_before_first_ = usage_.completion_tokens;
  }
  if (lane.id > 0 && lane.stage == 0) ++usage_.outline_tokens;
  if (token.flags & EmittedToken::kVisible) {
    ++usage_.visible_tokens;
    ++visible_[lane.id];
  }
  events.add_token(spec_.id, lane.id, token);
}

void Request::release(const Lane& lane, std::span<const EmittedToken> tokens, EventBuffer& events) {
  if (tokens.empty()) return;
  usage_.visible_tokens += static_cast<int>(tokens.size());
  visible_[lane.id] += static_cast<int>(tokens.size());
  events.add_released(spec_.id, lane.id, tokens);
}

Request::Progress Request::progress(std::chrono::steady_clock::time_point now) const {
  if (!first_token_at_) return {};
  return {usage_.completion_tokens - tokens_before_first_,
          std::chrono::duration<double>(now - *first_token_at_).count()};
}

void Request::finish(FinishReason reason) {
  if (finished()) return;
  status_ = RequestStatus::kFinished;
  finish_reason_ = reason;
}

void Request::add_lane(const TokenCounts& seen) {
  written_.push_back(0);
  visible_.push_back(0);
  counts_.push_back(seen);
}

void Request::begin_stage(const std::vector<std::vector<int>>& titles, bool outlined,
                          EventBuffer& events) {
  counts_before_stage_ = counts_[0];
  rounds_counted_ = 0;
  ++usage_.stages;
  usage_.branches += static_cast<int>(titles.size());
  std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(tree_.stages()), outlined,
                                        static_cast<std::uint32_t>(titles.size())};
  for (size_t i = 0; i < titles.size(); ++i) {
    add_lane(counts_before_stage_);
    payload.push_back(static_cast<std::uint32_t>(tree_.branches()[i].id));
    payload.push_back(static_cast<std::uint32_t>(titles[i].size()));
    payload.insert(payload.end(), titles[i].begin(), titles[i].end());
  }
  events.add(EventKind::kStageOpened, spec_.id, payload);
}

void Request::open_stage(const std::vector<std::vector<int>>& titles,
                         const std::vector<std::vector<EmittedToken>>& openings,
                         EventBuffer& events) {
  tree_.fork(ids_of(openings));
  begin_stage(titles, false, events);
  emit_openings(openings, events);
}

void Request::emit_openings(const std::vector<std::vector<EmittedToken>>& openings,
                            EventBuffer& events) {
  for (size_t i = 0; i < openings.size(); ++i) {
    for (const EmittedToken& token : openings[i]) emit(tree_.branches()[i], token, events);
  }
}

void Request::close_branch(Lane& lane, CloseReason reason, EventBuffer& events) {
  lane.live = false;
  events.add(EventKind::kBranchClosed, spec_.id,
             {static_cast<std::uint32_t>(lane.id), static_cast<std::uint32_t>(reason)});
}

/// The trunk sees a branch now: it counts what the branch added to what it saw.
void Request::add_counts(int branch) {
  for (const auto& [token, count] : counts_[branch]) {
    const auto old = counts_before_stage_.find(token);
    const int added = count - (old == counts_before_stage_.end() ? 0 : old->second);
    if (added > 0) counts_[0][token] += added;
  }
}

void Request::close_stage(ResumeRule rule, EventBuffer& events) {
  for (const Lane& branch : tree_.branches()) add_counts(branch.id);
  tree_.join(rule);
  events.add(EventKind::kStageClosed, spec_.id, {static_cast<std::uint32_t>(tree_.stages())});
}

// ---- outlines ----------------------------------------------------------------------------------

int Request::open_outline(int at, std::span<const int> forced, EventBuffer& events) {
  const int side = tree_.open_beside(at);
  add_lane(counts_[0]);
  Lane& lane = tree_.lanes()[side];
  lane.write(forced);
  for (int token : forced) emit(lane, {token, EmittedToken::kForced, 0, {}}, events);
  return side;
}

void Request::open_outlined_stage(int outline, const std::vector<std::vector<int>>& titles,
                                  const std::vector<std::vector<EmittedToken>>& openings,
                                  EventBuffer& events) {
  tree_.fork_beside(outline, ids_of(openings));
  begin_stage(titles, true, events);
  emit_openings(openings, events);
}

void Request::accept_branch(const Lane& lane, EventBuffer& events) {
  events.add(EventKind::kBranchAccepted, spec_.id, {static_cast<std::uint32_t>(lane.id)});
}

void Request::drop_branch(Lane& lane, EventBuffer& events) {
  usage_.visible_tokens -= std::exchange(visible_[lane.id], 0);
  usage_.dropped_tokens += static_cast<int>(written(lane));
  tree_.drop_lane(lane);
  close_branch(lane, CloseReason::kDropped, events);
}

void Request::close_outlined_stage(int outline, std::span<const int> accepted,
                                   EventBuffer& events) {
  for (int branch : accepted) add_counts(branch);
  for (Lane& branch : tree_.branches()) tree_.drop_lane(branch);
  tree_.drop_lane(tree_.lanes()[outline]);
  tree_.end_stage();
  events.add(EventKind::kStageClosed, spec_.id, {static_cast<std::uint32_t>(tree_.stages())});
}

void Request::prefill_written() {
  tree_.mark_for_prefill();
  step_counted_ = true;
}

}  // namespace anabranch
