#include "dialect/dialect_policy.h"

#include <algorithm>
#include <utility>

#include "dialect/lane_sampling.h"
#include "serving/request.h"

namespace anabranch {
namespace {

/// What one lane has sampled freely since its last marker. Its last tokens are held back while an
/// allowed marker may begin with them.
struct Text {
  std::vector<int> ids;
  std::vector<EmittedToken> held;

  /// Whether `token`, as the next one, would complete `marker`.
  bool completes(const std::vector<int>& marker, int token) const {
    if (marker.empty() || marker.back() != token || ids.size() + 1 < marker.size()) return false;
    return std::equal(marker.begin(), marker.end() - 1, ids.end() + 1 - std::ssize(marker));
  }
};

/// Titles of a plan that may say an earlier one's words and go on: "Soil", "Soil type". A plan ends
/// behind them: a small model goes on to "Soil type type".
constexpr int kVariedTitles = 2;
/// The trunk's tokens behind a join that may be line ends only.
constexpr size_t kLineEnds = 3;

class DialectPolicy final : public DecodingPolicy {
 public:
  DialectPolicy(const RequestSpec& spec, const Dialect* dialect, const std::vector<int>& eos,
                std::shared_ptr<const TokenTexts> said)
      : dialect_(dialect), said_(std::move(said)), end_tokens_(spec, eos), texts_(1) {
    if (dialect_) {
      max_branches_ = dialect_->max_branches;
      if (spec.max_branches > 0) max_branches_ = std::min(max_branches_, spec.max_branches);
      branch_close_ = dialect_->full_marker(dialect_->branch_close, 1);
      join_ = dialect_->render(dialect_->join, {}, 1);
      plan_end_ = static_cast<int>(dialect_->full_marker(dialect_->title_close, 1).size() +
                                   dialect_->full_marker(dialect_->fork, 1).size());
    }
    may_branch_ = dialect_ && spec.parallel && max_branches_ >= 2;
  }

  std::optional<SamplingInput> sampling_input(const Request& request,
                                              const Lane& lane) const override {
    return sampling_input_of(
        request, lane,
        lane.id == 0 ? trunk_constraint(request)
                     : free_text(texts_[lane.id], &dialect_->branch_close, end_tokens_.ignored));
  }

  /// Within a title: its close, the next title's opening, and how that title probably begins.
  std::vector<int> draft(const Request&) const override {
    if (state_ == State::kTitle) return title_end();
    if (state_ != State::kMarker) return {};
    for (const MarkerOption& option : marker_options_) {
      if (option.marker != &dialect_->title_open) continue;
      std::vector<int> out(option.ids.begin() + static_cast<std::ptrdiff_t>(marker_length_),
                           option.ids.end());
      append_next_mark(out);
      return out;
    }
    return {};
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    for (const LaneToken& next : lanes) {
      Lane& lane = request.tree().lanes()[next.lane];
      if (lane.id == 0)
        step_trunk(request, lane, next.sampled, events);
      else
        step_branch(request, lane, next, events);
      if (request.finished()) return;
    }
    join_if_closed(request, events);
    if (request.finished()) return;
    if (!request.tree().in_stage()) {
      if (request.remaining() < 1) request.finish(FinishReason::kLength);
    } else if (independent_lanes(request).empty()) {
      cut_stage(request, events);
    }
  }

  /// The branches share what is left of max_tokens. Stepping together, they end the answer before
  /// the first round in which they might not all have room, and a branch may write its whole close
  /// in one step. So a branch goes further than every other only if all could still come as far,
  /// and close. Behind the furthest there is always room.
  std::vector<int> independent_lanes(const Request& request) const override {
    const auto branches = request.tree().branches();
    int furthest = 0, needed = 0;
    for (const Lane& lane : branches) furthest = std::max(furthest, lane.rounds);
    for (const Lane& lane : branches) {
      if (lane.live) needed += furthest - lane.rounds + static_cast<int>(branch_close_.size());
    }
    std::vector<int> out;
    for (const Lane& lane : branches) {
      const bool room = lane.rounds < furthest || needed <= request.remaining();
      if (lane.live && room) out.push_back(lane.id);
    }
    return out;
  }

  int forced_close_tokens() const override { return static_cast<int>(branch_close_.size()); }

  void release_held(Request& request, EventBuffer& events) override {
    for (Lane& lane : request.tree().lanes()) {
      release_held(request, lane, lane.id == 0 ? text_shown() : dialect_->body_visible, events);
    }
  }

 private:
  /// What the trunk is writing. kMarker: one of marker_options_. kTail: text after a join that
  /// still belongs to the stage.
  enum class State { kText, kTitle, kMarker, kTail };

  /// In free text no tag can be completed, except `marker`, if given.
  TokenConstraint free_text(const Text& text, const Marker* marker,
                            const std::vector<int>& banned_ends) const {
    TokenConstraint constraint;
    if (dialect_) {
      for (const auto& tag : dialect_->tags) {
        if (marker && tag == marker->ids) continue;
        if (text.completes(tag, tag.back())) constraint.banned.push_back(tag.back());
      }
    }
    constraint.banned.insert(constraint.banned.end(), banned_ends.begin(), banned_ends.end());
    return constraint;
  }

  void emit_sampled(Request& request, Lane& lane, const SampledToken& sampled, std::uint32_t flags,
                    EventBuffer& events) {
    request.emit(lane, emitted(request, lane, sampled, flags), events);
  }

  /// Writes a sampled token that completes no marker. While it may begin `marker`, it is held back;
  /// earlier held tokens that can no longer begin it are ordinary text.
  void write_text(Request& request, Lane& lane, const SampledToken& sampled, const Marker* marker,
                  bool shown, EventBuffer& events) {
    Text& text = texts_[lane.id];
    text.ids.push_back(sampled.token);
    const auto hold = static_cast<size_t>(marker ? partial_match(text.ids, marker->ids) : 0);
    const size_t pending = text.held.size() + 1;  // with the new token
    count(request, lane, static_cast<int>(pending), static_cast<int>(pending - hold));
    const size_t released = std::min(text.held.size(), pending - hold);
    if (shown) request.release(lane, std::span(text.held).first(released), events);
    text.held.erase(text.held.begin(), text.held.begin() + static_cast<std::ptrdiff_t>(released));
    EmittedToken token = emitted(request, lane, sampled, EmittedToken::kVisible);
    if (hold > 0) {
      request.emit(lane, {sampled.token, 0, 0, {}}, events);
      text.held.push_back(std::move(token));
    } else {
      if (!shown) token.flags &= ~EmittedToken::kVisible;
      request.emit(lane, token, events);
    }
    lane.write(sampled.token);
  }

  /// The lane's held tokens are ordinary text after all.
  void release_held(Request& request, Lane& lane, bool shown, EventBuffer& events) {
    if (static_cast<size_t>(lane.id) >= texts_.size()) return;
    const auto held = std::exchange(texts_[lane.id].held, {});
    const int size = static_cast<int>(held.size());
    count(request, lane, size, size);
    if (shown) request.release(lane, held, events);
  }

  /// Counts ordinary tokens, for penalties: the first `n` of the text's `last` tokens.
  void count(Request& request, Lane& lane, int last, int n) {
    const auto from = texts_[lane.id].ids.end() - last;
    std::for_each(from, from + n, [&](int token) { ++request.counts(lane)[token]; });
  }

  /// Writes the sampled token that completes a marker. New text begins after it.
  void write_marker(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events,
                    bool shown = false) {
    if (shown) release_held(request, lane, true, events);
    texts_[lane.id] = {};
    emit_sampled(request, lane, sampled, shown ? EmittedToken::kVisible : 0, events);
    lane.write(sampled.token);
  }

  /// Writes forced tokens. If max_tokens leaves no room for them, finishes the answer and returns
  /// false.
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
    if (!may_branch_) return false;
    if (request.tree().stages() >= dialect_->max_stages) return false;
    if (request.remaining() < dialect_->min_room) return false;
    if (list_ended()) return false;
    // Not directly after a join.
    return !after_join_ || texts_[0].ids.size() >= dialect_->opener().ids.size();
  }

  /// The marker that the trunk's text may contain, or null.
  const Marker* text_marker(const Request& request) const {
    if (state_ == State::kTail) return &dialect_->tail_close;
    return may_plan(request) ? &dialect_->opener() : nullptr;
  }

  /// Whether the trunk's text is visible.
  bool text_shown() const {
    if (state_ == State::kTitle || state_ == State::kMarker) return false;
    return !dialect_ ||
           (state_ == State::kTail ? dialect_->tail_visible : dialect_->serial_visible);
  }

  TokenConstraint trunk_constraint(const Request& request) const {
    if (state_ == State::kMarker) {
      TokenConstraint constraint;
      for (const MarkerOption& option : marker_options_) {
        constraint.allowed.push_back(option.ids[marker_length_]);
      }
      return constraint;
    }
    if (state_ == State::kTitle) return title_constraint();
    TokenConstraint constraint = free_text(texts_[0], text_marker(request), end_tokens_.ignored);
    if (list_ended()) {
      for (const auto& number : dialect_->index) constraint.banned.push_back(number.front());
    }
    return constraint;
  }

  /// Whether the trunk stands behind a list that said all that it had to say: it goes on with
  /// something else, not with the list's next number.
  bool list_ended() const {
    return varied_ >= kVariedTitles && after_join_ && texts_[0].ids.size() < kLineEnds &&
           said_->words(texts_[0].ids).empty();
  }

  TokenConstraint title_constraint() const {
    const Text& text = texts_[0];
    const Marker& close = dialect_->title_close;
    const bool empty = text.ids.size() < close.ids.size();
    TokenConstraint constraint = free_text(text, &close, end_tokens_.ends);
    const bool closes = text.completes(close.ids, close.ids.back()), again = says_again();
    if (closes && (empty || again || repeats_too_early(close.ids.size() - 1))) {
      constraint.banned.push_back(close.ids.back());
    }
    if (again) {
      const auto& wordless = said_->wordless();
      constraint.banned.insert(constraint.banned.end(), wordless.begin(), wordless.end());
    }
    return constraint;
  }

  /// Whether the current title has the words of an earlier one so far. It goes on with a word then:
  /// a model that repeats a title has begun to write what belongs in its branch, or the same list
  /// over again. Known only of visible titles whose tokens have texts.
  bool says_again() const {
    if (!dialect_->opening_visible || !said_ || titles_.size() < 2) return false;
    const size_t last = titles_.size() - 1;
    const std::string words = said_->words(unnumbered(last));
    if (words.empty()) return false;
    for (size_t earlier = 0; earlier < last; ++earlier) {
      if (said_->words(unnumbered(earlier)) == words) return true;
    }
    return false;
  }

  /// Whether the current title, if it ended here, would be a visible one that comes twice, in a
  /// plan that has too few titles to be used without it: such as "2." behind "1.". `begun`: tokens
  /// of its close that stand behind it.
  bool repeats_too_early(size_t begun) const {
    const size_t last = titles_.size() - 1;
    if (!dialect_->opening_visible || static_cast<int>(last) >= dialect_->min_branches)
      return false;
    auto title = unnumbered(last);
    title = title.first(title.size() - std::min(begun, title.size()));
    for (size_t earlier = 0; earlier < last; ++earlier) {
      if (std::ranges::equal(unnumbered(earlier), title)) return true;
    }
    return false;
  }

  void step_trunk(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    switch (state_) {
      case State::kText:
      case State::kTail:
        return step_text(request, lane, sampled, events);
      case State::kTitle:
        return step_title(request, lane, sampled, events);
      case State::kMarker:
        return step_marker(request, lane, sampled, events);
    }
  }

  void step_text(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const Marker* marker = text_marker(request);
    if (end_tokens_.contains(sampled.token)) {
      release_held(request, lane, text_shown(), events);
      emit_sampled(request, lane, sampled, 0, events);
      return request.finish(FinishReason::kStop);
    }
    if (!marker || !texts_[0].completes(marker->ids, sampled.token)) {
      return write_text(request, lane, sampled, marker, text_shown(), events);
    }
    if (state_ == State::kTail) {
      write_marker(request, lane, sampled, events);
      state_ = State::kText;
      after_join_ = false;
      force(request, lane, dialect_->render(marker->rest, {}, 1), events);
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
    varied_ = 0;
    promised_ = 0;
    if (!force(request, lane, dialect_->render(opener.rest, {}, 1), events)) return;
    if (&opener == &dialect_->title_open)
      begin_title(request, lane, events);
    else
      offer_markers(request, lane, events);
  }

  /// A title for whose branch max_tokens leaves no room ends the plan.
  void begin_title(Request& request, Lane& lane, EventBuffer& events) {
    const int usual = titles_.empty() ? std::min(kUsualTitleTokens, dialect_->max_title_tokens)
                                      : static_cast<int>(titles_.back().size());
    titles_.emplace_back();
    varies_ = false;
    state_ = State::kTitle;
    if (!has_room(request, usual, usual)) end_plan(request, lane, 0, PlanDrop::kNoRoom, events);
  }

  /// Tokens of a branch, at least.
  int branch_tokens(int opening_tokens) const {
    return opening_tokens + dialect_->branch_room + static_cast<int>(branch_close_.size());
  }

  /// Whether max_tokens has room for `more` tokens, a branch whose title has `title_tokens`, the
  /// end of the plan, and the branches of the titles before.
  bool has_room(const Request& request, int more, int title_tokens) const {
    const int number = static_cast<int>(titles_.size());
    const auto forced = static_cast<int>(dialect_->render(dialect_->opening, {}, number).size());
    return request.remaining() - more >=
           promised_ + plan_end_ + branch_tokens(forced + title_tokens);
  }

  /// Whether the current title may end here: not where all titles before it ended with one token,
  /// such as the bold mark's, that it does not have yet.
  bool may_end_here() const {
    if (titles_.size() < 3) return true;
    const int last = titles_.front().back();
    const bool shared = std::all_of(titles_.begin(), titles_.end() - 1,
                                    [&](const auto& title) { return title.back() == last; });
    return !shared || titles_.back().back() == last;
  }

  /// A visible title begins with its mark, as the document has it. The next one's is that of the
  /// last title, a number counted on: as many tokens as the last two have in common.
  void append_next_mark(std::vector<int>& out) const {
    if (!dialect_->opening_visible || titles_.empty()) return;
    const size_t last = titles_.size() - 1;
    const auto rest = unnumbered(last);
    auto mark = rest.first(std::min(rest.size(), kMaxMarkTokens));
    if (last > 0) {
      const auto end = std::ranges::mismatch(mark, unnumbered(last - 1)).in1;
      mark = mark.first(static_cast<size_t>(end - mark.begin()));
    }
    const bool counted = rest.size() < titles_[last].size();
    if (counted && last + 1 < dialect_->index.size()) {
      const auto& number = dialect_->index[last + 1];
      out.insert(out.end(), number.begin(), number.end());
    }
    out.insert(out.end(), mark.begin(), mark.end());
  }

  /// The tokens that close the current title and open the next one, if they are few. Nothing if the
  /// title would be empty, or if the plan has its last title: then the fork follows, forced.
  std::vector<int> title_end() const {
    if (titles_.back().empty() || !may_end_here()) return {};
    const Marker& close = dialect_->title_close;
    const int there = partial_match(texts_[0].ids, close.ids);
    if (repeats_too_early(static_cast<size_t>(there)) || says_again()) return {};
    const int next = static_cast<int>(titles_.size()) + 1;
    if (std::ssize(texts_[0].ids) <= there || next > max_branches_) return {};
    if (varies_ || repeats_itself(next)) return {};
    std::vector<int> out = dialect_->full_marker(close, 1);
    out.erase(out.begin(), out.begin() + there);
    const auto begin = dialect_->full_marker(dialect_->title_open, next);
    out.insert(out.end(), begin.begin(), begin.end());
    if (out.size() > kMaxDraftTokens) return {};
    append_next_mark(out);
    return out;
  }

  void step_title(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    const Marker& close = dialect_->title_close;
    std::vector<int>& title = titles_.back();
    const size_t close_begun = close.ids.size() - 1;  // tokens of the close, in the title so far
    if (texts_[0].completes(close.ids, sampled.token)) {
      const size_t written = title.size() + 1 + dialect_->render(close.rest, {}, 1).size();
      title.resize(title.size() - close_begun);
      if (varies_) ++varied_;
      write_marker(request, lane, sampled, events);
      if (!force(request, lane, dialect_->render(close.rest, {}, 1), events)) return;
      // Of visible titles a repeated one ends the plan: its number would be missing in the answer.
      if (dialect_->opening_visible && used_titles().size() < titles_.size()) {
        end_plan(request, lane, written, PlanDrop::kFewTitles, events);
      } else {
        promise_branches();
        offer_markers(request, lane, events);
      }
      return;
    }
    title.push_back(sampled.token);
    varies_ = varies_ || says_again();
    write_text(request, lane, sampled, &close, false, events);
    if (title.size() > static_cast<size_t>(dialect_->max_title_tokens) + close_begun) {
      end_plan(request, lane, title.size(), PlanDrop::kLongTitle, events);
    } else if (!has_room(request, 0, static_cast<int>(title.size()))) {
      end_plan(request, lane, title.size(), PlanDrop::kNoRoom, events);
    }
  }

  /// Keeps room for a branch under each title of the plan.
  void promise_branches() {
    promised_ = 0;
    for (size_t i : used_titles()) {
      promised_ += branch_tokens(static_cast<int>(opening_of(i).size()));
    }
  }

  /// One of several complete markers that may come next.
  struct MarkerOption {
    const Marker* marker;
    std::vector<int> ids;
  };

  void offer_markers(Request& request, Lane& lane, EventBuffer& events) {
    const int number = static_cast<int>(titles_.size()) + 1;
    marker_options_.clear();
    marker_length_ = 0;
    state_ = State::kMarker;
    if (may_add_title(request, number)) add_option(dialect_->title_open, number);
    if (number > 1) add_option(dialect_->fork, number);
    write_common_tokens(request, lane, events);
  }

  bool may_add_title(const Request& request, int number) const {
    if (number == 1) return true;
    if (number > max_branches_ || repeats_itself(number)) return false;
    const auto open = dialect_->full_marker(dialect_->title_open, number).size();
    return request.remaining() - static_cast<int>(open) >= promised_ + plan_end_;
  }

  /// Whether a plan that has titles before this one's number can only repeat them.
  bool repeats_itself(int number) const {
    return varied_ >= kVariedTitles && number > dialect_->min_branches;
  }

  void add_option(const Marker& marker, int number) {
    marker_options_.push_back({&marker, dialect_->full_marker(marker, number)});
  }

  void step_marker(Request& request, Lane& lane, const SampledToken& sampled, EventBuffer& events) {
    std::erase_if(marker_options_, [&](const MarkerOption& option) {
      return option.ids[marker_length_] != sampled.token;
    });
    ++marker_length_;
    write_marker(request, lane, sampled, events);
    write_common_tokens(request, lane, events);
  }

  /// Forces the tokens that all options share, and continues when one of them is complete.
  void write_common_tokens(Request& request, Lane& lane, EventBuffer& events) {
    for (; marker_length_ < marker_options_.front().ids.size(); ++marker_length_) {
      const int next = marker_options_.front().ids[marker_length_];
      for (const MarkerOption& option : marker_options_) {
        if (option.ids[marker_length_] != next) return;
      }
      if (!force(request, lane, {next}, events)) return;
    }
    const Marker* marker = marker_options_.front().marker;
    if (marker == &dialect_->title_open)
      begin_title(request, lane, events);
    else
      fork(request, lane, events);
  }

  /// A title without the number that counts it, if it is visible and begins with that.
  std::span<const int> unnumbered(size_t i) const {
    const std::span<const int> title(titles_[i]);
    if (!dialect_->opening_visible || i >= dialect_->index.size()) return title;
    const auto& number = dialect_->index[i];
    const bool counted = std::ranges::mismatch(number, title).in1 == number.end();
    return counted ? title.subspan(number.size()) : title;
  }

  /// The titles that open a branch: those of the plan without repetitions, whatever their numbers.
  std::vector<size_t> used_titles() const {
    std::vector<size_t> used;
    for (size_t i = 0; i < titles_.size(); ++i) {
      const bool repeated = std::ranges::any_of(used, [&](size_t earlier) {
        return std::ranges::equal(unnumbered(earlier), unnumbered(i));
      });
      if (!repeated) used.push_back(i);
    }
    return used;
  }

  /// A branch's forced beginning. Its marker is never visible.
  std::vector<EmittedToken> opening_of(size_t title) const {
    const auto ids =
        dialect_->render(dialect_->opening, titles_[title], static_cast<int>(title) + 1);
    const size_t marker = dialect_->opening.front().ids.size();
    const auto shown = dialect_->opening_visible ? EmittedToken::kVisible : 0;
    std::vector<EmittedToken> out;
    for (int id : ids) {
      out.push_back({id, EmittedToken::kForced | (out.size() < marker ? 0 : shown), 0, {}});
    }
    return out;
  }

  void fork(Request& request, Lane& lane, EventBuffer& events) {
    std::vector<std::vector<int>> titles;
    std::vector<std::vector<EmittedToken>> openings;
    for (size_t i : used_titles()) {
      titles.push_back(titles_[i]);
      openings.push_back(opening_of(i));
    }
    if (static_cast<int>(titles.size()) < dialect_->min_branches) {
      return drop_plan(request, lane, titles_.front(), PlanDrop::kFewTitles, events);
    }
    state_ = State::kText;
    request.open_stage(titles, openings, events);
    texts_.resize(request.tree().lanes().size());
  }

  /// The last title is left out and ends the plan: it leaves the context, so that the trunk, which
  /// reads the plan after the join, does not count it, and the fork is forced. `written`: the
  /// title's tokens so far, with those of its close. Where too few titles are left, the plan is
  /// dropped for `reason`.
  void end_plan(Request& request, Lane& lane, size_t written, PlanDrop reason,
                EventBuffer& events) {
    const int number = static_cast<int>(titles_.size());
    const std::vector<int> first = titles_.front();
    titles_.pop_back();
    if (static_cast<int>(used_titles().size()) < dialect_->min_branches) {
      return drop_plan(request, lane, first, reason, events);
    }
    ends_with_stage_ = reason == PlanDrop::kNoRoom;
    const size_t marker = dialect_->full_marker(dialect_->title_open, number).size();
    request.tree().take_back(static_cast<int>(marker + written));
    if (force(request, lane, dialect_->full_marker(dialect_->fork, 1), events)) {
      fork(request, lane, events);
    }
  }

  /// Drops an unusable plan: its segment is removed, markers are banned from now on, and the trunk
  /// continues with the last token and the counts from before the plan. Sampling indices keep
  /// counting. A visible title is what the document has in its place: the first one is written as
  /// text, because a model that may not open a plan there has nothing else to say.
  void drop_plan(Request& request, Lane& lane, std::vector<int> first, PlanDrop reason,
                 EventBuffer& events) {
    may_branch_ = false;
    state_ = State::kText;
    request.note_dropped_plan(reason);
    request.tree().drop_segment(static_cast<int>(dialect_->opener().ids.size()) - 1);
    request.counts(lane) = std::move(before_plan_.counts);
    std::vector<int> ids = std::move(before_plan_.ids);
    if (dialect_->opening_visible && !first.empty()) {
      first.resize(first.size() - partial_match(first, dialect_->title_close.ids));
      if (!force(request, lane, first, events, true)) return;
      for (int token : first) ++request.counts(lane)[token];
      ids.insert(ids.end(), first.begin(), first.end());
    }
    texts_[0] = {std::move(ids), {}};
  }

  // ---- branches --------------------------------------------------------------------------------

  bool ends_branch(int token) const { return end_tokens_.contains(token); }

  void step_branch(Request& request, Lane& lane, const LaneToken& next, EventBuffer& events) {
    const Marker& close = dialect_->branch_close;
    const bool complete = texts_[lane.id].completes(close.ids, next.sampled.token);
    CloseReason reason = CloseReason::kMarker;
    const bool shown = dialect_->branch_close_visible;
    if (next.closed || !complete) {
      const int min_length = lane.length() + 1 + static_cast<int>(branch_close_.size());
      const bool full = min_length > dialect_->max_branch_tokens;
      if (next.closed)
        reason = *next.closed;
      else if (ends_branch(next.sampled.token))
        reason = CloseReason::kEos;
      else if (full)
        reason = CloseReason::kCap;
      else
        return write_text(request, lane, next.sampled, &close, dialect_->body_visible, events);
      release_held(request, lane, dialect_->body_visible, events);
      force(request, lane, branch_close_, events, shown);
    } else {
      write_marker(request, lane, next.sampled, events, shown);
      force(request, lane, dialect_->render(close.rest, {}, 1), events, shown);
    }
    request.close_branch(lane, reason, events);
  }

  void join_if_closed(Request& request, EventBuffer& events) {
    LaneTree& tree = request.tree();
    if (!tree.in_stage()) return;
    for (const Lane& lane : tree.branches()) {
      if (lane.live) return;
    }
    request.close_stage(dialect_->resume, events);
    if (ends_with_stage_) return request.finish(FinishReason::kLength);
    force(request, tree.trunk(), join_, events);
    after_join_ = true;
    if (dialect_->has_tail()) state_ = State::kTail;
  }

  /// max_tokens ends the answer inside a stage: its live branches are cut where they are.
  void cut_stage(Request& request, EventBuffer& events) {
    for (Lane& lane : request.tree().branches()) {
      if (!lane.live) continue;
      release_held(request, lane, dialect_->body_visible, events);
      request.close_branch(lane, CloseReason::kCap, events);
    }
    request.close_stage(dialect_->resume, events);
    request.finish(FinishReason::kLength);
  }

  struct BeforePlan {
    TokenCounts counts;
    std::vector<int> ids;
  };

  const Dialect* dialect_;
  std::shared_ptr<const TokenTexts> said_;  // may be null
  EndTokens end_tokens_;
  std::vector<int> branch_close_;  // all tokens of a branch's close
  std::vector<int> join_;          // all tokens of a join
  bool may_branch_ = false;
  int max_branches_ = 0;
  State state_ = State::kText;
  bool after_join_ = false;               // the trunk's text began with a join
  std::vector<Text> texts_;               // [lanes]
  std::vector<std::vector<int>> titles_;  // of the current plan
  BeforePlan before_plan_;                // what drop_plan() restores
  int plan_end_ = 0;                      // tokens that end a title and its plan
  int varied_ = 0;       // titles of the plan that would have repeated another's words
  bool varies_ = false;  // the current title is one
  int promised_ = 0;     // tokens of the branches of the current plan's complete titles
  bool ends_with_stage_ =
      false;  // max_tokens cut the plan: the answer ends where a serial one would
  std::vector<MarkerOption> marker_options_;
  size_t marker_length_ = 0;  // tokens written of each option
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_dialect_policy(const RequestSpec& spec, const Dialect* dialect,
                                                    const std::vector<int>& eos,
                                                    std::shared_ptr<const TokenTexts> texts) {
  return std::make_unique<DialectPolicy>(spec, dialect, eos, std::move(texts));
}

}  // namespace anabranch
