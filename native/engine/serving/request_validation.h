// Checks of a request before it is queued.
#pragma once

#include "dialect/dialect.h"
#include "outline/outline_rules.h"
#include "serving/request_spec.h"

namespace anabranch {

/// What a request must fit into.
struct RequestLimits {
  int vocabulary = 0;    // of the model or of the request's adapter
  int context = 0;       // maximum number of positions
  int total_blocks = 0;  // size of the block pool
};

/// Checks `spec` and fills in its defaults: max_tokens is limited to the context, and the resume
/// rule is the dialect's. `dialect` may be null. Throws Error for a request that can't ever be
/// served.
void validate_request(RequestSpec& spec, const RequestLimits& limits, const Dialect* dialect);

/// KV blocks that a validated request may need at most if it is outlined: a branch's tokens are in
/// its own lane and, once they are read, in the trunk.
size_t outlined_blocks(const RequestSpec& spec, const OutlineRules& rules);

}  // namespace anabranch
