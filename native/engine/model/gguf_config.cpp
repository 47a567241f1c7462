#include "model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace anabranch {
namespace {

constexpr std::int64_t kMaxSize = 1 << 24;

/// Converters write Mistral as llama.
Family family_of(const GgufModel& file, const std::string& architecture) {
  static const std::vector<std::pair<const char*, Family>> families = {
      {"llama", Family::kLlama},     {"qwen2", Family::kQwen2},    {"qwen3", Family::kQwen3},
      {"gemma3", Family::kGemma3},   {"phi3", Family::kPhi3},      {"olmo2", Family::kOlmo2},
      {"smollm3", Family::kSmolLm3}, {"granite", Family::kGranite}};
  std::string known;
  for (const auto& [name, family] : families) {
    if (architecture == name) return family;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  file.fail("general.architecture is \"" + architecture + "\"; known are " + known);
}

/// Converters reorder the q and k rows of these architectures for ggml's kind of RoPE.
bool has_interleaved_heads(Family family) {
  return family == Family::kLlama || family == Family::kSmolLm3 || family == Family::kGranite;
}

/// Reads the fields of one architecture.
class GgufConfigReader {
 public:
  GgufConfigReader(const GgufModel& file, int max_context)
      : file_(file),
        prefix_(file.string("general.architecture") + "."),
        max_context_(max_context) {}

  ModelConfig read() {
    c_.names = TensorNaming::kGguf;
    c_.family = family_of(file_, file_.string("general.architecture"));
    read_sizes();
    read_tensors();
    read_family();
    read_rope();
    read_eos();
    return c_;
  }

 private:
  std::string key(const char* name) const { return prefix_ + name; }
  bool has(const char* name) const { return file_.has(key(name)); }
  int size(const char* name) const { return integer(name, 1, kMaxSize); }
  int integer(const char* name, std::int64_t low, std::int64_t high) const {
    return static_cast<int>(file_.integer(key(name), low, high));
  }
  float factor_or_1(const char* name) const { return has(name) ? factor(name) : 1; }
  float factor(const char* name) const {
    const double value = file_.real(key(name));
    if (!(value > 0)) file_.fail("key \"" + key(name) + "\" must be above 0");
    return static_cast<float>(value);
  }

  void read_sizes() {
    c_.hidden = size("embedding_length");
    c_.layers = integer("block_count", 1, 1024);
    c_.heads = integer("attention.head_count", 1, 4096);
    c_.kv_heads =
        has("attention.head_count_kv") ? integer("attention.head_count_kv", 1, c_.heads) : c_.heads;
    if (c_.heads % c_.kv_heads != 0) file_.fail("has head counts that do not divide");
    c_.head_dim = has("attention.key_length") ? integer("attention.key_length", 2, 1024)
                                              : c_.hidden / c_.heads;
    if (c_.head_dim < 2 || c_.head_dim % 2 != 0 || c_.head_dim > 1024) {
      file_.fail("has an impossible head size");
    }
    c_.intermediate = size("feed_forward_length");
    c_.context = size("context_length");
    if (max_context_ > 0) c_.context = std::min(c_.context, max_context_);
    c_.norm_epsilon = static_cast<float>(file_.real(key("attention.layer_norm_rms_epsilon")));
    if (!(c_.norm_epsilon >= 0 && c_.norm_epsilon <= 1)) {
      file_.fail("key \"" + key("attention.layer_norm_rms_epsilon") + "\" must be between 0 and 1");
    }
  }

  void read_tensors() {
    const auto& tensors = file_.tensors();
    const auto embedding = tensors.find("token_embd.weight");
    if (embedding == tensors.end() || embedding->second.shape.size() != 2) {
      file_.fail("has no tensor \"token_embd.weight\"");
    }
    c_.vocabulary = static_cast<int>(embedding->second.shape[0]);
    c_.tied_embeddings = !tensors.contains("output.weight");
    c_.fused_qkv = tensors.contains("blk.0.attn_qkv.weight");
    c_.fused_gate_up = !tensors.contains("blk.0.ffn_gate.weight");
    c_.qkv_bias = tensors.contains(c_.fused_qkv ? "blk.0.attn_qkv.bias" : "blk.0.attn_q.bias");
    c_.output_bias = tensors.contains("blk.0.attn_output.bias");
    c_.interleaved_heads = has_interleaved_heads(c_.family);
  }

  void read_family() {
    c_.query_scale = 1.0f / std::sqrt(static_cast<float>(c_.head_dim));
    if (c_.family == Family::kQwen3) c_.qk_norm = QkNorm::kPerHead;
    if (c_.family == Family::kGemma3) {
      set_gemma3(c_);
      if (has("final_logit_softcapping")) {
        file_.fail("key \"" + key("final_logit_softcapping") + "\" is not supported");
      }
      // Files do not hold query_pre_attn_scalar. Only the model of 62 layers (27B) has another.
      if (c_.layers == 62) {
        c_.query_scale = 1.0f / std::sqrt(static_cast<float>(c_.hidden / c_.heads));
      }
    }
    if (c_.family == Family::kOlmo2) set_olmo2(c_);
    if (c_.family == Family::kGranite) {
      c_.embedding_scale = factor_or_1("embedding_scale");
      c_.residual_scale = factor_or_1("residual_scale");
      c_.logit_scale = 1 / factor_or_1("logit_scale");  // stored as the divisor
      if (has("attention.scale")) c_.query_scale = factor("attention.scale");
    }
  }

  /// Sliding windows and RoPE, layer by layer.
  void read_rope() {
    const int window = has("attention.sliding_window")
                           ? integer("attention.sliding_window", 0, std::int64_t{1} << 30)
                           : 0;
    const bool windows =
        c_.family == Family::kLlama || c_.family == Family::kGemma3 || c_.family == Family::kPhi3;
    if (window > 0 && !windows) {
      file_.fail("key \"" + key("attention.sliding_window") +
                 "\" is not 0, which is not supported in this architecture");
    }
    c_.rotary_dim =
        has("rope.dimension_count") ? integer("rope.dimension_count", 1, kMaxSize) : c_.head_dim;
    const bool partial = c_.family == Family::kPhi3 && c_.rotary_dim >= 2 &&
                         c_.rotary_dim < c_.head_dim && c_.rotary_dim % 2 == 0;
    if (c_.rotary_dim != c_.head_dim && !partial) {
      file_.fail("key \"" + key("rope.dimension_count") +
                 "\" is not the head size, which is not supported");
    }
    const Rope rope = scaled_rope(theta("rope.freq_base"));
    for (int i = 0; i < c_.layers; ++i) {
      if (c_.family == Family::kGemma3) {
        // llama.cpp's pattern of this architecture: every sixth layer is global.
        const bool local = window > 0 && (i + 1) % 6 != 0;
        const Rope local_rope =
            default_rope(theta("rope.freq_base_swa"), c_.rotary_dim, c_.head_dim);
        add_layer(c_, local ? window : 0, local ? local_rope : rope);
      } else {
        const bool without_rope = c_.family == Family::kSmolLm3 && (i + 1) % 4 == 0;
        add_layer(c_, window, without_rope ? no_rope(c_.head_dim) : rope);
      }
    }
  }

  double theta(const char* name) const {
    const double value = has(name) ? file_.real(key(name)) : 10000.0;
    if (!(value > 1)) file_.fail("key \"" + key(name) + "\" is impossible");
    return value;
  }

  /// One factor per rotated pair. Throws Error naming the tensor.
  std::vector<float> factors_of(const std::string& name) const {
    const auto found = file_.tensors().find(name);
    if (found == file_.tensors().end()) file_.fail("has no tensor \"" + name + "\"");
    if (found->second.shape != std::vector<std::int64_t>{c_.rotary_dim / 2}) {
      file_.fail("tensor \"" + name + "\" has another shape than [rotated values / 2]");
    }
    std::vector<float> factors(static_cast<size_t>(c_.rotary_dim) / 2);
    to_float(found->second, 0, factors.size(), factors.data());
    for (float factor : factors) {
      if (!(factor > 0)) file_.fail("tensor \"" + name + "\" holds an impossible factor");
    }
    return factors;
  }

  Rope scaled_rope(double theta) const {
    Rope rope = default_rope(theta, c_.rotary_dim, c_.head_dim);
    // llama3's scaling is stored as one factor per frequency; long RoPE's as two lists of them.
    if (file_.tensors().contains("rope_freqs.weight")) {
      divide_frequencies(rope, factors_of("rope_freqs.weight"));
    }
    const bool longrope = file_.tensors().contains("rope_factors_long.weight");
    if (longrope) {
      const int original = size("rope.scaling.original_context_length");
      divide_frequencies(rope, factors_of(c_.context > original ? "rope_factors_long.weight"
                                                                : "rope_factors_short.weight"));
      rope.attention_factor = factor_or_1("rope.scaling.attn_factor");
    }
    const std::string kind =
        has("rope.scaling.type") ? file_.string(key("rope.scaling.type")) : "none";
    if (kind == "linear") {
      scale_linear(rope, factor("rope.scaling.factor"));
    } else if (kind != "none" && !(kind == "longrope" && longrope)) {
      file_.fail("key \"" + key("rope.scaling.type") + "\" is \"" + kind +
                 "\"; known are none, linear, longrope");
    }
    return rope;
  }

  void read_eos() {
    for (const char* name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
      if (!file_.has(name)) continue;
      const int token = static_cast<int>(file_.integer(name, 0, c_.vocabulary - 1));
      if (c_.eos.empty() || c_.eos.front() != token) c_.eos.push_back(token);
    }
  }

  const GgufModel& file_;
  const std::string prefix_;
  const int max_context_;
  ModelConfig c_;
};

}  // namespace

ModelConfig read_gguf_config(const GgufModel& file, int max_context) {
  return GgufConfigReader(file, max_context).read();
}

}  // namespace anabranch
