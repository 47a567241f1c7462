#include "dialect_guide.h"

#include <algorithm>

#include "error.h"
#include "philox.h"

namespace anabranch {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool allows(const Legal& legal, int token) {
  return legal.only.empty() ? !contains(legal.never, token) : contains(legal.only, token);
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

  void step(Request& request, const std::vector<LaneLogits>& lanes, float* logits, int vocabulary,
            Events& events) override {
    for (const LaneLogits& at : lanes) {
      Lane& lane = request.tree().lanes()[at.lane];
      const std::span<float> row(logits + static_cast<size_t>(at.row) * vocabulary, vocabulary);
      if (lane.id == 0) trunk(request, lane, row, events);
      else branch(request, lane, row, events);
      if (request.finished()) return;
    }
    join_if_closed(request, events);
    // Live lanes advance together or not at all.
    if (request.remaining() < request.tree().live_lanes()) request.finish(FinishReason::kLength);
  }

  bool lacks_logits() const override { return state_ != State::kText && before_plan_.empty(); }
  void again(std::span<const float> logits) override {
    before_plan_.assign(logits.begin(), logits.end());
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

  /// Samples one token for `lane`, counts it, and tells of it under the id `written_as` gives it.
  template <class WrittenAs>
  int sample(Request& request, Lane& lane, std::span<float> row, const Legal& legal,
             Events& events, WrittenAs written_as) {
    const RequestSpec& spec = request.spec();
    const auto logged = request.logged(lane);
    if (logged ? !allows(legal, *logged) : row.empty()) {
      throw bad_argument("resume: the tokens of lane " + std::to_string(lane.id) +
                         (logged ? " are not what its dialect writes"
                                 : " do not end with a whole step"));
    }
    std::vector<float> raw;
    if (spec.sampling.logprobs) raw.assign(row.begin(), row.end());
    const double u = spec.sampling.temperature > 0
                         ? uniform(spec.seed, spec.choice, lane.id, request.written(lane))
                         : 0;
    const int token =
        logged ? *logged : choose(row, spec.sampling, request.counts(lane), legal, u);
    WrittenToken written = written_as(token);
    if (spec.sampling.logprobs && !logged) {
      written.flags |= WrittenToken::kLogprobs;
      written.logprob = log_probability(raw, written.id);
      written.top = top_log_probabilities(raw, spec.sampling.top_logprobs);
    }
    if (!(dialect_ && contains(dialect_->markers, written.id)) && !contains(ends_, written.id)) {
      ++request.counts(lane)[written.id];
    }
    request.emit(lane, written, events);
    return written.id;
  }

  static std::uint32_t visible(bool shown) { return shown ? WrittenToken::kVisible : 0; }

  // ---- the trunk -------------------------------------------------------------------------------

  void trunk(Request& request, Lane& lane, std::span<float> row, Events& events) {
    switch (state_) {
      case State::kText: return text(request, lane, row, events);
      case State::kTitle: return title(request, lane, row, events);
      case State::kAfterTitle: return after_title(request, lane, row, events);
    }
  }

  void text(Request& request, Lane& lane, std::span<float> row, Events& events) {
    const bool may_plan = may_branch_ && !just_joined_ &&
                          request.tree().stages() < dialect_->max_stages;
    just_joined_ = false;
    if (may_plan) {
      before_plan_.assign(row.begin(), row.end());
      counts_before_plan_ = request.counts(lane);
    }
    const int open = may_plan ? dialect_->title_open : -1;
    const int token =
        sample(request, lane, row, ordinary(open, false), events, [&](int id) {
          const bool end = contains(ends_, id);
          const bool shown = id != open && !end && (!dialect_ || dialect_->serial_visible);
          return WrittenToken{id, visible(shown), 0, {}};
        });
    if (contains(ends_, token)) return request.finish(FinishReason::kStop);
    if (token == open) {
      titles_.assign(1, {});
      state_ = State::kTitle;
      request.tree().begin_segment();
    }
    lane.write(token);
  }

  void title(Request& request, Lane& lane, std::span<float> row, Events& events) {
    Legal legal = ordinary(dialect_->title_close, true);
    if (titles_.back().empty()) legal.never.push_back(dialect_->title_close);
    const int token = sample(request, lane, row, legal, events,
                             [](int id) { return WrittenToken{id, 0, 0, {}}; });
    if (token == dialect_->title_close) {
      state_ = State::kAfterTitle;
    } else {
      titles_.back().push_back(token);
      if (static_cast<int>(titles_.back().size()) > dialect_->max_title_tokens) {
        return drop_plan(request, lane, events);
      }
    }
    lane.write(token);
  }

  void after_title(Request& request, Lane& lane, std::span<float> row, Events& events) {
    Legal legal;
    legal.only = {dialect_->fork};
    if (static_cast<int>(titles_.size()) < cap_) legal.only.push_back(dialect_->title_open);
    const int token = sample(request, lane, row, legal, events,
                             [](int id) { return WrittenToken{id, 0, 0, {}}; });
    lane.write(token);
    if (token == dialect_->title_open) {
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
    if (titles.size() < 2) return drop_plan(request, lane, events);
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
  /// from the logits and counts that stood before the plan. Sampling indices go on counting.
  void drop_plan(Request& request, Lane& lane, Events& events) {
    may_branch_ = false;
    state_ = State::kText;
    request.tree().drop_segment();
    request.counts(lane) = counts_before_plan_;
    if (request.remaining() < 1) return request.finish(FinishReason::kLength);
    text(request, lane, before_plan_, events);
  }

  // ---- branches --------------------------------------------------------------------------------

  void branch(Request& request, Lane& lane, std::span<float> row, Events& events) {
    const bool full = lane.length() + 1 >= dialect_->max_branch_tokens;
    CloseReason reason = CloseReason::kMarker;
    const int token = sample(
        request, lane, row, ordinary(dialect_->branch_close, false), events, [&](int id) {
          if (id == dialect_->branch_close) return WrittenToken{id, 0, 0, {}};
          const bool end = contains(ends_, id);
          if (end || full) {
            reason = end ? CloseReason::kEos : CloseReason::kCap;
            return WrittenToken{dialect_->branch_close, WrittenToken::kForced, 0, {}};
          }
          return WrittenToken{id, visible(dialect_->body_visible), 0, {}};
        });
    lane.write(token);
    if (token == dialect_->branch_close) request.close_branch(lane, reason, events);
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
  std::vector<float> before_plan_;        // [vocabulary] raw logits where the plan began
  TokenCounts counts_before_plan_;
};

}  // namespace

std::unique_ptr<Guide> make_dialect_guide(const RequestSpec& spec, const Dialect* dialect,
                                          const std::vector<int>& eos) {
  return std::make_unique<DialectGuide>(spec, dialect, eos);
}

}  // namespace anabranch
