// Structured prefill: tokens with their lane structure in, one masked pass, log-probabilities out.
#pragma once

#include <vector>

#include "backend.h"
#include "blocks.h"
#include "request.h"

namespace anabranch {

struct Score {
  /// As the runs given: each token's log-probability given its context, NaN for the first token of
  /// every run (those are forced).
  std::vector<std::vector<std::vector<float>>> logprobs;  // [runs][lists][tokens]
  std::vector<float> logits;  // [tokens, vocabulary] raw, in serialised order; empty if not asked
};

/// Checks runs against the vocabulary and the model's context. Throws Error naming the run.
void check_structure(const std::vector<StructureRun>& runs, int vocabulary, int context);

/// All branches of a group start at the next trunk position; the next serial run starts at that
/// position plus the sum, or the maximum, of the branches' lengths. Each run is a segment of its
/// own, as a plan is when it is decoded. Empty runs are legal.
Score score(Backend& backend, BlockPool& pool, const std::vector<StructureRun>& runs,
            ResumeRule resume, bool want_logits);

}  // namespace anabranch
