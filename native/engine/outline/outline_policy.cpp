#include "outline/outline_policy.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "dialect/lane_sampling.h"
#include "outline/outlined_list.h"
#include "serving/request.h"

namespace anabranch {
namespace {

/// Rows of the reading in a step beside other lanes. Fixed, so that what is dropped when does not
/// depend on the batch.
constexpr int kReadingRows = 16;
/// A list of which so many outlines opened no stage is not outlined again.
constexpr int kMaxFailures = 2;

using Verdict = ItemEnd::Verdict;

bool begins_on_next_line(const ItemForm& form) {
  return form.separator.find('\n') != std::string::npos;
}

class OutlinePolicy final : public DecodingPolicy {
 public:
  OutlinePolicy(const RequestSpec& spec, std::shared_ptr<const OutlineRules> rules,
                const std::vector<int>& eos, int context)
      : rules_(std::move(rules)), end_tokens_(spec, eos), context_(context), scanner_(*rules_) {
    max_titles_ = rules_->max_titles;
    if (spec.max_branches > 0) max_titles_ = std::min(max_titles_, spec.max_branches);
  }

  std::optional<SamplingInput> sampling_input(const Request& request,
                                              const Lane& lane) const override {
    if (lane.id == 0 && outline_ && outline_->reading && !outline_->reads_list_end()) {
      return std::nullopt;
    }
    TokenConstraint constraint{{}, end_tokens_.ignored};
    if (begins_body_on_line(lane)) {
      const auto& line_ends = rules_->texts->line_ends();
      constraint.banned.insert(constraint.banned.end(), line_ends.begin(), line_ends.end());
    }
    return sampling_input_of(request, lane, std::move(constraint));
  }

  std::optional<LaneToken> replayed(const Request& request, const Lane& lane) const override {
    if (outline_ && lane.id == outline_->side && !request.logged(lane)) {
      // Where the titles end before a token, the trunk alone goes on.
      if (lane.probes.empty() || !request.logged(request.tree().lanes()[0])) return std::nullopt;
      return LaneToken{lane.id, {outline_->titles.first_tokens().front(), 0, {}}, {}, {-INFINITY}};
    }
    if (lane.id != 0 || !outline_ || !outline_->reading || outline_->reads_list_end()) {
      return DecodingPolicy::replayed(request, lane);
    }
    LaneToken read{0, {}};
    if (outline_->tried == 0) return read;
    // The log says how the item was judged.
    const LoggedLane* tried = request.log_of(outline_->items[outline_->accepted].lane);
    const bool accepted = tried && tried->accepted;
    if (!accepted && !(tried && tried->closed == CloseReason::kDropped)) return std::nullopt;
    read.probed.assign(lane.probes.size(), accepted ? 0 : -INFINITY);
    return read;
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    // The trunk comes last: it may end the others, which have written their tokens then.
    const LaneToken* trunk = nullptr;
    for (const LaneToken& next : lanes) {
      if (next.lane == 0)
        trunk = &next;
      else if (next.lane == outline_->side)
        step_titles(request, next, events);
      else
        step_branch(request, next, events);
    }
    if (trunk) step_trunk(request, *trunk, events);
    if (request.finished()) return;
    open_stage_if_ready(request, events);
    if (outline_ && outline_->in_stage) drop_items_without_room(request, events);
    read_on(request);
    if (room(request) <= 0) request.finish(FinishReason::kLength);
  }

  /// What was held is text. Branches that the reading has not come to are not part of the answer.
  void release_held(Request& request, EventBuffer& events) override {
    if (std::exchange(refused_mark_, std::nullopt)) {
      request.note_outline_end(OutlineEnd::kUnfinished);
    }
    if (!outline_) return;
    if (outline_->accepted > 0) {
      OutlinedItem& item = outline_->items[outline_->accepted - 1];
      if (!item.closed) {
        release(request, lane_of(request, item), item.held.take(), events);
      }
    }
    close_outline(request, OutlineEnd::kUnfinished, events);
  }

 private:
  Lane& lane_of(Request& request, const OutlinedItem& item) {
    return request.tree().lanes()[item.lane];
  }

  /// Whether the lane's next token begins an item's body on its title's line. It may not end the
  /// line: the first item has its text there, and only an outline's lines end so.
  bool begins_body_on_line(const Lane& lane) const {
    if (!outline_ || !outline_->in_stage || begins_on_next_line(outline_->form)) return false;
    return std::ranges::any_of(outline_->items, [&](const OutlinedItem& item) {
      return item.lane == lane.id && item.body_tokens == 0;
    });
  }

  /// Tokens that the answer may still have. Titles and dropped items do not count, so an answer is
  /// as long as it would be in serial mode.
  int room(const Request& request) const {
    int written = static_cast<int>(request.written(request.tree().lanes()[0])) - removed_tokens_ +
                  accepted_tokens_;
    if (outline_) {
      for (size_t i = 0; i < outline_->accepted; ++i) written += outline_->items[i].length();
    }
    return request.spec().max_tokens - written;
  }

  /// Tokens that were emitted as hidden are text of their lane.
  void release(Request& request, Lane& lane, const std::vector<EmittedToken>& tokens,
               EventBuffer& events) {
    for (const EmittedToken& token : tokens) ++request.counts(lane)[token.id];
    request.release(lane, tokens, events);
  }

  /// Writes a token that the lane sampled, or holds it back.
  /// Returns the tokens that belong to the lane's item now.
  std::vector<EmittedToken> write(Request& request, Lane& lane, const SampledToken& sampled,
                                  HeldTokens& held, const ItemEnd& end, Verdict verdict,
                                  EventBuffer& events) {
    EmittedToken token = emitted(request, lane, sampled, EmittedToken::kVisible);
    auto free = held.push(token, rules_->texts->text(token.id).size(), end, verdict);
    const bool shown = verdict == Verdict::kBody;
    release(request, lane, {free.begin(), free.end() - (shown ? 1 : 0)}, events);
    if (shown) {
      ++request.counts(lane)[token.id];
      request.emit(lane, token, events);
    } else {
      request.emit(lane, {token.id, 0, 0, {}}, events);
    }
    return free;
  }

  void force(Request& request, Lane& lane, std::span<const int> ids, std::uint32_t flags,
             EventBuffer& events) {
    for (int token : ids) {
      request.emit(lane, {token, EmittedToken::kForced | flags, 0, {}}, events);
    }
    lane.write(ids);
  }

  // ---- the trunk -------------------------------------------------------------------------------

  void step_trunk(Request& request, const LaneToken& next, EventBuffer& events) {
    if (outline_ && outline_->reading) {
      if (outline_->tried > 0) return judge_item(request, next.probed, events);
      if (!outline_->reads_list_end()) return;
      close_outline(request, outline_->short_of_room ? OutlineEnd::kNoRoom : OutlineEnd::kJoined,
                    events);
    }
    const SampledToken& sampled = next.sampled;
    Lane& trunk = request.tree().trunk();
    if (refused_mark_) {
      const bool begins = *std::exchange(refused_mark_, std::nullopt) == sampled.token;
      request.note_outline_end(begins ? OutlineEnd::kBodyDiffers : OutlineEnd::kListEnded);
    }
    if (end_tokens_.contains(sampled.token)) {
      close_outline(request, OutlineEnd::kListEnded, events);
      request.emit(trunk, emitted(request, trunk, sampled, 0), events);
      return request.finish(FinishReason::kStop);
    }
    if (outline_ && outline_->in_stage) return step_own_item(request, sampled, events);
    ++request.counts(trunk)[sampled.token];
    request.emit(trunk, emitted(request, trunk, sampled, EmittedToken::kVisible), events);
    trunk.write(sampled.token);
    const auto begun = scanner_.push(sampled.token);
    if (outline_) follow_own_item(request, sampled.token, begun, events);
    if (!outline_ && begun) begin_item(request, *begun, events);
  }

  /// The first item of a list opens an outline, or a later one with which the trunk goes on.
  void begin_item(Request& request, const ItemBegin& begun, EventBuffer& events) {
    const bool goes_on = !begun.first && last_list_ &&
                         begun.form.mark.same_list(last_list_->mark) &&
                         last_list_->failures < kMaxFailures;
    if (!begun.outlinable || !(begun.first || goes_on)) return;
    open_outline(request, begun.form, events);
    if (!outline_) return;
    if (begun.first) last_list_.emplace(begun.form.mark);
    for (const std::string& title : last_list_->titles) outline_->titles.skip(title);
  }

  /// While titles are written: where the trunk is in its list.
  void follow_own_item(Request& request, int token, const std::optional<ItemBegin>& begun,
                       EventBuffer& events) {
    OutlinedList& outline = *outline_;
    if (outline.in_title) {
      if (!begun) {
        // An item without a title, or with a sentence in its place.
        if (++outline.title_tokens > rules_->max_mark_tokens + rules_->max_title_tokens) {
          close_outline(request, OutlineEnd::kNoStage, events);
        }
        return;
      }
      if (!begun->form.mark.same_list(outline.form.mark)) {
        return close_outline(request, OutlineEnd::kNoStage, events);
      }
      outline.in_title = false;
      outline.title_tokens = 0;
      ++outline.ordinal;
      outline.titles.skip(begun->form.title);
      outline.end = ItemEnd(begun->form.mark, begun->form.separator, outline.form.block);
    }
    outline.verdict = outline.end.push(rules_->texts->text(token));
    if (outline.verdict == Verdict::kListEnd) {
      return close_outline(request, OutlineEnd::kNoStage, events);
    }
    outline.in_title = outline.verdict == Verdict::kNextItem;
  }

  /// While branches are decoded: the trunk's item ends before the next one's mark.
  void step_own_item(Request& request, const SampledToken& sampled, EventBuffer& events) {
    OutlinedList& outline = *outline_;
    Lane& trunk = request.tree().trunk();
    const Verdict verdict = outline.end.push(rules_->texts->text(sampled.token));
    write(request, trunk, sampled, outline.held, outline.end, verdict, events);
    trunk.write(sampled.token);
    if (verdict == Verdict::kListEnd) {
      return close_outline(request, OutlineEnd::kListEnded, events);
    }
    if (verdict != Verdict::kNextItem) return;
    const int mark = static_cast<int>(outline.held.take().size());
    trunk.segment->remove_last(mark);
    removed_tokens_ += mark;
    outline.reading = true;
  }

  // ---- titles ----------------------------------------------------------------------------------

  void open_outline(Request& request, const ItemForm& form, EventBuffer& events) {
    if (max_titles_ < 2 || room(request) < rules_->min_room) return;
    if (request.tree().stages() >= rules_->max_stages) return;
    Lane& trunk = request.tree().trunk();
    const size_t mark = form.mark_of(form.mark.number + max_titles_).size() + 1;
    if (mark + form.separator_ids().size() > static_cast<size_t>(rules_->max_mark_tokens)) return;
    // Titles and then an item must fit the context after the first title.
    const int needed = rules_->max_outline_tokens() + rules_->max_item_tokens;
    if (trunk.segment->next_position() + needed > context_) return;
    const int body = trunk.segment->tokens().back();
    outline_.emplace(*rules_, form, max_titles_);
    outline_->verdict = outline_->end.push(rules_->texts->text(body));
    // The side lane sees the trunk up to the token before the body.
    outline_->side =
        request.open_outline(trunk.length() - 1, outline_->titles.first_tokens(), events);
  }

  void step_titles(Request& request, const LaneToken& stepped, EventBuffer& events) {
    const SampledToken& sampled = stepped.sampled;
    ItemTitles& titles = outline_->titles;
    Lane& lane = request.tree().lanes()[outline_->side];
    // A mark that was forced is asked about in the step that forwards it. Behind it the log has a
    // title only where the titles went on.
    const bool goes_on =
        stepped.probed.empty() || std::exp(stepped.probed.front()) >= rules_->continue_probability;
    lane.probes.clear();
    if (goes_on) {
      ++request.counts(lane)[sampled.token];
      request.emit(lane, {sampled.token, 0, 0, {}}, events);
    }
    const ItemTitles::Next next = end_tokens_.contains(sampled.token)
                                      ? titles.end()
                                      : titles.push(sampled.token, lane.segment->tokens(), goes_on);
    lane.segment->remove_last(lane.length() - next.keep);
    if (next.sampled) lane.write(sampled.token);
    force(request, lane, next.forced, 0, events);
    if (next.mark_at >= 0) lane.probes = {next.mark_at - 1};
    outline_->complete = next.complete;
    lane.live = !outline_->complete;
  }

  // ---- branches --------------------------------------------------------------------------------

  /// Forks as soon as all titles are written and the trunk is in the body of an item.
  void open_stage_if_ready(Request& request, EventBuffer& events) {
    if (!outline_ || !outline_->complete || outline_->in_stage || outline_->in_title) return;
    OutlinedList& outline = *outline_;
    if (outline.verdict != Verdict::kBody) return;
    const auto titles = outline.titles.after(outline.ordinal);
    std::vector<std::vector<int>> title_ids;
    std::vector<std::vector<EmittedToken>> openings;
    for (const ItemTitles::Title* title : titles) {
      const int number =
          outline.form.mark.number + outline.ordinal + static_cast<int>(title_ids.size());
      ItemMark mark = outline.form.mark;
      mark.number = number;
      OutlinedItem& item =
          outline.items.emplace_back(title->text, outline.form.mark_of(number),
                                     ItemEnd(mark, outline.form.separator, outline.form.block));
      item.ids.insert(item.ids.end(), title->ids.begin(), title->ids.end());
      item.ids.insert(item.ids.end(), title->separator.begin(), title->separator.end());
      item.body = item.ids.size();
      title_ids.push_back(title->ids);
      auto& opening = openings.emplace_back();
      for (int token : outline.titles.blank_line()) {
        opening.push_back({token, EmittedToken::kForced, 0, {}});
      }
      for (int token : item.ids) {
        opening.push_back({token, EmittedToken::kForced | EmittedToken::kVisible, 0, {}});
      }
    }
    if (titles.empty()) return close_outline(request, OutlineEnd::kNoStage, events);
    outline.in_stage = true;
    scanned_ = static_cast<size_t>(request.tree().trunk().length());
    request.open_outlined_stage(outline.side, title_ids, openings, events);
    for (size_t i = 0; i < outline.items.size(); ++i) {
      outline.items[i].lane = request.tree().branches()[i].id;
    }
  }

  void step_branch(Request& request, const LaneToken& next, EventBuffer& events) {
    OutlinedItem& item = outline_->items[next.lane - outline_->items.front().lane];
    Lane& lane = lane_of(request, item);
    const int token = next.sampled.token;
    if (end_tokens_.contains(token)) {
      request.emit(lane, {token, 0, 0, {}}, events);
      return close_item(request, item, CloseReason::kEos, events);
    }
    const Verdict verdict = item.end.push(rules_->texts->text(token));
    for (const EmittedToken& each :
         write(request, lane, next.sampled, item.held, item.end, verdict, events)) {
      item.ids.push_back(each.id);
    }
    if (verdict == Verdict::kNextItem || verdict == Verdict::kListEnd) {
      return close_item(request, item, CloseReason::kMarker, events);
    }
    lane.write(token);
    if (++item.body_tokens >= rules_->max_item_tokens) {
      close_item(request, item, CloseReason::kCap, events);
    }
  }

  void close_item(Request& request, OutlinedItem& item, CloseReason reason, EventBuffer& events) {
    Lane& lane = lane_of(request, item);
    item.held.take();
    item.closed = true;
    const bool last = &item == &outline_->items.back();
    if (!last && !rules_->texts->text(item.ids.back()).ends_with('\n')) {
      const auto& line_end = outline_->titles.item_break();
      force(request, lane, line_end, EmittedToken::kVisible, events);
      item.ids.insert(item.ids.end(), line_end.begin(), line_end.end());
    }
    request.tree().drop_lane(lane);
    request.close_branch(lane, reason, events);
  }

  /// Items that the answer has no room for are dropped: the trunk writes their beginning itself.
  void drop_items_without_room(Request& request, EventBuffer& events) {
    OutlinedList& outline = *outline_;
    int left = room(request);
    for (size_t i = outline.accepted; i < outline.items.size(); ++i) {
      left -= outline.items[i].length();
      if (left >= 0) continue;
      outline.short_of_room = true;
      if (outline.reading && i == outline.accepted) take_back(request);
      for (size_t rest = i; rest < outline.items.size(); ++rest) {
        request.drop_branch(lane_of(request, outline.items[rest]), events);
      }
      outline.items.erase(outline.items.begin() + static_cast<std::ptrdiff_t>(i),
                          outline.items.end());
      break;
    }
    if (outline.items.empty()) close_outline(request, OutlineEnd::kNoRoom, events);
  }

  // ---- the reading -----------------------------------------------------------------------------

  void read(Request& request, const OutlinedItem& item, size_t& from, size_t to) {
    if (from == to) return;
    Lane& trunk = request.tree().trunk();
    trunk.write(std::span(item.ids).subspan(from, to - from));
    trunk.live = true;
    from = to;
  }

  /// Writes what the trunk reads in the next step.
  void read_on(Request& request) {
    if (!outline_ || !outline_->reading || outline_->tried > 0) return;
    Lane& trunk = request.tree().trunk();
    trunk.live = false;
    const bool alone = request.tree().live_lanes() == 0;
    if (read_accepted(request, alone)) try_next_item(request);
    if (trunk.live && alone) request.prefill_written();
  }

  /// The last token of the item waits for what is read behind it. Returns whether only that is
  /// missing and there is a next item.
  bool read_accepted(Request& request, bool alone) {
    OutlinedList& outline = *outline_;
    if (outline.accepted == 0) return true;
    const OutlinedItem& item = outline.items[outline.accepted - 1];
    const bool waits = outline.has_next_item() || !item.closed;
    const size_t end = item.ids.size() - (waits ? 1 : 0);
    read(request, item, outline.read, alone ? end : std::min(end, outline.read + kReadingRows));
    if (outline.reads_list_end()) request.tree().trunk().live = true;
    return waits && item.closed && outline.read == end;
  }

  /// Reads the beginning of the next item. Its step says how likely the model, which sees all items
  /// before, would have begun it, and would have begun it so.
  void try_next_item(Request& request) {
    OutlinedList& outline = *outline_;
    Lane& trunk = request.tree().trunk();
    const OutlinedItem& next = outline.items[outline.accepted];
    const size_t body = next.ids.size() - next.body;
    const size_t wanted = static_cast<size_t>(rules_->body_sample);
    if (!next.closed && body <= wanted) return;
    trunk.probes.clear();
    if (outline.accepted > 0) {
      const OutlinedItem& item = outline.items[outline.accepted - 1];
      read(request, item, outline.read, item.ids.size());
      trunk.probes.push_back(trunk.length() - 1);
    }
    const int begin = trunk.length() + static_cast<int>(next.body);
    const size_t sample = std::min(wanted, std::max<size_t>(body, 1) - 1);
    read(request, next, outline.tried, next.body + sample);
    for (size_t i = 0; i < sample; ++i) trunk.probes.push_back(begin + static_cast<int>(i) - 1);
  }

  /// The item that was tried belongs to the answer, or the list ends before it.
  void judge_item(Request& request, std::span<const float> probed, EventBuffer& events) {
    OutlinedList& outline = *outline_;
    const OutlinedItem& item = outline.items[outline.accepted];
    // The trunk wrote the first mark by itself.
    const bool first = outline.accepted == 0;
    const bool begun = first || std::exp(probed.front()) >= rules_->continue_probability;
    if (!first) probed = probed.subspan(1);
    double sum = 0;
    for (float log_probability : probed) sum += log_probability;
    const bool so = says_something(item) &&
                    sum >= rules_->body_log_probability * static_cast<double>(probed.size());
    if (!begun || !so) {
      refused_mark_ = item.ids.front();
      take_back(request);
      return close_outline(request, std::nullopt, events);
    }
    request.tree().trunk().probes.clear();
    outline.read = std::exchange(outline.tried, 0);
    ++outline.accepted;
    request.accept_branch(lane_of(request, item), events);
  }

  bool says_something(const OutlinedItem& item) const {
    return std::any_of(
        item.ids.begin() + static_cast<std::ptrdiff_t>(item.body), item.ids.end(), [&](int token) {
          return rules_->texts->text(token).find_first_not_of(" \t\r\n") != std::string::npos;
        });
  }

  /// The trunk goes on where it stood before the item that was tried.
  void take_back(Request& request) {
    Lane& trunk = request.tree().trunk();
    trunk.probes.clear();
    trunk.segment->remove_last(static_cast<int>(std::exchange(outline_->tried, 0)));
    trunk.segment->recompute_last();
    trunk.live = true;
  }

  /// The list has ended for the trunk, or nothing comes of the outline: branches that the reading
  /// has not come to are dropped, and the trunk goes on.
  /// `end`: nothing if the trunk's next token says what it is.
  void close_outline(Request& request, std::optional<OutlineEnd> end, EventBuffer& events) {
    if (!outline_) return;
    OutlinedList& outline = *outline_;
    last_list_->titles = outline.titles.skipped();
    last_list_->failures += outline.in_stage ? 0 : 1;
    Lane& trunk = request.tree().trunk();
    release(request, trunk, outline.held.take(), events);
    trunk.live = true;
    if (!outline.in_stage) end = OutlineEnd::kNoStage;
    if (end) request.note_outline_end(*end);
    if (!outline.in_stage) {
      request.tree().drop_lane(request.tree().lanes()[outline.side]);
      outline_.reset();
      return;
    }
    std::vector<int> accepted;
    for (size_t i = 0; i < outline.items.size(); ++i) {
      Lane& lane = lane_of(request, outline.items[i]);
      if (i < outline.accepted) {
        accepted.push_back(lane.id);
        last_list_->titles.push_back(outline.items[i].title);
        accepted_tokens_ += outline.items[i].length();
        if (lane.live) request.close_branch(lane, CloseReason::kCap, events);
      } else {
        request.drop_branch(lane, events);
      }
    }
    request.close_outlined_stage(outline.side, accepted, events);
    outline_.reset();
    // Lists inside the items are not outlined any more.
    const auto& tokens = trunk.segment->tokens();
    for (; scanned_ < tokens.size(); ++scanned_) scanner_.push(tokens[scanned_]);
  }

  std::shared_ptr<const OutlineRules> rules_;
  EndTokens end_tokens_;
  int context_;  // positions of the model
  OpeningScanner scanner_;
  int max_titles_ = 0;
  std::optional<OutlinedList> outline_;
  /// The list that was outlined last. Where the trunk goes on with it, it is outlined again.
  struct LastList {
    explicit LastList(const ItemMark& its_mark) : mark(its_mark) {}
    ItemMark mark;
    std::vector<std::string> titles;  // of its items
    int failures = 0;                 // outlines of it that opened no stage
  };
  std::optional<LastList> last_list_;
  /// What an item begins with that was refused, until the trunk has gone on.
  std::optional<int> refused_mark_;
  int accepted_tokens_ = 0;  // of branches of earlier stages
  int removed_tokens_ = 0;   // of the trunk: marks that an item begins with
  size_t scanned_ = 0;       // of a stage: tokens of the trunk's segment that the scanner knows
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_outline_policy(const RequestSpec& spec,
                                                    std::shared_ptr<const OutlineRules> rules,
                                                    const std::vector<int>& eos, int context) {
  return std::make_unique<OutlinePolicy>(spec, std::move(rules), eos, context);
}

}  // namespace anabranch
