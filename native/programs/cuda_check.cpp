// The CUDA backend's kernels against plain arithmetic in double, and whole models against fp32 weights on
// the CPU. Built twice: for a device, and emulated.
#include "cuda_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <random>

#include "backends/cuda/backend.h"
#include "backends/cuda/kernels.h"
#include "backends/cuda/memory.h"
#include "dialect/dialect.h"
#include "number_formats.h"
#include "serving/scheduler.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

#if defined(ANABRANCH_EMULATE)
const std::string kName = "emulated ";
constexpr bool kSmall = true;
#else
const std::string kName = "cuda ";
constexpr bool kSmall = false;
#endif

/// The accepted error of whole models, as normalised mean squared error. Activations and KV are bf16.
double accepted_nmse(WeightType type) {
  return type == WeightType::kBF16 ? 1e-3 : type == WeightType::kInt8 ? 3e-3 : 3e-2;
}

double nmse(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size() || got.empty()) return INFINITY;
  double error = 0, size = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    size += double{want[i]} * want[i];
  }
  return error / size;
}

constexpr double kFp8KvNmse = 2e-2;  // beside bf16 weights
/// Of two ways that differ in bf16's roundings: some of what fp8 KV is written from falls to another side.
constexpr double kFp8KvBesideNmse = 5e-3;

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
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

/// The e4m3 number nearest to a value, the even one of two; what is larger than all is cut.
float nearest_e4m3(float value) {
  float best = 0;
  double least = INFINITY;
  for (int code = 0; code < 0x7f; ++code) {
    const int exponent = code >> 3, fraction = code & 7;
    const float number = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                       : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    const double distance = std::abs(std::abs(double{value}) - number);
    if (distance < least || (distance == least && code % 2 == 0)) best = number;
    least = std::min(least, distance);
  }
  return std::copysign(best, value);
}

/// What weights of a type keep of a row of k values.
void keep(WeightType type, float* row, size_t k) {
  for (size_t first = 0; first < k; first += kGroup) {
    float* const group = row + first;
    const size_t n = std::min<size_t>(kGroup, k - first);
    float most = 0;
    for (size_t i = 0; i < n; ++i) most = std::max(most, std::abs(group[i]));
    const float scale = from_bf16(to_bf16(most / (type == WeightType::kInt8 ? 127.0f : 448.0f)));
    for (size_t i = 0; i < n; ++i) {
      if (type == WeightType::kBF16) group[i] = from_bf16(to_bf16(group[i]));
      else if (scale == 0) group[i] = 0;
      else if (type == WeightType::kFp8) group[i] = scale * nearest_e4m3(group[i] * (1 / scale));
      else group[i] = scale * std::min(127.0f, std::max(-127.0f, std::nearbyint(group[i] * (1 / scale))));
    }
  }
}

std::string gemm_wrong(WeightType type, int m, int n, int k, bool accumulate, bool bias) {
  std::mt19937 random(static_cast<unsigned>(m * 1000 + n + k));
  std::normal_distribution<float> normal;
  const size_t depth = padded(k, kGroup), rows = padded(n, kStrip);
  std::vector<Bf16> x(m * depth), halves(rows * depth);
  std::vector<float> w(rows * depth), biases(n), out(static_cast<size_t>(m) * n);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < k; ++j) x[i * depth + j] = to_bf16(normal(random));
  }
  for (int i = 0; i < n; ++i) {
    // Groups of all sizes, one of nothing, and values far below their group's largest.
    for (int j = 0; j < k; ++j) {
      const float size = i % 5 == 4 ? 0 : std::ldexp(1.0f, (i + j / kGroup) % 7 - 3);
      w[i * depth + j] = normal(random) * size * (j % 3 ? 1 : 0.001f);
    }
    biases[i] = normal(random);
  }
  for (float& value : out) value = accumulate ? normal(random) : NAN;
  const auto device_wide = sent(w);
  for (int i = 0; i < n; ++i) keep(type, w.data() + i * depth, depth);
  for (size_t i = 0; i < w.size(); ++i) halves[i] = to_bf16(w[i]);
  const auto device_halves = sent(halves);
  const Array<std::uint8_t> bytes(rows * depth, "a check");
  const Array<Bf16> scales(rows * depth / kGroup, "a check");
  Weights weights{type, device_halves.data(), nullptr, n, static_cast<int>(depth)};
  if (type != WeightType::kBF16) {
    // In two parts, as large ones are.
    const int half = static_cast<int>(rows) / 2;
    const int k_padded = static_cast<int>(depth);
    for (const auto& [first, count] : {std::pair{0, half}, {half, static_cast<int>(rows) - half}}) {
      quantize({type, device_wide.data() + first * depth, count, first, k_padded, bytes.data(),
                scales.data()},
               cudaStream_t{});
    }
    weights.values = bytes.data();
    weights.scales = scales.data();
  }
  const auto device_x = sent(x);
  const auto device_bias = sent(biases), device_out = sent(out);
  Gemm product;
  product.x = device_x.data();
  product.m = m;
  product.w = weights;
  product.bias = bias ? device_bias.data() : nullptr;
  product.out = device_out.data();
  product.accumulate = accumulate;
  const Array<float> parts(m > kFewRows ? kParts : 0, "a check");
  product.parts = parts.data();
  gemm(product, cudaStream_t{});
  check(cudaGetLastError(), "gemm");
  const std::vector<float> got = fetched(device_out);
  if (!accumulate && n % kStrip == 0) {
    // As gates and ups: of the same sums in one go, and of rounded ones after the product.
    std::vector<Bf16> rounded(got.size());
    for (size_t at = 0; at < got.size(); ++at) rounded[at] = to_bf16(got[at]);
    const size_t width = padded(n / 2, kGroup);
    const auto device_rounded = sent(rounded);
    const auto fused = sent(std::vector<Bf16>(m * width)), apart = sent(std::vector<Bf16>(m * width));
    product.gates = fused.data();
    gemm(product, cudaStream_t{});
    silu_multiply(device_rounded.data(), m, n, apart.data(), cudaStream_t{});
    check(cudaGetLastError(), "gates");
    const auto in_one = fetched(fused), after = fetched(apart);
    const auto gate_wrong = [&](Bf16 gate, float of, float up) {
      const double want = of / (1 + std::exp(-double{of})) * up;
      return !(std::abs(from_bf16(gate) - want) <= 0x1p-7 * std::abs(want) + 1e-30);
    };
    for (size_t at = 0; at < in_one.size(); ++at) {
      const size_t row = at / width, i = at % width, sums = row * n + i / kHalf * kStrip + i % kHalf;
      const bool wrong = i < static_cast<size_t>(n) / 2
                             ? gate_wrong(in_one[at], got[sums], got[sums + kHalf]) ||
                                   gate_wrong(after[at], from_bf16(rounded[sums]), from_bf16(rounded[sums + kHalf]))
                             : in_one[at] != 0 || after[at] != 0;
      if (wrong) return "gate " + std::to_string(i) + " of row " + std::to_string(row);
    }
  }
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      const size_t at = static_cast<size_t>(i) * n + j;
      double want = (accumulate ? out[at] : 0) + (bias ? biases[j] : 0), size = std::abs(want);
      for (int d = 0; d < k; ++d) {
        const double term = double{from_bf16(x[i * depth + d])} * w[j * depth + d];
        want += term;
        size += std::abs(term);
      }
      // Many rows multiply 8-bit weights that are rounded to bf16 with their scales.
      const double near = type == WeightType::kBF16 || m <= kFewRows ? 1e-5 : 0x1p-8;
      if (!(std::abs(got[at] - want) <= near * size)) {
        return std::to_string(m) + " by " + std::to_string(n) + " by " + std::to_string(k) + " at " +
               std::to_string(i) + ", " + std::to_string(j) + ": " + std::to_string(got[at]) +
               " for " + std::to_string(want);
      }
    }
  }
  return "";
}

void check_gemm(WeightType type, Report report) {
  std::string wrong;
  const std::vector<int> rows = kSmall ? std::vector{1, 3, 9, 17, 33, 65, 130}
                                       : std::vector{1, 3, 8, 9, 16, 17, 32, 33, 64, 65, 128, 130};
  for (int m : rows) {
    // The last two have so many strips that fewer warps share each, and blocks take several.
    for (const auto& [n, k] : {std::pair{16, 32}, {20, 450}, {40, 896}, {130, 72}, {257, 160}, {2056, 72}, {4104, 300}}) {
      if (kSmall && m > 64 && n * k > 10000) continue;
      if (wrong.empty()) wrong = gemm_wrong(type, m, n, k, m % 2 == 0, m % 3 == 0);
    }
  }
  report(kName + name_of(type) + " gemm", wrong);
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
  const std::vector<Edit> edits = {{2, 40, 1, -20, 0}, {2, 40, 1, masked, 0}, {2, 41, 2, -30, 0}};
  const std::vector<int> only = {7, 3, 2999};
  std::vector<DeviceSamplingRow> picks(5, DeviceSamplingRow{0, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0});
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
  const Array<DeviceSampledToken> out(picks.size(), "a check");
  sample(device.data(), kVocabulary, device_picks.data(), static_cast<int>(picks.size()),
         device_edits.data(), device_only.data(), out.data(), cudaStream_t{});
  check(cudaGetLastError(), "sample");
  const std::vector<DeviceSampledToken> got = fetched(out);
  int likeliest = only[0];
  for (int token : only) likeliest = logits[token] > logits[likeliest] ? token : likeliest;
  const std::vector<int> want = {17, 6, 41, likeliest, -1};
  std::string wrong;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i].token != want[i]) {
      wrong += "pick " + std::to_string(i) + " is " + std::to_string(got[i].token) + " for " +
               std::to_string(want[i]) + "; ";
    }
  }
  report(kName + "sample greedily", wrong);
}

/// Every sampler, and log-probabilities, against the CPU's on the same logits; equal weights among them. What falls
/// within rounding of a border may go either way: that is rare.
void check_sampling(Report report) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto pick_of = [&](auto... values) {
    const float all[] = {static_cast<float>(values)...};
    return all[random() % (sizeof...(values))];
  };
  constexpr int kRows = 200;
  int vocabulary = 700, different = 0, drawn = 0, listed = 0;
  std::string wrong, wrong_lists;
  for (int round = 0; round < (kSmall ? 2 : 40); ++round, vocabulary = vocabulary * 5 + 3) {
    if (vocabulary > 160000) vocabulary = 700;
    const int rows = kSmall ? 30 : kRows;
    std::vector<float> logits(static_cast<size_t>(rows) * vocabulary);
    for (float& logit : logits) logit = std::round(normal(random) * 8) / 2;  // many are equal
    std::vector<DeviceSamplingRow> picks;
    std::vector<Edit> edits;
    std::vector<SamplingInput> choices(rows);
    std::vector<SamplingParams> samplings(rows);
    std::vector<TokenCounts> counts(rows);
    for (int i = 0; i < rows; ++i) {
      SamplingParams& s = samplings[i];
      s.temperature = pick_of(0, 0.3, 0.8, 1, 2);
      s.top_k = static_cast<int>(pick_of(0, 0, 2, 3, 40, 1000000));
      s.top_p = pick_of(1, 1, 0.001, 0.5, 0.9);
      s.min_p = pick_of(0, 0, 0.05, 1);
      s.logprobs = random() % 2 == 0;
      s.top_logprobs = static_cast<int>(pick_of(0, 1, 5, kMostTop));
      const int first_edit = static_cast<int>(edits.size());
      if (random() % 2 == 0) {
        // The likeliest and others, one of them twice.
        s.repetition_penalty = 1.5;
        s.frequency_penalty = 0.5;
        const float* row = logits.data() + static_cast<size_t>(i) * vocabulary;
        const int likeliest = static_cast<int>(std::max_element(row, row + vocabulary) - row);
        for (int token : {likeliest, likeliest / 2}) counts[i][token] = 1 + static_cast<int>(random() % 3);
        for (const auto& [token, count] : counts[i]) {
          edits.push_back({i, token, 1.5, 0.5f * static_cast<float>(count), 0});
        }
        s.logit_bias = {{likeliest, 3.0f}};
        edits.push_back({i, likeliest, 1, -3, 0});
      }
      choices[i] = {&s, &counts[i], {}, (static_cast<double>(random()) + 0.5) / 4294967296.0};
      picks.push_back({i, first_edit, static_cast<int>(edits.size()) - first_edit, 0, 0,
                       s.logprobs ? s.top_logprobs : -1, s.temperature, s.top_p, s.top_k, s.min_p,
                       choices[i].uniform});
    }
    const auto device = sent(logits);
    const auto device_picks = sent(picks);
    const auto device_edits = sent(edits);
    const Array<DeviceSampledToken> out(picks.size(), "a check");
    ANABRANCH_CUDA::sample(device.data(), vocabulary, device_picks.data(), rows, device_edits.data(), nullptr,
                           out.data(), cudaStream_t{});
    check(cudaGetLastError(), "sample");
    const std::vector<DeviceSampledToken> got = fetched(out);
    for (int i = 0; i < rows; ++i, ++drawn) {
      const SamplingParams& s = samplings[i];
      const SampledToken want = anabranch::sample(
          {logits.data() + static_cast<size_t>(i) * vocabulary, static_cast<size_t>(vocabulary)}, choices[i]);
      if (got[i].token != want.token && ++different <= 3) {
        wrong += "vocabulary " + std::to_string(vocabulary) + ", temperature " +
                 std::to_string(s.temperature) + ", top-k " + std::to_string(s.top_k) + ", top-p " +
                 std::to_string(s.top_p) + ", min-p " + std::to_string(s.min_p) + ": " +
                 std::to_string(got[i].token) + " for " + std::to_string(want.token) + "; ";
      }
      if (!s.logprobs) continue;
      ++listed;
      const auto same = [](float a, float b) { return std::abs(a - b) <= 1e-5f * (1 + std::abs(b)); };
      bool good = got[i].tops == static_cast<int>(want.top.size()) &&
                  (got[i].token != want.token || same(got[i].log_probability, want.logprob));
      for (size_t at = 0; good && at < want.top.size(); ++at) {
        good = got[i].top[at] == want.top[at].first && same(got[i].top_log_probabilities[at], want.top[at].second);
      }
      if (good || wrong_lists.size() > 200) continue;
      wrong_lists += "row " + std::to_string(i) + " of " + std::to_string(vocabulary) + "; ";
    }
  }
  if (different * 100 <= drawn) wrong.clear();
  report(kName + "sampling: " + std::to_string(different) + " of " + std::to_string(drawn) + " at a border", wrong);
  report(kName + "log-probabilities of " + std::to_string(listed) + " rows", wrong_lists);
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
  EventBuffer events;
  while (score.wait_for(std::chrono::seconds(0)) != std::future_status::ready) scheduler.step(events);
  return score.get().logits;
}

void check_model(const std::string& folder, BackendOptions options, Report report) {
  const std::filesystem::path path = std::filesystem::path(folder) / "";
  const std::string name = kName + path.parent_path().filename().string() + " ";
  const ModelConfig config = read_config(folder);
  const Checkpoint weights(folder);
  options.kv_bytes = std::uint64_t{64} << 20;
  options.max_rows = 128;
  const auto runs = structured(config.vocabulary, config.context);
  struct Rule {
    ResumeRule resume;
    std::string name;
    std::vector<float> precise, int8;  // logits of the CPU
  };
  Rule rules[] = {{ResumeRule::kSum, " sum, ", {}, {}}, {ResumeRule::kMax, " max, ", {}, {}}};
  for (WeightType type : {WeightType::kF32, WeightType::kInt8}) {
    options.weight_type = type;
    const auto cpu = make_cpu_backend(config, weights, options);
    for (Rule& rule : rules) {
      (type == WeightType::kF32 ? rule.precise : rule.int8) = logits_of(*cpu, runs, rule.resume, 128);
    }
  }
  const auto near = [&](const std::string& what, const std::vector<float>& got,
                        const std::vector<float>& want, double accepted) {
    const double error = nmse(got, want);
    report(name + what + ": NMSE " + shown(error), error <= accepted ? "" : "above " + shown(accepted));
  };
  for (WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8}) {
    const std::string format = name_of(type);
    options.weight_type = type;
    options.deterministic = false;
    const auto device = make_backend(config, weights, options, 0);
    options.deterministic = true;
    const auto invariant = make_backend(config, weights, options, 0);
    for (const Rule& rule : rules) {
      for (int rows : {128, 7}) {  // all of it in a step or two, and in skinny ones
        const std::string what = format + rule.name + std::to_string(rows) + " rows";
        const auto got = logits_of(*device, runs, rule.resume, rows);
        near(what, got, rule.precise, accepted_nmse(type));
        if (type == WeightType::kInt8) {
          near(what + ", beside the CPU's", got, rule.int8, accepted_nmse(WeightType::kBF16));
        }
      }
    }
    if (type == WeightType::kBF16) {
      // Siblings share pieces, and rows read what the same step wrote.
      options.kv_type = KvType::kFp8;
      const auto with_fp8 = make_backend(config, weights, options, 0);
      options.deterministic = false;
      const auto by_runs = make_backend(config, weights, options, 0);
      options.kv_type = KvType::kAuto;
      for (const Rule& rule : rules) {
        const auto beside = logits_of(*invariant, runs, rule.resume, 128);
        const auto got = logits_of(*with_fp8, runs, rule.resume, 128);
        near("fp8 KV" + rule.name + "128 rows, beside bf16 KV", got, beside, kFp8KvNmse);
        near("fp8 KV" + rule.name + "128 rows", got, rule.precise, kFp8KvNmse);
        near("fp8 KV" + rule.name + "128 rows, prompts by runs, beside by pieces",
             logits_of(*by_runs, runs, rule.resume, 128), got, kFp8KvBesideNmse);
        report(name + "fp8 KV" + rule.name + "deterministic",
               got == logits_of(*with_fp8, runs, rule.resume, 7) ? "" : "logits depend on the batch");
      }
    }
    const bool same = logits_of(*invariant, runs, ResumeRule::kSum, 128) ==
                      logits_of(*invariant, runs, ResumeRule::kSum, 7);
    report(name + format + ", deterministic", same ? "" : "logits depend on the batch");
  }
}

}  // namespace

void check_backend(const std::vector<std::string>& folders, const BackendOptions& options, Report report) {
  for (WeightType type : {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8}) {
    check_gemm(type, report);
  }
  check_choose(report);
  check_sampling(report);
  for (const std::string& folder : folders) {
    try {
      check_model(folder, options, report);
    } catch (const std::exception& error) {
      report(kName + folder, error.what());
    }
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
