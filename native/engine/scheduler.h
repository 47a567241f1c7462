// Continuous batching over the lanes of all requests. Used by the engine thread only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "backend.h"
#include "blocks.h"
#include "dialect.h"
#include "events.h"
#include "request.h"

namespace anabranch {

struct SchedulerOptions {
  int max_running = 64;      // requests decoded at once
  int max_queue = 256;       // requests waiting for KV or a place
  int prefill_rows = 128;    // prompt tokens a step takes beside decode rows
  bool validate = false;     // check the invariants after every step
};

struct LoadSnapshot {
  int running = 0;
  int queued = 0;
  int live_lanes = 0;
  int kv_free = 0;
  int kv_total = 0;
  std::uint64_t steps = 0;
  std::uint64_t decode_rows = 0;
  std::uint64_t prefill_rows = 0;
  std::uint64_t decode_steps = 0;  // steps without prefill rows,
  double decode_seconds = 0;       // and the time they took
  double prefill_seconds = 0;      // time of the other steps
};

class Scheduler {
 public:
  Scheduler(Backend& backend, std::optional<Dialect> dialect, SchedulerOptions options);

  const std::optional<Dialect>& dialect() const { return dialect_; }
  BlockPool& pool() { return pool_; }

  /// What a request may come to need, in blocks, and whether it can ever fit. Throws Error for
  /// what can't be served; safe to call from any thread.
  int check(RequestSpec& spec) const;

  /// Queues a checked request. The engine's door has refused what is more than max_queue.
  void submit(RequestSpec spec, int blocks);
  /// Ends a request at the next step; unknown ids are ignored (it may just have ended).
  void cancel(std::uint32_t id);
  void cancel_all();

  bool idle() const { return waiting_.empty() && running_.empty(); }
  /// Admits, forwards one batch, advances, retires. Events of the step are added to `events`.
  void step(Events& events);

  LoadSnapshot load() const;

 private:
  void end_overdue(Events& events);
  void admit(Events& events);
  void build();
  void retire(Events& events);

  Backend& backend_;
  std::optional<Dialect> dialect_;
  SchedulerOptions options_;
  BlockPool pool_;
  std::deque<std::unique_ptr<Request>> waiting_;
  std::vector<std::unique_ptr<Request>> running_;
  Batch batch_;
  std::vector<Request*> in_batch_;
  std::vector<float> logits_;
  LoadSnapshot counters_;
};

}  // namespace anabranch
