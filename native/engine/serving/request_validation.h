// Checks of a request before it is queued.
#pragma once

#include "dialect/dialect.h"
#include "model/config.h"
#include "serving/request_spec.h"

namespace anabranch {

/// Checks `spec` and fills in its defaults: max_tokens is limited to the context, the resume rule
/// is the dialect's, and a plan that can't be used is removed. `dialect` may be null;
/// `total_blocks` is the size of the block pool. Throws Error for a request that can't ever be
/// served.
void validate_request(RequestSpec& spec, const ModelConfig& config, const Dialect* dialect,
                      int total_blocks);

}  // namespace anabranch
