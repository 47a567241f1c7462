#include "dialect/lane_sampling.h"

#include <algorithm>
#include <utility>

#include "sampling/philox.h"
#include "serving/request.h"

namespace anabranch {

bool contains(const std::vector<int>& list, int value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

EndTokens::EndTokens(const RequestSpec& spec, const std::vector<int>& eos) : ends(eos) {
  for (int token : spec.stop_tokens) {
    if (!contains(token)) ends.push_back(token);
  }
  if (!spec.ignore_eos) return;
  // The model's own end tokens are banned; the caller's stop tokens still end the answer.
  ignored = eos;
  std::erase_if(ignored, [&](int token) { return anabranch::contains(spec.stop_tokens, token); });
}

bool EndTokens::contains(int token) const { return anabranch::contains(ends, token); }

SamplingInput sampling_input_of(const Request& request, const Lane& lane,
                                TokenConstraint constraint) {
  const RequestSpec& spec = request.spec();
  SamplingInput out;
  out.params = &spec.sampling;
  out.token_counts = &request.counts(lane);
  out.constraint = std::move(constraint);
  if (spec.sampling.temperature > 0) {
    out.uniform = uniform(spec.seed, spec.choice_index, static_cast<std::uint32_t>(lane.id),
                          request.written(lane));
  }
  return out;
}

EmittedToken emitted(const Request& request, const Lane& lane, const SampledToken& sampled,
                     std::uint32_t flags) {
  EmittedToken token{sampled.token, flags, 0, {}};
  if (request.spec().sampling.logprobs && !request.logged(lane)) {
    token.flags |= EmittedToken::kLogprobs;
    token.logprob = sampled.logprob;
    token.top = sampled.top;
  }
  return token;
}

}  // namespace anabranch
