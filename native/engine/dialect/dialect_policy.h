// Decoding by a dialect: the model writes a plan, branches open, and after the join the trunk
// continues (docs/design.md, section 4).
#pragma once

#include <memory>
#include <vector>

#include "dialect/decoding_policy.h"
#include "dialect/dialect.h"
#include "outline/token_texts.h"
#include "serving/request_spec.h"

namespace anabranch {

/// A policy that samples. `dialect` may be null: then the answer never branches. `eos` holds the
/// model's own end tokens. With `texts`, which may be null, no visible title repeats another's
/// words.
std::unique_ptr<DecodingPolicy> make_dialect_policy(const RequestSpec& spec, const Dialect* dialect,
                                                    const std::vector<int>& eos,
                                                    std::shared_ptr<const TokenTexts> texts);

}  // namespace anabranch
