// How lanes sample, whatever decides what they write.
#pragma once

#include <vector>

#include "kv/lanes.h"
#include "sampling/sampler.h"
#include "serving/events.h"

namespace anabranch {

class Request;
struct RequestSpec;

/// The tokens that end an answer.
struct EndTokens {
  EndTokens(const RequestSpec& spec, const std::vector<int>& eos);
  bool contains(int token) const;

  std::vector<int> ends;     // the model's own and the request's
  std::vector<int> ignored;  // those of them that are banned
};

bool contains(const std::vector<int>& list, int value);

/// How the lane's next token is sampled under a constraint.
SamplingInput sampling_input_of(const Request& request, const Lane& lane,
                                TokenConstraint constraint);

/// A sampled token as it is emitted: with log-probabilities if the request wants them.
EmittedToken emitted(const Request& request, const Lane& lane, const SampledToken& sampled,
                     std::uint32_t flags);

}  // namespace anabranch
