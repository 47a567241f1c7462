// The CUDA backend's kernels against plain arithmetic in double, and whole models against fp32 weights on
// the CPU. Built twice: for a device, and emulated.
#include "cuda_check.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "../cuda/backend.h"
#include "../cuda/kernels.h"
#include "../cuda/memory.h"
#include "../dialect.h"
#include "../numbers.h"
#include "../scheduler.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

#if defined(ANABRANCH_EMULATE)
const std::string kName = "emulated ";
constexpr bool kSmall = true;
#else
const std::string kName = "cuda ";
constexpr bool kSmall = false;
#endif

/// The accepted error of whole models, as normalised mean squared error, where weights, activations
/// and KV are bf16.
constexpr double kNmse = 1e-3;

double nmse(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size() || got.empty()) return INFINITY;
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    size += double{want[i]} * want[i];
  }
  return error / size;
}

template <class T>
Array<T> sent(const std::vector<T>& values) {
  Array<T> out(values.size(), "a check");
  check(cudaMemcpyAsync(out.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice,
                        cudaStream_t{}),
        "sending");
  check(cudaStreamSynchronize(cudaStream_t{}), "sending");
  return out;
}
template <class T>
std::vector<T> fetched(const Array<T>& from) {
  std::vector<T> out(from.count());
  check(cudaStreamSynchronize(cudaStream_t{}), "a check");
  check(cudaMemcpyAsync(out.data(), from.data(), out.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        cudaStream_t{}),
        "fetching");
  check(cudaStreamSynchronize(cudaStream_t{}), "fetching");
  return out;
}

std::string gemm_wrong(int m, int n, int k, bool accumulate, bool bias) {
  std::mt19937 random(static_cast<unsigned>(m * 1000 + n + k));
  std::normal_distribution<float> normal;
  const size_t depth = padded(k, kDepth), rows = padded(n, kStrip);
  std::vector<Bf16> x(m * depth), w(rows * depth);
  std::vector<float> biases(n), out(static_cast<size_t>(m) * n);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < k; ++j) x[i * depth + j] = to_bf16(normal(random));
  }
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < k; ++j) w[i * depth + j] = to_bf16(normal(random));
    biases[i] = normal(random);
  }
  for (float& value : out) value = accumulate ? normal(random) : NAN;
  const auto device_x = sent(x), device_w = sent(w);
  const auto device_bias = sent(biases), device_out = sent(out);
  gemm({device_x.data(), m, device_w.data(), n, static_cast<int>(depth),
        bias ? device_bias.data() : nullptr, device_out.data(), accumulate, false},
       cudaStream_t{});
  check(cudaGetLastError(), "gemm");
  const std::vector<float> got = fetched(device_out);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      const size_t at = static_cast<size_t>(i) * n + j;
      double want = (accumulate ? out[at] : 0) + (bias ? biases[j] : 0);
      for (int d = 0; d < k; ++d) {
        want += double{from_bf16(x[i * depth + d])} * from_bf16(w[j * depth + d]);
      }
      if (!(std::abs(got[at] - want) <= 1e-3 * std::sqrt(k))) {
        return std::to_string(m) + " by " + std::to_string(n) + " by " + std::to_string(k) + " at " +
               std::to_string(i) + ", " + std::to_string(j) + ": " + std::to_string(got[at]) +
               " for " + std::to_string(want);
      }
    }
  }
  return "";
}

void check_gemm(Report report) {
  std::string wrong;
  const std::vector<int> rows = kSmall ? std::vector{1, 3, 9, 17, 33, 65, 130}
                                       : std::vector{1, 3, 8, 9, 16, 17, 32, 33, 64, 65, 128, 130};
  for (int m : rows) {
    for (const auto& [n, k] : {std::pair{16, 32}, {40, 896}, {130, 72}, {257, 160}}) {
      if (kSmall && m > 16 && n * k > 10000) continue;
      if (wrong.empty()) wrong = gemm_wrong(m, n, k, m % 2 == 0, m % 3 == 0);
    }
  }
  report(kName + "gemm", wrong);
}

void check_choose(Report report) {
  constexpr int kVocabulary = 3001;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> logits(4 * kVocabulary);
  for (float& logit : logits) logit = normal(random);
  logits[17] = logits[1500] = 9;                       // equals: the lowest
  logits[kVocabulary + 5] = NAN;                       // never wins
  logits[kVocabulary + 6] = 8;
  for (int i = 0; i < kVocabulary; ++i) logits[3 * kVocabulary + i] = NAN;
  const float masked = INFINITY;
  const std::vector<Edit> edits = {{2, 40, 1, -20}, {2, 40, 1, masked}, {2, 41, 2, -30}};
  const std::vector<int> only = {7, 3, 2999};
  std::vector<ChoicePick> picks(5, ChoicePick{0, 0, 0, 0, 0, 0, 1, 0, 0, 0});
  picks[1].row = 1;
  picks[2].row = 2;
  picks[2].edits = 3;
  // A row is chosen from once: the fourth pick has its own copy.
  std::vector<float> all = logits;
  all.insert(all.end(), logits.begin(), logits.begin() + kVocabulary);
  picks[3].row = 4;
  picks[3].only = 3;
  picks[4].row = 3;
  const auto device = sent(all);
  const auto device_picks = sent(picks);
  const auto device_edits = sent(edits);
  const auto device_only = sent(only);
  const Array<int> out(picks.size(), "a check");
  choose(device.data(), kVocabulary, device_picks.data(), static_cast<int>(picks.size()),
         device_edits.data(), device_only.data(), out.data(), cudaStream_t{});
  check(cudaGetLastError(), "choose");
  const std::vector<int> got = fetched(out);
  int likeliest = only[0];
  for (int token : only) likeliest = logits[token] > logits[likeliest] ? token : likeliest;
  const std::vector<int> want = {17, 6, 41, likeliest, -1};
  std::string wrong;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i] != want[i]) {
      wrong += "pick " + std::to_string(i) + " is " + std::to_string(got[i]) + " for " +
               std::to_string(want[i]) + "; ";
    }
  }
  report(kName + "choose greedily", wrong);
}

/// Every sampler, against the CPU's on the same logits; equal weights among them. What falls within
/// rounding of a border may go either way: that is rare.
void check_sampling(Report report) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto pick_of = [&](auto... values) {
    const float all[] = {static_cast<float>(values)...};
    return all[random() % (sizeof...(values))];
  };
  constexpr int kRows = 200;
  int vocabulary = 700, different = 0, drawn = 0;
  std::string wrong;
  for (int round = 0; round < (kSmall ? 2 : 40); ++round, vocabulary = vocabulary * 5 + 3) {
    if (vocabulary > 160000) vocabulary = 700;
    const int rows = kSmall ? 30 : kRows;
    std::vector<float> logits(static_cast<size_t>(rows) * vocabulary);
    for (float& logit : logits) logit = std::round(normal(random) * 8) / 2;  // many are equal
    std::vector<ChoicePick> picks;
    std::vector<Choice> choices(rows);
    std::vector<Sampling> samplings(rows);
    const TokenCounts none;
    for (int i = 0; i < rows; ++i) {
      Sampling& s = samplings[i];
      s.temperature = pick_of(0.3, 0.8, 1, 2);
      s.top_k = static_cast<int>(pick_of(0, 0, 2, 3, 40, 1000000));
      s.top_p = pick_of(1, 1, 0.001, 0.5, 0.9);
      s.min_p = pick_of(0, 0, 0.05, 1);
      choices[i] = {&s, &none, {}, (static_cast<double>(random()) + 0.5) / 4294967296.0};
      picks.push_back({i, 0, 0, 0, 0, s.temperature, s.top_p, s.top_k, s.min_p, choices[i].uniform});
    }
    const auto device = sent(logits);
    const auto device_picks = sent(picks);
    const Array<int> out(picks.size(), "a check");
    ANABRANCH_CUDA::choose(device.data(), vocabulary, device_picks.data(), rows, nullptr, nullptr,
                           out.data(), cudaStream_t{});
    check(cudaGetLastError(), "choose");
    const std::vector<int> got = fetched(out);
    for (int i = 0; i < rows; ++i, ++drawn) {
      const int want = anabranch::choose(
          {logits.data() + static_cast<size_t>(i) * vocabulary, static_cast<size_t>(vocabulary)},
          choices[i]).token;
      if (got[i] == want) continue;
      if (++different <= 3) {
        const Sampling& s = samplings[i];
        wrong += "vocabulary " + std::to_string(vocabulary) + ", temperature " +
                 std::to_string(s.temperature) + ", top-k " + std::to_string(s.top_k) + ", top-p " +
                 std::to_string(s.top_p) + ", min-p " + std::to_string(s.min_p) + ": " +
                 std::to_string(got[i]) + " for " + std::to_string(want) + "; ";
      }
    }
  }
  if (different * 100 <= drawn) wrong.clear();
  report(kName + "sampling: " + std::to_string(different) + " of " + std::to_string(drawn) +
             " at a border",
         wrong);
}

/// Serial text, forks and joins of odd lengths, some beyond a block and a piece.
std::vector<StructureRun> structured(int vocabulary, int context) {
  std::mt19937 random(11);
  const auto tokens = [&](int n) {
    std::vector<int> out(n);
    for (int& token : out) token = static_cast<int>(random() % static_cast<unsigned>(vocabulary));
    return out;
  };
  std::vector<StructureRun> runs = {{false, {tokens(21)}},
                                    {true, {tokens(17), tokens(1), tokens(33)}},
                                    {false, {tokens(5)}},
                                    {true, {tokens(2), tokens(16)}},
                                    {false, {tokens(9)}}};
  if (context >= 1024) runs[0].tokens[0] = tokens(290);
  return runs;
}

std::vector<float> logits_of(Backend& backend, const std::vector<StructureRun>& runs,
                             ResumeRule resume, int prefill_rows) {
  SchedulerOptions options;
  options.prefill_rows = prefill_rows;
  options.validate = true;
  Scheduler scheduler(backend, std::nullopt, options);
  std::promise<Score> promise;
  auto score = promise.get_future();
  scheduler.submit(scheduler.make_score(runs, resume, true, std::move(promise)));
  Events events;
  while (score.wait_for(std::chrono::seconds(0)) != std::future_status::ready) scheduler.step(events);
  return score.get().logits;
}

void check_model(const std::string& folder, Report report) {
  const ModelConfig config = read_config(folder);
  const Checkpoint weights(folder);
  BackendOptions options;
  options.kv_bytes = std::uint64_t{64} << 20;
  options.max_rows = 128;
  const auto device = make_backend(config, weights, options, 0);
  options.deterministic = true;
  const auto invariant = make_backend(config, weights, options, 0);
  options.weights = WeightType::kF32;
  const auto reference = make_cpu_backend(config, weights, options);
  const auto runs = structured(config.vocabulary, config.context);
  for (ResumeRule resume : {ResumeRule::kSum, ResumeRule::kMax}) {
    const auto want = logits_of(*reference, runs, resume, 128);
    for (int rows : {128, 7}) {  // all of it in a step or two, and in skinny ones
      const auto got = logits_of(*device, runs, resume, rows);
      const double error = nmse(got, want);
      report(kName + folder.substr(folder.find_last_of('/') + 1) + " " +
                 (resume == ResumeRule::kSum ? "sum" : "max") + ", " + std::to_string(rows) +
                 " rows: NMSE " + std::to_string(error),
             error <= kNmse ? "" : "above " + std::to_string(kNmse));
    }
    const bool same = logits_of(*invariant, runs, resume, 128) == logits_of(*invariant, runs, resume, 7);
    report(kName + folder.substr(folder.find_last_of('/') + 1) + ", deterministic",
           same ? "" : "logits depend on the batch");
  }
}

}  // namespace

void check_backend(const std::vector<std::string>& folders, Report report) {
  check_gemm(report);
  check_choose(report);
  check_sampling(report);
  for (const std::string& folder : folders) {
    try {
      check_model(folder, report);
    } catch (const std::exception& error) {
      report(kName + folder, error.what());
    }
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
