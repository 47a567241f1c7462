#include "bench/measurements.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "error.h"
#include "serving/scheduler.h"

namespace anabranch {

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return NAN;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(q * static_cast<double>(values.size())))];
}

std::vector<int> Measurements::random_tokens(int n) {
  std::vector<int> out(n);
  for (int& token : out) token = static_cast<int>(random_() % static_cast<unsigned>(vocabulary_));
  return out;
}

Measurements::Decode Measurements::decode(int prefix, int lanes, int tokens) {
  SchedulerOptions options;
  Scheduler scheduler(backend_, std::nullopt, options);
  RequestSpec spec;
  spec.id = 1;
  spec.prompt = {{false, {random_tokens(prefix)}}};
  spec.script = {{false, {spec.prompt[0].tokens[0]}}, {true, {}}, {false, {random_tokens(8)}}};
  for (int lane = 0; lane < lanes; ++lane) spec.script[1].tokens.push_back(random_tokens(tokens));
  scheduler.submit({scheduler.make(std::move(spec))});
  std::vector<double> steps;
  Decode out;
  for (;;) {
    const LoadSnapshot before = scheduler.load();
    const auto began = std::chrono::steady_clock::now();
    EventBuffer events;
    scheduler.step(events);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const LoadSnapshot after = scheduler.load();
    const bool decoded = after.steps > before.steps && after.prefill_rows == before.prefill_rows;
    if (decoded) steps.push_back(took.count());
    if (decoded && steps.size() == static_cast<size_t>(tokens) / 2) {
      out.kv_bytes = static_cast<double>(backend_.kv_bytes());
    }
    if (after.finished > 0) break;
  }
  const auto in_lanes = static_cast<size_t>(tokens);
  if (steps.size() < in_lanes) throw Error(ErrorCode::kInternal, "too few steps");
  out.step = median({steps.begin() + 1, steps.begin() + static_cast<std::ptrdiff_t>(in_lanes)});
  out.fork = steps[0];
  out.join = steps.size() > in_lanes ? steps[in_lanes] : NAN;
  return out;
}

double Measurements::sample(int prefix, int tokens, const SamplingParams& sampling) {
  Scheduler scheduler(backend_, std::nullopt, SchedulerOptions());
  RequestSpec spec;
  spec.id = 1;
  spec.prompt = {{false, {random_tokens(prefix)}}};
  spec.max_tokens = tokens;
  spec.ignore_eos = true;
  spec.sampling = sampling;
  scheduler.submit({scheduler.make(std::move(spec))});
  std::vector<double> steps;
  while (scheduler.load().finished == 0) {
    const std::uint64_t prefilled = scheduler.load().prefill_rows;
    const auto began = std::chrono::steady_clock::now();
    EventBuffer events;
    scheduler.step(events);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    if (scheduler.load().prefill_rows == prefilled) steps.push_back(took.count());
  }
  return median(steps);
}

double Measurements::decode_requests(int requests, int prompt, int tokens,
                                     const std::vector<ServedAdapterPtr>& adapters) {
  SchedulerOptions options;
  options.max_running = options.max_queue = requests;
  Scheduler scheduler(backend_, std::nullopt, options);
  for (int i = 0; i < requests; ++i) {
    RequestSpec spec;
    spec.id = static_cast<std::uint32_t>(i);
    spec.prompt = {{false, {random_tokens(prompt)}}};
    spec.script = {{false, {spec.prompt[0].tokens[0]}}, {false, {random_tokens(tokens)}}};
    spec.adapter = adapters[static_cast<size_t>(i) % adapters.size()];
    scheduler.submit({scheduler.make(std::move(spec))});
  }
  std::vector<double> steps;
  while (scheduler.load().finished == 0) {
    const std::uint64_t decoded = scheduler.load().decode_rows;
    const auto began = std::chrono::steady_clock::now();
    EventBuffer events;
    scheduler.step(events);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    if (scheduler.load().decode_rows - decoded == static_cast<std::uint64_t>(requests))
      steps.push_back(took.count());
  }
  return median(steps);
}

double Measurements::prefill(int prompt) {
  SchedulerOptions options;
  Scheduler scheduler(backend_, std::nullopt, options);
  RequestSpec spec;
  spec.id = 1;
  spec.prompt = {{false, {random_tokens(prompt)}}};
  spec.max_tokens = 1;
  scheduler.submit({scheduler.make(std::move(spec))});
  const auto began = std::chrono::steady_clock::now();
  while (scheduler.load().finished == 0) {
    EventBuffer events;
    scheduler.step(events);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Measurements::Serving Measurements::serve(int requests, bool abort) {
  SchedulerOptions options;
  options.max_running = requests;
  options.max_queue = requests;
  Scheduler scheduler(backend_, std::nullopt, options);
  std::vector<int> cancel_after(requests, -1);
  for (int i = 0; i < requests; ++i) {
    RequestSpec spec;
    spec.id = static_cast<std::uint32_t>(i);
    spec.prompt = {{false, {random_tokens(64 + static_cast<int>(random_() % 448))}}};
    spec.script = {{false, {spec.prompt[0].tokens[0]}},
                   {false, {random_tokens(16)}},
                   {true, {}},
                   {false, {random_tokens(16)}}};
    const int lanes = 2 + static_cast<int>(random_() % 5);
    for (int lane = 0; lane < lanes; ++lane) {
      spec.script[2].tokens.push_back(random_tokens(24 + static_cast<int>(random_() % 104)));
    }
    if (abort) cancel_after[i] = static_cast<int>(random_() % 160);
    scheduler.submit({scheduler.make(std::move(spec))});
  }
  Serving out;
  const auto began = std::chrono::steady_clock::now();
  auto last = began;
  std::uint64_t rows = 0;
  while (scheduler.load().finished < static_cast<std::uint64_t>(requests)) {
    for (int i = 0; i < requests; ++i) {
      if (cancel_after[i]-- == 0) scheduler.cancel(static_cast<std::uint32_t>(i));
    }
    EventBuffer events;
    scheduler.step(events);
    const auto now = std::chrono::steady_clock::now();
    const LoadSnapshot load = scheduler.load();
    if (load.decode_rows > rows)
      out.gaps.push_back(std::chrono::duration<double>(now - last).count());
    rows = load.decode_rows;
    last = now;
  }
  const LoadSnapshot load = scheduler.load();
  out.seconds = std::chrono::duration<double>(last - began).count();
  out.tokens = static_cast<double>(load.decode_rows);
  out.missing = load.kv_total - load.kv_free;
  return out;
}

}  // namespace anabranch
