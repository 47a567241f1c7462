// Continuous batching over the lanes of all requests. Used by the engine thread only, but for what
// says otherwise.
#pragma once

#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "backends/backend.h"
#include "kv/blocks.h"
#include "dialect/dialect.h"
#include "serving/events.h"
#include "serving/step_time.h"
#include "serving/request.h"
#include "serving/score.h"

namespace anabranch {

struct SchedulerOptions {
  int max_running = 64;      // requests decoded at once
  int max_queue = 256;       // requests waiting for KV or a place
  int prefill_rows = 0;      // prompt tokens a step takes at the most; 0: what the backend thinks best
  bool validate = false;     // check the invariants after every step
};

struct LoadSnapshot {
  int running = 0;
  int queued = 0;
  int live_lanes = 0;
  int kv_free = 0;    // blocks that can be had, those of the prefix cache among them
  int kv_cached = 0;  // free blocks whose content is still known
  int kv_total = 0;
  std::uint64_t steps = 0;
  std::uint64_t decode_rows = 0;
  std::uint64_t prefill_rows = 0;  // rows of prompts, and of what was preempted
  std::uint64_t decode_steps = 0;  // steps without prefill rows,
  double decode_seconds = 0;       // and the time they took
  double prefill_seconds = 0;      // time of the other steps
  double bytes_read = 0;           // weights and KV, each once a step
  std::uint64_t preemptions = 0;
  std::uint64_t prompt_tokens = 0;  // of admitted requests,
  std::uint64_t cached_tokens = 0;  // and those of them that the prefix cache had
  std::uint64_t finished = 0;       // requests that ended, however
  double queue_wait_seconds = 0;    // estimate for a request that is queued now
};

class Scheduler {
 public:
  Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options);

  const std::optional<Dialect>& dialect() const { return dialect_; }
  const BlockPool& pool() const { return pool_; }

  /// A request ready to be queued. Throws Error for what can't be served, now or ever. Safe to call
  /// from any thread.
  std::shared_ptr<Request> make(RequestSpec spec);
  /// The same for a score of `runs`, which hold tokens.
  std::shared_ptr<Request> make_score(std::vector<StructureRun> runs, ResumeRule resume,
                                      bool want_logits, std::promise<Score> promise);

  /// Queues a request. The engine's door has refused what is more than max_queue.
  void submit(std::shared_ptr<Request> request);
  /// Ends a request at the next step; unknown ids are ignored (it may just have ended).
  void cancel(std::uint32_t id);
  void cancel_all();
  /// After a fault: nobody is told anything any more, and who waits for a score finds it broken.
  void abandon();

  bool idle() const { return waiting_.empty() && running_.empty(); }
  /// Admits, forwards one batch, advances, retires. Events of the step are added to `events`.
  void step(EventBuffer& events);

  LoadSnapshot load() const;

 private:
  void check(RequestSpec& spec) const;
  void queue(std::shared_ptr<Request> request);
  void end(Request& request, EventBuffer& events);
  void end_overdue(EventBuffer& events);
  void admit(EventBuffer& events);
  bool fits(Request& request) const;
  bool awaits_prefix(const Request& request) const;
  void build();
  int take(Request& request, int allowance);
  bool make_room(Request& request, int allowance);
  void preempt(Request& request);
  void retire(EventBuffer& events);

  Backend& backend_;
  std::optional<Dialect> dialect_;
  SchedulerOptions options_;
  BlockPool pool_;
  std::deque<std::shared_ptr<Request>> waiting_;   // in the order of their turns
  std::vector<std::shared_ptr<Request>> running_;  // in order of admission
  Batch batch_;
  std::vector<std::shared_ptr<Request>> in_batch_;
  StepTimeEstimator step_time_;
  std::uint64_t arrivals_ = 0;
  LoadSnapshot counters_;
};

}  // namespace anabranch
