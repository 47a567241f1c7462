#include "model/adapter.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "hash.h"
#include "model/adapter_config.h"
#include "model/safetensors.h"
#include "model/tensor_manifest.h"

namespace anabranch {
namespace {

constexpr char kPrefix[] = "base_model.model.";
constexpr std::int64_t kMaxVocabulary = 1 << 24;

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> ids{0};
  return ++ids;
}

/// "model.layers.0.self_attn.q_proj" of "model.layers.0.self_attn.q_proj.weight"
std::string module_of(const TensorSpec& spec) { return spec.name.substr(0, spec.name.rfind('.')); }

/// Reads one adapter's tensors, each of which must be used.
class AdapterReader {
 public:
  AdapterReader(const std::string& folder, const ModelConfig& config, const Checkpoint& weights)
      : config_(config),
        weights_(weights),
        options_(AdapterConfig::read(folder + "/adapter_config.json")),
        path_(folder + "/adapter_model.safetensors"),
        file_(open(folder, path_)),
        tensors_(read_safetensors(file_, true)) {
    for (const auto& [name, tensor] : tensors_) unused_.insert(name);
  }

  Adapter read() {
    // An adapter's tensors are laid out as Hugging Face's, also if the model is a GGUF file.
    ModelConfig named = config_;
    named.names = TensorNaming::kHuggingFace;
    named.interleaved_heads = false;
    named.fused_qkv = named.fused_gate_up = config_.family == Family::kPhi3;
    const TensorManifest manifest = tensor_manifest(named);
    Adapter out;
    for (size_t layer = 0; layer < manifest.layers.size(); ++layer) {
      const LayerManifest& m = manifest.layers[layer];
      AdapterLayer& to = out.layers.emplace_back();
      const auto read = [&](const LinearSpec& spec) {
        return low_rank(spec, static_cast<int>(layer));
      };
      to.q = read(m.q);
      to.k = read(m.k);
      to.v = read(m.v);
      to.output = read(m.output);
      to.gate = read(m.gate);
      to.up = read(m.up);
      to.down = read(m.down);
    }
    read_token_rows(manifest, out);
    if (!unused_.empty()) {
      refuse(*unused_.begin(),
             "is not supported: adapters may update q, k, v, o, gate, up and down projections, and "
             "save or train tokens of embed_tokens and lm_head");
    }
    out.id = next_id();
    return out;
  }

  std::uint64_t fingerprint() const {
    return hash_bulk(14695981039346656037ull, file_.data(), file_.size());
  }

 private:
  static MappedFile open(const std::string& folder, const std::string& path) {
    if (!std::filesystem::exists(path) && std::filesystem::exists(folder + "/adapter_model.bin")) {
      throw bad_file(folder + "/adapter_model.bin",
                     "is not supported; save the adapter as adapter_model.safetensors");
    }
    return MappedFile(path, 8, "a safetensors file");
  }

  [[noreturn]] void refuse(const std::string& tensor, const std::string& what) const {
    throw bad_file(path_, "tensor \"" + tensor + "\" " + what);
  }

  /// The tensor of this name, which counts as used; null if there is none.
  const Tensor* take(const std::string& name) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return nullptr;
    unused_.erase(name);
    return &found->second;
  }

  /// The same with a shape that it must have. Throws Error if there is none.
  const Tensor& take(const std::string& name, const std::vector<std::int64_t>& shape) {
    const Tensor* tensor = take(name);
    if (!tensor) refuse(name, "is missing");
    if (tensor->shape != shape) {
      refuse(name, "has shape " + shape_text(tensor->shape) + ", not " + shape_text(shape));
    }
    return *tensor;
  }

  /// The update of the rows of a module that are this layer: layers may share one.
  LowRank low_rank(const LinearSpec& spec, int layer) {
    const std::string module = module_of(spec.weight);
    LowRank out;
    out.k = spec.k();
    out.n = spec.n();
    if (!options_.targets(module, layer)) return out;
    out.rank = options_.rank_of(module);
    const Tensor& a = take(kPrefix + module + ".lora_A.weight", {out.rank, out.k});
    const std::int64_t rows = spec.weight.shape[0];
    const Tensor& b = take(kPrefix + module + ".lora_B.weight", {rows, out.rank});
    const auto rank = static_cast<size_t>(out.rank), n = static_cast<size_t>(out.n);
    out.a.resize(rank * static_cast<size_t>(out.k));
    to_float(a, 0, out.a.size(), out.a.data());
    std::vector<float> row(rank);
    const float scale = options_.scale_of(module);
    out.b.resize(n * rank);
    for (size_t j = 0; j < n; ++j) {
      const auto stored = static_cast<size_t>(spec.stored_row(static_cast<int>(j)));
      to_float(b, stored * rank, rank, row.data());
      for (size_t r = 0; r < rank; ++r) out.b[r * n + j] = scale * row[r];
    }
    return out;
  }

  // ---- rows of the embedding and the head ------------------------------------------------------

  using Rows = std::map<int, std::vector<float>>;

  struct SavedModule {
    Rows rows;                               // that differ from the model's
    std::optional<std::int64_t> vocabulary;  // of a matrix that was saved as a whole
    bool present = false;
  };

  std::vector<float> row_of(const Tensor& tensor, std::int64_t row) const {
    std::vector<float> out(static_cast<size_t>(config_.hidden));
    to_float(tensor, static_cast<size_t>(row) * out.size(), out.size(), out.data());
    return out;
  }

  /// What the file has of module `name` ("embed_tokens" or "lm_head"); `own` is the model's matrix.
  SavedModule saved_module(const std::string& module, const std::string& name,
                           const TensorSpec& own) {
    const std::string at = kPrefix + module;
    SavedModule out;
    const std::string whole = tensors_.contains(at + ".weight")
                                  ? at + ".weight"
                                  : at + ".token_adapter.base_layer.weight";
    if (const Tensor* matrix = take(whole)) {
      out.present = true;
      const std::vector<std::int64_t>& shape = matrix->shape;
      if (shape.size() != 2 || shape[1] != config_.hidden || shape[0] < config_.vocabulary ||
          shape[0] > kMaxVocabulary) {
        refuse(whole, "has shape " + shape_text(shape) + ", not [" +
                          std::to_string(config_.vocabulary) + " or more, " +
                          std::to_string(config_.hidden) + "]");
      }
      out.vocabulary = shape[0];
      const Tensor& stored = weights_.get(own);
      for (std::int64_t row = 0; row < shape[0]; ++row) {
        auto values = row_of(*matrix, row);
        if (row < config_.vocabulary && values == row_of(stored, row)) continue;
        out.rows.emplace(static_cast<int>(row), std::move(values));
      }
      // If a vocabulary was resized, PEFT writes the wrapper's copies as well.
      take(at + ".modules_to_save.weight");
      take(at + ".original_module.weight");
    } else if (options_.saves(name)) {
      refuse(at + ".weight", "is missing: modules_to_save names it");
    }
    const std::string trained = at + ".token_adapter.trainable_tokens_delta";
    std::vector<int> tokens = options_.trained_tokens(name);
    if (tokens.empty() && tensors_.contains(trained))
      tokens = options_.trained_tokens("embed_tokens");
    if (tokens.empty()) return out;
    out.present = true;
    const Tensor& rows = take(trained, {static_cast<std::int64_t>(tokens.size()), config_.hidden});
    const std::int64_t vocabulary = out.vocabulary.value_or(config_.vocabulary);
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] >= vocabulary) {
        refuse(trained, "trains token " + std::to_string(tokens[i]) + ", but the vocabulary has " +
                            std::to_string(vocabulary) + " and no matrix of more rows is saved");
      }
      out.rows[tokens[i]] = row_of(rows, static_cast<std::int64_t>(i));
    }
    return out;
  }

  TokenRows packed(const Rows& rows) const {
    TokenRows out;
    out.rows.reserve(rows.size() * static_cast<size_t>(config_.hidden));
    for (const auto& [token, row] : rows) {
      out.tokens.push_back(token);
      out.rows.insert(out.rows.end(), row.begin(), row.end());
    }
    return out;
  }

  void read_token_rows(const TensorManifest& manifest, Adapter& out) {
    const TensorManifest own = tensor_manifest(config_);
    const std::string module = module_of(manifest.embedding);
    const SavedModule embedding = saved_module(module, "embed_tokens", own.embedding);
    SavedModule head = saved_module("lm_head", "lm_head", own.head.weight);
    // A copy in modules_to_save takes the embedding apart from the head that shares it.
    const bool apart = options_.saves("embed_tokens") && !options_.ties_saved_embedding();
    if (config_.tied_embeddings && !head.present && !apart) head = embedding;
    const std::int64_t vocabulary = embedding.vocabulary.value_or(config_.vocabulary);
    if (const auto rows = head.vocabulary.value_or(config_.vocabulary); rows != vocabulary) {
      throw bad_file(path_, "the embedding has " + std::to_string(vocabulary) +
                                " rows and the head " + std::to_string(rows) +
                                "; save both (modules_to_save: embed_tokens, lm_head)");
    }
    out.vocabulary = static_cast<int>(vocabulary);
    out.embedding = packed(embedding.rows);
    out.head = packed(head.rows);
  }

  const ModelConfig& config_;
  const Checkpoint& weights_;
  const AdapterConfig options_;
  const std::string path_;
  const MappedFile file_;
  const std::unordered_map<std::string, Tensor> tensors_;
  std::set<std::string> unused_;
};

}  // namespace

int TokenRows::find(int token) const {
  const auto at = std::lower_bound(tokens.begin(), tokens.end(), token);
  return at != tokens.end() && *at == token ? static_cast<int>(at - tokens.begin()) : -1;
}

void Adapter::drop_updates() {
  head.rows = {};
  for (AdapterLayer& layer : layers) {
    for (LowRank* update :
         {&layer.q, &layer.k, &layer.v, &layer.output, &layer.gate, &layer.up, &layer.down}) {
      update->a = {};
      update->b = {};
    }
  }
}

Adapter read_adapter(const std::string& folder, const ModelConfig& config,
                     const Checkpoint& weights) {
  if (!std::filesystem::is_directory(folder)) {
    throw bad_file(folder,
                   "is not a folder with adapter_config.json and adapter_model.safetensors");
  }
  AdapterReader reader(folder, config, weights);
  Adapter out = reader.read();
  out.fingerprint = reader.fingerprint();
  for (const char* name : {"adapter_config.json", "aspd.json", "tokenizer.json"}) {
    out.fingerprint = hash_file(out.fingerprint, folder + "/" + name);
  }
  return out;
}

}  // namespace anabranch
