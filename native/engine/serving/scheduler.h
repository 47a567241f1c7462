// Continuous batching over the lanes of all requests. Used by the engine thread only, except for
// the members that say otherwise.
#pragma once

#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "dialect/dialect.h"
#include "grammar/grammar.h"
#include "kv/blocks.h"
#include "serving/events.h"
#include "outline/outline_rules.h"
#include "serving/branch_schedule.h"
#include "serving/request.h"
#include "serving/request_validation.h"
#include "serving/score.h"
#include "serving/step_time.h"

namespace anabranch {

struct SchedulerOptions {
  int max_running = 64;  // requests decoded at once
  int max_queue = 256;   // requests waiting to be admitted
  int prefill_rows = 0;  // maximum prompt tokens per step; 0: the backend's default
  BranchScheduleOptions branches;
  bool validate = false;  // check the invariants after every step
};

struct LoadSnapshot {
  int running = 0;
  int queued = 0;
  int live_lanes = 0;
  int pending_prefill = 0;    // prompt tokens to be computed, of running and waiting requests
  double context_tokens = 0;  // that the last step's decode rows read
  StepCosts step_costs;       // as measured until now
  int kv_free = 0;            // blocks that can be allocated, including kv_cached
  int kv_cached = 0;          // free blocks in the prefix cache
  int kv_total = 0;
  std::uint64_t steps = 0;
  std::uint64_t decode_rows = 0;
  std::uint64_t prefill_rows = 0;    // of prompts, and of preempted requests
  std::uint64_t decode_steps = 0;    // steps without prefill rows,
  double decode_seconds = 0;         // and their time
  double prefill_seconds = 0;        // time of steps with prefill rows
  double bytes_read = 0;             // weights and KV, each once per step
  std::uint64_t held_lanes = 0;      // lanes that waited while siblings decoded, summed over steps
  double predicted_seconds = 0;      // of steps, as predicted before each,
  double misprediction_seconds = 0;  // and by how much their times differed from that
  double scheduling_seconds = 0;     // of steps, neither in the forward pass nor in sampling
  std::uint64_t preemptions = 0;
  std::uint64_t prompt_tokens = 0;  // of admitted requests,
  std::uint64_t cached_tokens = 0;  // and those of them found in the prefix cache
  std::uint64_t finished = 0;       // requests that finished, for any reason
  double queue_wait_seconds = 0;    // estimate for a request queued now
};

class Scheduler {
 public:
  /// Without a dialect, requests that may branch do so by `outline`, if it is given; with
  /// one, its texts tell whether visible titles repeat each other. Without `trie`, none can have a
  /// grammar.
  Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options,
            std::shared_ptr<const OutlineRules> outline = nullptr,
            std::shared_ptr<const TokenTrie> trie = nullptr);

  /// A request ready to be queued. Throws Error if it can't ever be served. May be called from any
  /// thread.
  std::shared_ptr<Request> make(RequestSpec spec);
  /// The same for a score of `runs`, which must not be empty; `adapter` may be null.
  std::shared_ptr<Request> make_score(std::uint32_t id, std::vector<StructureRun> runs,
                                      ResumeRule resume, ScoreWanted wanted,
                                      ServedAdapterPtr adapter, std::promise<Score> promise);

  /// Queues requests that arrived together. The caller enforces max_queue.
  void submit(std::vector<std::shared_ptr<Request>> group);
  /// Finishes a request in the next step. Ignores unknown ids: the request may just have finished.
  void cancel(std::uint32_t id);
  void cancel_all();
  /// After a fault: forgets all requests without events; futures of scores report a broken promise.
  void drop_all();

  bool idle() const { return waiting_.empty() && running_.empty(); }
  /// Admits, forwards one batch, advances and retires requests. Adds the step's events to `events`.
  void step(EventBuffer& events);

  LoadSnapshot load() const;

 private:
  RequestLimits limits_of(const ServedAdapterPtr& adapter) const;
  std::unique_ptr<DecodingPolicy> policy_of(const RequestSpec& spec, const Dialect* dialect);
  void enqueue(std::shared_ptr<Request> request);
  void emit_finished(Request& request, EventBuffer& events);
  void expire(EventBuffer& events);
  void retire(EventBuffer& events);
  Room room() const;
  bool fits(Request& request, const Room& room, int freed) const;
  bool preempt_for(Request& request);
  bool will_publish(const PrefixKey& key) const;
  bool still_waits(const Request& request) const;
  bool can_start(Request& request, int& cached);
  void admit(EventBuffer& events);
  void start(Request& request, int cached, EventBuffer& events);
  void preempt(Request& request);
  bool free_blocks_for(Request& request, int allowance);
  int add_to_batch(Request& request, int allowance);
  StepWork build_batch();
  double run_batch(EventBuffer& events);
  void count_step(const StepWork& work, double seconds);
  void check_invariants() const;

  Backend& backend_;
  std::optional<Dialect> dialect_;
  std::shared_ptr<const OutlineRules> outline_;
  Grammars grammars_;
  SchedulerOptions options_;
  BlockPool pool_;
  std::uint64_t freed_by_trying_ = 0;  // how often requests that could not start freed a block
  std::deque<std::shared_ptr<Request>> waiting_;   // in scheduling order
  std::vector<std::shared_ptr<Request>> running_;  // in order of admission
  Batch batch_;
  std::vector<std::shared_ptr<Request>> in_batch_;
  BranchSchedule branches_;
  StepTimeModel step_time_;
  QueueWait queue_wait_;
  std::uint64_t arrivals_ = 0;
  LoadSnapshot counters_;
};

}  // namespace anabranch
