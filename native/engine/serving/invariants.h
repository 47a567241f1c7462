// What must hold between steps. A read-only check, cheap enough to be on in all tests.
#pragma once

#include <string>
#include <vector>

#include "kv/blocks.h"
#include "serving/request.h"

namespace anabranch {

/// Checks that every block's references equal the number of segments of all requests that hold it;
/// that free and used blocks add up to the total; that segments hold exactly the blocks that their
/// computed tokens need; that siblings start at one position and none sees another; and that only
/// running requests hold KV. Returns what is wrong, or an empty string.
std::string broken_invariant(const BlockPool& pool, const std::vector<const Request*>& requests);

}  // namespace anabranch
