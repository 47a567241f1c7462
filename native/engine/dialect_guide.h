// Decoding by a dialect: the model writes a plan, branches open, and the trunk goes on after them
// (docs/design.md, section 4).
#pragma once

#include <memory>
#include <optional>

#include "dialect.h"
#include "request.h"

namespace anabranch {

/// A guide that samples. `dialect` may be null (a model that does not branch); `eos` are the
/// model's own end tokens.
std::unique_ptr<Guide> make_dialect_guide(const RequestSpec& spec, const Dialect* dialect,
                                          const std::vector<int>& eos);

}  // namespace anabranch
