// The interface between the serving loop and a way of decoding: what a lane writes next, and when
// lanes open and close.
#pragma once

#include <optional>
#include <vector>

#include "kv/lanes.h"
#include "sampling/sampler.h"
#include "serving/events.h"

namespace anabranch {

class Request;

/// A lane and its next token, sampled or logged.
struct LaneToken {
  int lane = 0;
  SampledToken sampled;
  std::optional<CloseReason> closed = {};  // logged: the branch was closed here without its marker
  /// Log-probabilities of the tokens behind the lane's probes, under raw logits, in their order.
  std::vector<float> probed = {};
};

class DecodingPolicy {
 public:
  virtual ~DecodingPolicy() = default;

  /// How to sample the next token of a lane; nothing if step() needs no sampled token.
  virtual std::optional<SamplingInput> sampling_input(const Request& request,
                                                      const Lane& lane) const = 0;

  /// In replay, the lane's next token; nothing if the log ends before it.
  virtual std::optional<LaneToken> replayed(const Request& request, const Lane& lane) const;

  /// Draft tokens: what the trunk will probably write next, as few alternatives exist. They are
  /// forwarded before they are sampled; accepted ones take no further step.
  virtual std::vector<int> draft(const Request&) const { return {}; }

  /// Lanes of the open stage, in order of creation, that may take their next step whatever their
  /// siblings do: what is written, and where the answer ends, is as if all had stepped together.
  /// Empty: all live lanes of the request step together.
  virtual std::vector<int> independent_lanes(const Request&) const { return {}; }

  /// Called once per step with every lane of the request that had logits, and again for each
  /// accepted draft token.
  virtual void step(Request& request, const std::vector<LaneToken>& lanes, EventBuffer& events) = 0;

  /// The number of tokens that a branch writes when it is closed without its marker.
  virtual int forced_close_tokens() const { return 0; }

  /// Called once when the answer ends: tokens that are held back because they may begin a marker
  /// are text after all.
  virtual void release_held(Request&, EventBuffer&) {}
};

}  // namespace anabranch
