// The engine: one thread that owns all serving state, and a thread-safe interface to it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "backends/backend.h"
#include "serving/request.h"
#include "serving/scheduler.h"
#include "serving/score.h"
#include "serving/served_adapter.h"

namespace anabranch {

inline constexpr int kRequestsPerFlush = 50;

struct EngineOptions {
  std::string model;    // folder in Hugging Face format
  std::string dialect;  // JSON; empty: the folder's aspd.json, if it has one
  /// How a model without a dialect branches; null: it is serial. Its texts serve dialects, too.
  std::shared_ptr<const OutlineRules> outline;
  std::shared_ptr<const TokenTrie> trie;  // for requests with a grammar; null: none can have one
  int max_context = 0;                    // maximum number of positions; 0: the model's own
  std::vector<AdapterSource> adapters;
  BackendOptions backend;
  SchedulerOptions scheduler;
  /// Minimum time between two deliveries of tokens; starts and ends are delivered at once. Zero:
  /// every step delivers. For small models a delivery costs more than a step. More than
  /// kRequestsPerFlush running requests are delivered more rarely in proportion, because each has a
  /// message of its own in every delivery.
  std::chrono::milliseconds flush_interval{0};
};

struct EngineInfo {
  std::string backend;
  std::string digest;   // of weights, config and dialect: equal digests give equal answers
  std::string dialect;  // its name; "outline" if answers are outlined, empty if they are serial
  int vocabulary = 0;
  int context = 0;
  std::uint64_t weight_bytes = 0;
};

struct AdapterInfo {
  std::string name;
  std::string digest;
  std::string dialect;  // its name; empty if requests with this adapter can't branch
  int vocabulary = 0;
};

/// All members may be called from any thread. `on_events` is called on the engine thread, at most
/// once per step, with everything that happened since the last call; it must not block. If a step
/// throws, `on_fault` is called once on the same thread, and the engine stops serving.
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

  /// Reads an adapter on the caller's thread, while requests run. Throws Error naming what is wrong
  /// with it, or if another adapter has its name.
  AdapterInfo load_adapter(const AdapterSource& source);
  /// Later requests can't ask for it. Running ones keep it until they end, and then its memory is
  /// freed. Throws Error if there is none of this name.
  void unload_adapter(const std::string& name);
  /// In order of names.
  std::vector<AdapterInfo> adapters() const;
  /// For a request's spec. Throws Error if there is none of this name.
  ServedAdapterPtr adapter(const std::string& name) const;

  /// Queues a request. Its events carry spec.id, which must not be in use. Throws Error if the
  /// request can't be served now, or ever.
  void submit(RequestSpec spec);
  /// Queues requests that arrive together, the branches of one answer: all of them, or none. Where
  /// their prompts begin alike, whole blocks are prefilled once. A queue that is not full takes
  /// them all. Throws as submit() does; the error of one request names it as "branches[i]".
  void submit_group(std::vector<RequestSpec> specs);
  /// Finishes a request in the next step; it still emits `finished`. Ignores unknown ids.
  void cancel(std::uint32_t id);
  /// Scores structured tokens, scheduled like any request. Throws as submit() does. The future
  /// throws std::future_error if the engine closes first, and Error after cancel(id). `id` is one
  /// that no request has, or 0 for a score that is never cancelled.
  std::future<Score> score(std::vector<StructureRun> runs, ResumeRule resume, ScoreWanted wanted,
                           ServedAdapterPtr adapter = nullptr, std::uint32_t id = 0);
  LoadSnapshot load() const;
  /// Cancels and reports all requests, joins the thread and frees all memory. Idempotent.
  void close();

 private:
  AdapterInfo info_of(const ServedAdapter& adapter) const;
  /// make(scheduler) makes the requests.
  template <class Make>
  void enqueue(Make make);
  void run();
  void publish(const LoadSnapshot& load);
  bool should_flush(const EventBuffer& events, int running) const;

  /// Held shared while other threads use the members below, and exclusively to destroy them.
  mutable std::shared_mutex alive_;
  std::unique_ptr<Checkpoint> weights_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Scheduler> scheduler_;
  EngineInfo info_;
  OnEvents on_events_;
  OnFault on_fault_;
  int max_queue_ = 0;
  std::chrono::milliseconds flush_interval_;
  std::chrono::steady_clock::time_point last_flush_;  // of tokens

  mutable std::mutex adapters_mutex_;
  std::map<std::string, ServedAdapterPtr> adapters_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::vector<std::function<void()>> commands_;  // run on the engine thread, in order
  LoadSnapshot load_;
  int queued_ = 0;    // submitted and not admitted
  int arriving_ = 0;  // of these, still in commands_
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace anabranch
