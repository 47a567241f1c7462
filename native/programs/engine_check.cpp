// Checks the inner loops on every code path that this CPU runs, against plain loops in double, and
// that what they give a row does not depend on the rows beside it. No Node, no model. Then the CUDA backend's
// kernels, and whole models by it, on a device or else emulated.
#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backends/cpu/kernels.h"
#include "serving/engine.h"
#include "number_formats.h"
#include "sampling/philox.h"
#include "sampling/sampler.h"
#include "cuda_check.h"

namespace anabranch {

extern const Kernels kernels_pairs;

namespace {

const char kHelp[] =
    "engine-check [options] [MODEL...]\n\n"
    "Checks the engine's arithmetic on this machine, one line a check; exit status 1 where one fails. With model\n"
    "folders the CUDA backend's logits are held against fp32 weights on the CPU, on a device where one answers, else\n"
    "emulated, and the first model is served from several threads at once.\n\n"
    "  --no-overlap    on a GPU: start each kernel when the one before it has ended\n"
    "  --no-library    on a GPU: prompts' products by our own kernels, also where cuBLASLt is built in\n";

int failures = 0;

void report(const std::string& name, const std::string& wrong) {
  if (!wrong.empty()) ++failures;
  std::printf("%s %s%s%s\n", wrong.empty() ? "ok  " : "FAIL", name.c_str(),
              wrong.empty() ? "" : ": ", wrong.c_str());
}

/// Numbers in [-1, 1), the same in every run.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : seed_(seed) {}
  float operator()() { return static_cast<float>(2 * uniform(seed_, 0, 0, next_++) - 1); }
  std::vector<float> list(size_t n, float scale = 1) {
    std::vector<float> out(n);
    for (float& value : out) value = (*this)() * scale;
    return out;
  }

 private:
  std::uint64_t seed_;
  std::uint32_t next_ = 0;
};

float stored(WeightType type, float value) {
  return type == WeightType::kBF16 ? from_bf16(to_bf16(value)) : value;
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string at(const char* what, int i, int j, double got, double want) {
  char text[160];
  std::snprintf(text, sizeof text, "%s [%d, %d] is %.9g, not %.9g", what, i, j, got, want);
  return text;
}

// ---- Philox --------------------------------------------------------------------------------------

void check_philox() {
  struct Known {
    std::array<std::uint32_t, 4> counter;
    std::array<std::uint32_t, 2> key;
    std::array<std::uint32_t, 4> out;
  };
  // kat_vectors of Random123.
  const Known known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  std::string wrong;
  for (const Known& k : known) {
    if (philox4x32_10(k.counter, k.key) != k.out) wrong = "a known answer differs";
  }
  for (std::uint32_t i = 0; i < 100000; ++i) {
    const double u = uniform(1, 2, 3, i);
    if (!(u >= 0 && u < 1)) wrong = "uniform leaves [0, 1)";
  }
  report("philox4x32-10", wrong);
}

// ---- the sampler at its edges --------------------------------------------------------------------

void check_sampler() {
  const float inf = INFINITY, nan = NAN;
  struct Case {
    const char* name;
    std::vector<float> logits;
    TokenConstraint constraint;
    float temperature;
    int want;
  };
  const Case cases[] = {
      {"greedy takes the lowest of equals", {1, 3, 3, 2}, {}, 0, 1},
      {"a masked token loses", {1, 9, 3, 2}, {{}, {1}}, 0, 2},
      {"only the legal one", {1, 9, 3, 2}, {{3}, {}}, 0, 3},
      {"NaN never wins", {nan, 0, nan, -1}, {}, 0, 1},
      {"all NaN gives a legal one", {nan, nan, nan, nan}, {{}, {0, 1}}, 0, 2},
      {"all NaN, sampled", {nan, nan, nan, nan}, {{2}, {}}, 1, 2},
      {"an infinite logit, sampled", {0, inf, 0, 0}, {}, 1, 1},
      {"minus infinity everywhere", {-inf, -inf, -inf, -inf}, {{}, {0}}, 1, 1},
      {"a tiny temperature", {0, 1, 0, 0}, {}, 1e-30f, 1},
  };
  std::string wrong;
  for (const Case& c : cases) {
    for (double u : {0.0, 0.5, 0.999999999}) {
      auto logits = c.logits;
      SamplingParams sampling;
      sampling.temperature = c.temperature;
      sampling.top_p = 0.9f;
      const TokenCounts counts;
      if (sample(logits, {&sampling, &counts, c.constraint, u}).token != c.want) wrong = c.name;
    }
  }
  report("sampler", wrong);
}

/// The same choice by sorting, in double.
int chosen_by_sorting(const std::vector<float>& logits, const SamplingParams& sampling, double uniform) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<double, int>> kept;  // weight, token
  for (size_t i = 0; i < logits.size(); ++i) {
    kept.emplace_back(std::exp((logits[i] - top) / sampling.temperature), static_cast<int>(i));
  }
  std::stable_sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  if (sampling.top_k > 0) kept.resize(std::min(kept.size(), static_cast<size_t>(sampling.top_k)));
  const auto sum_of = [&] {
    double sum = 0;
    for (const auto& [weight, token] : kept) sum += weight;
    return sum;
  };
  if (sampling.top_p < 1) {
    const double goal = sampling.top_p * sum_of();
    double sum = 0;
    size_t n = 0;
    while (n < kept.size() && (n == 0 || sum < goal)) sum += kept[n++].first;
    kept.resize(n);
  }
  std::erase_if(kept, [&](const auto& one) { return one.first < sampling.min_p; });
  std::sort(kept.begin(), kept.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  double rest = uniform * sum_of();
  for (const auto& [weight, token] : kept) {
    if (rest < weight) return token;
    rest -= weight;
  }
  return kept.back().second;
}

/// What falls within rounding of a border may go either way: that is rare.
void check_truncation() {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  const auto one_of = [&](std::initializer_list<float> values) { return values.begin()[random() % values.size()]; };
  int different = 0;
  std::string wrong;
  constexpr int kCases = 3000;
  for (int i = 0; i < kCases; ++i) {
    std::vector<float> logits(1 + random() % 500);
    const float size = one_of({0, 0.1f, 1, 4});
    const bool equals = random() % 2 == 0;
    for (float& logit : logits) logit = equals ? std::round(normal(random) * size) : normal(random) * size;
    SamplingParams sampling;
    sampling.temperature = one_of({0.2f, 1, 2});
    sampling.top_k = static_cast<int>(one_of({0, 0, 2, 40, 1000}));
    sampling.top_p = one_of({1, 1e-6f, 0.5f, 0.9f, 0.9999f});
    sampling.min_p = one_of({0, 0, 0.05f, 1});
    const double uniform = (static_cast<double>(random()) + 0.5) / 4294967296.0;
    const int want = chosen_by_sorting(logits, sampling, uniform);
    const TokenCounts counts;
    const int got = sample(logits, {&sampling, &counts, {}, uniform}).token;
    if (got != want && ++different > kCases / 100) wrong = std::to_string(different) + " differ";
  }
  report("sampler against sorting: " + std::to_string(different) + " of " + std::to_string(kCases) + " at a border",
         wrong);
}

// ---- matrix products -----------------------------------------------------------------------------

struct Weights {
  std::vector<float> values;      // [n, k] as stored
  std::vector<std::byte> packed;  // strips
  int strips = 0;
};

/// What int8 holds of rows of k: whole multiples, up to 127, of one bf16 scale a group.
void quantize(std::vector<float>& values, int k) {
  for (size_t row = 0; row < values.size(); row += k) {
    for (int first = 0; first < k; first += kInt8Group) {
      const int n = std::min(kInt8Group, k - first);
      float* at = values.data() + row + first;
      float most = 0;
      for (int i = 0; i < n; ++i) most = std::max(most, std::abs(at[i]));
      const float scale = stored(WeightType::kBF16, most / 127.0f);
      for (int i = 0; i < n; ++i) {
        const float whole = std::nearbyint(at[i] * (1.0f / scale));
        at[i] = scale * std::min(127.0f, std::max(-127.0f, whole));
      }
    }
  }
}

Weights make_weights(const Kernels& kernels, WeightType type, int n, int k, Numbers& numbers) {
  Weights out;
  out.values = numbers.list(static_cast<size_t>(n) * k);
  std::vector<float> given = out.values;
  if (type == WeightType::kInt8) quantize(out.values, k);
  else for (float& value : out.values) value = stored(type, value);
  out.strips = (n + kernels.strip - 1) / kernels.strip;
  const size_t bytes = strip_bytes(type, kernels.strip, k);
  out.packed.resize(bytes * out.strips);
  std::vector<float> rows(static_cast<size_t>(kernels.strip) * k);
  for (int strip = 0; strip < out.strips; ++strip) {
    std::fill(rows.begin(), rows.end(), 0.0f);
    for (int j = 0; j < kernels.strip && strip * kernels.strip + j < n; ++j) {
      std::copy_n(given.begin() + static_cast<size_t>(strip * kernels.strip + j) * k, k,
                  rows.begin() + static_cast<size_t>(j) * k);
    }
    kernels.pack(type, rows.data(), k, out.packed.data() + bytes * strip);
  }
  return out;
}

/// What a product does beside multiplying.
struct GemmWay {
  bool accumulate, norm, bias, gated;
};

std::string gemm_wrong(const Kernels& kernels, WeightType type, int n, int k, int most, GemmWay way) {
  Numbers numbers(static_cast<std::uint64_t>(n) * 1000 + k);
  const int strip = kernels.strip;
  // Of a gated product the strips are pairs, all of them whole here.
  const int outputs = way.gated ? (n + strip - 1) / strip * 2 * strip : n;
  const Weights weights = make_weights(kernels, type, outputs, k, numbers);
  auto x = numbers.list(static_cast<size_t>(most) * k);
  // Pairs of bf16 are multiplied as they are: both sides are rounded before.
  const bool rounds = type == WeightType::kBF16 && kernels.pairs;
  if (rounds && !way.norm) {
    for (float& value : x) value = stored(type, value);
  }
  const auto before = numbers.list(static_cast<size_t>(most) * n);
  const auto norm = numbers.list(k), bias = numbers.list(static_cast<size_t>(weights.strips) * strip);
  std::vector<std::uint32_t> scratch(gemm_scratch(k));
  const auto run = [&](int row, int m, int first, int last, std::vector<float>& out) {
    Gemm g;
    g.x = x.data() + static_cast<size_t>(row) * k;
    g.ldx = k;
    g.m = m;
    g.k = k;
    g.norm = way.norm ? norm.data() : nullptr;
    g.epsilon = 1e-6f;
    g.w = weights.packed.data();
    g.n = n;
    g.first = first;
    g.last = last;
    g.bias = way.bias ? bias.data() : nullptr;
    g.accumulate = way.accumulate;
    g.gated = way.gated;
    g.scratch = scratch.data();
    g.out = out.data();
    g.ldo = n;
    kernels.gemm(type, g);
  };
  // Each row by itself is the reference for bits; double is the reference for values.
  std::vector<float> alone(static_cast<size_t>(most) * n);
  for (int i = 0; i < most; ++i) {
    std::vector<float> row(before.begin() + static_cast<size_t>(i) * n,
                           before.begin() + static_cast<size_t>(i + 1) * n);
    run(i, 1, 0, weights.strips, row);
    std::copy(row.begin(), row.end(), alone.begin() + static_cast<size_t>(i) * n);
    std::vector<float> in(x.begin() + static_cast<size_t>(i) * k, x.begin() + static_cast<size_t>(i + 1) * k);
    if (way.norm) kernels.rms_norm(in.data(), norm.data(), k, 1e-6f, in.data());
    if (rounds) {
      for (float& value : in) value = stored(type, value);
    }
    // An output of the product, and the sum of its terms' sizes.
    const auto product = [&](int output) {
      double sum = way.bias ? bias[output] : 0, size = std::abs(sum);
      for (int c = 0; c < k; ++c) {
        const double term =
            static_cast<double>(in[c]) * weights.values[static_cast<size_t>(output) * k + c];
        sum += term;
        size += std::abs(term);
      }
      // Beside int8, inputs are whole multiples of 1/32767 or less of their group's largest.
      return std::pair(sum, type == WeightType::kInt8 ? 4e-5 * std::sqrt(k) * (way.norm ? 4 : 1) : 1e-6 * size);
    };
    for (int j = 0; j < n; ++j) {
      auto [want, near] = product(way.gated ? j / strip * 2 * strip + j % strip : j);
      if (way.gated) {
        const auto [up, up_near] = product((j / strip * 2 + 1) * strip + j % strip);
        const double silu = want / (1 + std::exp(-want));
        // The slope of SiLU is 1.1 at the most.
        near = 1.1 * near * std::abs(up) + up_near * std::abs(silu) + 1e-6 * std::abs(silu * up);
        want = silu * up;
      }
      if (way.accumulate) want += before[static_cast<size_t>(i) * n + j];
      if (!(std::abs(row[j] - want) <= near + 1e-6 * std::abs(want) + 1e-30)) {
        return at("out", i, j, row[j], want);
      }
    }
  }
  // int8 sums are the same on every code path.
  static std::map<std::array<int, 4>, std::vector<float>> first_path;
  if (type == WeightType::kInt8 && !way.norm && !way.gated &&
      !same(first_path.try_emplace({n, k, way.accumulate, way.bias}, alone).first->second, alone)) {
    return "another code path gives other bits";
  }
  for (int m = 1; m <= most; ++m) {
    std::vector<float> together(before.begin(), before.begin() + static_cast<size_t>(m) * n);
    run(0, m, 0, weights.strips, together);
    std::vector<float> split(before.begin(), before.begin() + static_cast<size_t>(m) * n);
    const int half = weights.strips / 4 * 2;
    run(0, m, half, weights.strips, split);
    run(0, m, 0, half, split);
    const std::vector<float> want(alone.begin(), alone.begin() + static_cast<size_t>(m) * n);
    if (!same(together, want)) return std::to_string(m) + " rows differ from each by itself";
    if (!same(split, want)) return std::to_string(m) + " rows differ where threads share strips";
  }
  return "";
}

void check_gemm(const Kernels& kernels, WeightType type) {
  std::string wrong;
  for (const auto& [n, k, most] : std::vector<std::array<int, 3>>{
           {1, 1, 13}, {7, 3, 13}, {33, 65, 13}, {64, 64, 13}, {131, 257, 13}, {40, 1100, 26},
           {300, 96, 110}}) {
    // As the layers use it: q, K and V; what is added to the trunk of the network; gate and up; the head.
    for (const GemmWay way : {GemmWay{false, true, true, false}, GemmWay{true, false, true, false},
                              GemmWay{true, false, false, false}, GemmWay{false, true, true, true},
                              GemmWay{false, false, false, true}, GemmWay{false, false, false, false}}) {
      if (!wrong.empty()) continue;
      wrong = gemm_wrong(kernels, type, n, k, most, way);
      if (!wrong.empty()) {
        wrong = "n " + std::to_string(n) + ", k " + std::to_string(k) + (way.norm ? ", norm" : "") +
                (way.bias ? ", bias" : "") + (way.gated ? ", gated: " : ": ") + wrong;
      }
    }
  }
  report(std::string(kernels.name) + " " + name_of(type) + " gemm", wrong);
}

// ---- row operations ------------------------------------------------------------------------------

void check_rms_norm(const Kernels& kernels) {
  std::string wrong;
  for (int n : {1, 2, 15, 16, 17, 64, 65, 896, 1001}) {
    Numbers numbers(n);
    const auto x = numbers.list(n, 5), weight = numbers.list(n);
    std::vector<float> out(n), in_place = x;
    kernels.rms_norm(x.data(), weight.data(), n, 1e-6f, out.data());
    kernels.rms_norm(in_place.data(), weight.data(), n, 1e-6f, in_place.data());
    double squares = 0;
    for (float value : x) squares += static_cast<double>(value) * value;
    const double scale = 1 / std::sqrt(squares / n + 1e-6);
    for (int i = 0; i < n; ++i) {
      const double want = x[i] * scale * weight[i];
      if (!(std::abs(out[i] - want) <= 1e-6 * std::abs(want) + 1e-12)) {
        wrong = at("out", n, i, out[i], want);
      }
    }
    if (!same(out, in_place)) wrong = "in place differs";
  }
  report(std::string(kernels.name) + " rms_norm", wrong);
}

/// What gated products give as pairs of bf16, and what a product makes of it, against the same by way of fp32.
void check_pairs(const Kernels& kernels) {
  constexpr int k = 65, n = 131, m = 14;
  Numbers numbers(5);
  const int strip = kernels.strip, strips = (n + strip - 1) / strip;
  const Weights gate_up = make_weights(kernels, WeightType::kBF16, 2 * strips * strip, k, numbers);
  const Weights down = make_weights(kernels, WeightType::kBF16, 40, n, numbers);
  const auto x = numbers.list(static_cast<size_t>(m) * k), bias = numbers.list(gate_up.strips * strip);
  std::vector<std::uint32_t> scratch(gemm_scratch(n));
  const auto run = [&](bool pairs) {
    const int width = strips * strip / (pairs ? 2 : 1);
    std::vector<float> gated(static_cast<size_t>(m) * width), out(static_cast<size_t>(m) * 40);
    Gemm g;
    g.x = x.data();
    g.ldx = g.k = k;
    g.m = m;
    g.w = gate_up.packed.data();
    g.n = n;
    g.last = gate_up.strips;
    g.bias = bias.data();
    g.gated = true;
    g.scratch = scratch.data();
    g.out = gated.data();
    g.out_pairs = pairs;
    g.ldo = width;
    kernels.gemm(WeightType::kBF16, g);
    Gemm d;
    d.x = gated.data();
    d.x_pairs = pairs;
    d.ldx = width;
    d.m = m;
    d.k = n;
    d.w = down.packed.data();
    d.n = d.ldo = 40;
    d.last = down.strips;
    d.scratch = scratch.data();
    d.out = out.data();
    kernels.gemm(WeightType::kBF16, d);
    return out;
  };
  const bool equal = same(run(true), run(false));
  report(std::string(kernels.name) + " pairs", equal ? "" : "fp32 between two products gives other bits");
}

/// The exponential, as far as others see it: a gated product with gates of every size, ups of 1.
void check_silu(const Kernels& kernels) {
  std::string wrong;
  std::vector<float> gates;
  for (int i = -2000; i <= 2000; ++i) gates.push_back(static_cast<float>(i) * 0.05f);
  for (float value : {-1e30f, -1e4f, -88.0f, -87.0f, -86.99f, -0.0f, 1e-30f, 87.0f, 88.8f, 1e30f}) {
    gates.push_back(value);
  }
  const int m = static_cast<int>(gates.size()), strip = kernels.strip;
  std::vector<std::byte> packed(2 * strip_bytes(WeightType::kF32, strip, 1));
  std::vector<float> weights(2 * strip), bias(2 * strip);
  std::fill_n(weights.begin(), strip, 1.0f);
  std::fill_n(bias.begin() + strip, strip, 1.0f);
  for (int i = 0; i < 2; ++i) {
    kernels.pack(WeightType::kF32, &weights[i * strip], 1, packed.data() + i * packed.size() / 2);
  }
  std::vector<std::uint32_t> scratch(gemm_scratch(1));
  const auto run = [&](int n) {
    std::vector<float> out(static_cast<size_t>(m) * n);
    Gemm g;
    g.x = gates.data();
    g.ldx = g.k = 1;
    g.m = m;
    g.w = packed.data();
    g.n = n;
    g.last = 2;
    g.bias = bias.data();
    g.gated = true;
    g.scratch = scratch.data();
    g.out = out.data();
    g.ldo = n;
    kernels.gemm(WeightType::kF32, g);
    return out;
  };
  const auto one = run(1), whole = run(strip);
  for (int i = 0; i < m; ++i) {
    const double g = gates[i];
    const double want = g < -700 ? 0 : g / (1 + std::exp(-g));
    if (!(std::abs(one[i] - want) <= 5e-7 * std::abs(want) + 1e-35)) wrong = at("silu", i, 0, one[i], want);
    for (int j = 0; j < strip; ++j) {
      if (std::memcmp(&one[i], &whole[static_cast<size_t>(i) * strip + j], 4) != 0) {
        wrong = "one value differs from the same in a row";
      }
    }
  }
  report(std::string(kernels.name) + " silu", wrong);
}

// ---- attention -----------------------------------------------------------------------------------

struct Cache {
  std::vector<std::byte> k, v;
  std::vector<std::vector<int>> blocks;      // of each segment
  std::vector<KvSpan> spans;
  std::vector<std::vector<float>> keys, values;  // [tokens][head_dim], as stored
};

Cache make_cache(WeightType type, const std::vector<int>& lengths, int head_dim, int kv_heads,
                 int kv_head, float scale, Numbers& numbers) {
  Cache cache;
  const size_t element = type == WeightType::kF32 ? 4 : 2;
  const size_t tile = static_cast<size_t>(kBlockTokens) * head_dim;
  int total = 0;
  for (int length : lengths) {
    auto& blocks = cache.blocks.emplace_back();
    for (int t = 0; t < length; t += kBlockTokens) blocks.push_back(total++);
  }
  // Blocks of a segment lie anywhere.
  for (auto& blocks : cache.blocks) {
    for (int& block : blocks) block = (block * 7 + 3) % (total % 7 ? total : total + 1);
  }
  cache.k.resize((total + 1) * kv_heads * tile * element);
  cache.v.resize(cache.k.size());
  // What no token was written to must not matter: NaN.
  std::memset(cache.k.data(), 0, cache.k.size());
  std::memset(cache.v.data(), 0xff, cache.v.size());
  const auto put = [&](std::vector<std::byte>& to, size_t index, float value) {
    if (type == WeightType::kF32) {
      std::memcpy(to.data() + index * 4, &value, 4);
    } else {
      const std::uint16_t bits = to_bf16(value);
      std::memcpy(to.data() + index * 2, &bits, 2);
    }
  };
  for (size_t s = 0; s < lengths.size(); ++s) {
    for (int t = 0; t < lengths[s]; ++t) {
      const size_t base =
          (static_cast<size_t>(cache.blocks[s][t / kBlockTokens]) * kv_heads + kv_head) * tile;
      const int offset = t % kBlockTokens;
      auto& key = cache.keys.emplace_back(numbers.list(head_dim, scale));
      auto& value = cache.values.emplace_back(numbers.list(head_dim));
      for (int d = 0; d < head_dim; ++d) {
        put(cache.k, base + static_cast<size_t>(d) * kBlockTokens + offset, key[d]);
        put(cache.v, base + static_cast<size_t>(offset) * head_dim + d, value[d]);
        key[d] = stored(type, key[d]);
        value[d] = stored(type, value[d]);
      }
    }
  }
  for (size_t s = 0; s < lengths.size(); ++s) {
    cache.spans.push_back({cache.blocks[s].data(), lengths[s]});
  }
  return cache;
}

std::string attend_wrong(const Kernels& kernels, WeightType type, const std::vector<int>& lengths,
                         int head_dim, int group, float scale) {
  Numbers numbers(static_cast<std::uint64_t>(head_dim) * 100 + group);
  constexpr int kHeads = 3, kHead = 1;
  const Cache cache = make_cache(type, lengths, head_dim, kHeads, kHead, scale, numbers);
  const auto q = numbers.list(static_cast<size_t>(group) * head_dim);
  // A row of `count` heads over its whole context, alone or in the midst of rows that see less.
  const auto run = [&](int first, int count, bool company) {
    const size_t stride = partial_size(count, head_dim);
    std::vector<float> scratch(piece_scratch(head_dim));
    std::vector<float> partials, others(4 * stride);
    std::vector<float> out(static_cast<size_t>(count) * head_dim);
    int pieces = 0;
    for (const KvSpan& span : cache.spans) {
      for (int t = 0; t < span.length; t += kKvChunkTokens) {
        partials.resize(++pieces * stride);
        const int tokens = std::min(kKvChunkTokens, span.length - t);
        const float* query = q.data() + static_cast<size_t>(first) * head_dim;
        std::vector<PieceRow> rows = {{query, tokens, &partials[(pieces - 1) * stride]}};
        if (company) {
          rows.insert(rows.begin(), {query, std::max(1, tokens - 1), &others[0]});
          rows.push_back({query, (tokens + 1) / 2, &others[stride]});
          rows.push_back({query, 1, &others[2 * stride]});
        }
        Piece piece;
        piece.rows = rows.data();
        piece.row_count = static_cast<int>(rows.size());
        piece.group = count;
        piece.head_dim = head_dim;
        piece.blocks = span.blocks + t / kBlockTokens;
        piece.k = cache.k.data();
        piece.v = cache.v.data();
        piece.kv_heads = kHeads;
        piece.kv_head = kHead;
        piece.scratch = scratch.data();
        kernels.attend(type, piece);
      }
    }
    for (int head = 0; head < count; ++head) {
      kernels.merge({&partials[head * head_dim], &partials[count * head_dim + 2 * head],
                     static_cast<std::ptrdiff_t>(stride), pieces, head_dim,
                     &out[static_cast<size_t>(head) * head_dim]});
    }
    return out;
  };
  const auto together = run(0, group, false);
  if (!same(run(0, group, true), together)) return "a row differs from the same row in company";
  for (int g = 0; g < group; ++g) {
    const std::vector<float> mine(together.begin() + static_cast<size_t>(g) * head_dim,
                                  together.begin() + static_cast<size_t>(g + 1) * head_dim);
    if (!same(run(g, 1, false), mine)) return "a head differs from the same head alone";
    std::vector<double> weights;
    double top = -INFINITY, total = 0;
    for (const auto& key : cache.keys) {
      double score = 0;
      for (int d = 0; d < head_dim; ++d) {
        score += static_cast<double>(q[static_cast<size_t>(g) * head_dim + d]) * key[d];
      }
      weights.push_back(score);
      top = std::max(top, score);
    }
    for (double& weight : weights) total += weight = std::exp(weight - top);
    for (int d = 0; d < head_dim; ++d) {
      double want = 0;
      for (size_t t = 0; t < weights.size(); ++t) want += weights[t] / total * cache.values[t][d];
      // Scores of size s carry an error of about s · 2^-23 into the weights.
      if (!(std::abs(mine[d] - want) <= 1e-6 * (1 + scale * std::sqrt(head_dim)))) return at("out", g, d, mine[d], want);
    }
  }
  return "";
}

void check_attend(const Kernels& kernels, WeightType type) {
  const std::vector<std::vector<int>> contexts = {
      {1}, {16}, {17}, {255}, {256}, {257}, {600}, {1, 1, 1}, {33, 5, 300, 16, 1}, {256, 256, 7},
      {40, 3, 3, 3, 3, 3, 3, 3, 3, 90}};
  std::string wrong;
  for (const auto& lengths : contexts) {
    for (int head_dim : {2, 16, 24, 64, 80, 128}) {
      for (int group : {1, 3, 4, 7, 16}) {
        for (float scale : {1.0f, 40.0f}) {
          if (wrong.empty()) wrong = attend_wrong(kernels, type, lengths, head_dim, group, scale);
        }
      }
    }
  }
  report(std::string(kernels.name) + " " + name_of(type) + " attend", wrong);
}

/// Every row gets its pieces once, in context order, from the blocks that its spans name; lanes of a
/// group, rows of one prefill, and requests that share cached blocks read a piece together.
void check_plan() {
  constexpr int kHeads = 2, kThreads = 3;
  std::vector<int> trunk(40), twin;  // the twin parts from the trunk within its second piece
  for (int i = 0; i < 40; ++i) trunk[i] = i;
  twin = trunk;
  for (int i = 20; i < 40; ++i) twin[i] = 40 + i;
  std::vector<std::vector<int>> own;
  Batch batch;
  for (int i = 0; i < 300; ++i) own.push_back({100 + 2 * i, 101 + 2 * i});
  const auto row = [&](std::vector<KvSpan> spans) {
    Row r;
    r.first_span = static_cast<int>(batch.spans.size());
    r.num_spans = static_cast<int>(spans.size());
    batch.spans.insert(batch.spans.end(), spans.begin(), spans.end());
    batch.rows.push_back(r);
  };
  for (int i = 0; i < 200; ++i) {
    row({{trunk.data(), 600}, {nullptr, 0}, {own[i].data(), 1 + i % 32}});
  }
  for (int i = 200; i < 220; ++i) row({{twin.data(), 640}, {own[i].data(), 5}});
  for (int t = 0; t < 300; ++t) row({{trunk.data(), 1 + t}});

  std::string wrong;
  for (int max_partials : {1100, 5000}) {
    AttentionPlan plan(1000, max_partials, kHeads, 7, kThreads);
    for (int again = 0; again < 2; ++again) {
      plan.build(batch);
      std::vector<int> seen(batch.rows.size() * 8 * kHeads);
      int next_row = 0;
      for (const AttentionPlan::Wave& wave : plan.waves()) {
        if (wave.first_row != next_row) wrong = "waves don't follow each other";
        next_row = wave.last_row;
        for (int unit = wave.thread_items.front(); unit < wave.thread_items.back(); ++unit) {
          const AttentionPlan::WorkItem& u = plan.item(unit);
          for (int i = 0; i < u.count; ++i) {
            const AttentionPlan::QueryRead& read = plan.reads()[u.first + i];
            const Row& r = batch.rows[read.row];
            int partial = plan.first_partial(read.row);
            for (int s = r.first_span; s < r.first_span + r.num_spans; ++s) {
              const KvSpan& span = batch.spans[s];
              for (int t = 0; t < span.length; t += kKvChunkTokens, ++partial) {
                if (partial != read.partial) continue;
                const int tokens = std::min(kKvChunkTokens, span.length - t);
                if (read.tokens != tokens ||
                    !std::equal(u.blocks, u.blocks + (tokens + 15) / 16, span.blocks + t / 16)) {
                  wrong = "a row reads what is not its context";
                }
                ++seen[(read.row * 8 + partial - plan.first_partial(read.row)) * kHeads + u.kv_head];
              }
            }
            if (read.partial >= max_partials || partial > max_partials) wrong = "max_partials run over";
          }
        }
        for (int i = 0; i < kThreads; ++i) {
          if (wave.thread_items[i] > wave.thread_items[i + 1]) wrong = "a thread's share is odd";
        }
      }
      if (next_row != static_cast<int>(batch.rows.size())) wrong = "rows are left out";
      for (size_t r = 0; r < batch.rows.size(); ++r) {
        for (int partial = 0; partial < 8; ++partial) {
          for (int head = 0; head < kHeads; ++head) {
            const int times = partial < plan.num_partials(static_cast<int>(r)) ? 1 : 0;
            if (seen[(r * 8 + partial) * kHeads + head] != times) {
              wrong = "a piece is computed other than once";
            }
          }
        }
      }
    }
    // In one wave: the trunk's three pieces (also the third: 88 tokens), the twin's two of its own,
    // and the lanes' ends.
    long long ends = 20 * 5;
    for (int i = 0; i < 200; ++i) ends += 1 + i % 32;
    if (max_partials == 5000 && plan.kv_tokens() != 600 + (640 - 256) + ends) {
      wrong = "tokens read are " + std::to_string(plan.kv_tokens());
    }
  }
  report("piece plan", wrong);
}

/// Eight lanes over two equal pieces, each with an end of its own: two threads get the same work.
void check_dealing() {
  std::vector<int> trunk(32);
  for (int i = 0; i < 32; ++i) trunk[i] = i;
  std::vector<int> own(8);
  Batch batch;
  for (int i = 0; i < 8; ++i) {
    own[i] = 40 + i;
    Row row;
    row.first_span = static_cast<int>(batch.spans.size());
    row.num_spans = 2;
    batch.spans.insert(batch.spans.end(), {{trunk.data(), 512}, {&own[i], 10}});
    batch.rows.push_back(row);
  }
  AttentionPlan plan(100, 100, 2, 7, 2);
  plan.build(batch);
  const AttentionPlan::Wave& wave = plan.waves().front();
  std::array<int, 2> tokens{};
  for (int thread = 0; thread < 2; ++thread) {
    for (int unit = wave.thread_items[thread]; unit < wave.thread_items[thread + 1]; ++unit) {
      for (int i = 0; i < plan.item(unit).count; ++i) {
        tokens[thread] += plan.reads()[plan.item(unit).first + i].tokens;
      }
    }
  }
  std::string wrong;
  if (tokens[0] != tokens[1] || tokens[0] != 8 * 522) {
    wrong = std::to_string(tokens[0]) + " and " + std::to_string(tokens[1]) + " tokens";
  }
  report("work dealt out", wrong);
}

// ---- serving, with every door used at once ---------------------------------------------------------

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
          if (i % 10 == 0) engine.score(spec.prompt, ResumeRule::kSum, true).get();
          engine.load();
        }
      });
    }
    clients.clear();
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return finished == kClients * kEach || !wrong.empty(); });
    lock.unlock();
    const LoadSnapshot load = engine.load();
    if (wrong.empty() && load.kv_free != load.kv_total) wrong = "blocks are missing";
    RequestSpec last;
    last.prompt = {{false, {{5}}}};
    last.max_tokens = 100;
    engine.submit(last);
    std::jthread closer([&engine] { engine.close(); });
  }
  report("serving from " + std::to_string(kClients) + " threads", wrong);
}

}  // namespace
}  // namespace anabranch

int main(int count, char** arguments) {
  using namespace anabranch;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was found stays known where the device ends the program
  std::vector<std::string> folders;
  BackendOptions options;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--help") return std::fputs(kHelp, stdout), 0;
    if (argument == "--no-overlap") options.overlap_kernels = false;
    else if (argument == "--no-library") options.cublaslt = false;
    else if (argument.starts_with("-")) return std::fprintf(stderr, "no option %s; see --help\n", argument.c_str()), 2;
    else folders.push_back(argument);
  }
  check_philox();
  check_sampler();
  check_truncation();
  check_plan();
  check_dealing();
  std::vector<const Kernels*> tables;
  for (const std::string& path : runnable_kernels()) tables.push_back(&select_kernels(path));
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    tables.push_back(&kernels_pairs);
  }
#endif
  for (const Kernels* table : tables) {
    const Kernels& kernels = *table;
    check_rms_norm(kernels);
    check_silu(kernels);
    if (kernels.pairs) check_pairs(kernels);
    for (WeightType type : {WeightType::kF32, WeightType::kBF16}) {
      check_gemm(kernels, type);
      check_attend(kernels, type);
    }
    check_gemm(kernels, WeightType::kInt8);
  }
  try {
#if defined(ANABRANCH_WITH_CUDA)
    const bool device = cuda_devices() > 0;
    if (device) cuda::check_backend(folders, options, report);
#else
    const bool device = false;
#endif
#if defined(ANABRANCH_WITH_EMULATION)
    if (!device) emulated::check_backend(folders, options, report);
#else
    (void)device;
#endif
    if (!folders.empty()) check_serving(folders[0]);
  } catch (const std::exception& error) {
    report("serving", error.what());
  }
  std::printf("%s\n", failures == 0 ? "all checks passed" : "checks failed");
  return failures == 0 ? 0 : 1;
}
