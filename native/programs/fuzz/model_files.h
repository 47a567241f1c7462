// A small model folder that loads.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "fuzz/dice.h"

namespace anabranch {

/// Contents by file name.
using Files = std::map<std::string, std::string>;

struct ModelShape {
  std::string type;  // model_type of config.json
  int vocabulary, hidden, layers, heads, kv_heads, head_dim, intermediate, context;
  bool tied;
  /// How linear layers are packed: "awq", "gptq", "compressed-tensors", "mlx"; empty: they are not.
  std::string packing;
};

/// Token ids of the markers in all random dialects.
constexpr int kTitleOpen = 4, kTitleClose = 5, kBranchClose = 8, kLastMarker = 12;

ModelShape random_shape(Dice& dice);
Files random_model(const ModelShape& shape, Dice& dice);
/// A LoRA adapter of such a model.
Files random_adapter(const ModelShape& shape, Dice& dice);

/// A safetensors file with this JSON header.
std::string safetensors_file(const std::string& header, const std::string& body);

/// Writes the files into an empty folder. Rarely leaves one out or makes it a folder.
void write_folder(const std::filesystem::path& folder, const Files& files, Dice& dice);

}  // namespace anabranch
