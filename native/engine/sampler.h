// From one row of logits to one token.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace anabranch {

struct Sampling {
  float temperature = 0;         // 0: greedy
  float top_p = 1;
  int top_k = 0;                 // 0: off
  float min_p = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  std::vector<std::pair<int, float>> logit_bias;
  bool logprobs = false;
  int top_logprobs = 0;
};

/// How often each ordinary, freely chosen token stands in what the lane can see of the answer.
using TokenCounts = std::unordered_map<int, int>;

/// Which tokens may come next. `only`, where not empty, are the sole legal ones; else all but
/// `never`.
struct Legal {
  std::vector<int> only;
  std::vector<int> never;
};

/// Chooses from `logits` [vocabulary], in place: penalties, bias, mask, temperature, top-k, top-p,
/// min-p, then the inverse CDF of `uniform` in [0, 1) over the survivors in token-id order.
/// Greedy takes the lowest id among equals.
int choose(std::span<float> logits, const Sampling& sampling, const TokenCounts& counts,
           const Legal& legal, double uniform);

/// Log-probability of `token` under softmax of the raw logits.
float log_probability(std::span<const float> logits, int token);

/// The `count` likeliest tokens and their log-probabilities, likeliest first, lower id first.
std::vector<std::pair<int, float>> top_log_probabilities(std::span<const float> logits, int count);

}  // namespace anabranch
