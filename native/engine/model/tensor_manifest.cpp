#include "model/tensor_manifest.h"

#include <string>
#include <string_view>

namespace anabranch {
namespace {

/// How tensors are named. Names of a layer follow its prefix and number; all have ".weight" or
/// ".bias".
struct TensorNames {
  std::string_view layer_prefix;
  std::string_view embedding, final_norm, head;
  std::string_view attention_norm, mlp_norm, q_norm, k_norm;
  std::string_view q, k, v, output, gate, up, down;
};

constexpr TensorNames kHuggingFaceNames = {
    .layer_prefix = "model.layers.",
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .head = "lm_head",
    .attention_norm = "input_layernorm",
    .mlp_norm = "post_attention_layernorm",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .output = "self_attn.o_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};

constexpr TensorNames kGgufNames = {
    .layer_prefix = "blk.",
    .embedding = "token_embd",
    .final_norm = "output_norm",
    .head = "output",
    .attention_norm = "attn_norm",
    .mlp_norm = "ffn_norm",
    .q_norm = "attn_q_norm",
    .k_norm = "attn_k_norm",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .output = "attn_output",
    .gate = "ffn_gate",
    .up = "ffn_up",
    .down = "ffn_down",
};

/// All known families share their names; one with others returns its own here.
const TensorNames& names_of(const ModelConfig& config) {
  return config.names == TensorNaming::kGguf ? kGgufNames : kHuggingFaceNames;
}

TensorSpec weight_of(const std::string& module, std::vector<std::int64_t> shape) {
  return {module + ".weight", std::move(shape)};
}

LinearSpec linear_of(const std::string& module, int n, int k, bool bias) {
  LinearSpec out{weight_of(module, {n, k}), {}};
  if (bias) out.bias = TensorSpec{module + ".bias", {n}};
  return out;
}

LayerManifest layer_of(const ModelConfig& c, const TensorNames& names, int layer) {
  const std::string prefix = std::string(names.layer_prefix) + std::to_string(layer) + ".";
  const auto at = [&](std::string_view name) { return prefix + std::string(name); };
  const int q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  LayerManifest out;
  out.attention_norm = weight_of(at(names.attention_norm), {c.hidden});
  out.mlp_norm = weight_of(at(names.mlp_norm), {c.hidden});
  if (c.qk_norm) {
    out.q_norm = weight_of(at(names.q_norm), {c.head_dim});
    out.k_norm = weight_of(at(names.k_norm), {c.head_dim});
  }
  out.q = linear_of(at(names.q), q, c.hidden, c.qkv_bias);
  out.k = linear_of(at(names.k), kv, c.hidden, c.qkv_bias);
  out.v = linear_of(at(names.v), kv, c.hidden, c.qkv_bias);
  out.output = linear_of(at(names.output), c.hidden, q, c.output_bias);
  out.gate = linear_of(at(names.gate), c.intermediate, c.hidden, c.mlp_bias);
  out.up = linear_of(at(names.up), c.intermediate, c.hidden, c.mlp_bias);
  out.down = linear_of(at(names.down), c.hidden, c.intermediate, c.mlp_bias);
  return out;
}

}  // namespace

TensorManifest tensor_manifest(const ModelConfig& c) {
  const TensorNames& names = names_of(c);
  TensorManifest out;
  out.embedding = weight_of(std::string(names.embedding), {c.vocabulary, c.hidden});
  for (int layer = 0; layer < c.layers; ++layer) out.layers.push_back(layer_of(c, names, layer));
  out.final_norm = weight_of(std::string(names.final_norm), {c.hidden});
  out.head = linear_of(std::string(c.tied_embeddings ? names.embedding : names.head), c.vocabulary,
                       c.hidden, false);
  return out;
}

std::vector<TensorSpec> TensorManifest::tensors() const {
  std::vector<TensorSpec> out = {embedding};
  const auto add = [&](const std::optional<TensorSpec>& spec) {
    if (spec) out.push_back(*spec);
  };
  for (const LayerManifest& layer : layers) {
    add(layer.attention_norm);
    add(layer.q_norm);
    add(layer.k_norm);
    for (const LinearSpec* linear : {&layer.q, &layer.k, &layer.v, &layer.output}) {
      add(linear->weight);
      add(linear->bias);
    }
    add(layer.mlp_norm);
    for (const LinearSpec* linear : {&layer.gate, &layer.up, &layer.down}) {
      add(linear->weight);
      add(linear->bias);
    }
  }
  add(final_norm);
  if (head.weight.name != embedding.name) add(head.weight);
  return out;
}

}  // namespace anabranch
