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

struct Score {
  /// In the structure of the runs: each token's log-probability given its context, NaN for the
  /// first token of each list (those are forced).
  std::vector<std::vector<std::vector<float>>> logprobs;  // [runs][lists][tokens]
  std::vector<float>
      logits;  // [tokens, vocabulary] raw, in serialised order; empty if not requested
};

/// Takes the logits of a prompt.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// Called for each token of the prompt, again for tokens that are recomputed after preemption.
  virtual void take(const LaneLogits& at, std::span<const float> logits) = 0;
  virtual void finish() = 0;
};

/// Collects the score of `runs`, laid out as LaneTree::write_prompt() does, for `promise`.
std::unique_ptr<Scorer> make_scorer(std::vector<StructureRun> runs, int vocabulary,
                                    bool want_logits, std::promise<Score> promise);

}  // namespace anabranch
