// From one row of logits to one token.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace anabranch {

struct SamplingParams {
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

/// Which tokens may come next. `allowed`, if not empty, lists the only ones; otherwise all
/// but `banned`.
struct TokenConstraint {
  std::vector<int> allowed;
  std::vector<int> banned;
};

bool allows(const TokenConstraint& constraint, int token);

/// How a lane's next token is to be chosen, known before its logits are.
struct SamplingInput {
  const SamplingParams* params = nullptr;
  const TokenCounts* token_counts = nullptr;
  TokenConstraint constraint;
  double uniform = 0;  // in [0, 1)
};

/// What was chosen, with log-probabilities where sampling asks for them.
struct SampledToken {
  int token = 0;
  float logprob = 0;
  std::vector<std::pair<int, float>> top;
};

/// Chooses from raw `logits` [vocabulary], which it changes: penalties, bias, mask, temperature, top-k,
/// top-p, min-p, then the inverse CDF of `uniform` over the survivors in token-id order. Greedy takes
/// the lowest id among equals. Log-probabilities are those of the raw logits.
SampledToken sample(std::span<float> logits, const SamplingInput& input);

/// Log-probability of `token` under softmax of the raw logits.
float log_probability(std::span<const float> logits, int token);

/// The `count` likeliest tokens and their log-probabilities, likeliest first, lower id first.
std::vector<std::pair<int, float>> top_log_probabilities(std::span<const float> logits, int count);

}  // namespace anabranch
