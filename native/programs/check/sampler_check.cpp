// Philox and the sampler.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check/checks.h"
#include "sampling/philox.h"
#include "sampling/sampler.h"

namespace anabranch {
void check_philox() {
  struct Known {
    std::array<std::uint32_t, 4> counter;
    std::array<std::uint32_t, 2> key;
    std::array<std::uint32_t, 4> out;
  };
  // From kat_vectors of Random123.
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
      {"greedy takes the lowest id of equal logits", {1, 3, 3, 2}, {}, 0, 1},
      {"a masked token loses", {1, 9, 3, 2}, {{}, {1}}, 0, 2},
      {"only the allowed one", {1, 9, 3, 2}, {{3}, {}}, 0, 3},
      {"NaN never wins", {nan, 0, nan, -1}, {}, 0, 1},
      {"all NaN gives an allowed one", {nan, nan, nan, nan}, {{}, {0, 1}}, 0, 2},
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

namespace {

/// The token that sampling by sorting, in double precision, gives.
int sample_by_sorting(const std::vector<float>& logits, const SamplingParams& sampling,
                      double uniform) {
  const double top = *std::max_element(logits.begin(), logits.end());
  std::vector<std::pair<double, int>> kept;  // weight, token
  for (size_t i = 0; i < logits.size(); ++i) {
    kept.emplace_back(std::exp((logits[i] - top) / sampling.temperature), static_cast<int>(i));
  }
  std::stable_sort(kept.begin(), kept.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
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
  std::sort(kept.begin(), kept.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  double rest = uniform * sum_of();
  for (const auto& [weight, token] : kept) {
    if (rest < weight) return token;
    rest -= weight;
  }
  return kept.back().second;
}

}  // namespace

void check_truncation() {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  const auto one_of = [&](std::initializer_list<float> values) {
    return values.begin()[random() % values.size()];
  };
  int different = 0;  // rounding at a cut may go either way; that is rare
  std::string wrong;
  constexpr int kCases = 3000;
  for (int i = 0; i < kCases; ++i) {
    std::vector<float> logits(1 + random() % 500);
    const float size = one_of({0, 0.1f, 1, 4});
    const bool equals = random() % 2 == 0;
    for (float& logit : logits)
      logit = equals ? std::round(normal(random) * size) : normal(random) * size;
    SamplingParams sampling;
    sampling.temperature = one_of({0.2f, 1, 2});
    sampling.top_k = static_cast<int>(one_of({0, 0, 2, 40, 1000}));
    sampling.top_p = one_of({1, 1e-6f, 0.5f, 0.9f, 0.9999f});
    sampling.min_p = one_of({0, 0, 0.05f, 1});
    const double uniform = (static_cast<double>(random()) + 0.5) / 4294967296.0;
    const int want = sample_by_sorting(logits, sampling, uniform);
    const TokenCounts counts;
    const int got = sample(logits, {&sampling, &counts, {}, uniform}).token;
    if (got != want && ++different > kCases / 100) wrong = std::to_string(different) + " differ";
  }
  report("sampler against sorting: " + std::to_string(different) + " of " + std::to_string(kCases) +
             " differ at a cut",
         wrong);
}

}  // namespace anabranch
