// Scoring: log-probabilities of given tokens with their lane structure. A score runs as a request
// whose prompt gives logits for every token.
#pragma once

#include <future>
#include <memory>
#include <span>
#include <vector>

#include "kv/lanes.h"
#include "kv/structure.h"

namespace anabranch {

/// What a score gives beside the log-probabilities of its tokens.
struct ScoreWanted {
  bool logits = false;
  int top_logprobs = 0;  // alternatives for each token
};

struct Score {
  /// In the structure of the runs: each token's log-probability given its context, NaN for the
  /// first token of each list (those are forced).
  std::vector<std::vector<std::vector<float>>> logprobs;  // [runs][lists][tokens]
  // In serialised order; empty if not wanted.
  std::vector<float> logits;  // [tokens, vocabulary] raw: of what follows each token
  std::vector<int> top;  // [tokens, top_logprobs] in each token's place, likeliest first; -1: none
  std::vector<float> top_logprobs;  // theirs
};

/// Takes the logits of a prompt.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// Called for each token of the prompt, again for tokens that are recomputed after preemption.
  virtual void take(const LaneLogits& at, std::span<const float> logits) = 0;
  virtual void finish() = 0;
  /// Instead of finish(): the score's future throws Error.
  virtual void cancel() = 0;
};

/// Collects the score of `runs`, laid out as LaneTree::write_prompt() does, for `promise`.
std::unique_ptr<Scorer> make_scorer(std::vector<StructureRun> runs, int vocabulary,
                                    ScoreWanted wanted, std::promise<Score> promise);

}  // namespace anabranch
