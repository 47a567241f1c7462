// The CUDA kernels against plain arithmetic in double precision and against the CPU's sampler, and
// whole models against fp32 weights on the CPU.
#include "cuda_check.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <future>
#include <optional>
#include <random>
#include <span>

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
constexpr bool kEmulated = true;
#else
const std::string kName = "cuda ";
constexpr bool kEmulated = false;  // fast enough for larger checks
#endif

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", value);
  return text;
}

template <class T>
Array<T> to_device(const std::vector<T>& values) {
  Array<T> out(values.size(), "a check");
  check(cudaMemcpyAsync(out.data(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice,
                        cudaStream_t{}),
        "copying to the device");
  check(cudaStreamSynchronize(cudaStream_t{}), "copying to the device");
  return out;
}
template <class T>
std::vector<T> to_host(const Array<T>& from) {
  std::vector<T> out(from.count());
  check(cudaStreamSynchronize(cudaStream_t{}), "running a kernel");
  check(cudaMemcpyAsync(out.data(), from.data(), out.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        cudaStream_t{}),
        "copying to the host");
  check(cudaStreamSynchronize(cudaStream_t{}), "copying to the host");
  return out;
}

// ---- quantization ------------------------------------------------------------------------------

/// The e4m3 number nearest to a value, the even one of two; beyond the range, the largest.
float nearest_e4m3(float value) {
  float best = 0;
  double min_distance = INFINITY;
  for (int code = 0; code < 0x7f; ++code) {
    const int exponent = code >> 3, fraction = code & 7;
    const float number = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                       : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    const double distance = std::abs(std::abs(double{value}) - number);
    if (distance < min_distance || (distance == min_distance && code % 2 == 0)) best = number;
    min_distance = std::min(min_distance, distance);
  }
  return std::copysign(best, value);
}

/// Replaces a row of k values by what weights of a type store of it.
void round_to_type(WeightType type, float* row, size_t k) {
  for (size_t first = 0; first < k; first += kQuantGroup) {
    float* const group = row + first;
    const size_t n = std::min<size_t>(kQuantGroup, k - first);
    float max_magnitude = 0;
    for (size_t i = 0; i < n; ++i) max_magnitude = std::max(max_magnitude, std::abs(group[i]));
    const float scale = from_bf16(to_bf16(max_magnitude / (type == WeightType::kInt8 ? 127.0f : 448.0f)));
    for (size_t i = 0; i < n; ++i) {
      if (type == WeightType::kBF16) group[i] = from_bf16(to_bf16(group[i]));
      else if (scale == 0) group[i] = 0;
      else if (type == WeightType::kFp8) group[i] = scale * nearest_e4m3(group[i] * (1 / scale));
      else group[i] = scale * std::min(127.0f, std::max(-127.0f, std::nearbyint(group[i] * (1 / scale))));
    }
  }
}

// ---- GEMM --------------------------------------------------------------------------------------

/// A random product out (+)= x · wᵀ (+ bias), on the host and on the device.
struct GemmCase {
  int m, n, k;
  bool accumulate, bias;
  size_t depth;               // k, padded
  std::vector<Bf16> x;        // [m, depth]
  std::vector<float> w;       // [n padded, depth], rounded to the weight type
  std::vector<float> biases;  // [n]
  std::vector<float> out;     // [m, n], before the product

  Array<Bf16> device_x, bf16_weights, scales;
  Array<std::uint8_t> byte_weights;
  Array<float> device_biases, device_out, workspace;
  Gemm args;

  GemmCase(WeightType type, int m, int n, int k, bool accumulate, bool bias)
      : m(m), n(n), k(k), accumulate(accumulate), bias(bias), depth(round_up(k, kQuantGroup)) {
    std::mt19937 random(static_cast<unsigned>(m * 1000 + n + k));
    std::normal_distribution<float> normal;
    const size_t rows = round_up(n, kPanel);
    x.resize(m * depth);
    w.resize(rows * depth);
    biases.resize(n);
    out.resize(static_cast<size_t>(m) * n);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < k; ++j) x[i * depth + j] = to_bf16(normal(random));
    }
    for (int i = 0; i < n; ++i) {
      // Quantization groups of all magnitudes, some of zeros, and values far below their group's
      // largest.
      for (int j = 0; j < k; ++j) {
        const float magnitude = i % 5 == 4 ? 0 : std::ldexp(1.0f, (i + j / kQuantGroup) % 7 - 3);
        w[i * depth + j] = normal(random) * magnitude * (j % 3 ? 1 : 0.001f);
      }
      biases[i] = normal(random);
    }
    for (float& value : out) value = accumulate ? normal(random) : NAN;
    upload(type, rows);
  }

  void upload(WeightType type, size_t rows) {
    const auto exact_weights = to_device(w);
    for (int i = 0; i < n; ++i) round_to_type(type, w.data() + i * depth, depth);
    PackedWeights weights{type, nullptr, nullptr, n, static_cast<int>(depth)};
    if (type == WeightType::kBF16) {
      std::vector<Bf16> halves(w.size());
      for (size_t i = 0; i < w.size(); ++i) halves[i] = to_bf16(w[i]);
      bf16_weights = to_device(halves);
      weights.values = bf16_weights.data();
    } else {
      byte_weights = Array<std::uint8_t>(rows * depth, "a check");
      scales = Array<Bf16>(rows * depth / kQuantGroup, "a check");
      // In two calls, as for large layers.
      const int half = static_cast<int>(rows) / 2;
      for (const auto& [first, count] : {std::pair{0, half}, {half, static_cast<int>(rows) - half}}) {
        quantize({type, exact_weights.data() + first * depth, count, first, static_cast<int>(depth),
                  byte_weights.data(), scales.data()},
                 cudaStream_t{});
      }
      check(cudaStreamSynchronize(cudaStream_t{}), "quantizing");
      weights.values = byte_weights.data();
      weights.scales = scales.data();
    }
    device_x = to_device(x);
    device_biases = to_device(biases);
    device_out = to_device(out);
    workspace = Array<float>(m > kMaxSkinnyRows ? kSplitKWorkspace : 0, "a check");
    args.x = device_x.data();
    args.m = m;
    args.w = weights;
    args.bias = bias ? device_biases.data() : nullptr;
    args.out = device_out.data();
    args.accumulate = accumulate;
    args.split_k_workspace = workspace.data();
  }

  std::vector<float> product() const {
    gemm(args, cudaStream_t{});
    check(cudaGetLastError(), "gemm");
    return to_host(device_out);
  }
};

/// What is wrong with the product `got`.
std::string product_wrong(const GemmCase& c, const std::vector<float>& got) {
  // The tiled GEMM rounds 8-bit weights to bf16 after scaling them.
  const double tolerance = c.args.w.type == WeightType::kBF16 || c.m <= kMaxSkinnyRows ? 1e-5 : 0x1p-8;
  for (int i = 0; i < c.m; ++i) {
    for (int j = 0; j < c.n; ++j) {
      const size_t at = static_cast<size_t>(i) * c.n + j;
      double want = (c.accumulate ? c.out[at] : 0) + (c.bias ? c.biases[j] : 0), magnitude = std::abs(want);
      for (int d = 0; d < c.k; ++d) {
        const double term = double{from_bf16(c.x[i * c.depth + d])} * c.w[j * c.depth + d];
        want += term;
        magnitude += std::abs(term);
      }
      if (!(std::abs(got[at] - want) <= tolerance * magnitude)) {
        return std::to_string(c.m) + " by " + std::to_string(c.n) + " by " + std::to_string(c.k) + " at " +
               std::to_string(i) + ", " + std::to_string(j) + ": " + std::to_string(got[at]) +
               ", expected " + std::to_string(want);
      }
    }
  }
  return "";
}

/// What is wrong with silu(gate) · up, fused into the GEMM and by the kernel that follows cuBLASLt,
/// given the plain product `got` of the same inputs.
std::string gated_output_wrong(GemmCase& c, const std::vector<float>& got) {
  std::vector<Bf16> rounded(got.size());
  for (size_t at = 0; at < got.size(); ++at) rounded[at] = to_bf16(got[at]);
  const size_t width = round_up(c.n / 2, kQuantGroup);
  const auto device_rounded = to_device(rounded);
  const auto device_fused = to_device(std::vector<Bf16>(c.m * width));
  const auto device_separate = to_device(std::vector<Bf16>(c.m * width));
  c.args.gated_out = device_fused.data();
  gemm(c.args, cudaStream_t{});
  silu_and_mul(device_rounded.data(), c.m, c.n, device_separate.data(), cudaStream_t{});
  check(cudaGetLastError(), "gated output");
  const auto fused = to_host(device_fused), separate = to_host(device_separate);
  const auto differs = [&](Bf16 value, float gate, float up) {
    const double want = gate / (1 + std::exp(-double{gate})) * up;
    return !(std::abs(from_bf16(value) - want) <= 0x1p-7 * std::abs(want) + 1e-30);
  };
  for (size_t at = 0; at < fused.size(); ++at) {
    const size_t row = at / width, i = at % width;
    const size_t gate = row * c.n + i / kHalfPanel * kPanel + i % kHalfPanel, up = gate + kHalfPanel;
    const bool wrong = i < static_cast<size_t>(c.n) / 2
                           ? differs(fused[at], got[gate], got[up]) ||
                                 differs(separate[at], from_bf16(rounded[gate]), from_bf16(rounded[up]))
                           : fused[at] != 0 || separate[at] != 0;
    if (wrong) return "gated output " + std::to_string(i) + " of row " + std::to_string(row);
  }
  return "";
}

void check_gemm(WeightType type, Report report) {
  const std::vector<int> rows = kEmulated ? std::vector{1, 3, 9, 17, 33, 65, 130}
                                          : std::vector{1, 3, 8, 9, 16, 17, 32, 33, 64, 65, 128, 130};
  // The last two have so many panels that fewer warps share each, and blocks take several.
  const std::pair<int, int> shapes[] = {{16, 32}, {20, 450}, {40, 896}, {130, 72}, {257, 160}, {2056, 72}, {4104, 300}};
  std::string wrong;
  for (int m : rows) {
    for (const auto& [n, k] : shapes) {
      if ((kEmulated && m > 64 && n * k > 10000) || !wrong.empty()) continue;
      GemmCase gemm_case(type, m, n, k, m % 2 == 0, m % 3 == 0);
      const std::vector<float> got = gemm_case.product();
      if (!gemm_case.accumulate && n % kPanel == 0) wrong = gated_output_wrong(gemm_case, got);
      if (wrong.empty()) wrong = product_wrong(gemm_case, got);
    }
  }
  report(kName + name_of(type) + " gemm", wrong);
}

// ---- sampling ----------------------------------------------------------------------------------

/// Greedy sampling with ties, NaN, adjustments, allowed tokens, and a row without a finite logit.
void check_greedy_sampling(Report report) {
  constexpr int kVocabulary = 3001;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> logits(5 * kVocabulary);
  for (int i = 0; i < 4 * kVocabulary; ++i) logits[i] = normal(random);
  logits[17] = logits[1500] = 9;  // of equals, the lowest id wins
  logits[kVocabulary + 5] = NAN;  // never wins
  logits[kVocabulary + 6] = 8;
  std::fill_n(logits.begin() + 3 * kVocabulary, kVocabulary, NAN);
  std::copy_n(logits.begin(), kVocabulary, logits.begin() + 4 * kVocabulary);  // sampling changes a row
  const float banned = INFINITY;
  const std::vector<LogitAdjustment> adjustments = {{2, 40, 1, -20, 0}, {2, 40, 1, banned, 0}, {2, 41, 2, -30, 0}};
  const std::vector<int> allowed = {7, 3, 2999};
  std::vector<DeviceSamplingRow> rows(5, DeviceSamplingRow{0, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0});
  rows[1].row = 1;
  rows[2].row = 2;
  rows[2].num_adjustments = 3;
  rows[3].row = 4;
  rows[3].num_allowed = 3;
  rows[4].row = 3;
  int best_allowed = allowed[0];
  for (int token : allowed) best_allowed = logits[token] > logits[best_allowed] ? token : best_allowed;
  const std::vector<int> want = {17, 6, 41, best_allowed, -1};

  const auto device_logits = to_device(logits);
  const auto device_rows = to_device(rows);
  const auto device_adjustments = to_device(adjustments);
  const auto device_allowed = to_device(allowed);
  const Array<DeviceSampledToken> out(rows.size(), "a check");
  sample(device_logits.data(), kVocabulary, device_rows.data(), static_cast<int>(rows.size()),
         device_adjustments.data(), device_allowed.data(), out.data(), cudaStream_t{});
  check(cudaGetLastError(), "sample");
  const std::vector<DeviceSampledToken> got = to_host(out);
  std::string wrong;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i].token != want[i]) {
      wrong += "row " + std::to_string(i) + " is " + std::to_string(got[i].token) + ", expected " +
               std::to_string(want[i]) + "; ";
    }
  }
  report(kName + "sample greedily", wrong);
}

/// Rows of logits with random sampling parameters, as the CPU and as the device take them.
struct SamplingCase {
  int vocabulary;
  std::vector<float> logits;  // [rows, vocabulary]
  std::vector<SamplingParams> params;
  std::vector<TokenCounts> counts;
  std::vector<SamplingInput> inputs;
  std::vector<DeviceSamplingRow> device_rows;
  std::vector<LogitAdjustment> adjustments;

  SamplingCase(std::mt19937& random, std::normal_distribution<float>& normal, int rows, int vocabulary)
      : vocabulary(vocabulary),
        logits(static_cast<size_t>(rows) * vocabulary),
        params(rows),
        counts(rows),
        inputs(rows) {
    for (float& logit : logits) logit = std::round(normal(random) * 8) / 2;  // many are equal
    for (int row = 0; row < rows; ++row) add_row(random, row);
  }

  void add_row(std::mt19937& random, int row) {
    const auto one_of = [&](auto... values) {
      const float all[] = {static_cast<float>(values)...};
      return all[random() % (sizeof...(values))];
    };
    SamplingParams& p = params[row];
    p.temperature = one_of(0, 0.3, 0.8, 1, 2);
    p.top_k = static_cast<int>(one_of(0, 0, 2, 3, 40, 1000000));
    p.top_p = one_of(1, 1, 0.001, 0.5, 0.9);
    p.min_p = one_of(0, 0, 0.05, 1);
    p.logprobs = random() % 2 == 0;
    p.top_logprobs = static_cast<int>(one_of(0, 1, 5, kMaxTopLogprobs));
    const int first_adjustment = static_cast<int>(adjustments.size());
    if (random() % 2 == 0) add_adjustments(random, row);
    const double uniform = (static_cast<double>(random()) + 0.5) / 4294967296.0;
    inputs[row] = {&p, &counts[row], {}, uniform};
    device_rows.push_back({row, first_adjustment, static_cast<int>(adjustments.size()) - first_adjustment, 0, 0,
                           p.logprobs ? p.top_logprobs : -1, p.temperature, p.top_p, p.top_k, p.min_p, uniform});
  }

  /// Penalties and a bias, of the most likely token and of another one; one token has two
  /// adjustments.
  void add_adjustments(std::mt19937& random, int row) {
    SamplingParams& p = params[row];
    p.repetition_penalty = 1.5;
    p.frequency_penalty = 0.5;
    const std::span<const float> values = logits_of(row);
    const int most_likely = static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
    for (int token : {most_likely, most_likely / 2}) counts[row][token] = 1 + static_cast<int>(random() % 3);
    for (const auto& [token, count] : counts[row]) {
      adjustments.push_back({row, token, 1.5, 0.5f * static_cast<float>(count), 0});
    }
    p.logit_bias = {{most_likely, 3.0f}};
    adjustments.push_back({row, most_likely, 1, -3, 0});
  }

  std::span<float> logits_of(int row) {
    return {logits.data() + static_cast<size_t>(row) * vocabulary, static_cast<size_t>(vocabulary)};
  }

  std::vector<DeviceSampledToken> sample_on_device() const {
    const auto device_logits = to_device(logits);
    const auto rows = to_device(device_rows);
    const auto device_adjustments = to_device(adjustments);
    const Array<DeviceSampledToken> out(device_rows.size(), "a check");
    ANABRANCH_CUDA::sample(device_logits.data(), vocabulary, rows.data(), static_cast<int>(device_rows.size()),
                           device_adjustments.data(), nullptr, out.data(), cudaStream_t{});
    check(cudaGetLastError(), "sample");
    return to_host(out);
  }

  std::string describe(int row) const {
    const SamplingParams& p = params[row];
    return "vocabulary " + std::to_string(vocabulary) + ", temperature " + std::to_string(p.temperature) +
           ", top-k " + std::to_string(p.top_k) + ", top-p " + std::to_string(p.top_p) + ", min-p " +
           std::to_string(p.min_p);
  }
};

bool same_logprobs(const DeviceSampledToken& got, const SampledToken& want) {
  const auto near = [](float a, float b) { return std::abs(a - b) <= 1e-5f * (1 + std::abs(b)); };
  if (got.num_top != static_cast<int>(want.top.size())) return false;
  if (got.token == want.token && !near(got.logprob, want.logprob)) return false;
  for (size_t i = 0; i < want.top.size(); ++i) {
    if (got.top[i] != want.top[i].first || !near(got.top_logprobs[i], want.top[i].second)) return false;
  }
  return true;
}

/// All sampling parameters and log-probabilities against the CPU's sampler on the same logits, many
/// of them equal. Tokens may differ if a rounding error moves a threshold, which is rare.
void check_sampling(Report report) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  int vocabulary = 700, different = 0, sampled = 0, with_logprobs = 0;
  std::string wrong, wrong_logprobs;
  for (int round = 0; round < (kEmulated ? 2 : 40); ++round, vocabulary = vocabulary * 5 + 3) {
    if (vocabulary > 160000) vocabulary = 700;
    const int rows = kEmulated ? 30 : 200;
    SamplingCase sampling_case(random, normal, rows, vocabulary);
    const std::vector<DeviceSampledToken> got = sampling_case.sample_on_device();
    for (int row = 0; row < rows; ++row, ++sampled) {
      const SampledToken want = anabranch::sample(sampling_case.logits_of(row), sampling_case.inputs[row]);
      if (got[row].token != want.token && ++different <= 3) {
        wrong += sampling_case.describe(row) + ": " + std::to_string(got[row].token) + ", expected " +
                 std::to_string(want.token) + "; ";
      }
      if (!sampling_case.params[row].logprobs) continue;
      ++with_logprobs;
      if (same_logprobs(got[row], want) || wrong_logprobs.size() > 200) continue;
      wrong_logprobs += "row " + std::to_string(row) + " of vocabulary " + std::to_string(vocabulary) + "; ";
    }
  }
  if (different * 100 <= sampled) wrong.clear();
  report(kName + "sampling: " + std::to_string(different) + " of " + std::to_string(sampled) + " differ by rounding",
         wrong);
  report(kName + "log-probabilities of " + std::to_string(with_logprobs) + " rows", wrong_logprobs);
}

// ---- whole models ------------------------------------------------------------------------------

/// Accepted normalised mean squared errors of logits, against fp32 weights on the CPU. Activations
/// and KV are bf16.
double accepted_nmse(WeightType type) {
  return type == WeightType::kBF16 ? 1e-3 : type == WeightType::kInt8 ? 3e-3 : 3e-2;
}
constexpr double kFp8KvNmse = 2e-2;  // with bf16 weights
/// Between two backends with fp8 KV. Their bf16 roundings differ, so some values of K and V are
/// quantized to the neighbouring fp8 number.
constexpr double kBetweenFp8KvNmse = 5e-3;

double nmse(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size() || got.empty()) return INFINITY;
  double error = 0, power = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += (double{got[i]} - want[i]) * (double{got[i]} - want[i]);
    power += double{want[i]} * want[i];
  }
  return error / power;
}

/// Serial text, forks and joins of odd lengths, some longer than a block or, if the context allows
/// it, a KV chunk.
std::vector<StructureRun> structured_text(int vocabulary, int context) {
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

/// Checks of one model's logits under both resume rules.
class ModelCheck {
 public:
  ModelCheck(const std::string& folder, const BackendOptions& options, Report report)
      : name_(kName + (std::filesystem::path(folder) / "").parent_path().filename().string() + " "),
        config_(read_config(folder)),
        weights_(folder),
        options_(options),
        report_(report),
        runs_(structured_text(config_.vocabulary, config_.context)) {
    options_.kv_bytes = std::uint64_t{64} << 20;
    options_.max_rows = 128;
    compute_cpu_logits();
  }

  void check_type(WeightType type) {
    const std::string format = name_of(type);
    options_.weight_type = type;
    const auto fast = make(KvType::kAuto, false);
    const auto deterministic = make(KvType::kAuto, true);
    for (const Rule& rule : rules_) {
      for (int rows : {128, 7}) {  // in one or two tiled steps, and in skinny ones
        const std::string what = format + rule.name + std::to_string(rows) + " rows";
        const auto got = logits_of(*fast, runs_, rule.resume, rows);
        expect_near(what, got, rule.fp32, accepted_nmse(type));
        if (type == WeightType::kInt8) {
          expect_near(what + ", against the CPU's", got, rule.int8, accepted_nmse(WeightType::kBF16));
        }
      }
    }
    if (type == WeightType::kBF16) check_fp8_kv(*deterministic);
    report_(name_ + format + ", deterministic",
            depends_on_batch(*deterministic, ResumeRule::kSum) ? "logits depend on the batch" : "");
  }

 private:
  struct Rule {
    ResumeRule resume;
    std::string name;
    std::vector<float> fp32, int8;  // logits of the CPU backend
  };

  void compute_cpu_logits() {
    for (WeightType type : {WeightType::kF32, WeightType::kInt8}) {
      options_.weight_type = type;
      const auto cpu = make_cpu_backend(config_, weights_, options_);
      for (Rule& rule : rules_) {
        (type == WeightType::kF32 ? rule.fp32 : rule.int8) = logits_of(*cpu, runs_, rule.resume, 128);
      }
    }
  }

  std::unique_ptr<Backend> make(KvType kv_type, bool deterministic) const {
    BackendOptions options = options_;
    options.kv_type = kv_type;
    options.deterministic = deterministic;
    return make_backend(config_, weights_, options, 0);
  }

  /// Siblings share KV chunks, and rows read KV that the same step wrote.
  void check_fp8_kv(Backend& bf16_kv) {
    const auto by_chunks = make(KvType::kFp8, true);
    const auto by_spans = make(KvType::kFp8, false);
    for (const Rule& rule : rules_) {
      const std::string what = "fp8 KV" + rule.name;
      const auto got = logits_of(*by_chunks, runs_, rule.resume, 128);
      expect_near(what + "128 rows, against bf16 KV", got, logits_of(bf16_kv, runs_, rule.resume, 128), kFp8KvNmse);
      expect_near(what + "128 rows", got, rule.fp32, kFp8KvNmse);
      expect_near(what + "128 rows, prefill attention against chunk attention",
                  logits_of(*by_spans, runs_, rule.resume, 128), got, kBetweenFp8KvNmse);
      report_(name_ + what + "deterministic",
              got == logits_of(*by_chunks, runs_, rule.resume, 7) ? "" : "logits depend on the batch");
    }
  }

  bool depends_on_batch(Backend& backend, ResumeRule resume) const {
    return logits_of(backend, runs_, resume, 128) != logits_of(backend, runs_, resume, 7);
  }

  void expect_near(const std::string& what, const std::vector<float>& got, const std::vector<float>& want,
                   double accepted) const {
    const double error = nmse(got, want);
    report_(name_ + what + ": NMSE " + short_number(error), error <= accepted ? "" : "above " + short_number(accepted));
  }

  std::string name_;
  ModelConfig config_;
  Checkpoint weights_;
  BackendOptions options_;
  Report report_;
  std::vector<StructureRun> runs_;
  Rule rules_[2] = {{ResumeRule::kSum, " sum, ", {}, {}}, {ResumeRule::kMax, " max, ", {}, {}}};
};

}  // namespace

void check_backend(const std::vector<std::string>& folders, const BackendOptions& options, Report report) {
  const WeightType types[] = {WeightType::kBF16, WeightType::kInt8, WeightType::kFp8};
  for (WeightType type : types) check_gemm(type, report);
  check_greedy_sampling(report);
  check_sampling(report);
  for (const std::string& folder : folders) {
    try {
      ModelCheck model(folder, options, report);
      for (WeightType type : types) model.check_type(type);
    } catch (const std::exception& error) {
      report(kName + folder, error.what());
    }
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
