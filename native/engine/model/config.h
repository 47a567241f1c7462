// A model's shape, read from a Hugging Face config.json or from a GGUF file's metadata.
#pragma once

#include <string>
#include <vector>

namespace anabranch {

enum class Family { kLlama, kMistral, kQwen2, kQwen3 };

/// Whose names a checkpoint's tensors have.
enum class TensorNaming { kHuggingFace, kGguf };

/// Rotary embedding. Every kind reduces to one frequency per pair of dimensions and one factor on
/// cos and sin. Sources: RoPE (arXiv:2104.09864), llama3 scaling (Llama 3.1 model card), YaRN
/// (arXiv:2309.00071).
struct Rope {
  std::vector<float> inverse_frequency;  // [head_dim / 2], radians per position
  float attention_factor = 1.0f;
};

struct ModelConfig {
  Family family = Family::kLlama;
  TensorNaming names = TensorNaming::kHuggingFace;
  int hidden = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int intermediate = 0;
  int vocabulary = 0;
  int context = 0;  // maximum number of positions
  float norm_epsilon = 1e-6f;
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;  // RMSNorm over head_dim on q and k, before RoPE
  Rope rope;
  std::vector<int> eos;  // from config.json and generation_config.json
};

/// Reads and checks config.json, and generation_config.json if it exists, of a folder, or the
/// metadata of a .gguf file. Throws Error naming the file and the field, also for features that the
/// engine does not support.
ModelConfig read_config(const std::string& path);

}  // namespace anabranch
