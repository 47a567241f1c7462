// Decoding by a dialect: the model writes a plan, branches open, and the trunk goes on after them
// (docs/design.md, section 4).
#pragma once

#include <memory>
#include <optional>

#include "dialect/dialect.h"
#include "serving/request.h"

namespace anabranch {

/// A policy that samples. `dialect` may be null (a model that does not branch); `eos` are the
/// model's own end tokens.
std::unique_ptr<DecodingPolicy> make_dialect_policy(const RequestSpec& spec, const Dialect* dialect,
                                          const std::vector<int>& eos);

}  // namespace anabranch
