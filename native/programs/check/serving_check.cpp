// The engine, called by several threads at once.
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "check/checks.h"
#include "serving/engine.h"

namespace anabranch {
void check_serving(const std::string& folder) {
  constexpr int kClients = 3, kEach = 40;
  std::mutex mutex;
  std::condition_variable ended;
  int finished = 0;
  std::string wrong;
  EngineOptions options;
  options.model = folder;
  options.backend.threads = 2;
  options.backend.kv_bytes = 8 << 20;
  options.scheduler.validate = true;
  options.scheduler.max_running = 16;
  options.scheduler.branches = branch_schedule_of("slack");
  options.scheduler.branches.max_time_per_token = 1e-3;
  const auto on_events = [&](std::vector<std::uint32_t> words) {
    std::lock_guard lock(mutex);
    for (size_t i = 0; i + 2 < words.size(); i += 3 + words[i + 2]) {
      finished += words[i] == static_cast<std::uint32_t>(EventKind::kFinished);
    }
    ended.notify_all();
  };
  const auto on_fault = [&](std::string message) {
    std::lock_guard lock(mutex);
    wrong = message;
    ended.notify_all();
  };
  {
    Engine engine(options, on_events, on_fault);
    std::vector<std::jthread> clients;
    for (int client = 0; client < kClients; ++client) {
      clients.emplace_back([&engine, client] {
        for (int i = 0; i < kEach; ++i) {
          RequestSpec spec;
          spec.id = static_cast<std::uint32_t>(client * kEach + i);
          spec.prompt = {{false, {std::vector<int>(1 + i * 3 % 50, 4 + i)}}};
          spec.max_tokens = 1 + i % 30;
          spec.parallel = true;
          spec.sampling.temperature = i % 2;
          engine.submit(spec);
          if (i % 4 == 0) engine.cancel(spec.id);
          if (i % 10 == 0) engine.score(spec.prompt, ResumeRule::kSum, {.logits = true}).get();
          engine.load();
        }
      });
    }
    clients.clear();
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return finished == kClients * kEach || !wrong.empty(); });
    lock.unlock();
    const LoadSnapshot load = engine.load();
    if (wrong.empty() && load.kv_free != load.kv_total) wrong = "KV blocks were not freed";
    RequestSpec last;
    last.prompt = {{false, {{5}}}};
    last.max_tokens = 100;
    engine.submit(last);
    std::jthread closer([&engine] { engine.close(); });
  }
  report("serving from " + std::to_string(kClients) + " threads", wrong);
}

}  // namespace anabranch
