// What must hold between steps. A plain look at the state, cheap enough to leave on in tests.
#pragma once

#include <string>
#include <vector>

#include "kv/blocks.h"
#include "serving/request.h"

namespace anabranch {

/// Checks: every block's references equal the distinct segments that live contexts name and that
/// hold it; free + used = total; lanes' segments hold exactly the blocks that their lengths need;
/// siblings start together and none sees another. Returns what is wrong, empty where nothing is.
std::string broken_invariant(const BlockPool& pool, const std::vector<const Request*>& requests);

}  // namespace anabranch
