#include "fuzz/model_files.h"

#include <cstring>
#include <fstream>
#include <vector>

#include "model/tensor_manifest.h"
#include "number_formats.h"

namespace anabranch {
namespace {

ModelConfig config_of(const ModelShape& s) {
  ModelConfig out;
  out.hidden = s.hidden;
  out.layers = s.layers;
  out.heads = s.heads;
  out.kv_heads = s.kv_heads;
  out.head_dim = s.head_dim;
  out.intermediate = s.intermediate;
  out.vocabulary = s.vocabulary;
  out.tied_embeddings = s.tied;
  out.qkv_bias = s.type == "qwen2";
  if (s.type == "qwen3") out.qk_norm = QkNorm::kPerHead;
  if (s.type == "gemma3_text") set_gemma3(out);
  if (s.type == "olmo2") set_olmo2(out);
  out.fused_qkv = out.fused_gate_up = s.type == "phi3";
  return out;
}

/// A safetensors file that grows.
class TensorFile {
 public:
  explicit TensorFile(Dice& dice) : dice_(dice) {}

  /// Values of a float type: of norms about 1, of others about 0.
  void add_floats(const TensorSpec& tensor, const std::string& dtype) {
    const size_t begin = body_.size();
    const bool norm = tensor.name.find("norm") != std::string::npos;
    for (std::int64_t i = count(tensor.shape); i > 0; --i) {
      const float value = norm ? 1 + dice_.normal() / 10 : dice_.normal() / 4;
      if (dtype == "F32") {
        body_.append(reinterpret_cast<const char*>(&value), 4);
      } else {
        const std::uint16_t bits = dtype == "BF16" ? to_bf16(value) : 0x3800;
        body_.append(reinterpret_cast<const char*>(&bits), 2);
      }
    }
    add(tensor, dtype, begin);
  }

  void add_words(const TensorSpec& tensor, const std::string& dtype = "I32") {
    const size_t begin = body_.size();
    for (std::int64_t i = count(tensor.shape); i > 0; --i) {
      const auto word = static_cast<std::uint32_t>(dice_.word());
      body_.append(reinterpret_cast<const char*>(&word), 4);
    }
    add(tensor, dtype, begin);
  }

  std::string text() const {
    return safetensors_file("{\"__metadata__\":{\"format\":\"pt\"}" + header_ + "}", body_);
  }

 private:
  static std::int64_t count(const std::vector<std::int64_t>& shape) {
    std::int64_t out = 1;
    for (std::int64_t n : shape) out *= n;
    return out;
  }

  void add(const TensorSpec& tensor, const std::string& dtype, size_t begin) {
    std::string shape;
    for (std::int64_t n : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(n);
    header_ += ",\"" + tensor.name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape +
               "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(body_.size()) +
               "]}";
  }

  Dice& dice_;
  std::string header_, body_;
};

constexpr int kPackedGroup = 8;

/// The parts of a packed layer, by the formats' own names.
void add_packed(TensorFile& file, const std::string& packing, const TensorSpec& weight,
                Dice& dice) {
  const std::string layer = weight.name.substr(0, weight.name.size() - std::strlen(".weight"));
  const std::int64_t n = weight.shape[0], k = weight.shape[1];
  const std::int64_t groups = (k + kPackedGroup - 1) / kPackedGroup;
  const std::string scales = dice.chance(50) ? "F16" : "BF16";
  if (packing == "compressed-tensors") {
    file.add_words({layer + ".weight_packed", {n, k / 8}});
    file.add_floats({layer + ".weight_scale", {n, groups}}, scales);
    file.add_words({layer + ".weight_zero_point", {n / 8, groups}});
  } else if (packing == "mlx") {
    file.add_words({weight.name, {n, k / 8}}, "U32");
    file.add_floats({layer + ".scales", {n, groups}}, scales);
    file.add_floats({layer + ".biases", {n, groups}}, scales);
  } else {
    const bool awq = packing == "awq";
    file.add_words({layer + ".qweight", awq ? std::vector{k, n / 8} : std::vector{k / 8, n}});
    file.add_words({layer + ".qzeros", {groups, n / 8}});
    file.add_floats({layer + ".scales", {groups, n}}, scales);
  }
}

std::string safetensors(const std::vector<TensorSpec>& tensors, const std::string& dtype,
                        const std::string& packing, Dice& dice) {
  TensorFile file(dice);
  for (const TensorSpec& tensor : tensors) {
    if (!packing.empty() && tensor.name.ends_with("proj.weight"))
      add_packed(file, packing, tensor, dice);
    else
      file.add_floats(tensor, dtype);
  }
  return file.text();
}

std::string quantization_json(const std::string& packing) {
  const std::string group = "\"group_size\":" + std::to_string(kPackedGroup);
  if (packing.empty()) return "";
  if (packing == "mlx") return ",\"quantization\":{" + group + ",\"bits\":4}";
  const std::string config =
      packing == "compressed-tensors"
          ? R"("format":"pack-quantized","config_groups":{"group_0":{"weights":{"num_bits":4,)"
            R"("type":"int","strategy":"group","symmetric":false,)" +
                group + "}}}"
          : "\"bits\":4," + group;
  return ",\"quantization_config\":{\"quant_method\":\"" + packing + "\"," + config + "}";
}

std::string config_json(const ModelShape& s, Dice& dice) {
  std::vector<std::string> ropes = {
      R"("rope_theta":10000.0)",
      R"("rope_theta":10000.0,"rope_scaling":{"type":"linear","factor":2.0})",
      R"("rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":8.0,)"
      R"("low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32})",
      R"("rope_parameters":{"rope_type":"yarn","rope_theta":10000.0,"factor":4.0,)"
      R"("beta_fast":32,"beta_slow":1,"original_max_position_embeddings":32})"};
  if (s.type == "phi3") ropes.pop_back();  // there "yarn" means long RoPE
  const std::string window = dice.chance(40) ? "null" : std::to_string(dice.between(1, 40));
  const auto field = [](const char* name, int value) {
    return std::string("\"") + name + "\":" + std::to_string(value) + ",";
  };
  return "{\"model_type\":\"" + s.type + "\"," + field("hidden_size", s.hidden) +
         "\"sliding_window\":" + window + ",\"sliding_window_pattern\":2," +
         field("num_hidden_layers", s.layers) + field("num_attention_heads", s.heads) +
         field("num_key_value_heads", s.kv_heads) + field("head_dim", s.head_dim) +
         field("intermediate_size", s.intermediate) + field("vocab_size", s.vocabulary) +
         field("max_position_embeddings", s.context) +
         "\"hidden_act\":\"silu\",\"rms_norm_eps\":1e-6,\"tie_word_embeddings\":" +
         (s.tied ? "true" : "false") + ",\"eos_token_id\":2," + dice.pick(ropes) +
         quantization_json(s.packing) + "}";
}

std::string dialect_of(Dice& dice) {
  const auto cap = [&](int low, int high) { return std::to_string(dice.between(low, high)); };
  const std::string numbers = R"(,"index":[{"ids":[20]},{"ids":[21]},{"ids":[22,23]},{"ids":[24]},)"
                              R"({"ids":[25]},{"ids":[26]}])";
  // Markers of one token; tags with forced tokens, an index and a tail; and the same with tags of
  // three tokens that are ordinary text on their own.
  const std::string markers = dice.pick<std::string>(
      {R"("title_open":{"ids":[4]},"title_close":{"ids":[5]},"fork":{"ids":[6]},)"
       R"("opening":[{"ids":[7]},"title",{"ids":[10,11]}],"branch_close":{"ids":[8]},)"
       R"("join":{"ids":[9)" +
           std::string(dice.chance(30) ? ",12" : "") + "]}",
       R"("plan_open":[{"ids":[4]},{"ids":[13,9,13]}],"title_open":[{"ids":[10]},{"ids":[13]},"index"],)"
       R"("title_close":[{"ids":[5]},{"ids":[13]}],"fork":[{"ids":[6]},{"ids":[13]}],)"
       R"("opening":[{"ids":[7]},{"ids":[13]},"index"],"branch_close":[{"ids":[8]},{"ids":[13]}],)"
       R"("join":[{"ids":[11]},{"ids":[13]}],"tail_close":[{"ids":[12]},{"ids":[13]}],)"
       R"("reserved":[{"ids":[9]}])" +
           numbers,
       R"("plan_open":[{"ids":[4,7,6]},{"ids":[13]}],"title_open":[{"ids":[4,9,6]},"index"],)"
       R"("title_close":[{"ids":[5,9,6]},{"ids":[13]}],"fork":[{"ids":[5,7,6]},{"ids":[13]}],)"
       R"("opening":[{"ids":[4,10,6]},"title","index"],"branch_close":[{"ids":[5,8,6]},{"ids":[13]}],)"
       R"("join":[{"ids":[4,11,6]}],"tail_close":[{"ids":[5,11,6]},{"ids":[13]}])" +
           numbers});
  return R"({"version":1,"name":"fuzz",)" + markers + R"(,"visible":["serial","body")" +
         (dice.chance(50) ? R"(,"tail"])" : "]") + R"(,"resume":")" +
         (dice.chance(50) ? "sum" : "max") + R"(","caps":{"branches":)" + cap(2, 6) +
         R"(,"min_branches":)" + cap(1, 2) + R"(,"title_tokens":)" + cap(1, 3) +
         R"(,"branch_tokens":)" + cap(14, 24) + R"(,"stages":)" + cap(1, 4) + R"(,"min_room":)" +
         cap(0, 30) + R"(,"branch_room":)" + cap(0, 6) + "}}";
}

}  // namespace

std::string safetensors_file(const std::string& header, const std::string& body) {
  std::string out(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(out.data(), &length, 8);
  return out + header + body;
}

ModelShape random_shape(Dice& dice) {
  ModelShape s;
  s.type = dice.pick<std::string>(
      {"llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3", "olmo2", "smollm3", "granite"});
  s.vocabulary = dice.between(40, 64);
  s.kv_heads = dice.between(1, 2);
  s.heads = s.kv_heads * dice.between(1, 3);
  s.head_dim = 2 * dice.between(1, 6);
  s.hidden = dice.between(3, 20);
  s.layers = dice.between(1, 2);
  s.intermediate = dice.between(1, 30);
  s.context = dice.between(24, 160);
  s.tied = dice.chance(50);
  if (dice.chance(75)) return s;
  s.packing = dice.pick<std::string>({"awq", "gptq", "compressed-tensors", "mlx"});
  s.head_dim = 8;
  s.hidden = 8 * dice.between(1, 3);
  s.intermediate = 8 * dice.between(1, 5);
  return s;
}

Files random_model(const ModelShape& shape, Dice& dice) {
  Files out;
  out["config.json"] = config_json(shape, dice);
  if (dice.chance(60)) out["generation_config.json"] = R"({"eos_token_id":[2,3],"top_k":20})";
  if (dice.chance(60)) out["aspd.json"] = dialect_of(dice);
  const std::string dtype = dice.pick<std::string>({"F32", "BF16", "BF16", "F16"});
  const auto tensors = tensor_manifest(config_of(shape)).tensors();
  if (dice.chance(60)) {
    out["model.safetensors"] = safetensors(tensors, dtype, shape.packing, dice);
    return out;
  }
  const size_t half = tensors.size() / 2;
  out["a.safetensors"] =
      safetensors({tensors.begin(), tensors.begin() + half}, dtype, shape.packing, dice);
  out["b.safetensors"] =
      safetensors({tensors.begin() + half, tensors.end()}, dtype, shape.packing, dice);
  std::string index;
  for (size_t i = 0; i < tensors.size(); ++i) {
    index +=
        (i ? ",\"" : "\"") + tensors[i].name + (i < half ? "\":\"a" : "\":\"b") + ".safetensors\"";
  }
  out["model.safetensors.index.json"] = "{\"metadata\":{},\"weight_map\":{" + index + "}}";
  return out;
}

Files random_adapter(const ModelShape& shape, Dice& dice) {
  const int rank = dice.between(1, 4);
  const std::string dtype = dice.pick<std::string>({"F32", "BF16"});
  TensorFile file(dice);
  std::string targets;
  for (const TensorSpec& weight : tensor_manifest(config_of(shape)).tensors()) {
    if (!weight.name.ends_with("proj.weight") || dice.chance(40)) continue;
    const std::string module = weight.name.substr(0, weight.name.size() - std::strlen(".weight"));
    const std::string at = "base_model.model." + module;
    file.add_floats({at + ".lora_A.weight", {rank, weight.shape[1]}}, dtype);
    file.add_floats({at + ".lora_B.weight", {weight.shape[0], rank}}, dtype);
    targets += (targets.empty() ? "\"" : ",\"") + module + "\"";
  }
  std::string tokens = "null";
  if (targets.empty() || dice.chance(30)) {
    tokens = R"({"embed_tokens":[1,7]})";
    file.add_floats({"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta",
                     {2, shape.hidden}},
                    dtype);
  }
  return {{"adapter_model.safetensors", file.text()},
          {"adapter_config.json", R"({"peft_type":"LORA","bias":"none","lora_alpha":3,"r":)" +
                                      std::to_string(rank) + ",\"target_modules\":[" + targets +
                                      "],\"trainable_token_indices\":" + tokens + "}"}};
}

void write_folder(const std::filesystem::path& folder, const Files& files, Dice& dice) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const auto& [name, content] : files) {
    if (dice.chance(1)) continue;
    if (dice.chance(1)) {
      std::filesystem::create_directory(folder / name);
      continue;
    }
    std::ofstream(folder / name, std::ios::binary) << content;
  }
}

}  // namespace anabranch
