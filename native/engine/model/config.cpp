#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "model/gguf_config.h"
#include "model/json.h"

namespace anabranch {
namespace {

constexpr std::int64_t kMaxSize = 1 << 24;

Family family_of(const Json& config) {
  const std::string type = config.at("model_type").string();
  if (type == "llama") return Family::kLlama;
  if (type == "mistral") return Family::kMistral;
  if (type == "qwen2") return Family::kQwen2;
  if (type == "qwen3") return Family::kQwen3;
  config.at("model_type").fail("is \"" + type + "\"; known are llama, mistral, qwen2, qwen3");
}

std::vector<float> default_frequencies(double theta, int head_dim) {
  std::vector<float> out(head_dim / 2);
  for (int i = 0; i < head_dim / 2; ++i) {
    out[i] = static_cast<float>(1.0 / std::pow(theta, 2.0 * i / head_dim));
  }
  return out;
}

void scale_llama3(const Json& spec, std::vector<float>& frequency) {
  const double factor = spec.at("factor").real();
  const double low = spec.at("low_freq_factor").real();
  const double high = spec.at("high_freq_factor").real();
  const double original =
      static_cast<double>(spec.at("original_max_position_embeddings").integer(1, kMaxSize));
  if (factor <= 0 || high <= low) spec.fail("has an impossible factor");
  for (float& f : frequency) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      f = static_cast<float>(f / factor);
    } else {
      const double smooth = (original / wavelength - low) / (high - low);
      f = static_cast<float>((1 - smooth) * f / factor + smooth * f);
    }
  }
}

double yarn_magnitude(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

void scale_yarn(const Json& spec, double theta, int context, Rope& rope) {
  const int head_dim = static_cast<int>(rope.inverse_frequency.size()) * 2;
  const double original = static_cast<double>(
      spec.integer_or("original_max_position_embeddings", context, 1, kMaxSize));
  const double factor = spec.has("factor") ? spec.at("factor").real() : context / original;
  if (factor <= 0) spec.fail("has an impossible factor");
  const double beta_fast = spec.real_or("beta_fast", 32);
  const double beta_slow = spec.real_or("beta_slow", 1);

  // Dimension at which a wave turns `rotations` times over the original context.
  const auto dimension = [&](double rotations) {
    return head_dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  double low = dimension(beta_fast);
  double high = dimension(beta_slow);
  if (spec.boolean_or("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;

  for (int i = 0; i < head_dim / 2; ++i) {
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    const double f = rope.inverse_frequency[i];
    rope.inverse_frequency[i] = static_cast<float>(f / factor * ramp + f * (1 - ramp));
  }
  if (spec.has("attention_factor")) {
    rope.attention_factor = static_cast<float>(spec.at("attention_factor").real());
  } else if (spec.has("mscale") && spec.has("mscale_all_dim")) {
    rope.attention_factor =
        static_cast<float>(yarn_magnitude(factor, spec.at("mscale").real()) /
                           yarn_magnitude(factor, spec.at("mscale_all_dim").real()));
  } else {
    rope.attention_factor = static_cast<float>(yarn_magnitude(factor, 1.0));
  }
}

Rope read_rope(const Json& config, int head_dim, int context) {
  // transformers 5 writes rope_parameters (theta inside), earlier ones rope_scaling and rope_theta.
  const bool modern = config.has("rope_parameters");
  const bool scaled = modern || config.has("rope_scaling");
  const Json spec =
      modern ? config.at("rope_parameters") : (scaled ? config.at("rope_scaling") : config);
  const double theta =
      spec.has("rope_theta") ? spec.at("rope_theta").real() : config.real_or("rope_theta", 10000.0);
  if (theta <= 1) config.fail("has an impossible rope_theta");
  const double partial = spec.has("partial_rotary_factor")
                             ? spec.at("partial_rotary_factor").real()
                             : config.real_or("partial_rotary_factor", 1.0);
  if (partial != 1.0) config.fail("has partial_rotary_factor, which is not supported");

  Rope rope;
  rope.inverse_frequency = default_frequencies(theta, head_dim);
  if (!scaled) return rope;

  const std::string kind = spec.string_or("rope_type", spec.string_or("type", "default"));
  if (kind == "default") return rope;
  if (kind == "linear") {
    const double factor = spec.at("factor").real();
    if (factor <= 0) spec.at("factor").fail("must be above 0");
    for (float& f : rope.inverse_frequency) f = static_cast<float>(f / factor);
  } else if (kind == "llama3") {
    scale_llama3(spec, rope.inverse_frequency);
  } else if (kind == "yarn") {
    scale_yarn(spec, theta, context, rope);
  } else {
    spec.fail("has RoPE kind \"" + kind + "\"; known are default, linear, llama3, yarn");
  }
  return rope;
}

void read_eos(const Json& file, std::vector<int>& eos, int vocabulary) {
  if (!file.has("eos_token_id")) return;
  const Json value = file.at("eos_token_id");
  const auto add = [&](const Json& id) {
    const int token = static_cast<int>(id.integer(0, vocabulary - 1));
    if (std::find(eos.begin(), eos.end(), token) == eos.end()) eos.push_back(token);
  };
  if (value.is_array()) {
    for (const Json& id : value.items()) add(id);
  } else {
    add(value);
  }
}

/// Only null means none: transformers gives a Mistral without the field a window of 4096 tokens.
void refuse_mistral_window(const Json& config) {
  const Json window = config.at("sliding_window");
  if (config.has("sliding_window")) {
    window.fail("is not null; sliding-window attention is not supported");
  }
}

void refuse_unknown_kinds(const Json& config) {
  const std::string act = config.string_or("hidden_act", "silu");
  if (act != "silu") config.at("hidden_act").fail("is \"" + act + "\"; known is silu");
  if (config.boolean_or("use_sliding_window", false)) {
    config.at("use_sliding_window").fail("is true; sliding-window attention is not supported");
  }
  if (config.has("layer_types")) {
    for (const Json& layer : config.at("layer_types").items()) {
      if (layer.string() != "full_attention") {
        layer.fail("is \"" + layer.string() + "\"; known is full_attention");
      }
    }
  }
  if (config.has("quantization_config")) {
    config.fail("has quantization_config; load an unquantized checkpoint");
  }
}

}  // namespace

ModelConfig read_config(const std::string& path) {
  if (is_gguf(path)) return read_gguf_config(GgufModel(path));
  const std::string& folder = path;
  const Json json = Json::read(folder + "/config.json");
  const auto size = [&](const char* key) {
    return static_cast<int>(json.at(key).integer(1, kMaxSize));
  };

  ModelConfig config;
  config.family = family_of(json);
  refuse_unknown_kinds(json);
  if (config.family == Family::kMistral) refuse_mistral_window(json);
  config.hidden = size("hidden_size");
  config.layers = static_cast<int>(json.at("num_hidden_layers").integer(1, 1024));
  config.heads = static_cast<int>(json.at("num_attention_heads").integer(1, 4096));
  config.kv_heads =
      static_cast<int>(json.integer_or("num_key_value_heads", config.heads, 1, config.heads));
  if (config.heads % config.kv_heads != 0) {
    json.at("num_key_value_heads").fail("must divide num_attention_heads");
  }
  if (json.has("head_dim")) {
    config.head_dim = static_cast<int>(json.at("head_dim").integer(2, 1024));
  } else {
    if (config.hidden % config.heads != 0) {
      json.at("hidden_size").fail("must be a multiple of num_attention_heads");
    }
    config.head_dim = config.hidden / config.heads;
  }
  if (config.head_dim % 2 != 0) json.fail("gives an odd head_dim");
  if (config.head_dim > 1024) json.fail("gives a head_dim above 1024");
  config.intermediate = size("intermediate_size");
  config.vocabulary = size("vocab_size");
  config.context = size("max_position_embeddings");
  config.norm_epsilon = static_cast<float>(json.real_or("rms_norm_eps", 1e-6));
  if (!(config.norm_epsilon >= 0 && config.norm_epsilon <= 1)) {
    json.at("rms_norm_eps").fail("must be between 0 and 1");
  }
  config.tied_embeddings = json.boolean_or("tie_word_embeddings", false);
  config.mlp_bias = json.boolean_or("mlp_bias", false);
  switch (config.family) {
    case Family::kLlama:
      config.qkv_bias = config.output_bias = json.boolean_or("attention_bias", false);
      break;
    case Family::kMistral:
      break;
    case Family::kQwen2:
      config.qkv_bias = true;
      break;
    case Family::kQwen3:
      config.qkv_bias = config.output_bias = json.boolean_or("attention_bias", false);
      config.qk_norm = true;
      break;
  }
  config.rope = read_rope(json, config.head_dim, config.context);
  read_eos(json, config.eos, config.vocabulary);
  const std::string generation = folder + "/generation_config.json";
  if (std::filesystem::exists(generation)) {
    read_eos(Json::read(generation), config.eos, config.vocabulary);
  }
  return config;
}

}  // namespace anabranch
