// A checkpoint with random weights.
#pragma once

#include <filesystem>

#include "bench/model_shapes.h"

namespace anabranch {

/// Writes config.json and model.safetensors (bf16) of this shape, unless config.json exists.
void write_random_checkpoint(const ModelShape& shape, const std::filesystem::path& folder);

}  // namespace anabranch
