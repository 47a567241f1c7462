// Sampling one token from one row of logits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace anabranch {

struct SamplingParams {
  float temperature = 0;  // 0: greedy
  float top_p = 1;
  int top_k = 0;  // 0: off
  float min_p = 0;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  float repetition_penalty = 1;
  std::vector<std::pair<int, float>> logit_bias;
  bool logprobs = false;
  int top_logprobs = 0;
};

/// How often each ordinary sampled token occurs in the part of the answer that a lane sees, for
/// penalties.
using TokenCounts = std::unordered_map<int, int>;

/// A set of token ids: bit id % 32 of word id / 32. Ids beyond its words are not in it.
using TokenMask = std::vector<std::uint32_t>;

/// Which tokens may come next: those in `allowed` and in `mask` or, without both, all; never those
/// that are `banned`.
struct TokenConstraint {
  std::vector<int> allowed;
  std::vector<int> banned;
  std::shared_ptr<const TokenMask> mask = nullptr;
};

bool allows(const TokenConstraint& constraint, int token);

/// How to sample a lane's next token.
struct SamplingInput {
  const SamplingParams* params = nullptr;
  const TokenCounts* token_counts = nullptr;
  TokenConstraint constraint;
  double uniform = 0;  // in [0, 1)
};

/// A token's log-probability under softmax of the raw logits, and the likeliest tokens in its place
/// with theirs, likeliest first, lower id first.
struct TokenLogprobs {
  float logprob = 0;
  std::vector<std::pair<int, float>> top;
};

/// A sampled token, with log-probabilities if the parameters ask for them.
struct SampledToken {
  int token = 0;
  float logprob = 0;
  std::vector<std::pair<int, float>> top;
};

/// Samples from raw `logits` [vocabulary], which it overwrites: penalties, bias, mask, temperature,
/// top-k, top-p, min-p, then the inverse CDF of `uniform` over the remaining tokens in id order.
/// Greedy sampling takes the lowest id of equal logits. Log-probabilities are those of the raw
/// logits.
SampledToken sample(std::span<float> logits, const SamplingInput& input);

/// Log-probability of `token` under softmax of the raw logits.
float log_probability(std::span<const float> logits, int token);

/// The same, and those of the `count` likeliest tokens.
TokenLogprobs log_probabilities(std::span<const float> logits, int token, int count);

}  // namespace anabranch
