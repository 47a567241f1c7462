#include "dialect/dialect_policy.h"

#include <algorithm>
#include <utility>

#include "sampling/philox.h"

namespace anabranch {
namespace {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// What one lane has sampled freely since its last marker, and how many tokens at its end are held
/// back because a legal marker may begin with them.
struct Text {
  std::vector<int> ids;
  int held = 0;

  /// Whether `token` as its next would complete `marker`.
  bool completes(const std::vector<int>& marker, int token) const {
    if (marker.empty() || marker.back() != token || ids.size() + 1 < marker.size()) return false;
    return std::equal(marker.begin(), marker.end() - 1, ids.end() + 1 - std::ssize(marker));
  }
};

class DialectPolicy final : public DecodingPolicy {
 public:
  DialectPolicy(const RequestSpec& spec, const Dialect* dialect, const std::vector<int>& eos)
      : dialect_(dialect), ends_(eos), texts_(1) {
    for (int token : spec.stop_tokens) {
      if (!contains(ends_, token)) ends_.push_back(token);
    }
    if (spec.ignore_eos) {
      // The model's own ends are not to be sampled; what the caller named still ends the answer.
      ignored_ = eos;
      std::erase_if(ignored_, [&](int token) { return contains(spec.stop_tokens, token); });
    }
    if (dialect_) {
      cap_ = dialect_->max_branches;
      if (spec.max_branches > 0) cap_ = std::min(cap_, spec.max_branches);
      close_ = dialect_->whole(dialect_->branch_close, 1);
      join_ = dialect_->fill(dialect_->join, {}, 1);
    }
    may_branch_ = dialect_ && spec.parallel && cap_ >= 2;
    if (dialect_ && dialect_->prompted) may_branch_ = !spec.plan.ids.empty();
  }

  void begin(Request& request, EventBuffer& events) override {
    if (may_branch_ && dialect_->prompted) offer(request, request.tree().trunk(), events);
  }

  std::optional<SamplingInput> sampling_input(const Request& request, const Lane& lane) const override {
    return sampling_input_of(request, lane,
                     lane.id == 0 ? trunk_constraint(request)
                                  : free_text(texts_[lane.id], &dialect_->branch_close, ignored_));
  }

  /// A title's end, as soon as there is a title, and another one's begin.
  std::vector<int> draft(const Request&) const override {
    if (state_ == State::kTitle) return title_end();
    if (state_ != State::kChoice) return {};
    for (const Option& option : options_) {
      if (option.marker != &dialect_->title_open) continue;
      return {option.ids.begin() + static_cast<std::ptrdiff_t>(written_), option.ids.end()};
    }
    return {};
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    for (const LaneToken& at : lanes) {
      Lane& lane = request.tree().lanes()[at.lane];
      if (lane.id == 0) trunk(request, lane, at.sampled, events);
      else branch(request, lane, at, events);
      if (request.finished()) return;
    }
    join_if_closed(request, events);
    // Live lanes advance together or not at all; a branch may write its whole end in one step.
    const size_t most = request.tree().in_stage() ? close_.size() : 1;
    if (request.remaining() < request.tree().live_lanes() * static_cast<int>(most)) {
      request.finish(FinishReason::kLength);
    }
  }

  int end_tokens() const override { return static_cast<int>(close_.size()); }

 private:
  enum class State { kText, kTitle, kChoice, kTail };

  SamplingInput sampling_input_of(const Request& request, const Lane& lane, TokenConstraint constraint) const {
    const RequestSpec& spec = request.spec();
    SamplingInput out;
    out.params = &spec.sampling;
    out.token_counts = &request.counts(lane);
    out.constraint = std::move(constraint);
    if (spec.sampling.temperature > 0) {
      out.uniform = uniform(spec.seed, spec.choice_index, static_cast<std::uint32_t>(lane.id),
                            request.written(lane));
    }
    return out;
  }

  /// In free text nothing that is never text can be completed, but for `marker` where there is one.
  TokenConstraint free_text(const Text& text, const Marker* marker, const std::vector<int>& no_ends) const {
    TokenConstraint constraint;
    if (dialect_) {
      for (const auto& tag : dialect_->tags) {
        if (marker && tag == marker->ids) continue;
        if (text.completes(tag, tag.back())) constraint.banned.push_back(tag.back());
      }
    }
    constraint.banned.insert(constraint.banned.end(), no_ends.begin(), no_ends.end());
    return constraint;
  }

  void tell(Request& request, Lane& lane, const SampledToken& sampled, std::uint32_t flags,
            EventBuffer& events) {
    EmittedToken token{sampled.token, flags, 0, {}};
    if (request.spec().sampling.logprobs && !request.logged(lane)) {
      token.flags |= EmittedToken::kLogprobs;
      token.logprob = sampled.logprob;
      token.top = sampled.top;
    }
    request.emit(lane, token, events);
  }

  /// Writes a sampled token that completes no marker. While `marker` may still come of it, it is held
  /// back; what can no longer be its beginning is ordinary text.
  void write_text(Request& request, Lane& lane, const SampledToken& sampled, const Marker* marker,
                  bool shown, EventBuffer& events) {
    Text& text = texts_[lane.id];
    text.ids.push_back(sampled.token);
    const int held = marker ? begun(text.ids, marker->ids) : 0;
    const int before = std::exchange(text.held, held);
    count(request, lane, before + 1, before + 1 - held);
    if (shown) request.release(lane, std::min(before, before + 1 - held), events);
    tell(request, lane, sampled, !shown ? 0 : held ? EmittedToken::kHeld : EmittedToken::kVisible,
         events);
    lane.write(sampled.token);
  }

  /// What the lane holds back is ordinary text after all.
  void settle(Request& request, Lane& lane, bool shown, EventBuffer& events) {
    const int held = std::exchange(texts_[lane.id].held, 0);
    count(request, lane, held, held);
    if (shown) request.release(lane, held, events);
  }

  /// Of the text's `last` tokens the first `n` are ordinary ones, for penalties.
  void count(Request& request, Lane& lane, int last, int n) {
    const auto from = texts_[lane.id].ids.end() - last;
    std::for_each(from, from + n, [&](int token) { ++request.counts(lane)[token]; });
  }

  /// Writes the sampled token that completes a marker; new text begins behind it.
  void write_marker(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events,
                    bool shown = false) {
    if (shown) settle(request, lane, true, events);
    texts_[lane.id] = {};
    tell(request, lane, sampled, shown ? EmittedToken::kVisible : 0, events);
    lane.write(sampled.token);
  }

  /// Writes what nobody chooses. False, and the answer ends, where the budget is too small for it.
  bool force(Request& request, Lane& lane, const std::vector<int>& ids, EventBuffer& events,
             bool shown = false) {
    if (request.remaining() < static_cast<int>(ids.size())) {
      request.finish(FinishReason::kLength);
      return false;
    }
    texts_[lane.id] = {};
    const auto flags = EmittedToken::kForced | (shown ? EmittedToken::kVisible : 0);
    for (int token : ids) request.emit(lane, {token, flags, 0, {}}, events);
    lane.write(ids);
    return true;
  }

  // ---- the trunk -------------------------------------------------------------------------------

  bool may_plan(const Request& request) const {
    if (!may_branch_ || dialect_->prompted) return false;
    if (request.tree().stages() >= dialect_->max_stages) return false;
    // Not directly after a join.
    return !after_join_ || texts_[0].ids.size() >= dialect_->opener().ids.size();
  }

  /// The marker that may stand in the trunk's text.
  const Marker* text_marker(const Request& request) const {
    if (state_ == State::kTail) return &dialect_->tail_close;
    return may_plan(request) ? &dialect_->opener() : nullptr;
  }

  bool text_shown() const {
    return !dialect_ || (state_ == State::kTail ? dialect_->tail_visible : dialect_->serial_visible);
  }

  TokenConstraint trunk_constraint(const Request& request) const {
    if (state_ == State::kChoice) {
      TokenConstraint constraint;
      for (const Option& option : options_) {
        constraint.allowed.push_back(option.ids[written_]);
        if (written_ > 0) continue;
        constraint.allowed.insert(constraint.allowed.end(), option.stand_ins.begin(), option.stand_ins.end());
      }
      return constraint;
    }
    if (state_ == State::kTitle) return title_constraint();
    return free_text(texts_[0], text_marker(request), ignored_);
  }

  TokenConstraint title_constraint() const {
    const Text& text = texts_[0];
    const Marker& close = dialect_->title_close;
    const bool empty = text.ids.size() < close.ids.size();
    TokenConstraint constraint = free_text(text, &close, dialect_->prompted && !empty ? ignored_ : ends_);
    if (!empty) return constraint;
    if (text.completes(close.ids, close.ids.back())) constraint.banned.push_back(close.ids.back());
    constraint.banned.insert(constraint.banned.end(), close.stand_ins.begin(), close.stand_ins.end());
    return constraint;
  }

  void trunk(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    switch (state_) {
      case State::kText:
      case State::kTail: return text(request, lane, sampled, events);
      case State::kTitle: return title(request, lane, sampled, events);
      case State::kChoice: return option(request, lane, sampled, events);
    }
  }

  void text(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const Marker* marker = text_marker(request);
    if (contains(ends_, sampled.token)) {
      settle(request, lane, text_shown(), events);
      tell(request, lane, sampled, 0, events);
      return request.finish(FinishReason::kStop);
    }
    if (!marker || !texts_[0].completes(marker->ids, sampled.token)) {
      return write_text(request, lane, sampled, marker, text_shown(), events);
    }
    if (state_ == State::kTail) {
      write_marker(request, lane, sampled, events);
      state_ = State::kText;
      after_join_ = false;
      force(request, lane, dialect_->fill(marker->rest, {}, 1), events);
      return;
    }
    open_plan(request, lane, sampled, events);
  }

  void open_plan(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const Marker& opener = dialect_->opener();
    texts_[0].ids.resize(texts_[0].ids.size() + 1 - opener.ids.size());
    before_plan_ = {request.counts(lane), std::move(texts_[0].ids)};
    request.tree().begin_segment();
    write_marker(request, lane, sampled, events);
    titles_.clear();
    if (!force(request, lane, dialect_->fill(opener.rest, {}, 1), events)) return;
    if (&opener == &dialect_->title_open) begin_title();
    else offer(request, lane, events);
  }

  void begin_title() {
    titles_.emplace_back();
    state_ = State::kTitle;
  }

  /// What ends the title under way and begins the next one, where it is short. Nothing where that would leave
  /// the title empty, or the plan must end with it: then the fork follows by itself.
  std::vector<int> title_end() const {
    const Marker& close = dialect_->title_close;
    const int there = begun(texts_[0].ids, close.ids);
    const int next = static_cast<int>(titles_.size()) + 1;
    if (std::ssize(texts_[0].ids) <= there || next > cap_) return {};
    std::vector<int> out = dialect_->whole(close, 1);
    out.erase(out.begin(), out.begin() + there);
    const auto begin = dialect_->whole(dialect_->title_open, next);
    out.insert(out.end(), begin.begin(), begin.end());
    return out.size() > kMaxDraftTokens ? std::vector<int>{} : out;
  }

  void title(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const Marker& close = dialect_->title_close;
    std::vector<int>& title = titles_.back();
    const size_t pieces = close.ids.size() - 1;  // of its end, taken for the title at first
    // In a plan that was asked for, an end of the answer ends what is under way.
    if (contains(close.stand_ins, sampled.token) || contains(ends_, sampled.token)) {
      if (force(request, lane, dialect_->whole(close, 1), events)) offer(request, lane, events);
      return;
    }
    if (texts_[0].completes(close.ids, sampled.token)) {
      title.resize(title.size() - pieces);
      write_marker(request, lane, sampled, events);
      if (force(request, lane, dialect_->fill(close.rest, {}, 1), events)) {
        offer(request, lane, events);
      }
      return;
    }
    title.push_back(sampled.token);
    write_text(request, lane, sampled, &close, false, events);
    if (title.size() > static_cast<size_t>(dialect_->max_title_tokens) + pieces) {
      drop_plan(request, lane);
    }
  }

  /// One of several markers comes next, each known to its last token.
  struct Option {
    const Marker* marker;
    std::vector<int> ids;
    std::vector<int> stand_ins;
  };

  void offer(Request& request, Lane& lane, EventBuffer& events) {
    const int number = static_cast<int>(titles_.size()) + 1;
    options_.clear();
    written_ = 0;
    state_ = State::kChoice;
    if (number <= cap_) add_option(dialect_->title_open, number);
    if (number > 1) add_option(dialect_->fork, number);
    else if (!dialect_->no_plan.ids.empty()) add_option(dialect_->no_plan, number);
    follow(request, lane, events);
  }

  void add_option(const Marker& marker, int number) {
    options_.push_back({&marker, dialect_->whole(marker, number), marker.stand_ins});
    if (!dialect_->prompted || &marker == &dialect_->title_open) return;
    for (int end : ends_) {
      if (!contains(ignored_, end)) options_.back().stand_ins.push_back(end);
    }
  }

  void option(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const auto stood_for = std::find_if(options_.begin(), options_.end(), [&](const Option& option) {
      return written_ == 0 && contains(option.stand_ins, sampled.token) &&
             option.ids[0] != sampled.token;
    });
    if (stood_for != options_.end()) {
      options_ = {*stood_for};
      return follow(request, lane, events);
    }
    std::erase_if(options_, [&](const Option& option) {
      return option.ids[written_] != sampled.token;
    });
    ++written_;
    write_marker(request, lane, sampled, events);
    follow(request, lane, events);
  }

  /// Writes what all options have next, and goes on where one of them is whole.
  void follow(Request& request, Lane& lane, EventBuffer& events) {
    for (; written_ < options_.front().ids.size(); ++written_) {
      const int next = options_.front().ids[written_];
      for (const Option& option : options_) {
        if (option.ids[written_] != next) return;
      }
      if (!force(request, lane, {next}, events)) return;
    }
    const Marker* whole = options_.front().marker;
    if (whole == &dialect_->title_open) begin_title();
    else if (whole == &dialect_->no_plan) drop_plan(request, lane);
    else fork(request, lane, events);
  }

  void fork(Request& request, Lane& lane, EventBuffer& events) {
    // A duplicate title keeps its KV in the plan but opens no branch.
    std::vector<std::vector<int>> titles, openings;
    size_t forced = 0;
    for (size_t i = 0; i < titles_.size(); ++i) {
      if (std::find(titles.begin(), titles.end(), titles_[i]) != titles.end()) continue;
      titles.push_back(titles_[i]);
      openings.push_back(
          dialect_->fill(dialect_->opening, titles_[i], static_cast<int>(i) + 1));
      forced += openings.back().size();
    }
    if (static_cast<int>(titles.size()) < dialect_->min_branches) return drop_plan(request, lane);
    if (request.remaining() < static_cast<int>(forced + openings.size())) {
      return request.finish(FinishReason::kLength);
    }
    state_ = State::kText;
    request.open_stage(titles, openings, dialect_->opening_visible, events);
    texts_.resize(request.tree().lanes().size());
  }

  /// An unusable plan: its segment goes, markers are masked from here on, and the trunk continues
  /// from the token and the counts that stood before the plan. SamplingParams indices go on counting.
  void drop_plan(Request& request, Lane& lane) {
    may_branch_ = false;
    state_ = State::kText;
    request.drop_plan(
        dialect_->prompted ? 0 : static_cast<int>(dialect_->opener().ids.size()) - 1);
    request.counts(lane) = std::move(before_plan_.counts);
    texts_[0] = {std::move(before_plan_.ids), 0};
  }

  // ---- branches --------------------------------------------------------------------------------

  bool ends_branch(int token) const {
    return contains(ends_, token) || contains(dialect_->branch_close.stand_ins, token);
  }

  void branch(Request& request, Lane& lane, const LaneToken& at, EventBuffer& events) {
    const Marker& close = dialect_->branch_close;
    const bool whole = texts_[lane.id].completes(close.ids, at.sampled.token);
    CloseReason reason = CloseReason::kMarker;
    const bool shown = dialect_->branch_close_visible;
    if (at.closed || !whole) {
      const int least = lane.length() + 1 + static_cast<int>(close_.size());
      const bool full = least > dialect_->max_branch_tokens;
      if (at.closed) reason = *at.closed;
      else if (ends_branch(at.sampled.token)) reason = CloseReason::kEos;
      else if (full) reason = CloseReason::kCap;
      else return write_text(request, lane, at.sampled, &close, dialect_->body_visible, events);
      settle(request, lane, dialect_->body_visible, events);
      force(request, lane, close_, events, shown);
    } else {
      write_marker(request, lane, at.sampled, events, shown);
      force(request, lane, dialect_->fill(close.rest, {}, 1), events, shown);
    }
    request.close_branch(lane, reason, events);
  }

  void join_if_closed(Request& request, EventBuffer& events) {
    LaneTree& tree = request.tree();
    if (!tree.in_stage()) return;
    for (const Lane& lane : tree.branches()) {
      if (lane.live) return;
    }
    if (request.remaining() < static_cast<int>(join_.size())) {
      return request.finish(FinishReason::kLength);
    }
    request.close_stage(dialect_->resume, events);
    force(request, tree.trunk(), join_, events);
    after_join_ = true;
    if (dialect_->has_tail()) state_ = State::kTail;
  }

  struct BeforePlan {
    TokenCounts counts;
    std::vector<int> ids;
  };

  const Dialect* dialect_;
  std::vector<int> ends_;     // the model's own and the request's
  std::vector<int> ignored_;  // of them, those that the request wants never sampled
  std::vector<int> close_;    // the whole end of a branch,
  std::vector<int> join_;     // and of a stage
  bool may_branch_ = false;
  int cap_ = 0;
  State state_ = State::kText;
  bool after_join_ = false;   // the trunk's text began with a join
  std::vector<Text> texts_;   // [lanes]
  std::vector<std::vector<int>> titles_;  // of the plan under way
  BeforePlan before_plan_;    // what its dropping restores
  std::vector<Option> options_;
  size_t written_ = 0;        // tokens of each option that stand there
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_dialect_policy(const RequestSpec& spec, const Dialect* dialect,
                                          const std::vector<int>& eos) {
  return std::make_unique<DialectPolicy>(spec, dialect, eos);
}

}  // namespace anabranch
