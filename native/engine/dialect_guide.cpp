#include "dialect_guide.h"

#include <algorithm>

#include "philox.h"

namespace anabranch {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

class DialectGuide final : public Guide {
 public:
  DialectGuide(const RequestSpec& spec, const Dialect* dialect, const std::vector<int>& eos)
      : dialect_(dialect), ends_(eos) {
    for (int token : spec.stop_tokens) {
      if (!contains(ends_, token)) ends_.push_back(token);
    }
    if (spec.ignore_eos) {
      // The model's own ends are not to be chosen; what the caller named still ends the answer.
      ignored_ = eos;
      std::erase_if(ignored_, [&](int token) { return contains(spec.stop_tokens, token); });
    }
    if (dialect_) {
      cap_ = dialect_->max_branches;
      if (spec.max_branches > 0) cap_ = std::min(cap_, spec.max_branches);
    }
    may_branch_ = dialect_ && spec.parallel && cap_ >= 2;
  }

  std::optional<Choice> choice(const Request& request, const Lane& lane) const override {
    const RequestSpec& spec = request.spec();
    Choice out;
    out.sampling = &spec.sampling;
    out.counts = &request.counts(lane);
    out.legal = lane.id == 0 ? legal_in_trunk(request) : ordinary(dialect_->branch_close, false);
    if (spec.sampling.temperature > 0) {
      out.uniform = uniform(spec.seed, spec.choice, static_cast<std::uint32_t>(lane.id),
                            request.written(lane));
    }
    return out;
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, Events& events) override {
    for (const LaneToken& at : lanes) {
      Lane& lane = request.tree().lanes()[at.lane];
      if (lane.id == 0) trunk(request, lane, at.chosen, events);
      else branch(request, lane, at.chosen, events);
      if (request.finished()) return;
    }
    join_if_closed(request, events);
    // Live lanes advance together or not at all.
    if (request.remaining() < request.tree().live_lanes()) request.finish(FinishReason::kLength);
  }

 private:
  enum class State { kText, kTitle, kAfterTitle };

  /// Ordinary text: every marker but `allowed` is masked, and the ends too where `no_end`.
  Legal ordinary(int allowed, bool no_end) const {
    Legal legal;
    if (dialect_) {
      for (int marker : dialect_->markers) {
        if (marker != allowed) legal.never.push_back(marker);
      }
    }
    const std::vector<int>& ends = no_end ? ends_ : ignored_;
    legal.never.insert(legal.never.end(), ends.begin(), ends.end());
    return legal;
  }

  /// Writes a chosen token, or what it stands for, to the lane.
  void write(Request& request, Lane& lane, WrittenToken token, const Chosen& chosen,
             Events& events) {
    if (request.spec().sampling.logprobs && token.id == chosen.token) {
      token.flags |= WrittenToken::kLogprobs;
      token.logprob = chosen.logprob;
      token.top = chosen.top;
    }
    if (!(dialect_ && contains(dialect_->markers, token.id)) && !contains(ends_, token.id)) {
      ++request.counts(lane)[token.id];
    }
    request.emit(lane, token, events);
  }

  static std::uint32_t visible(bool shown) { return shown ? WrittenToken::kVisible : 0; }

  // ---- the trunk -------------------------------------------------------------------------------

  bool may_plan(const Request& request) const {
    return may_branch_ && !just_joined_ && request.tree().stages() < dialect_->max_stages;
  }

  Legal legal_in_trunk(const Request& request) const {
    if (state_ == State::kText) {
      return ordinary(may_plan(request) ? dialect_->title_open : -1, false);
    }
    if (state_ == State::kTitle) {
      Legal legal = ordinary(dialect_->title_close, true);
      if (titles_.back().empty()) legal.never.push_back(dialect_->title_close);
      return legal;
    }
    Legal legal;
    legal.only = {dialect_->fork};
    if (static_cast<int>(titles_.size()) < cap_) legal.only.push_back(dialect_->title_open);
    return legal;
  }

  void trunk(Request& request, Lane& lane, const Chosen& chosen, Events& events) {
    switch (state_) {
      case State::kText: return text(request, lane, chosen, events);
      case State::kTitle: return title(request, lane, chosen, events);
      case State::kAfterTitle: return after_title(request, lane, chosen, events);
    }
  }

  void text(Request& request, Lane& lane, const Chosen& chosen, Events& events) {
    const int token = chosen.token;
    const bool opens = may_plan(request) && token == dialect_->title_open;
    const bool end = contains(ends_, token);
    just_joined_ = false;
    if (opens) counts_before_plan_ = request.counts(lane);
    const bool shown = !opens && !end && (!dialect_ || dialect_->serial_visible);
    write(request, lane, {token, visible(shown), 0, {}}, chosen, events);
    if (end) return request.finish(FinishReason::kStop);
    if (opens) {
      titles_.assign(1, {});
      state_ = State::kTitle;
      request.tree().begin_segment();
    }
    lane.write(token);
  }

  void title(Request& request, Lane& lane, const Chosen& chosen, Events& events) {
    write(request, lane, {chosen.token, 0, 0, {}}, chosen, events);
    if (chosen.token == dialect_->title_close) {
      state_ = State::kAfterTitle;
    } else {
      titles_.back().push_back(chosen.token);
      if (static_cast<int>(titles_.back().size()) > dialect_->max_title_tokens) {
        return drop_plan(request, lane);
      }
    }
    lane.write(chosen.token);
  }

  void after_title(Request& request, Lane& lane, const Chosen& chosen, Events& events) {
    write(request, lane, {chosen.token, 0, 0, {}}, chosen, events);
    lane.write(chosen.token);
    if (chosen.token == dialect_->title_open) {
      titles_.emplace_back();
      state_ = State::kTitle;
      return;
    }
    fork(request, lane, events);
  }

  void fork(Request& request, Lane& lane, Events& events) {
    // A duplicate title keeps its KV in the plan but opens no branch.
    std::vector<std::vector<int>> titles;
    for (const auto& title : titles_) {
      if (std::find(titles.begin(), titles.end(), title) == titles.end()) titles.push_back(title);
    }
    if (titles.size() < 2) return drop_plan(request, lane);
    std::vector<std::vector<int>> openings;
    size_t forced = 0;
    for (const auto& title : titles) {
      auto& opening = openings.emplace_back(dialect_->opening_before);
      opening.insert(opening.end(), title.begin(), title.end());
      opening.insert(opening.end(), dialect_->opening_after.begin(),
                     dialect_->opening_after.end());
      forced += opening.size();
    }
    if (request.remaining() < static_cast<int>(forced + openings.size())) {
      return request.finish(FinishReason::kLength);
    }
    state_ = State::kText;
    request.open_stage(titles, openings, events);
  }

  /// An unusable plan: its segment goes, markers are masked from here on, and the trunk continues
  /// from the token and the counts that stood before the plan. Sampling indices go on counting.
  void drop_plan(Request& request, Lane& lane) {
    may_branch_ = false;
    state_ = State::kText;
    request.tree().drop_segment();
    request.counts(lane) = counts_before_plan_;
  }

  // ---- branches --------------------------------------------------------------------------------

  void branch(Request& request, Lane& lane, const Chosen& chosen, Events& events) {
    WrittenToken token{chosen.token, 0, 0, {}};
    CloseReason reason = CloseReason::kMarker;
    if (token.id != dialect_->branch_close) {
      const bool end = contains(ends_, token.id);
      if (end || lane.length() + 1 >= dialect_->max_branch_tokens) {
        reason = end ? CloseReason::kEos : CloseReason::kCap;
        token = {dialect_->branch_close, WrittenToken::kForced, 0, {}};
      } else {
        token.flags = visible(dialect_->body_visible);
      }
    }
    write(request, lane, token, chosen, events);
    lane.write(token.id);
    if (token.id == dialect_->branch_close) request.close_branch(lane, reason, events);
  }

  void join_if_closed(Request& request, Events& events) {
    LaneTree& tree = request.tree();
    if (!tree.in_stage()) return;
    for (const Lane& lane : tree.branches()) {
      if (lane.live) return;
    }
    if (request.remaining() < static_cast<int>(dialect_->join.size())) {
      return request.finish(FinishReason::kLength);
    }
    request.close_stage(dialect_->resume, events);
    for (int token : dialect_->join) {
      request.emit(tree.trunk(), {token, WrittenToken::kForced, 0, {}}, events);
    }
    tree.trunk().write(dialect_->join);
    just_joined_ = true;
  }

  const Dialect* dialect_;
  std::vector<int> ends_;     // the model's own and the request's
  std::vector<int> ignored_;  // of them, those that the request wants never chosen
  bool may_branch_ = false;
  int cap_ = 0;
  State state_ = State::kText;
  bool just_joined_ = false;
  std::vector<std::vector<int>> titles_;  // of the plan under way
  TokenCounts counts_before_plan_;
};

}  // namespace

std::unique_ptr<Guide> make_dialect_guide(const RequestSpec& spec, const Dialect* dialect,
                                          const std::vector<int>& eos) {
  return std::make_unique<DialectGuide>(spec, dialect, eos);
}

}  // namespace anabranch
