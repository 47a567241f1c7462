// The engine: one thread that owns all state of serving, and a door to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "backends/backend.h"
#include "serving/request.h"
#include "serving/scheduler.h"
#include "serving/score.h"

namespace anabranch {

struct EngineOptions {
  std::string model;  // folder in Hugging Face format
  std::string dialect;  // JSON; empty: that of the folder, where it has one
  BackendOptions backend;
  SchedulerOptions scheduler;
  /// Tokens are told this long after the last ones, or later; what begins or ends is told at once. Zero:
  /// every step tells. A small model's step is shorter than what listening to it costs.
  std::chrono::milliseconds flush_interval{0};
};

/// What the engine serves, as others need to know it.
struct EngineInfo {
  std::string backend;
  std::string digest;    // of weights, config and dialect: equal digests give equal answers
  std::string dialect;   // its name; empty where the model has none
  int vocabulary = 0;
  int context = 0;
  std::uint64_t weight_bytes = 0;
};

/// All members may be called from any thread. `on_events` is called from the engine thread, at most
/// once a step, with everything that happened since the last call; it must not block. `on_fault` is called once,
/// from the same thread, if a step throws: the engine then serves no more.
class Engine {
 public:
  using OnEvents = std::function<void(std::vector<std::uint32_t>)>;
  using OnFault = std::function<void(std::string)>;

  /// Loads the model. Throws Error naming what is wrong with the folder or the options.
  Engine(const EngineOptions& options, OnEvents on_events, OnFault on_fault);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const EngineInfo& info() const { return info_; }

  /// Queues a request; its events carry spec.id, which must not be in use. Throws Error where it
  /// can't be served, now or ever.
  void submit(RequestSpec spec);
  /// Ends a request at the next step; it still gets its `finished`. Unknown ids are ignored.
  void cancel(std::uint32_t id);
  /// Structured prefill, in turn with all other requests. Throws as submit() does; the future throws
  /// std::future_error if the engine closes first.
  std::future<Score> score(std::vector<StructureRun> runs, ResumeRule resume, bool want_logits);
  LoadSnapshot load() const;
  /// Cancels everything, tells of it, joins the thread and gives all memory back. Idempotent.
  void close();

 private:
  /// make(scheduler) makes the request.
  template <class Make>
  void enqueue(Make make);
  void run();
  void publish(const LoadSnapshot& load);
  bool should_flush(const EventBuffer& events) const;

  mutable std::shared_mutex alive_;  // shared by who uses these from outside; none are left after close()
  std::unique_ptr<Checkpoint> weights_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Scheduler> scheduler_;
  EngineInfo info_;
  OnEvents on_events_;
  OnFault on_fault_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> commands_;  // run on the engine thread, in order
  LoadSnapshot load_;
  int queued_ = 0;     // submitted and not yet admitted, as known to submit()
  int arriving_ = 0;   // of these, not yet seen by the engine thread
  int max_queue_ = 0;
  std::chrono::milliseconds flush_interval_;
  std::chrono::steady_clock::time_point last_flush_;  // when the last tokens were
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace anabranch
