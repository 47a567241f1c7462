#include "dialect/script_policy.h"

#include <algorithm>
#include <span>

#include "dialect/dialect.h"
#include "serving/request.h"

namespace anabranch {
namespace {

class ScriptPolicy final : public DecodingPolicy {
 public:
  explicit ScriptPolicy(const RequestSpec& spec)
      : runs_(spec.script), resume_(*spec.resume), run_(0), next_(1, tokens_of(spec.prompt)) {}

  std::optional<SamplingInput> sampling_input(const Request&, const Lane&) const override {
    return std::nullopt;
  }

  /// As the dialect policy does: a title's close and the next title's opening.
  std::vector<int> draft(const Request& request) const override {
    const auto& [open, close] = request.spec().script_titles;
    if (open.empty() || runs_[run_].parallel) return {};
    const std::span written = std::span(runs_[run_].tokens[0]).first(next_[0]);
    const auto opened = std::ranges::find_end(written, open);
    const std::span title(opened.end(), written.end());
    if (opened.empty() || title.empty()) return {};
    const auto closed = std::ranges::search(title, close);
    if (!closed.empty()) return remaining_ids(open, std::span(closed.end(), title.end()));
    std::vector<int> draft(close.begin() + partial_match(title.subspan(1), close), close.end());
    draft.insert(draft.end(), open.begin(), open.end());
    return draft.size() > kMaxDraftTokens ? std::vector<int>{} : draft;
  }

  std::vector<int> independent_lanes(const Request& request) const override {
    std::vector<int> out;
    for (const Lane& lane : request.tree().branches()) {
      if (lane.live) out.push_back(lane.id);
    }
    return out;
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    for (const LaneToken& next : lanes) {
      Lane& lane = request.tree().lanes()[next.lane];
      if (lane.id == 0) continue;
      write_next(request, lane, lane.id - first_branch_, events);
    }
    advance_trunk(request, events);
  }

 private:
  /// The tokens of `marker` after `written`, if it begins with them.
  static std::vector<int> remaining_ids(const std::vector<int>& marker,
                                        std::span<const int> written) {
    const auto [left, other] = std::ranges::mismatch(marker, written);
    return other == written.end() ? std::vector<int>(left, marker.end()) : std::vector<int>{};
  }

  /// Writes the next token of the lane's run. At its end, closes the lane and returns false.
  bool write_next(Request& request, Lane& lane, int index, EventBuffer& events) {
    const std::vector<int>& tokens = runs_[run_].tokens[index];
    if (next_[index] == tokens.size()) {
      if (lane.id != 0) request.close_branch(lane, CloseReason::kMarker, events);
      return false;
    }
    const int token = tokens[next_[index]++];
    lane.write(token);
    request.emit(lane, {token, EmittedToken::kVisible | EmittedToken::kForced, 0, {}}, events);
    if (lane.id != 0 && closes_now(index)) request.close_branch(lane, CloseReason::kMarker, events);
    return true;
  }

  /// Whether the branch closes now: its last token shares a step with what follows the join.
  bool closes_now(int index) const {
    return !runs_[run_].openings.empty() && run_ + 1 < runs_.size() &&
           next_[index] == runs_[run_].tokens[index].size();
  }

  /// Whether the trunk forks now: its last token shares a step with the openings.
  bool forks_now() const {
    return run_ + 1 < runs_.size() && !runs_[run_ + 1].openings.empty() &&
           next_[0] == runs_[run_].tokens[0].size();
  }

  /// Advances the trunk over forks, joins and empty runs until a lane has a token to forward.
  void advance_trunk(Request& request, EventBuffer& events) {
    LaneTree& tree = request.tree();
    while (true) {
      if (runs_[run_].parallel) {
        for (const Lane& lane : tree.branches()) {
          if (lane.live) return;
        }
        request.close_stage(resume_, events);
      } else if (write_next(request, tree.trunk(), 0, events) && !forks_now()) {
        return;
      }
      if (++run_ == runs_.size()) return request.finish(FinishReason::kStop);
      next_.assign(runs_[run_].tokens.size(), 0);
      if (!runs_[run_].parallel) {
        if (!runs_[run_ - 1].parallel) tree.begin_segment();
        continue;
      }
      std::vector<std::vector<EmittedToken>> openings;
      for (const auto& tokens : runs_[run_].tokens) {
        const size_t index = openings.size();
        const int opening =
            runs_[run_].openings.empty() ? !tokens.empty() : runs_[run_].openings[index];
        openings.emplace_back();
        for (int token : std::span(tokens).first(static_cast<size_t>(opening))) {
          openings.back().push_back({token, EmittedToken::kForced, 0, {}});
        }
        next_[index] = openings.back().size();
      }
      first_branch_ = static_cast<int>(tree.lanes().size());
      request.open_stage(std::vector<std::vector<int>>(openings.size()), openings, events);
      for (Lane& lane : tree.branches()) {
        if (lane.length() == 0 || closes_now(lane.id - first_branch_))
          request.close_branch(lane, CloseReason::kMarker, events);
      }
    }
  }

  std::vector<StructureRun> runs_;
  ResumeRule resume_;
  size_t run_;                // the current one
  std::vector<size_t> next_;  // index of the next token of each of its lanes
  int first_branch_ = 0;
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_script_policy(const RequestSpec& spec) {
  return std::make_unique<ScriptPolicy>(spec);
}

}  // namespace anabranch
