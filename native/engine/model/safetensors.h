// Hugging Face safetensors files. Their contents are untrusted and checked.
#pragma once

#include <string>
#include <unordered_map>

#include "model/mapped_file.h"
#include "model/tensor.h"

namespace anabranch {

/// The tensors of one file, by name; those of other types than F32, F16, BF16 and I32 are left out.
/// With `floats_only`, all but the first three are refused. Throws Error naming the file and
/// tensor.
std::unordered_map<std::string, Tensor> read_safetensors(const MappedFile& file,
                                                         bool floats_only = false);

}  // namespace anabranch
