// The engine's events, packed in 32-bit words: one buffer for all requests.
//
// Each event is [kind, request, words, …words]. Floats are their bit patterns.
//   started       prompt_tokens, cached_tokens
//   token         lane, id, flags[, logprob, n, (id, logprob) × n]
//   released      lane, tokens as above: they were emitted as hidden, and are visible text now
//   stage_opened  stage, outlined (0 or 1), n, (lane, titles' length, ids…) × n
//   branch_closed lane, reason
//   stage_closed  stage
//   finished      reason, prompt, completion, visible, cached, steps, stages, branches, outline,
//                 dropped, dropped_plan, n, outline_end × n
//   logits        lane, the lane's token index, logits × vocabulary
//   branch_accepted lane: of an outlined stage; its text belongs to the answer
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace anabranch {

enum class EventKind : std::uint32_t {
  kStarted = 1,
  kToken = 2,
  kStageOpened = 3,
  kBranchClosed = 4,
  kStageClosed = 5,
  kFinished = 6,
  kLogits = 7,
  kReleased = 8,
  kBranchAccepted = 9,
};

// The values of FinishReason and CloseReason are those of the wire protocol.
enum class FinishReason : std::uint32_t { kStop = 1, kLength = 2, kCancelled = 3, kDeadline = 4 };
/// Why a plan opened no branches: it had too few different titles, or a title that never ended.
enum class PlanDrop : std::uint32_t { kNone = 0, kFewTitles = 1, kLongTitle = 2, kNoRoom = 3 };
/// What became of an outline: all of its items joined the answer; its list ended before all were
/// read; the trunk wrote the next one itself, in another way; the answer had no room for all; it
/// opened no branches; the answer ended before.
enum class OutlineEnd : std::uint32_t {
  kJoined = 1,
  kListEnded = 2,
  kBodyDiffers = 3,
  kNoRoom = 4,
  kNoStage = 5,
  kUnfinished = 6,
};
enum class CloseReason : std::uint32_t { kMarker = 1, kEos = 2, kCap = 3, kDropped = 4 };

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int visible_tokens = 0;
  int cached_tokens = 0;
  int steps = 0;
  int stages = 0;
  int branches = 0;
  int outline_tokens = 0;  // of hidden lanes that wrote titles
  int dropped_tokens = 0;  // of branches that are not part of the answer
  PlanDrop dropped_plan = PlanDrop::kNone;
  std::vector<OutlineEnd> outline_ends = {};  // in order
};

/// A token of a lane. One that may begin a marker is emitted as hidden; if it turns out to be text,
/// it is released later.
struct EmittedToken {
  static constexpr std::uint32_t kVisible = 1, kForced = 2, kLogprobs = 4;
  int id = 0;
  std::uint32_t flags = 0;
  float logprob = 0;
  std::vector<std::pair<int, float>> top;
};

class EventBuffer {
 public:
  void add(EventKind kind, std::uint32_t request, const std::vector<std::uint32_t>& payload) {
    kinds_ |= 1u << static_cast<std::uint32_t>(kind);
    words_.push_back(static_cast<std::uint32_t>(kind));
    words_.push_back(request);
    words_.push_back(static_cast<std::uint32_t>(payload.size()));
    words_.insert(words_.end(), payload.begin(), payload.end());
  }

  void add_token(std::uint32_t request, int lane, const EmittedToken& token) {
    std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(lane)};
    append_token(token, payload);
    add(EventKind::kToken, request, payload);
  }

  void add_released(std::uint32_t request, int lane, std::span<const EmittedToken> tokens) {
    std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(lane)};
    for (const EmittedToken& token : tokens) append_token(token, payload);
    add(EventKind::kReleased, request, payload);
  }

  void add_finished(std::uint32_t request, FinishReason reason, const Usage& usage) {
    std::vector<std::uint32_t> payload = {static_cast<std::uint32_t>(reason)};
    for (int n :
         {usage.prompt_tokens, usage.completion_tokens, usage.visible_tokens, usage.cached_tokens,
          usage.steps, usage.stages, usage.branches, usage.outline_tokens, usage.dropped_tokens}) {
      payload.push_back(static_cast<std::uint32_t>(n));
    }
    payload.push_back(static_cast<std::uint32_t>(usage.dropped_plan));
    payload.push_back(static_cast<std::uint32_t>(usage.outline_ends.size()));
    for (OutlineEnd end : usage.outline_ends) payload.push_back(static_cast<std::uint32_t>(end));
    add(EventKind::kFinished, request, payload);
  }

  void append(const EventBuffer& more) {
    words_.insert(words_.end(), more.words_.begin(), more.words_.end());
    kinds_ |= more.kinds_;
  }

  bool empty() const { return words_.empty(); }
  bool has(EventKind kind) const { return kinds_ >> static_cast<std::uint32_t>(kind) & 1; }
  std::vector<std::uint32_t> take() {
    kinds_ = 0;
    return std::exchange(words_, {});
  }

 private:
  static void append_token(const EmittedToken& token, std::vector<std::uint32_t>& payload) {
    payload.push_back(static_cast<std::uint32_t>(token.id));
    payload.push_back(token.flags);
    if (!(token.flags & EmittedToken::kLogprobs)) return;
    payload.push_back(std::bit_cast<std::uint32_t>(token.logprob));
    payload.push_back(static_cast<std::uint32_t>(token.top.size()));
    for (const auto& [id, logprob] : token.top) {
      payload.push_back(static_cast<std::uint32_t>(id));
      payload.push_back(std::bit_cast<std::uint32_t>(logprob));
    }
  }

  std::uint32_t kinds_ = 0;  // one bit per kind
  std::vector<std::uint32_t> words_;
};

}  // namespace anabranch
