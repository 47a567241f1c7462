#include "model/gguf_config.h"

#include <cmath>

namespace anabranch {
namespace {

constexpr std::int64_t kMaxSize = 1 << 24;

Family family_of(const GgufModel& file, const std::string& architecture) {
  if (architecture == "llama") return Family::kLlama;  // converters write Mistral as llama
  if (architecture == "qwen2") return Family::kQwen2;
  if (architecture == "qwen3") return Family::kQwen3;
  file.fail("general.architecture is \"" + architecture + "\"; known are llama, qwen2, qwen3");
}

Rope read_rope(const GgufModel& file, const std::string& prefix, int head_dim) {
  const auto key = [&](const char* name) { return prefix + "rope." + name; };
  if (file.has(key("dimension_count")) &&
      file.integer(key("dimension_count"), 1, kMaxSize) != head_dim) {
    file.fail("key \"" + key("dimension_count") +
              "\" is not the head size, which is not supported");
  }
  const double theta = file.has(key("freq_base")) ? file.real(key("freq_base")) : 10000.0;
  if (!(theta > 1)) file.fail("key \"" + key("freq_base") + "\" is impossible");
  Rope rope;
  rope.inverse_frequency.resize(static_cast<size_t>(head_dim) / 2);
  for (int i = 0; i < head_dim / 2; ++i) {
    rope.inverse_frequency[i] = static_cast<float>(1.0 / std::pow(theta, 2.0 * i / head_dim));
  }
  // llama3's scaling is stored as one factor per frequency.
  const auto factors = file.tensors().find("rope_freqs.weight");
  if (factors != file.tensors().end()) {
    if (factors->second.shape != std::vector<std::int64_t>{head_dim / 2}) {
      file.fail("tensor \"rope_freqs.weight\" has another shape than [head size / 2]");
    }
    std::vector<float> divisors(rope.inverse_frequency.size());
    to_float(factors->second, 0, divisors.size(), divisors.data());
    for (size_t i = 0; i < divisors.size(); ++i) {
      if (!(divisors[i] > 0)) file.fail("tensor \"rope_freqs.weight\" holds an impossible factor");
      rope.inverse_frequency[i] /= divisors[i];
    }
  }
  if (file.has(key("scaling.type"))) {
    const std::string kind = file.string(key("scaling.type"));
    if (kind == "linear") {
      const double factor = file.real(key("scaling.factor"));
      if (!(factor > 0)) file.fail("key \"" + key("scaling.factor") + "\" must be above 0");
      for (float& f : rope.inverse_frequency) f = static_cast<float>(f / factor);
    } else if (kind != "none") {
      file.fail("key \"" + key("scaling.type") + "\" is \"" + kind + "\"; known are none, linear");
    }
  }
  return rope;
}

}  // namespace

ModelConfig read_gguf_config(const GgufModel& file) {
  const std::string architecture = file.string("general.architecture");
  const std::string prefix = architecture + ".";
  const auto size = [&](const char* name) {
    return static_cast<int>(file.integer(prefix + name, 1, kMaxSize));
  };

  ModelConfig config;
  config.names = TensorNaming::kGguf;
  config.family = family_of(file, architecture);
  if (config.family == Family::kLlama && file.has(prefix + "attention.sliding_window") &&
      file.integer(prefix + "attention.sliding_window", 0, kMaxSize) != 0) {
    file.fail("key \"" + prefix +
              "attention.sliding_window\" is not 0; sliding-window attention is not supported");
  }
  config.hidden = size("embedding_length");
  config.layers = static_cast<int>(file.integer(prefix + "block_count", 1, 1024));
  config.heads = static_cast<int>(file.integer(prefix + "attention.head_count", 1, 4096));
  config.kv_heads =
      file.has(prefix + "attention.head_count_kv")
          ? static_cast<int>(file.integer(prefix + "attention.head_count_kv", 1, config.heads))
          : config.heads;
  if (config.heads % config.kv_heads != 0) file.fail("has head counts that do not divide");
  config.head_dim = file.has(prefix + "attention.key_length")
                        ? static_cast<int>(file.integer(prefix + "attention.key_length", 2, 1024))
                        : config.hidden / config.heads;
  if (config.head_dim < 2 || config.head_dim % 2 != 0 || config.head_dim > 1024)
    file.fail("has an impossible head size");
  config.intermediate = size("feed_forward_length");
  config.context = size("context_length");
  config.norm_epsilon = static_cast<float>(file.real(prefix + "attention.layer_norm_rms_epsilon"));
  if (!(config.norm_epsilon >= 0 && config.norm_epsilon <= 1)) {
    file.fail("key \"" + prefix + "attention.layer_norm_rms_epsilon\" must be between 0 and 1");
  }
  const auto embedding = file.tensors().find("token_embd.weight");
  if (embedding == file.tensors().end() || embedding->second.shape.size() != 2) {
    file.fail("has no tensor \"token_embd.weight\"");
  }
  config.vocabulary = static_cast<int>(embedding->second.shape[0]);
  config.tied_embeddings = !file.tensors().contains("output.weight");
  config.qkv_bias = file.tensors().contains("blk.0.attn_q.bias");
  config.output_bias = file.tensors().contains("blk.0.attn_output.bias");
  config.qk_norm = config.family == Family::kQwen3;
  config.rope = read_rope(file, prefix, config.head_dim);
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    if (!file.has(key)) continue;
    const int token = static_cast<int>(file.integer(key, 0, config.vocabulary - 1));
    if (config.eos.empty() || config.eos.front() != token) config.eos.push_back(token);
  }
  return config;
}

}  // namespace anabranch
