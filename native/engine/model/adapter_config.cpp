#include "model/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace anabranch {
namespace {

constexpr int kMaxRank = 4096;
constexpr size_t kMaxExpression = 1024;

/// Fields that do not change what an adapter computes, or that are read below.
const std::set<std::string_view> kKnown = {
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "trainable_token_indices",
    "task_type",
    "use_rslora",
};

/// Not set: null, false, or empty.
bool is_unset(const Json& value) {
  if (value.is_null()) return true;
  if (value.is_boolean()) return !value.boolean();
  if (value.is_string()) return value.string().empty();
  if (value.is_array()) return value.items().empty();
  return value.is_object() && value.members().empty();
}

/// The expression as PEFT's, in linear time where the library can: the file is not trusted.
std::regex expression_of(const Json& where, const std::string& text) {
  if (text.size() > kMaxExpression) where.fail("holds a regular expression that is too long");
  auto flags = std::regex::ECMAScript;
#if defined(__GLIBCXX__)
  flags |= std::regex_constants::__polynomial;
#endif
  try {
    return std::regex(text, flags);
  } catch (const std::regex_error&) {
    where.fail("holds a regular expression that is not supported: " + text);
  }
}

void check_support(const Json& file) {
  const std::string type = file.at("peft_type").string();
  if (type != "LORA") file.at("peft_type").fail("is \"" + type + "\"; only LORA is supported");
  if (const std::string bias = file.string_or("bias", "none"); bias != "none") {
    file.at("bias").fail("is \"" + bias + "\"; only \"none\" is supported");
  }
  for (const auto& [key, value] : file.members()) {
    if (!kKnown.contains(key) && !is_unset(value)) value.fail("is not supported");
  }
  if (!file.has("init_lora_weights")) return;
  const Json init = file.at("init_lora_weights");
  if (!init.is_string()) return;
  // The other ways of initialising change the base model's weights, too.
  static const std::set<std::string> harmless = {"gaussian", "eva", "orthogonal"};
  if (harmless.contains(init.string())) return;
  init.fail("is \"" + init.string() +
            "\", which trains against changed weights of the base model; save the adapter as plain "
            "LoRA (path_initial_model_for_weight_conversion)");
}

std::vector<int> token_ids(const Json& list) {
  std::vector<int> out;
  for (const Json& id : list.items()) out.push_back(static_cast<int>(id.integer(0, 1 << 28)));
  return out;
}

}  // namespace

AdapterConfig AdapterConfig::read(const std::string& path) {
  const Json file = Json::read(path);
  check_support(file);
  AdapterConfig out;
  out.rank_ = static_cast<int>(file.at("r").integer(1, kMaxRank));
  out.alpha_ = file.at("lora_alpha").real();
  out.rank_stabilised_ = file.boolean_or("use_rslora", false);
  out.ensure_weight_tying_ = file.boolean_or("ensure_weight_tying", false);
  if (file.has("target_modules")) {
    const Json targets = file.at("target_modules");
    out.all_linear_ = targets.is_string() && targets.string() == "all-linear";
    if (!out.all_linear_) out.targets_ = modules_of(targets);
  }
  if (file.has("exclude_modules")) out.excluded_ = modules_of(file.at("exclude_modules"));
  out.ranks_ = patterns_of(file, "rank_pattern");
  out.alphas_ = patterns_of(file, "alpha_pattern");
  if (file.has("layers_to_transform")) {
    const Json layers = file.at("layers_to_transform");
    auto& chosen = out.layers_.emplace();
    for (const Json& layer : layers.is_array() ? layers.items() : std::vector{layers}) {
      chosen.push_back(static_cast<int>(layer.integer(0, 1 << 20)));
    }
    if (chosen.empty()) out.layers_.reset();
  }
  if (file.has("layers_pattern") && !is_unset(file.at("layers_pattern"))) {
    const Json pattern = file.at("layers_pattern");
    const Json only =
        pattern.is_array() && pattern.items().size() == 1 ? pattern.items()[0] : pattern;
    if (!only.is_string() || only.string() != "layers") pattern.fail("must be \"layers\"");
  }
  if (file.has("modules_to_save")) {
    for (const Json& name : file.at("modules_to_save").items()) {
      if (name.string() != "embed_tokens" && name.string() != "lm_head") {
        name.fail("is \"" + name.string() + "\"; only embed_tokens and lm_head can be saved");
      }
      out.saved_.push_back(name.string());
    }
  }
  if (file.has("trainable_token_indices")) {
    const Json tokens = file.at("trainable_token_indices");
    if (tokens.is_array()) {
      out.trained_tokens_.emplace_back("embed_tokens", token_ids(tokens));
    } else {
      for (const auto& [name, list] : tokens.members()) {
        const std::string last = name.substr(name.rfind('.') + 1);
        if (last != "embed_tokens" && last != "lm_head") {
          list.fail("names a module that is neither embed_tokens nor lm_head");
        }
        out.trained_tokens_.emplace_back(last, token_ids(list));
      }
    }
  }
  return out;
}

AdapterConfig::ModuleSet AdapterConfig::modules_of(const Json& value) {
  ModuleSet out;
  if (value.is_string()) {
    out.expression = expression_of(value, value.string());
    return out;
  }
  for (const Json& name : value.items()) out.names.push_back(name.string());
  return out;
}

std::vector<AdapterConfig::Pattern> AdapterConfig::patterns_of(const Json& file, const char* key) {
  std::vector<Pattern> out;
  if (!file.has(key)) return out;
  const bool ranks = std::string_view(key) == "rank_pattern";
  for (const auto& [text, value] : file.at(key).members()) {
    const double number = ranks ? static_cast<double>(value.integer(1, kMaxRank)) : value.real();
    out.push_back({expression_of(value, "(?:.*\\.)?(?:" + text + ")"), number});
  }
  return out;
}

bool AdapterConfig::ModuleSet::contains(const std::string& module) const {
  if (expression) return std::regex_match(module, *expression);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

const AdapterConfig::Pattern* AdapterConfig::find(const std::vector<Pattern>& patterns,
                                                  const std::string& module) {
  for (const Pattern& pattern : patterns) {
    if (std::regex_match(module, pattern.expression)) return &pattern;
  }
  return nullptr;
}

bool AdapterConfig::targets(const std::string& module, int layer) const {
  if (excluded_.contains(module)) return false;
  if (all_linear_) return true;
  // PEFT ignores the list of layers if the targets are an expression.
  const bool chosen = !layers_ || targets_.expression ||
                      std::find(layers_->begin(), layers_->end(), layer) != layers_->end();
  return chosen && targets_.contains(module);
}

int AdapterConfig::rank_of(const std::string& module) const {
  const Pattern* pattern = find(ranks_, module);
  return pattern ? static_cast<int>(pattern->value) : rank_;
}

float AdapterConfig::scale_of(const std::string& module) const {
  const Pattern* pattern = find(alphas_, module);
  const double alpha = pattern ? pattern->value : alpha_;
  const double rank = rank_of(module);
  return static_cast<float>(alpha / (rank_stabilised_ ? std::sqrt(rank) : rank));
}

bool AdapterConfig::saves(const std::string& name) const {
  return std::find(saved_.begin(), saved_.end(), name) != saved_.end();
}

std::vector<int> AdapterConfig::trained_tokens(const std::string& name) const {
  for (const auto& [module, tokens] : trained_tokens_) {
    if (module == name) return tokens;
  }
  return {};
}

}  // namespace anabranch
