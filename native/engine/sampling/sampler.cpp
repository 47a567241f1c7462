#include "sampling/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>

namespace anabranch {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void apply_penalties(std::span<float> logits, const SamplingParams& params,
                     const TokenCounts& counts) {
  for (const auto& [token, count] : counts) {
    float& logit = logits[token];
    if (params.repetition_penalty != 1) {
      logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    }
    logit -= params.frequency_penalty * static_cast<float>(count) + params.presence_penalty;
  }
  for (const auto& [token, bias] : params.logit_bias) logits[token] += bias;
}

bool is_in(const TokenMask& mask, size_t token) {
  return token / 32 < mask.size() && (mask[token / 32] >> (token % 32) & 1) != 0;
}

/// Keeps the logits of the tokens in `mask`.
void keep(std::span<float> logits, const TokenMask& mask) {
  for (size_t begin = 0; begin < logits.size(); begin += 32) {
    const std::uint32_t word = begin / 32 < mask.size() ? mask[begin / 32] : 0;
    if (word == 0xffffffffu) continue;
    const auto part = logits.subspan(begin, std::min<size_t>(32, logits.size() - begin));
    for (size_t i = 0; i < part.size(); ++i) {
      if ((word >> i & 1) == 0) part[i] = kNever;
    }
  }
}

void apply_mask(std::span<float> logits, const TokenConstraint& constraint) {
  if (!constraint.allowed.empty() || constraint.mask) {
    std::vector<float> kept;
    for (int token : constraint.allowed) kept.push_back(logits[token]);
    const TokenMask none;
    keep(logits, constraint.mask ? *constraint.mask : none);
    for (size_t i = 0; i < kept.size(); ++i) logits[constraint.allowed[i]] = kept[i];
  }
  for (int token : constraint.banned) logits[token] = kNever;
}

/// Values that a loop below handles at once, so that the compiler vectorises it.
constexpr size_t kBlock = 32;

/// The largest value; NaN, which a broken checkpoint gives, counts as never.
float largest(std::span<const float> logits) {
  std::array<float, kBlock> best;
  best.fill(kNever);
  const size_t whole = logits.size() / kBlock * kBlock;
  for (size_t begin = 0; begin < whole; begin += kBlock) {
    for (size_t i = 0; i < kBlock; ++i) {
      best[i] = logits[begin + i] > best[i] ? logits[begin + i] : best[i];
    }
  }
  float top = kNever;
  for (float value : best) top = value > top ? value : top;
  for (float value : logits.subspan(whole)) top = value > top ? value : top;
  return top;
}

/// The likeliest allowed token. NaN never wins.
int greedy(std::span<const float> logits, const TokenConstraint& constraint) {
  const float top = largest(logits);
  if (top != kNever) {
    return static_cast<int>(std::find(logits.begin(), logits.end(), top) - logits.begin());
  }
  for (int token = 0; token < static_cast<int>(logits.size()); ++token) {
    if (allows(constraint, token)) return token;
  }
  return 0;
}

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

/// The `count` likeliest tokens in order, lower id first. NaN comes last.
std::vector<int> likeliest(std::span<const float> logits, size_t count) {
  const auto rank = [&](int token) { return std::isnan(logits[token]) ? kNever : logits[token]; };
  std::vector<int> best;
  count = std::min(count, logits.size());
  for (int token = 0; count > 0 && token < static_cast<int>(logits.size()); ++token) {
    if (best.size() == count) {
      if (!(rank(token) > rank(best.back()))) continue;
      best.pop_back();
    }
    const auto place = std::upper_bound(best.begin(), best.end(), token,
                                        [&](int a, int b) { return rank(a) > rank(b); });
    best.insert(place, token);
  }
  return best;
}

/// e^x for x ≤ 0, to a few units in the last place; 0 for very small x and for NaN. Compilers
/// vectorise loops of it.
inline float exponential(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
  const float shifted = x * kLog2E + kRound, whole = shifted - kRound;
  const float r = x - whole * kLn2High - whole * kLn2Low;
  // Cephes' polynomial for e^r, |r| up to ln 2 / 2.
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const std::uint32_t exponent =
      std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(kRound) + 127;
  return x > -87.0f ? p * std::bit_cast<float>(exponent << 23) : 0.0f;
}

/// The weights that truncation keeps: all above `weight`, and the first `equals` equal to it, in
/// token-id order.
struct Cut {
  float weight = 0;
  size_t equals = 0;
};

/// Calls visit(token, weight) for the weights of at least `min` in token-id order until it returns
/// false. Few are, if `min` is not 0: blocks without any are passed over.
template <class Visit>
void each_from(std::span<const float> weights, float min, Visit visit) {
  for (size_t begin = 0; begin < weights.size(); begin += kBlock) {
    const auto block = weights.subspan(begin, std::min(kBlock, weights.size() - begin));
    int any = 0;
    for (float weight : block) any |= weight >= min;
    if (any == 0) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      if (block[i] >= min && !visit(static_cast<int>(begin + i), block[i])) return;
    }
  }
}

/// Calls visit(token, weight) for the kept weights of at least `min` in token-id order until it
/// returns false.
template <class Visit>
void each_kept(std::span<const float> weights, Cut cut, float min, Visit visit) {
  each_from(weights, std::max(cut.weight, min), [&](int token, float weight) {
    if (weight == cut.weight) {
      if (cut.equals == 0) return true;
      --cut.equals;
    }
    return static_cast<bool>(visit(token, weight));
  });
}

/// How many weights, and their sum.
struct Kept {
  size_t count = 0;
  double sum = 0;
};

/// Of the kept weights, those of at least `min`.
Kept kept(std::span<const float> weights, Cut cut, float min) {
  Kept kept;
  if (cut.weight > 0 || min > 0) {
    each_kept(weights, cut, min, [&](int, float weight) {
      ++kept.count;
      kept.sum += weight;
      return true;
    });
    return kept;
  }
  // All: partial sums, which a vector unit adds side by side.
  std::array<double, kBlock> sums{};
  std::array<std::uint32_t, kBlock> counts{};
  for (size_t begin = 0; begin < weights.size(); begin += kBlock) {
    const auto block = weights.subspan(begin, std::min(kBlock, weights.size() - begin));
    for (size_t i = 0; i < block.size(); ++i) {
      sums[i] += block[i];
      counts[i] += block[i] > 0;
    }
  }
  kept.sum = std::accumulate(sums.begin(), sums.end(), 0.0);
  kept.count = std::accumulate(counts.begin(), counts.end(), size_t{0});
  return kept;
}

/// Keeps the `count` largest of `weights` that are above 0.
Cut cut_by_count(std::span<const float> weights, size_t count) {
  std::vector<float> largest(std::min(count, weights.size()));
  std::partial_sort_copy(weights.begin(), weights.end(), largest.begin(), largest.end(),
                         std::greater<>());
  const float last = largest.back();
  if (last == 0) return {};
  return {last, static_cast<size_t>(std::count(largest.begin(), largest.end(), last))};
}

/// Keeps the fewest of the largest `weights` whose sum reaches `goal`. Partitions like quickselect,
/// and so avoids sorting. Reorders `weights`.
Cut cut_by_sum(std::vector<float>& weights, double goal) {
  double above = 0;  // sum of the weights before `begin`
  for (auto begin = weights.begin(), end = weights.end();;) {
    const float first = *begin, middle = begin[(end - begin) / 2], last = end[-1];
    const float pivot = std::max(std::min(first, middle), std::min(std::max(first, middle), last));
    const auto equal = std::partition(begin, end, [&](float weight) { return weight > pivot; });
    const auto less = std::partition(equal, end, [&](float weight) { return weight == pivot; });
    const double greater = std::accumulate(begin, equal, 0.0);
    const auto equals = static_cast<double>(less - equal);
    if (equal != begin && above + greater >= goal) {
      end = equal;
    } else if (above + greater + equals * pivot >= goal || less == end) {
      const double wanted = std::ceil((goal - above - greater) / pivot);
      return {pivot, static_cast<size_t>(std::clamp(wanted, 1.0, equals))};
    } else {
      above += greater + equals * pivot;
      begin = less;
    }
  }
}

/// Top-k and top-p.
Cut cut_of(std::span<const float> weights, const SamplingParams& params) {
  Cut cut;
  if (params.top_k > 0) cut = cut_by_count(weights, static_cast<size_t>(params.top_k));
  if (params.top_p < 1) {
    const auto [count, total] = kept(weights, cut, 0);
    if (count == 0) return cut;
    // Weights below an even share of the remainder can't be kept: even all of them together stay
    // below the remainder. The factor protects the largest weight from rounding.
    const double goal = std::max(0.0, double{params.top_p}) * total;
    const auto min = static_cast<float>(0.999 * (total - goal) / static_cast<double>(count));
    std::vector<float> candidates;
    each_kept(weights, cut, min, [&](int, float weight) {
      candidates.push_back(weight);
      return true;
    });
    cut = cut_by_sum(candidates, goal);
  }
  return cut;
}

int sample_token(std::span<float> logits, const SamplingInput& input) {
  const SamplingParams& params = *input.params;
  apply_penalties(logits, params, *input.token_counts);
  apply_mask(logits, input.constraint);
  const int likeliest = greedy(logits, input.constraint);
  if (params.temperature <= 0 || params.top_k == 1) return likeliest;

  // Replaces the logits by unnormalised probabilities: 1 for the likeliest token.
  const float top = logits[likeliest], inverse = 1 / params.temperature;
  for (float& logit : logits) logit = exponential((logit - top) * inverse);
  const std::span<const float> weights = logits;
  const Cut cut = cut_of(weights, params);
  const float min = std::min(params.min_p, 1.0f);
  double rest = input.uniform * kept(weights, cut, min).sum;
  int sampled = likeliest;  // stays so if no weight is finite (a broken checkpoint)
  each_kept(weights, cut, min, [&](int token, float weight) {
    sampled = token;
    rest -= weight;
    return rest >= 0;  // if rounding leaves a remainder, the last token is taken
  });
  return sampled;
}

}  // namespace

bool allows(const TokenConstraint& constraint, int token) {
  const auto names = [&](const std::vector<int>& list) {
    return std::find(list.begin(), list.end(), token) != list.end();
  };
  if (names(constraint.banned)) return false;
  if (constraint.allowed.empty() && !constraint.mask) return true;
  return names(constraint.allowed) ||
         (constraint.mask && is_in(*constraint.mask, static_cast<size_t>(token)));
}

SampledToken sample(std::span<float> logits, const SamplingInput& input) {
  if (!input.params->logprobs) return {sample_token(logits, input), 0, {}};
  const std::vector<float> raw(logits.begin(), logits.end());
  const int token = sample_token(logits, input);
  auto [logprob, top] = log_probabilities(raw, token, input.params->top_logprobs);
  return {token, logprob, std::move(top)};
}

float log_probability(std::span<const float> logits, int token) {
  return static_cast<float>(logits[token] - log_sum_exp(logits));
}

TokenLogprobs log_probabilities(std::span<const float> logits, int token, int count) {
  const double total = log_sum_exp(logits);
  TokenLogprobs out{static_cast<float>(logits[token] - total), {}};
  for (const int id : likeliest(logits, static_cast<size_t>(std::max(count, 0)))) {
    out.top.emplace_back(id, static_cast<float>(logits[id] - total));
  }
  return out;
}

}  // namespace anabranch
