#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "model/gguf_config.h"
#include "model/json.h"

namespace anabranch {
namespace {

constexpr std::int64_t kMaxSize = 1 << 24;

Family family_of(const Json& config) {
  static const std::vector<std::pair<const char*, Family>> families = {
      {"llama", Family::kLlama}, {"mistral", Family::kMistral},    {"qwen2", Family::kQwen2},
      {"qwen3", Family::kQwen3}, {"gemma3_text", Family::kGemma3}, {"phi3", Family::kPhi3},
      {"olmo2", Family::kOlmo2}, {"smollm3", Family::kSmolLm3},    {"granite", Family::kGranite}};
  const std::string type = config.at("model_type").string();
  std::string known;
  for (const auto& [name, family] : families) {
    if (type == name) return family;
    known += (known.empty() ? "" : ", ") + std::string(name);
  }
  config.at("model_type").fail("is \"" + type + "\"; known are " + known);
}

// ---- RoPE --------------------------------------------------------------------------------------

std::optional<Json> rope_spec(const Json& file) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (file.has(key)) return file.at(key);
  }
  return std::nullopt;
}

std::string rope_kind(const Json& spec) {
  return spec.string_or("rope_type", spec.string_or("type", "default"));
}

/// The context that the file names, which may be longer than the one that is served.
int context_of(const Json& file) {
  return static_cast<int>(file.at("max_position_embeddings").integer(1, kMaxSize));
}

/// YaRN reaches `factor` times the original context, whether or not the file names the product as
/// its context: configs that were edited to turn YaRN on keep the original one.
int reach_of(const Json& file, Family family) {
  const int context = context_of(file);
  const std::optional<Json> spec = rope_spec(file);
  if (family == Family::kPhi3 || !spec || rope_kind(*spec) != "yarn") return context;
  const double reach =
      spec->real_or("factor", 1) * static_cast<double>(spec->integer_or(
                                       "original_max_position_embeddings", context, 1, kMaxSize));
  return static_cast<int>(std::clamp<double>(reach, context, kMaxSize));
}

double positive(const Json& spec, const char* key) {
  const double value = spec.at(key).real();
  if (value <= 0) spec.at(key).fail("must be above 0");
  return value;
}

void apply_llama3(const Json& spec, Rope& rope) {
  const Llama3Scaling scaling = {
      spec.at("factor").real(), spec.at("low_freq_factor").real(),
      spec.at("high_freq_factor").real(),
      static_cast<double>(spec.at("original_max_position_embeddings").integer(1, kMaxSize))};
  if (scaling.factor <= 0 || scaling.high_freq_factor <= scaling.low_freq_factor) {
    spec.fail("has an impossible factor");
  }
  scale_llama3(rope, scaling);
}

void apply_yarn(const Json& file, const Json& spec, double theta, const ModelConfig& config,
                Rope& rope) {
  YarnScaling scaling;
  scaling.theta = theta;
  scaling.original_context = static_cast<double>(
      spec.integer_or("original_max_position_embeddings", context_of(file), 1, kMaxSize));
  scaling.factor = spec.real_or("factor", context_of(file) / scaling.original_context);
  if (scaling.factor <= 0) spec.fail("has an impossible factor");
  scaling.beta_fast = spec.real_or("beta_fast", 32);
  scaling.beta_slow = spec.real_or("beta_slow", 1);
  scaling.truncate = spec.boolean_or("truncate", true);
  scale_yarn(rope, config.rotary_dim, scaling);
  if (spec.has("attention_factor")) {
    rope.attention_factor = static_cast<float>(spec.at("attention_factor").real());
  } else if (spec.has("mscale") && spec.has("mscale_all_dim")) {
    rope.attention_factor =
        static_cast<float>(yarn_magnitude(scaling.factor, spec.at("mscale").real()) /
                           yarn_magnitude(scaling.factor, spec.at("mscale_all_dim").real()));
  } else {
    rope.attention_factor = static_cast<float>(yarn_magnitude(scaling.factor, 1.0));
  }
}

/// Long RoPE has two lists of factors. transformers takes the long ones as soon as a sequence is
/// longer than the original context. Cached keys can't change, so here they are taken if the
/// context that is served is longer.
void apply_longrope(const Json& file, const Json& spec, const ModelConfig& config, Rope& rope) {
  const char* original_key = "original_max_position_embeddings";
  const Json& holder = file.has(original_key) ? file : spec;
  const auto original = static_cast<double>(holder.at(original_key).integer(2, kMaxSize));
  const Json list = spec.at(config.context > original ? "long_factor" : "short_factor");
  std::vector<float> factors;
  for (const Json& factor : list.items()) {
    factors.push_back(static_cast<float>(factor.real()));
    if (!(factors.back() > 0)) factor.fail("must be above 0");
  }
  if (static_cast<int>(factors.size()) != config.rotary_dim / 2) {
    list.fail("must have " + std::to_string(config.rotary_dim / 2) + " factors");
  }
  divide_frequencies(rope, factors);
  const double factor = spec.real_or("factor", context_of(file) / original);
  rope.attention_factor =
      static_cast<float>(spec.real_or("attention_factor", longrope_magnitude(factor, original)));
}

/// The RoPE of `spec`, with `theta` unless the spec has its own. transformers 5 writes
/// rope_parameters with theta inside, earlier versions rope_scaling and rope_theta.
Rope rope_of(const Json& file, const std::optional<Json>& spec, double theta,
             const ModelConfig& config) {
  if (spec) theta = spec->real_or("rope_theta", theta);
  if (theta <= 1) file.fail("has an impossible rope_theta");
  Rope rope = default_rope(theta, config.rotary_dim, config.head_dim);
  if (!spec) return rope;
  std::string kind = rope_kind(*spec);
  if (config.family == Family::kPhi3 && (kind == "su" || kind == "yarn")) kind = "longrope";
  if (kind == "linear") {
    scale_linear(rope, positive(*spec, "factor"));
  } else if (kind == "llama3") {
    apply_llama3(*spec, rope);
  } else if (kind == "yarn") {
    apply_yarn(file, *spec, theta, config, rope);
  } else if (kind == "longrope") {
    apply_longrope(file, *spec, config, rope);
  } else if (kind != "default") {
    spec->fail("has RoPE kind \"" + kind + "\"; known are default, linear, llama3, yarn, longrope");
  }
  return rope;
}

int rotary_dim_of(const Json& file, const ModelConfig& config) {
  const auto spec = rope_spec(file);
  const double part = spec && spec->has("partial_rotary_factor")
                          ? spec->at("partial_rotary_factor").real()
                          : file.real_or("partial_rotary_factor", 1.0);
  if (part != 1.0 && config.family != Family::kPhi3) {
    file.fail("has partial_rotary_factor, which is not supported in this family");
  }
  const int dim = static_cast<int>(config.head_dim * part);
  if (dim < 2 || dim > config.head_dim || dim % 2 != 0) {
    file.fail("gives an impossible number of rotated values per head: " + std::to_string(dim));
  }
  return dim;
}

// ---- layers ------------------------------------------------------------------------------------

/// What the file says of its layers in layer_types: whether each has a sliding window. Empty if it
/// says nothing.
std::vector<bool> sliding_layers(const Json& file, int layers) {
  std::vector<bool> out;
  if (!file.has("layer_types")) return out;
  for (const Json& type : file.at("layer_types").items()) {
    const std::string name = type.string();
    if (name != "full_attention" && name != "sliding_attention") {
      type.fail("is \"" + name + "\"; known are full_attention, sliding_attention");
    }
    out.push_back(name == "sliding_attention");
  }
  if (static_cast<int>(out.size()) != layers) {
    file.at("layer_types").fail("must have one type per layer");
  }
  return out;
}

/// The sliding window of each layer in tokens; 0: none. Defaults are those of transformers.
std::vector<int> windows_of(const Json& file, const ModelConfig& config) {
  const auto size = [&](int otherwise) {
    return static_cast<int>(file.integer_or("sliding_window", otherwise, 1, 1 << 30));
  };
  std::vector<bool> sliding = sliding_layers(file, config.layers);
  const bool by_switch = file.boolean_or("use_sliding_window", false);
  int window = 0;
  switch (config.family) {
    case Family::kMistral:  // only null means none
      window = size(file.contains("sliding_window") ? 0 : 4096);
      sliding.assign(config.layers, window > 0);
      break;
    case Family::kPhi3:
      window = size(0);
      sliding.assign(config.layers, window > 0);
      break;
    case Family::kGemma3: {
      window = static_cast<int>(file.at("sliding_window").integer(1, 1 << 30));
      const auto pattern = static_cast<int>(file.integer_or("sliding_window_pattern", 6, 1, 1024));
      for (int i = static_cast<int>(sliding.size()); i < config.layers; ++i) {
        sliding.push_back((i + 1) % pattern != 0);
      }
      break;
    }
    case Family::kQwen2:
    case Family::kQwen3: {
      window = by_switch ? size(4096) : 0;
      const auto first = static_cast<int>(file.integer_or("max_window_layers", 28, 0, 1024));
      for (int i = static_cast<int>(sliding.size()); i < config.layers; ++i) {
        sliding.push_back(i >= first);
      }
      break;
    }
    default:
      if (by_switch)
        file.at("use_sliding_window").fail("is true, which is not supported in this family");
      break;
  }
  std::vector<int> out(config.layers);
  for (int i = 0; i < config.layers && i < static_cast<int>(sliding.size()); ++i) {
    if (!sliding[i]) continue;
    if (window == 0 && file.has("layer_types")) {
      file.at("layer_types").fail("has sliding_attention, but there is no sliding window");
    }
    out[i] = window;
  }
  return out;
}

/// Layers of SmolLM3 without RoPE.
std::vector<bool> layers_without_rope(const Json& file, int layers) {
  std::vector<bool> out;
  if (file.has("no_rope_layers")) {
    for (const Json& flag : file.at("no_rope_layers").items()) {
      out.push_back(flag.integer(0, 1) == 0);  // 1: the layer has RoPE
    }
    if (static_cast<int>(out.size()) < layers) {
      file.at("no_rope_layers").fail("must have one entry per layer");
    }
    return out;
  }
  const auto interval = static_cast<int>(file.integer_or("no_rope_layer_interval", 4, 1, 1024));
  for (int i = 0; i < layers; ++i) out.push_back((i + 1) % interval == 0);
  return out;
}

void read_attention(const Json& file, ModelConfig& config) {
  config.rotary_dim = rotary_dim_of(file, config);
  const std::vector<int> windows = windows_of(file, config);
  std::optional<Json> spec = rope_spec(file);
  if (config.family == Family::kGemma3) {
    // One RoPE per type of layer; a scaling outside of rope_parameters is that of full attention.
    std::optional<Json> local;
    if (spec && file.has("rope_parameters")) {
      const Json both = *spec;
      local = both.has("sliding_attention") ? std::optional(both.at("sliding_attention"))
                                            : std::nullopt;
      spec = both.has("full_attention") ? std::optional(both.at("full_attention")) : std::nullopt;
    }
    const Rope global_rope = rope_of(file, spec, file.real_or("rope_theta", 1e6), config);
    const Rope local_rope = rope_of(file, local, file.real_or("rope_local_base_freq", 1e4), config);
    for (int window : windows) add_layer(config, window, window ? local_rope : global_rope);
    return;
  }
  const double default_theta = config.family == Family::kSmolLm3 ? 2e6 : 1e4;
  const Rope rope = rope_of(file, spec, file.real_or("rope_theta", default_theta), config);
  std::vector<bool> without_rope(config.layers);
  if (config.family == Family::kSmolLm3) without_rope = layers_without_rope(file, config.layers);
  for (int i = 0; i < config.layers; ++i) {
    add_layer(config, windows[i], without_rope[i] ? no_rope(config.head_dim) : rope);
  }
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

Activation activation_of(const Json& config) {
  for (const char* key : {"hidden_activation", "hidden_act"}) {
    if (!config.has(key)) continue;
    const std::string name = config.at(key).string();
    if (name == "silu") return Activation::kSilu;
    if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
    config.at(key).fail("is \"" + name + "\"; known are silu, gelu_pytorch_tanh");
  }
  return Activation::kSilu;
}

void refuse_unsupported(const Json& config) {
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (config.has(key)) config.at(key).fail("is not null; soft-capping is not supported");
  }
  if (config.boolean_or("use_bidirectional_attention", false)) {
    config.at("use_bidirectional_attention").fail("is true, which is not supported");
  }
}

/// Biases, norms, multipliers and fused tensors.
void read_family(const Json& file, ModelConfig& config) {
  const auto attention_bias = [&] {
    config.qkv_bias = config.output_bias = file.boolean_or("attention_bias", false);
  };
  const auto factor = [&](const char* key) {
    return static_cast<float>(file.has(key) ? positive(file, key) : 1.0);
  };
  switch (config.family) {
    case Family::kLlama:
    case Family::kSmolLm3:
      attention_bias();
      break;
    case Family::kMistral:
      break;
    case Family::kQwen2:
      config.qkv_bias = true;
      break;
    case Family::kQwen3:
      attention_bias();
      config.qk_norm = QkNorm::kPerHead;
      break;
    case Family::kGemma3:
      attention_bias();
      set_gemma3(config);
      if (file.has("query_pre_attn_scalar")) {
        config.query_scale =
            static_cast<float>(1 / std::sqrt(positive(file, "query_pre_attn_scalar")));
      }
      break;
    case Family::kPhi3:
      config.fused_qkv = config.fused_gate_up = true;
      break;
    case Family::kOlmo2:
      attention_bias();
      set_olmo2(config);
      break;
    case Family::kGranite:
      attention_bias();
      config.embedding_scale = factor("embedding_multiplier");
      config.query_scale = factor("attention_multiplier");
      config.residual_scale = factor("residual_multiplier");
      config.logit_scale = 1 / factor("logits_scaling");
      break;
  }
}

}  // namespace

void set_gemma3(ModelConfig& config) {
  config.post_norms = true;
  config.qk_norm = QkNorm::kPerHead;
  if (config.names == TensorNaming::kHuggingFace) config.norm_offset = 1;
  config.activation = Activation::kGeluTanh;
  config.embedding_scale = std::sqrt(static_cast<float>(config.hidden));
}

void set_olmo2(ModelConfig& config) {
  config.pre_norms = false;
  config.post_norms = true;
  config.qk_norm = QkNorm::kWholeRow;
}

void add_layer(ModelConfig& config, int window, const Rope& rope) {
  const auto index_of = [](auto& distinct, const auto& value) {
    const auto found = std::find(distinct.begin(), distinct.end(), value);
    const auto index = static_cast<int>(found - distinct.begin());
    if (found == distinct.end()) distinct.push_back(value);
    return index;
  };
  if (window >= config.context) window = 0;
  config.attention.push_back({index_of(config.windows, window), index_of(config.ropes, rope)});
}

ModelConfig read_config(const std::string& path, int max_context) {
  if (is_gguf(path)) return read_gguf_config(GgufModel(path), max_context);
  const std::string& folder = path;
  const Json json = Json::read(folder + "/config.json");
  const auto size = [&](const char* key) {
    return static_cast<int>(json.at(key).integer(1, kMaxSize));
  };

  ModelConfig config;
  config.family = family_of(json);
  refuse_unsupported(json);
  config.activation = activation_of(json);
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
  } else if (config.family == Family::kGemma3) {
    config.head_dim = 256;
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
  config.context = reach_of(json, config.family);
  if (max_context > 0) config.context = std::min(config.context, max_context);
  const bool larger_epsilon = config.family == Family::kPhi3 || config.family == Family::kOlmo2;
  const double default_epsilon = larger_epsilon ? 1e-5 : 1e-6;
  config.norm_epsilon = static_cast<float>(json.real_or("rms_norm_eps", default_epsilon));
  if (!(config.norm_epsilon >= 0 && config.norm_epsilon <= 1)) {
    json.at("rms_norm_eps").fail("must be between 0 and 1");
  }
  const bool tied = config.family == Family::kGemma3 || config.family == Family::kSmolLm3;
  config.tied_embeddings = json.boolean_or("tie_word_embeddings", tied);
  config.mlp_bias = json.boolean_or("mlp_bias", false);
  config.query_scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  read_family(json, config);
  read_attention(json, config);
  read_eos(json, config.eos, config.vocabulary);
  const std::string generation = folder + "/generation_config.json";
  if (std::filesystem::exists(generation)) {
    read_eos(Json::read(generation), config.eos, config.vocabulary);
  }
  return config;
}

}  // namespace anabranch
