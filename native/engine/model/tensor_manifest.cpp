#include "model/tensor_manifest.h"

#include <set>
#include <string>
#include <string_view>

namespace anabranch {
namespace {

/// How tensors are named. Names of a layer follow its prefix and number; all have ".weight" or
/// ".bias".
struct TensorNames {
  std::string_view layer_prefix;
  std::string_view embedding, final_norm, head;
  std::string_view attention_norm, attention_post_norm, mlp_norm, mlp_post_norm, q_norm, k_norm;
  std::string_view qkv, q, k, v, output, gate_up, gate, up, down;
};

constexpr TensorNames kHuggingFaceNames = {
    .layer_prefix = "model.layers.",
    .embedding = "model.embed_tokens",
    .final_norm = "model.norm",
    .head = "lm_head",
    .attention_norm = "input_layernorm",
    .attention_post_norm = "",
    .mlp_norm = "post_attention_layernorm",
    .mlp_post_norm = "",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .qkv = "self_attn.qkv_proj",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .output = "self_attn.o_proj",
    .gate_up = "mlp.gate_up_proj",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
};

/// With norms after attention and MLP, "post_attention_layernorm" is one of those.
constexpr TensorNames with_post_norms(TensorNames names) {
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_norm = "pre_feedforward_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}
constexpr TensorNames kHuggingFacePostNormNames = with_post_norms(kHuggingFaceNames);

constexpr TensorNames kGgufNames = {
    .layer_prefix = "blk.",
    .embedding = "token_embd",
    .final_norm = "output_norm",
    .head = "output",
    .attention_norm = "attn_norm",
    .attention_post_norm = "post_attention_norm",
    .mlp_norm = "ffn_norm",
    .mlp_post_norm = "post_ffw_norm",
    .q_norm = "attn_q_norm",
    .k_norm = "attn_k_norm",
    .qkv = "attn_qkv",
    .q = "attn_q",
    .k = "attn_k",
    .v = "attn_v",
    .output = "attn_output",
    .gate_up = "ffn_up",
    .gate = "ffn_gate",
    .up = "ffn_up",
    .down = "ffn_down",
};

const TensorNames& names_of(const ModelConfig& config) {
  if (config.names == TensorNaming::kGguf) return kGgufNames;
  return config.post_norms ? kHuggingFacePostNormNames : kHuggingFaceNames;
}

TensorSpec weight_of(const std::string& module, std::vector<std::int64_t> shape) {
  return {module + ".weight", std::move(shape)};
}

/// Layers of the same inputs that are stored as one tensor, one after another.
std::vector<LinearSpec> fused(const std::string& module, const std::vector<int>& outputs, int k,
                              bool bias) {
  int rows = 0;
  for (int n : outputs) rows += n;
  std::vector<LinearSpec> out;
  int first = 0;
  for (int n : outputs) {
    LinearSpec& layer = out.emplace_back();
    layer.weight = weight_of(module, {rows, k});
    if (bias) layer.bias = TensorSpec{module + ".bias", {rows}};
    layer.outputs = n;
    layer.first_row = first;
    first += n;
  }
  return out;
}

LinearSpec linear_of(const std::string& module, int n, int k, bool bias) {
  return fused(module, {n}, k, bias)[0];
}

/// The layers of one layer of the model, by name.
class LayerBuilder {
 public:
  LayerBuilder(const ModelConfig& config, const TensorNames& names, int layer)
      : c_(config),
        names_(names),
        prefix_(std::string(names.layer_prefix) + std::to_string(layer) + ".") {}

  LayerManifest layer() const {
    LayerManifest out;
    add_norms(out);
    const int q = c_.heads * c_.head_dim, kv = c_.kv_heads * c_.head_dim;
    if (c_.fused_qkv) {
      const auto parts = fused(at(names_.qkv), {q, kv, kv}, c_.hidden, c_.qkv_bias);
      out.q = parts[0];
      out.k = parts[1];
      out.v = parts[2];
    } else {
      out.q = linear_of(at(names_.q), q, c_.hidden, c_.qkv_bias);
      out.k = linear_of(at(names_.k), kv, c_.hidden, c_.qkv_bias);
      out.v = linear_of(at(names_.v), kv, c_.hidden, c_.qkv_bias);
    }
    for (LinearSpec* rotated : {&out.q, &out.k}) {
      rotated->head_dim = c_.head_dim;
      rotated->rotary_dim = c_.rotary_dim;
      rotated->interleaved = c_.interleaved_heads;
    }
    out.output = linear_of(at(names_.output), c_.hidden, q, c_.output_bias);
    if (c_.fused_gate_up) {
      const auto parts =
          fused(at(names_.gate_up), {c_.intermediate, c_.intermediate}, c_.hidden, c_.mlp_bias);
      out.gate = parts[0];
      out.up = parts[1];
    } else {
      out.gate = linear_of(at(names_.gate), c_.intermediate, c_.hidden, c_.mlp_bias);
      out.up = linear_of(at(names_.up), c_.intermediate, c_.hidden, c_.mlp_bias);
    }
    out.down = linear_of(at(names_.down), c_.hidden, c_.intermediate, c_.mlp_bias);
    return out;
  }

 private:
  std::string at(std::string_view name) const { return prefix_ + std::string(name); }
  NormSpec norm(std::string_view name, int size) const {
    return {weight_of(at(name), {size}), c_.norm_offset};
  }

  void add_norms(LayerManifest& out) const {
    if (c_.pre_norms) {
      out.attention_norm = norm(names_.attention_norm, c_.hidden);
      out.mlp_norm = norm(names_.mlp_norm, c_.hidden);
    }
    if (c_.post_norms) {
      out.attention_post_norm = norm(names_.attention_post_norm, c_.hidden);
      out.mlp_post_norm = norm(names_.mlp_post_norm, c_.hidden);
    }
    if (c_.qk_norm == QkNorm::kNone) return;
    const bool whole = c_.qk_norm == QkNorm::kWholeRow;
    out.q_norm = norm(names_.q_norm, whole ? c_.heads * c_.head_dim : c_.head_dim);
    out.k_norm = norm(names_.k_norm, whole ? c_.kv_heads * c_.head_dim : c_.head_dim);
  }

  const ModelConfig& c_;
  const TensorNames& names_;
  std::string prefix_;
};

}  // namespace

TensorManifest tensor_manifest(const ModelConfig& c) {
  const TensorNames& names = names_of(c);
  TensorManifest out;
  out.embedding = weight_of(std::string(names.embedding), {c.vocabulary, c.hidden});
  for (int layer = 0; layer < c.layers; ++layer) {
    out.layers.push_back(LayerBuilder(c, names, layer).layer());
  }
  out.final_norm = {weight_of(std::string(names.final_norm), {c.hidden}), c.norm_offset,
                    c.logit_scale};
  out.head = linear_of(std::string(c.tied_embeddings ? names.embedding : names.head), c.vocabulary,
                       c.hidden, false);
  return out;
}

int LinearSpec::stored_row(int output) const {
  if (head_dim == 0) return first_row + output;
  const int head = output / head_dim, pairs = head_dim / 2;
  const int half = output % head_dim / pairs, i = output % pairs;  // the output is one of pair i
  const int rotated = rotary_dim / 2;
  int stored = 0;  // within the head
  if (interleaved) {
    stored = 2 * i + half;
  } else if (i < rotated) {
    stored = half * rotated + i;
  } else {
    stored = rotary_dim + half * (pairs - rotated) + i - rotated;
  }
  return first_row + head * head_dim + stored;
}

std::vector<TensorSpec> TensorManifest::tensors() const {
  std::vector<TensorSpec> out = {embedding};
  std::set<std::string> known = {embedding.name};
  const auto add = [&](const TensorSpec& spec) {
    if (known.insert(spec.name).second) out.push_back(spec);
  };
  const auto add_norm = [&](const std::optional<NormSpec>& norm) {
    if (norm) add(norm->tensor);
  };
  const auto add_linear = [&](const LinearSpec& linear) {
    add(linear.weight);
    if (linear.bias) add(*linear.bias);
  };
  for (const LayerManifest& layer : layers) {
    add_norm(layer.attention_norm);
    add_norm(layer.q_norm);
    add_norm(layer.k_norm);
    for (const LinearSpec* linear : {&layer.q, &layer.k, &layer.v, &layer.output}) {
      add_linear(*linear);
    }
    add_norm(layer.attention_post_norm);
    add_norm(layer.mlp_norm);
    for (const LinearSpec* linear : {&layer.gate, &layer.up, &layer.down}) add_linear(*linear);
    add_norm(layer.mlp_post_norm);
  }
  add(final_norm.tensor);
  add_linear(head);
  return out;
}

}  // namespace anabranch
