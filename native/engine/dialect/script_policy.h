// Decoding by a script: structure and tokens are given, one token a lane and step. This is how
// answers with a known structure are replayed, measured and compared with an oracle.
#pragma once

#include <memory>

#include "serving/request.h"

namespace anabranch {

std::unique_ptr<DecodingPolicy> make_script_policy(const RequestSpec& spec);

}  // namespace anabranch
