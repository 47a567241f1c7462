// A model's shape, read from a Hugging Face config.json or from a GGUF file's metadata.
#pragma once

#include <string>
#include <vector>

#include "model/activation.h"
#include "model/rope.h"

namespace anabranch {

enum class Family { kLlama, kMistral, kQwen2, kQwen3, kGemma3, kPhi3, kOlmo2, kSmolLm3, kGranite };

/// Whose names a checkpoint's tensors have.
enum class TensorNaming { kHuggingFace, kGguf };

/// RMS norm of q and k, before RoPE.
enum class QkNorm {
  kNone,
  kPerHead,   // of each head: weights [head_dim]
  kWholeRow,  // of all heads together: weights [heads · head_dim] and [kv_heads · head_dim]
};

/// Where layers differ in attention: indices into ModelConfig::windows and ModelConfig::ropes.
struct LayerAttention {
  int window = 0;
  int rope = 0;
};

/// A decoder-only transformer with gated MLPs. Families differ in these properties alone; `family`
/// only says how a file's fields and tensors are read.
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

  // Norms.
  float norm_epsilon = 1e-6f;
  float norm_offset = 0;    // added to stored norm weights; 1 if the file holds w of (1 + w)
  bool pre_norms = true;    // of what attention and MLP read
  bool post_norms = false;  // of what they add to the residual stream
  QkNorm qk_norm = QkNorm::kNone;

  // Linear layers.
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  Activation activation = Activation::kSilu;
  bool fused_qkv = false;          // q, k and v are stored as one tensor, in this order
  bool fused_gate_up = false;      // so are gate and up
  bool interleaved_heads = false;  // q and k are stored with the values of a RoPE pair adjacent

  // Multipliers.
  float embedding_scale = 1;  // of token embeddings
  float query_scale = 1;      // of attention scores
  float residual_scale = 1;   // of what attention and MLP add to the residual stream
  float logit_scale = 1;

  // Attention.
  int rotary_dim = 0;        // the first values of a head, which RoPE rotates
  std::vector<int> windows;  // distinct: a row sees keys less than this many positions before its
                             // own; 0: all
  std::vector<Rope> ropes;   // distinct
  std::vector<LayerAttention> attention;  // [layers]

  std::vector<int> eos;  // from config.json and generation_config.json
};

/// What every Gemma 3 and every OLMo 2 has in common.
void set_gemma3(ModelConfig& config);
void set_olmo2(ModelConfig& config);

/// Adds a layer to config.attention, and its window and RoPE to the distinct ones.
void add_layer(ModelConfig& config, int window, const Rope& rope);

/// Reads and checks config.json, and generation_config.json if it exists, of a folder, or the
/// metadata of a .gguf file. Throws Error naming the file and the field, also for features that the
/// engine does not support. `max_context` lowers the context; 0: the model's own. Long RoPE takes
/// its factors for the context that is served.
ModelConfig read_config(const std::string& path, int max_context = 0);

}  // namespace anabranch
