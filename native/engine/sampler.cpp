#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace anabranch {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void apply_penalties(std::span<float> logits, const Sampling& sampling,
                     const TokenCounts& counts) {
  for (const auto& [token, count] : counts) {
    float& logit = logits[token];
    if (sampling.repetition_penalty != 1) {
      logit = logit > 0 ? logit / sampling.repetition_penalty
                        : logit * sampling.repetition_penalty;
    }
    logit -= sampling.frequency_penalty * static_cast<float>(count) + sampling.presence_penalty;
  }
  for (const auto& [token, bias] : sampling.logit_bias) logits[token] += bias;
}

void apply_mask(std::span<float> logits, const Legal& legal) {
  if (!legal.only.empty()) {
    std::vector<float> kept;
    for (int token : legal.only) kept.push_back(logits[token]);
    std::fill(logits.begin(), logits.end(), kNever);
    for (size_t i = 0; i < kept.size(); ++i) logits[legal.only[i]] = kept[i];
  }
  for (int token : legal.never) logits[token] = kNever;
}

/// The likeliest legal token. NaN, which a broken checkpoint gives, never wins.
int greedy(std::span<const float> logits, const Legal& legal) {
  int best = -1;
  for (size_t token = 0; token < logits.size(); ++token) {
    if (std::isnan(logits[token]) || logits[token] == kNever) continue;
    if (best < 0 || logits[token] > logits[best]) best = static_cast<int>(token);
  }
  if (best >= 0) return best;
  if (!legal.only.empty()) return legal.only.front();
  for (int token = 0; token < static_cast<int>(logits.size()); ++token) {
    if (std::find(legal.never.begin(), legal.never.end(), token) == legal.never.end()) return token;
  }
  return 0;
}

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

struct Candidate {
  int token;
  double weight;  // unnormalised probability
};

/// Drops what top-k, top-p and min-p drop. The likeliest are brought to the front only as far as they
/// are needed: few of a large vocabulary are.
void truncate(std::vector<Candidate>& kept, const Sampling& sampling) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
  };
  size_t sorted = 0;
  const auto sort_to = [&](size_t n) {
    n = std::min(n, kept.size());
    if (n <= sorted) return;
    std::partial_sort(kept.begin() + static_cast<std::ptrdiff_t>(sorted),
                      kept.begin() + static_cast<std::ptrdiff_t>(n), kept.end(), likelier);
    sorted = n;
  };
  const double least =
      std::min(sampling.min_p, 1.0f) *
      std::max_element(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) {
        return a.weight < b.weight;
      })->weight;
  if (sampling.top_k > 0) {
    sort_to(static_cast<size_t>(sampling.top_k));
    kept.resize(std::max<size_t>(sorted, 1));
  }
  if (sampling.top_p < 1) {
    double total = 0;
    for (const Candidate& c : kept) total += c.weight;
    double sum = 0;
    size_t n = 0;
    while (n < kept.size() && (n == 0 || sum < sampling.top_p * total)) {
      if (n == sorted) sort_to(std::max<size_t>(64, 4 * sorted));
      sum += kept[n++].weight;
    }
    kept.resize(n);
  }
  std::erase_if(kept, [&](const Candidate& c) { return c.weight < least; });
  std::sort(kept.begin(), kept.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

int choose_token(std::span<float> logits, const Choice& choice) {
  const Sampling& sampling = *choice.sampling;
  apply_penalties(logits, sampling, *choice.counts);
  apply_mask(logits, choice.legal);
  const int likeliest = greedy(logits, choice.legal);
  if (sampling.temperature <= 0 || sampling.top_k == 1) return likeliest;

  std::vector<Candidate> kept;
  const double top = logits[likeliest];
  for (size_t token = 0; token < logits.size(); ++token) {
    if (logits[token] == kNever) continue;
    const double weight = std::exp((logits[token] - top) / sampling.temperature);
    if (weight > 0) kept.push_back({static_cast<int>(token), weight});
  }
  if (kept.empty()) return likeliest;  // nothing finite: a broken checkpoint
  if (sampling.top_k > 0 || sampling.top_p < 1 || sampling.min_p > 0) truncate(kept, sampling);
  double total = 0;
  for (const Candidate& c : kept) total += c.weight;
  double rest = choice.uniform * total;
  for (const Candidate& c : kept) {
    if (rest < c.weight) return c.token;
    rest -= c.weight;
  }
  return kept.back().token;  // rounding left a crumb
}

}  // namespace

bool allows(const Legal& legal, int token) {
  const auto& named = legal.only.empty() ? legal.never : legal.only;
  const bool found = std::find(named.begin(), named.end(), token) != named.end();
  return found != legal.only.empty();
}

Chosen choose(std::span<float> logits, const Choice& choice) {
  if (!choice.sampling->logprobs) return {choose_token(logits, choice), 0, {}};
  const std::vector<float> raw(logits.begin(), logits.end());
  const int token = choose_token(logits, choice);
  return {token, log_probability(raw, token),
          top_log_probabilities(raw, choice.sampling->top_logprobs)};
}

float log_probability(std::span<const float> logits, int token) {
  return static_cast<float>(logits[token] - log_sum_exp(logits));
}

std::vector<std::pair<int, float>> top_log_probabilities(std::span<const float> logits,
                                                         int count) {
  std::vector<int> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  const size_t n = std::min(order.size(), static_cast<size_t>(std::max(count, 0)));
  const auto rank = [&](int token) { return std::isnan(logits[token]) ? kNever : logits[token]; };
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](int a, int b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a < b;
  });
  const double total = log_sum_exp(logits);
  std::vector<std::pair<int, float>> out;
  for (size_t i = 0; i < n; ++i) {
    out.emplace_back(order[i], static_cast<float>(logits[order[i]] - total));
  }
  return out;
}

}  // namespace anabranch
