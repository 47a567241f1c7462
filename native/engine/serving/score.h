// Scoring: tokens with their lane structure in, log-probabilities out. A score is a request whose
// prompt gives all its logits.
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "serving/request.h"
#include "kv/structure.h"

namespace anabranch {

struct Score {
  /// As the runs given: each token's log-probability given its context, NaN for the first token of
  /// every run (those are forced).
  std::vector<std::vector<std::vector<float>>> logprobs;  // [runs][lists][tokens]
  std::vector<float> logits;  // [tokens, vocabulary] raw, in serialised order; empty if not asked
};

/// Collects the score of `runs`, laid out as LaneTree::write_prompt lays them out, for `promise`.
std::unique_ptr<Scorer> make_scorer(std::vector<StructureRun> runs, int vocabulary,
                                    bool want_logits, std::promise<Score> promise);

}  // namespace anabranch
