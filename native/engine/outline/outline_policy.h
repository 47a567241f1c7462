// Decoding a model without markers: it branches where its own text begins a list
// (docs/design.md, section 4.1).
#pragma once

#include <memory>
#include <vector>

#include "dialect/decoding_policy.h"
#include "outline/outline_rules.h"

namespace anabranch {

struct RequestSpec;

/// `context`: the model's maximum number of positions.
std::unique_ptr<DecodingPolicy> make_outline_policy(const RequestSpec& spec,
                                                    std::shared_ptr<const OutlineRules> rules,
                                                    const std::vector<int>& eos, int context);

}  // namespace anabranch
