// Requests of which many are absurd.
#pragma once

#include <vector>

#include "fuzz/dice.h"
#include "fuzz/model_files.h"
#include "serving/request_spec.h"

namespace anabranch {

int random_token(const ModelShape& s, Dice& dice);
std::vector<int> random_tokens(const ModelShape& s, int max, Dice& dice);
std::vector<StructureRun> random_structure(const ModelShape& s, Dice& dice);
RequestSpec random_request(std::uint32_t id, const ModelShape& s, Dice& dice);

}  // namespace anabranch
