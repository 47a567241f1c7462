// Decoding by a script: structure and tokens are given, one token per lane and step. Used to
// replay, measure and check answers of known structure.
#pragma once

#include <memory>

#include "dialect/decoding_policy.h"
#include "serving/request_spec.h"

namespace anabranch {

std::unique_ptr<DecodingPolicy> make_script_policy(const RequestSpec& spec);

}  // namespace anabranch
