// The adapter_config.json that PEFT writes beside a LoRA adapter's weights.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "model/json.h"

namespace anabranch {

/// Which modules an adapter changes, and by how much. Modules are named as in the model, such as
/// "model.layers.0.self_attn.q_proj".
class AdapterConfig {
 public:
  /// Throws Error naming the file and the field, also for features that the engine does not
  /// support.
  static AdapterConfig read(const std::string& path);

  /// Whether the adapter updates this linear layer, which is in layer `layer` of the model.
  bool targets(const std::string& module, int layer) const;
  int rank_of(const std::string& module) const;
  /// What B · A is multiplied with.
  float scale_of(const std::string& module) const;
  /// Whether all of this module's weights are saved ("embed_tokens", "lm_head").
  bool saves(const std::string& name) const;
  /// The tokens whose rows of this module are trained; empty: none.
  std::vector<int> trained_tokens(const std::string& name) const;
  /// A saved embedding is also the head, if the model ties them.
  bool ties_saved_embedding() const { return ensure_weight_tying_; }

 private:
  /// PEFT's patterns match the end of a module's name, from its beginning or after a dot.
  struct Pattern {
    std::regex expression;
    double value = 0;
  };
  /// Module names by their last parts, or one expression for whole names.
  struct ModuleSet {
    std::vector<std::string> names;
    std::optional<std::regex> expression;
    bool contains(const std::string& module) const;
  };

  static ModuleSet modules_of(const Json& value);
  static std::vector<Pattern> patterns_of(const Json& file, const char* key);
  static const Pattern* find(const std::vector<Pattern>& patterns, const std::string& module);

  ModuleSet targets_, excluded_;
  bool all_linear_ = false;
  std::optional<std::vector<int>> layers_;
  int rank_ = 0;
  double alpha_ = 0;
  bool rank_stabilised_ = false;
  bool ensure_weight_tying_ = false;
  std::vector<Pattern> ranks_, alphas_;
  std::vector<std::string> saved_;
  std::vector<std::pair<std::string, std::vector<int>>> trained_tokens_;  // by module
};

}  // namespace anabranch
