#include "dialect/script_policy.h"

#include <algorithm>
#include <span>

#include "dialect/dialect.h"

namespace anabranch {
namespace {

class ScriptPolicy final : public DecodingPolicy {
 public:
  explicit ScriptPolicy(const RequestSpec& spec)
      : runs_(spec.script), resume_(*spec.resume), run_(0), at_(1, tokens_of(spec.prompt)) {}

  std::optional<SamplingInput> sampling_input(const Request&, const Lane&) const override { return std::nullopt; }

  /// As a dialect's policy does: a title's end and another one's begin.
  std::vector<int> draft(const Request& request) const override {
    const auto& [open, close] = request.spec().script_titles;
    if (open.empty() || runs_[run_].parallel) return {};
    const std::span written = std::span(runs_[run_].tokens[0]).first(at_[0]);
    const auto opened = std::ranges::find_end(written, open);
    const std::span title(opened.end(), written.end());
    if (opened.empty() || title.empty()) return {};
    const auto closed = std::ranges::search(title, close);
    if (!closed.empty()) return rest_of(open, std::span(closed.end(), title.end()));
    std::vector<int> draft(close.begin() + begun(title.subspan(1), close), close.end());
    draft.insert(draft.end(), open.begin(), open.end());
    return draft.size() > kMaxDraftTokens ? std::vector<int>{} : draft;
  }

  void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) override {
    for (const LaneToken& at : lanes) {
      Lane& lane = request.tree().lanes()[at.lane];
      if (lane.id == 0) continue;
      write_next(request, lane, lane.id - first_branch_, events);
    }
    settle(request, events);
  }

 private:
  /// What is left of a marker; nothing where something else was written.
  static std::vector<int> rest_of(const std::vector<int>& marker, std::span<const int> written) {
    const auto [left, other] = std::ranges::mismatch(marker, written);
    return other == written.end() ? std::vector<int>(left, marker.end()) : std::vector<int>{};
  }

  /// The next token of the lane's run, or the lane's end.
  bool write_next(Request& request, Lane& lane, int index, EventBuffer& events) {
    const std::vector<int>& tokens = runs_[run_].tokens[index];
    if (at_[index] == tokens.size()) {
      if (lane.id != 0) request.close_branch(lane, CloseReason::kMarker, events);
      return false;
    }
    const int token = tokens[at_[index]++];
    lane.write(token);
    request.emit(lane, {token, EmittedToken::kVisible | EmittedToken::kForced, 0, {}}, events);
    if (lane.id != 0 && ends_now(index)) request.close_branch(lane, CloseReason::kMarker, events);
    return true;
  }

  /// The branch has written its last token, which goes through one step with what comes after the join.
  bool ends_now(int index) const {
    return !runs_[run_].openings.empty() && run_ + 1 < runs_.size() &&
           at_[index] == runs_[run_].tokens[index].size();
  }

  /// The trunk has written its last token before a fork, which goes through one step with the openings.
  bool forks_now() const {
    return run_ + 1 < runs_.size() && !runs_[run_ + 1].openings.empty() &&
           at_[0] == runs_[run_].tokens[0].size();
  }

  /// Moves the trunk on, over forks, joins and empty runs, until some lane has a token to forward.
  void settle(Request& request, EventBuffer& events) {
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
      at_.assign(runs_[run_].tokens.size(), 0);
      if (!runs_[run_].parallel) {
        if (!runs_[run_ - 1].parallel) tree.begin_segment();
        continue;
      }
      std::vector<std::vector<int>> openings;
      for (const auto& tokens : runs_[run_].tokens) {
        const size_t index = openings.size();
        const int opening = runs_[run_].openings.empty() ? !tokens.empty() : runs_[run_].openings[index];
        openings.emplace_back(tokens.begin(), tokens.begin() + opening);
        at_[index] = openings.back().size();
      }
      first_branch_ = static_cast<int>(tree.lanes().size());
      request.open_stage(std::vector<std::vector<int>>(openings.size()), openings, false, events);
      for (Lane& lane : tree.branches()) {
        if (lane.length() == 0 || ends_now(lane.id - first_branch_)) request.close_branch(lane, CloseReason::kMarker, events);
      }
    }
  }

  std::vector<StructureRun> runs_;
  ResumeRule resume_;
  size_t run_;              // under way
  std::vector<size_t> at_;  // next token of each lane of the run
  int first_branch_ = 0;
};

}  // namespace

std::unique_ptr<DecodingPolicy> make_script_policy(const RequestSpec& spec) {
  return std::make_unique<ScriptPolicy>(spec);
}

}  // namespace anabranch
