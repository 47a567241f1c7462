// Decoding under a grammar: serial text, of which the grammar allows every token.
#pragma once

#include <memory>
#include <vector>

#include "dialect/decoding_policy.h"
#include "grammar/grammar.h"

namespace anabranch {

struct RequestSpec;

/// `eos` holds the model's own end tokens.
std::unique_ptr<DecodingPolicy> make_grammar_policy(const RequestSpec& spec,
                                                    std::shared_ptr<Grammar> grammar,
                                                    const std::vector<int>& eos);

}  // namespace anabranch
