#include "bench/random_checkpoint.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "error.h"
#include "model/tensor_manifest.h"
#include "number_formats.h"

namespace anabranch {
namespace {

ModelConfig config_of(const ModelShape& s) {
  ModelConfig out;
  out.family = Family::kQwen2;
  out.hidden = s.hidden;
  out.layers = s.layers;
  out.heads = s.heads;
  out.kv_heads = s.kv_heads;
  out.head_dim = s.head_dim;
  out.intermediate = s.intermediate;
  out.vocabulary = s.vocabulary;
  out.context = s.context;
  out.tied_embeddings = s.tied;
  out.qkv_bias = true;
  return out;
}

size_t elements_of(const TensorSpec& tensor) {
  size_t out = 1;
  for (std::int64_t extent : tensor.shape) out *= static_cast<size_t>(extent);
  return out;
}

bool is_norm(const TensorSpec& tensor) { return tensor.name.ends_with("norm.weight"); }

/// The JSON header of a safetensors file with these bf16 tensors, padded to 8 bytes.
std::string header_of(const std::vector<TensorSpec>& tensors) {
  std::string header = "{";
  size_t size = 0;
  for (const TensorSpec& tensor : tensors) {
    const size_t bytes = 2 * elements_of(tensor);
    std::string shape;
    for (std::int64_t extent : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    }
    header += (header.size() > 1 ? "," : "") + ("\"" + tensor.name) +
              "\":{\"dtype\":\"BF16\",\"shape\":[" + shape + "],\"data_offsets\":[" +
              std::to_string(size) + "," + std::to_string(size + bytes) + "]}";
    size += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return header;
}

void write_weights(const std::vector<TensorSpec>& tensors, const std::filesystem::path& path) {
  constexpr size_t kTable = size_t{1} << 22;
  std::vector<std::uint16_t> weights(kTable), norms(1 << 14);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (auto& value : weights) value = to_bf16(normal(random) * 0.02f);
  for (auto& value : norms) value = to_bf16(1 + normal(random) * 0.1f);

  const std::string header = header_of(tensors);
  std::ofstream file(path, std::ios::binary);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), 8);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const TensorSpec& tensor : tensors) {
    size_t left = elements_of(tensor);
    const auto& table = is_norm(tensor) ? norms : weights;
    // Starts at a random offset of the table each time, so that no two rows of a matrix are equal.
    while (left > 0) {
      const size_t count = std::min(left, table.size() - 1024), first = random() % 1024;
      file.write(reinterpret_cast<const char*>(table.data() + first),
                 static_cast<std::streamsize>(2 * count));
      left -= count;
    }
  }
  file.close();
  if (!file) throw bad_file(path.string(), "can't be written");
}

void write_config(const ModelShape& s, const std::filesystem::path& path) {
  std::ofstream(path) << "{\"model_type\":\"qwen2\",\"architectures\":[\"Qwen2ForCausalLM\"],"
                      << "\"hidden_size\":" << s.hidden << ",\"num_hidden_layers\":" << s.layers
                      << ",\"num_attention_heads\":" << s.heads
                      << ",\"num_key_value_heads\":" << s.kv_heads
                      << ",\"intermediate_size\":" << s.intermediate
                      << ",\"vocab_size\":" << s.vocabulary
                      << ",\"max_position_embeddings\":" << s.context
                      << ",\"rope_theta\":1000000.0,\"rms_norm_eps\":1e-06,\"hidden_act\":\"silu\","
                      << "\"tie_word_embeddings\":" << (s.tied ? "true" : "false")
                      << ",\"eos_token_id\":0,\"torch_dtype\":\"bfloat16\"}\n";
}

}  // namespace

const ModelShape& find_shape(const std::string& name) {
  const auto found = std::find_if(std::begin(kModelShapes), std::end(kModelShapes),
                                  [&](const ModelShape& shape) { return shape.name == name; });
  if (found == std::end(kModelShapes)) throw bad_argument("no shape " + name + "; see --help");
  return *found;
}

void write_random_checkpoint(const ModelShape& shape, const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "config.json")) return;
  std::filesystem::create_directories(folder);
  write_weights(tensor_manifest(config_of(shape)).tensors(), folder / "model.safetensors");
  write_config(shape,
               folder / "config.json");  // last: its presence means that the weights are complete
}

}  // namespace anabranch
