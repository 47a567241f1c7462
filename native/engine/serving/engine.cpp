#include "serving/engine.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "dialect/dialect.h"
#include "error.h"
#include "hash.h"
#include "model/gguf.h"

namespace anabranch {
namespace {

std::string text_of(std::uint64_t digest) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(digest));
  return text;
}

std::string digest_of(const std::string& folder, const std::string& dialect,
                      const OutlineRules* outline, const Checkpoint& weights, WeightType type,
                      int context) {
  std::uint64_t state = fnv1a(weights.fingerprint(), dialect.data(), dialect.size());
  for (const char* name :
       {"config.json", "generation_config.json", "aspd.json", "tokenizer.json"}) {
    state = hash_file(state, folder + "/" + name);
  }
  if (outline) {
    const std::uint64_t rules = outline->fingerprint();
    state = fnv1a(state, &rules, sizeof rules);
  }
  state = fnv1a(state, &type, sizeof type);
  // The context chooses factors of long RoPE.
  return text_of(fnv1a(state, &context, sizeof context));
}

}  // namespace

Engine::Engine(const EngineOptions& options, OnEvents on_events, OnFault on_fault)
    : on_events_(std::move(on_events)),
      on_fault_(std::move(on_fault)),
      flush_interval_(options.flush_interval) {
  if (!std::filesystem::is_directory(options.model) && !is_gguf(options.model)) {
    throw bad_file(options.model, "is neither a model folder nor a GGUF file");
  }
  const ModelConfig config = read_config(options.model, options.max_context);
  // Files beside a GGUF file, such as a dialect, are those of its folder.
  const std::string folder = is_gguf(options.model)
                                 ? std::filesystem::path(options.model).parent_path().string()
                                 : options.model;
  weights_ = std::make_unique<Checkpoint>(options.model);
  auto dialect = read_dialect(options.dialect, folder, config.vocabulary);
  BackendOptions backend = options.backend;
  backend.weight_type = weight_type_for(config, *weights_, backend);
  backend_ = make_backend(config, *weights_, backend);
  weights_->release_pages();
  info_.backend = backend_->name();
  info_.digest = digest_of(folder, options.dialect, options.outline.get(), *weights_,
                           backend.weight_type, config.context);
  info_.dialect = dialect ? dialect->name : options.outline ? "outline" : "";
  info_.vocabulary = config.vocabulary;
  info_.context = config.context;
  info_.weight_bytes = backend_->weight_bytes();
  max_queue_ = options.scheduler.max_queue;
  scheduler_ = std::make_unique<Scheduler>(*backend_, std::move(dialect), options.scheduler,
                                           options.outline, options.trie);
  load_ = scheduler_->load();
  for (const AdapterSource& source : options.adapters) load_adapter(source);
  thread_ = std::thread([this] { run(); });
}

Engine::~Engine() { close(); }

// ---- adapters ----------------------------------------------------------------------------------

AdapterInfo Engine::info_of(const ServedAdapter& adapter) const {
  return {adapter.name, adapter.digest, adapter.dialect ? adapter.dialect->name : info_.dialect,
          adapter.weights.vocabulary};
}

AdapterInfo Engine::load_adapter(const AdapterSource& source) {
  std::shared_lock alive(alive_);
  if (!backend_) throw Error(ErrorCode::kUnavailable, "the engine is closed");
  const auto refuse_taken = [&] {
    if (source.name.empty()) throw bad_argument("an adapter needs a name");
    if (adapters_.contains(source.name)) {
      throw bad_argument("there is an adapter \"" + source.name +
                         "\" already; unload it first, or give another name");
    }
  };
  {
    std::lock_guard lock(adapters_mutex_);
    refuse_taken();
  }
  auto adapter = std::make_shared<ServedAdapter>();
  adapter->name = source.name;
  adapter->weights = read_adapter(source.path, backend_->config(), *weights_);
  if (source.tokens > adapter->weights.vocabulary) {
    throw bad_file(source.path, "the tokenizer has " + std::to_string(source.tokens) +
                                    " tokens, but the embedding has " +
                                    std::to_string(adapter->weights.vocabulary) +
                                    " rows; save the embedding and the head of the added tokens "
                                    "with the adapter");
  }
  backend_->prepare(adapter->weights);
  adapter->dialect = read_dialect(source.dialect, source.path, adapter->weights.vocabulary);
  std::uint64_t state =
      fnv1a(adapter->weights.fingerprint, info_.digest.data(), info_.digest.size());
  adapter->digest = text_of(fnv1a(state, source.dialect.data(), source.dialect.size()));
  std::lock_guard lock(adapters_mutex_);
  refuse_taken();
  adapters_.emplace(source.name, adapter);
  return info_of(*adapter);
}

void Engine::unload_adapter(const std::string& name) {
  ServedAdapterPtr unloaded = adapter(name);  // freed after the lock is released
  std::lock_guard lock(adapters_mutex_);
  adapters_.erase(name);
}

std::vector<AdapterInfo> Engine::adapters() const {
  std::lock_guard lock(adapters_mutex_);
  std::vector<AdapterInfo> out;
  for (const auto& [name, adapter] : adapters_) out.push_back(info_of(*adapter));
  return out;
}

ServedAdapterPtr Engine::adapter(const std::string& name) const {
  std::lock_guard lock(adapters_mutex_);
  const auto found = adapters_.find(name);
  if (found == adapters_.end()) {
    throw Error(ErrorCode::kNotFound, "there is no adapter \"" + name + "\"");
  }
  return found->second;
}

// ---- requests ----------------------------------------------------------------------------------

template <class Make>
void Engine::enqueue(Make make) {
  std::shared_lock alive(alive_);
  if (!scheduler_) throw Error(ErrorCode::kUnavailable, "the engine is closed");
  std::vector<std::shared_ptr<Request>> requests = make(*scheduler_);
  std::lock_guard lock(mutex_);
  if (closing_) throw Error(ErrorCode::kUnavailable, "the engine is closing");
  if (queued_ >= max_queue_) {
    throw Error(ErrorCode::kResourceExhausted,
                "the queue of " + std::to_string(max_queue_) + " requests is full",
                std::max(1.0, load_.queue_wait_seconds));
  }
  queued_ += static_cast<int>(requests.size());
  arriving_ += static_cast<int>(requests.size());
  // The scheduler alone keeps them: whoever else did would keep their blocks.
  commands_.push_back([this, requests = std::move(requests)]() mutable {
    scheduler_->submit(std::move(requests));
  });
  wake_.notify_one();
}

void Engine::submit(RequestSpec spec) {
  enqueue([&](Scheduler& scheduler) { return std::vector{scheduler.make(std::move(spec))}; });
}

void Engine::submit_group(std::vector<RequestSpec> specs) {
  enqueue([&](Scheduler& scheduler) {
    std::vector<std::shared_ptr<Request>> requests;
    for (RequestSpec& spec : specs) {
      try {
        requests.push_back(scheduler.make(std::move(spec)));
      } catch (const Error& error) {
        throw Error(error.code(),
                    "branches[" + std::to_string(requests.size()) + "]: " + error.what());
      }
    }
    return requests;
  });
}

void Engine::cancel(std::uint32_t id) {
  std::lock_guard lock(mutex_);
  if (closing_) return;
  commands_.push_back([this, id] { scheduler_->cancel(id); });
  wake_.notify_one();
}

std::future<Score> Engine::score(std::vector<StructureRun> runs, ResumeRule resume,
                                 ScoreWanted wanted, ServedAdapterPtr adapter, std::uint32_t id) {
  std::promise<Score> promise;
  auto future = promise.get_future();
  if (tokens_of(runs) == 0) {
    Score nothing;
    for (const auto& run : runs) nothing.logprobs.emplace_back(run.tokens.size());
    promise.set_value(std::move(nothing));
    return future;
  }
  enqueue([&](Scheduler& scheduler) {
    return std::vector{scheduler.make_score(id, std::move(runs), resume, wanted, std::move(adapter),
                                            std::move(promise))};
  });
  return future;
}

LoadSnapshot Engine::load() const {
  std::lock_guard lock(mutex_);
  return load_;
}

void Engine::publish(const LoadSnapshot& load) {
  std::lock_guard lock(mutex_);
  load_ = load;
  queued_ = load.queued + arriving_;
}

bool Engine::should_flush(const EventBuffer& events, int running) const {
  if (events.empty()) return false;
  const auto interval = std::max(flush_interval_, flush_interval_ * running / kRequestsPerFlush);
  return events.has(EventKind::kStarted) || events.has(EventKind::kFinished) ||
         scheduler_->idle() || std::chrono::steady_clock::now() - last_flush_ >= interval;
}

void Engine::run() {
  EventBuffer events;
  try {
    while (true) {
      std::vector<std::function<void()>> commands;
      bool closing = false;
      {
        std::unique_lock lock(mutex_);
        if (scheduler_->idle()) wake_.wait(lock, [&] { return closing_ || !commands_.empty(); });
        commands.swap(commands_);
        arriving_ = 0;
        closing = closing_;
      }
      for (auto& command : commands) command();
      if (closing) scheduler_->cancel_all();
      scheduler_->step(events);
      // The load is published before the events, so that whoever sees an answer end also sees its
      // blocks free.
      const LoadSnapshot load = scheduler_->load();
      publish(load);
      if (should_flush(events, static_cast<int>(load.running))) {
        if (events.has(EventKind::kToken)) last_flush_ = std::chrono::steady_clock::now();
        on_events_(events.take());
      }
      if (closing && scheduler_->idle()) return;
    }
  } catch (const std::exception& error) {
    {
      // Requests still in commands_ are dropped; their scores report a broken promise.
      std::lock_guard lock(mutex_);
      closing_ = true;
      commands_.clear();
    }
    scheduler_->drop_all();
    on_fault_(error.what());
  }
}

void Engine::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  std::unique_lock alive(alive_);
  scheduler_.reset();
  {
    std::lock_guard lock(adapters_mutex_);
    adapters_.clear();
  }
  backend_.reset();
  weights_.reset();
}

}  // namespace anabranch
