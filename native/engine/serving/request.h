// The state of one request: token ids in, events out.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dialect/decoding_policy.h"
#include "kv/lanes.h"
#include "serving/events.h"
#include "serving/request_spec.h"

namespace anabranch {

class Scorer;

/// What decides whether a waiting request fits.
struct Room {
  std::uint64_t times_freed = 0;  // how often a block has become free
  size_t running = 0;             // requests
  int lanes = 0;                  // of those
  int pending = 0;                // blocks that they are still to take for what they must compute

  /// Whether what did not fit then does not fit now: pending blocks are taken from the free ones.
  bool is_no_larger_than(const Room& then) const {
    return times_freed == then.times_freed && running == then.running && lanes == then.lanes;
  }
};

enum class RequestStatus {
  kWaiting,  // for its first admission, or for readmission after preemption; holds no KV
  kRunning,
  kFinished,
};

class Request : public std::enable_shared_from_this<Request> {
 public:
  Request(RequestSpec spec, BlockPool& pool);
  ~Request();

  const RequestSpec& spec() const { return spec_; }
  LaneTree& tree() { return tree_; }
  const LaneTree& tree() const { return tree_; }
  const Usage& usage() const { return usage_; }

  RequestStatus status() const { return status_; }
  bool running() const { return status_ == RequestStatus::kRunning; }
  bool finished() const { return status_ == RequestStatus::kFinished; }
  FinishReason finish_reason() const { return finish_reason_; }
  /// Finishes the request, unless it is finished.
  void finish(FinishReason reason);
  bool expired(std::chrono::steady_clock::time_point now) const {
    return spec_.deadline.count() > 0 && now >= submitted_ + spec_.deadline;
  }
  /// How fast it has been since its first token.
  struct Progress {
    int tokens = 0;      // after the first
    double seconds = 0;  // since then
  };
  Progress progress(std::chrono::steady_clock::time_point now) const;
  /// Completion tokens that it may still write.
  int remaining() const { return spec_.max_tokens - usage_.completion_tokens; }

  // ---- for the scheduler -----------------------------------------------------------------------

  /// Writes the logged tokens, to be prefilled. Lanes of a stage may have got differently far.
  /// Throws Error if the log can't be the beginning of an answer to this request.
  void replay();
  /// Changes from waiting to running. `cached` tokens came from the prefix cache. On the first
  /// admission it emits `started` and what was replayed, and returns true.
  bool start(int cached, EventBuffer& events);
  /// Emits `started` and what was replayed, unless it has.
  bool emit_start(int cached, EventBuffer& events);
  bool start_emitted() const { return start_emitted_; }
  /// Frees its KV and changes from running to waiting. Written tokens stay; their KV is computed
  /// again after readmission.
  void preempt();
  /// Adds the rows of the next step to the batch, without those of held lanes. Returns their
  /// number.
  int add_rows(Batch& batch, int allowance);
  /// After the forward pass: adds the rows to sample from. A scorer takes its logits here instead.
  void add_sampling_rows(Backend& backend, std::vector<SamplingRow>& rows, EventBuffer& events);
  /// Lets the policy continue with the tokens sampled for all rows of add_sampling_rows(). Returns
  /// true if a draft token was accepted: then add_sampling_rows() has the row after it.
  bool advance(const std::vector<SampledToken>& sampled, EventBuffer& events);

  // ---- for policies ----------------------------------------------------------------------------

  /// Counts and emits a token that the lane wrote.
  void emit(Lane& lane, const EmittedToken& token, EventBuffer& events);
  /// Tokens that were emitted as hidden are visible text after all.
  void release(const Lane& lane, std::span<const EmittedToken> tokens, EventBuffer& events);
  /// Opens one branch per opening; the trunk waits until they are closed.
  void open_stage(const std::vector<std::vector<int>>& titles,
                  const std::vector<std::vector<EmittedToken>>& openings, EventBuffer& events);
  /// An answer has at most one dropped plan: it does not branch afterwards.
  void note_dropped_plan(PlanDrop reason) { usage_.dropped_plan = reason; }
  void close_branch(Lane& lane, CloseReason reason, EventBuffer& events);
  void close_stage(ResumeRule rule, EventBuffer& events);

  /// Opens a hidden lane that sees the first `at` tokens of the trunk's segment, and writes
  /// `forced` into it. Returns its number. References to lanes become invalid.
  int open_outline(int at, std::span<const int> forced, EventBuffer& events);
  /// Opens one branch per opening, which see the lane `outline`; the trunk goes on.
  void open_outlined_stage(int outline, const std::vector<std::vector<int>>& titles,
                           const std::vector<std::vector<EmittedToken>>& openings,
                           EventBuffer& events);
  void note_outline_end(OutlineEnd end) { usage_.outline_ends.push_back(end); }
  /// A branch of an outlined stage belongs to the answer.
  void accept_branch(const Lane& lane, EventBuffer& events);
  /// It does not: what it wrote is not part of the answer.
  void drop_branch(Lane& lane, EventBuffer& events);
  /// Frees the lanes of an outlined stage. The trunk counts the tokens of `accepted` branches.
  void close_outlined_stage(int outline, std::span<const int> accepted, EventBuffer& events);
  /// All tokens written so far are to be prefilled: the next step is not a decode step.
  void prefill_written();

  /// Tokens written in a lane so far, forced ones included. Also the index of its next sample.
  std::uint32_t written(const Lane& lane) const { return written_[lane.id]; }
  /// The next token of the lane in the log.
  std::optional<int> logged(const Lane& lane) const;
  /// What the log holds of a lane, or null.
  const LoggedLane* log_of(int lane) const;
  TokenCounts& counts(const Lane& lane) { return counts_[lane.id]; }
  const TokenCounts& counts(const Lane& lane) const { return counts_[lane.id]; }

  // Either a policy or, for scores, a scorer, which takes the logits of every prompt token.
  std::unique_ptr<DecodingPolicy> policy;
  std::unique_ptr<Scorer> scorer;
  std::uint64_t arrival = 0;    // order of submission
  std::uint64_t group = 0;      // arrival of the first request of its group
  std::uint64_t last_step = 0;  // the last step that had rows of this request

  /// While it waits: why it could not start when the scheduler last tried, so that it does not look
  /// up its prefix again before that can have changed.
  struct Waiting {
    std::optional<PrefixKey> awaited;  // a running request computes this block for it
    std::optional<Room> no_room;       // it did not fit when there was this much room
    int overtaken = 0;                 // requests after it that started since, because they fit
  } waiting;

 private:
  std::vector<LaneToken> replayed_lanes() const;
  void count_step();
  void step_lanes(const std::vector<LaneToken>& lanes, EventBuffer& events);
  void add_lane(const TokenCounts& seen);
  void begin_stage(const std::vector<std::vector<int>>& titles, bool outlined, EventBuffer& events);
  void emit_openings(const std::vector<std::vector<EmittedToken>>& openings, EventBuffer& events);
  void add_counts(int branch);
  void emit_logits(int lane, std::span<const float> logits, EventBuffer& events) const;
  std::vector<int> draft_tokens() const;

  RequestSpec spec_;
  LaneTree tree_;
  std::chrono::steady_clock::time_point submitted_ = std::chrono::steady_clock::now();
  std::optional<std::chrono::steady_clock::time_point> first_token_at_;
  int tokens_before_first_ = 0;  // those of a log, and the first itself
  RequestStatus status_ = RequestStatus::kWaiting;
  FinishReason finish_reason_ = FinishReason::kStop;
  bool start_emitted_ = false;
  EventBuffer replayed_;
  bool step_counted_ = true;  // replay: the next tokens came from prefill or from a counted step
  Usage usage_;
  int rounds_counted_ = 0;                     // of the open stage, in usage_.steps
  std::vector<std::uint32_t> written_;         // [lanes]
  std::vector<int> visible_;                   // [lanes]: visible tokens of them
  std::vector<TokenCounts> counts_;            // [lanes]
  TokenCounts counts_before_stage_;            // of the trunk
  std::vector<LaneLogits> logits_rows_;        // of the current step, not sampled yet
  std::vector<LaneLogits> draft_logits_rows_;  // sampled only if the draft is accepted
  struct SampledLane {
    int lane;
    int row;  // index of its sampling row, or -1
    std::vector<float> probed;
  };
  std::vector<SampledLane> sampled_lanes_;
  std::map<int, std::map<int, float>> probed_;  // by lane and index: what probes have said so far
};

}  // namespace anabranch
