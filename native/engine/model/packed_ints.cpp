#include "model/packed_ints.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "error.h"
#include "model/json.h"

namespace anabranch {
namespace {

using Method = QuantizationConfig::Method;

std::uint32_t word_of(const Tensor& tensor, size_t at) {
  std::uint32_t word;
  std::memcpy(&word, tensor.data + 4 * at, 4);
  return word;
}

int nibble(std::uint32_t word, int index) { return static_cast<int>(word >> (4 * index) & 15); }

/// AWQ interleaves the eight columns of a word: where column i of them lies.
int awq_place(int column) {
  constexpr int places[] = {0, 4, 1, 5, 2, 6, 3, 7};
  return places[column % 8];
}

QuantizationConfig read_compressed_tensors(const Json& config) {
  QuantizationConfig out;
  out.method = Method::kCompressedTensors;
  const std::string format = config.string_or("format", "");
  if (format != "pack-quantized") {
    config.fail("has format \"" + format +
                "\"; of compressed-tensors only pack-quantized is "
                "supported");
  }
  const auto groups = config.at("config_groups").members();
  if (groups.size() != 1) config.fail("needs one entry in config_groups");
  const Json weights = groups[0].second.at("weights");
  if (weights.integer_or("num_bits", 0, 0, 64) != 4) weights.fail("must have num_bits 4");
  if (weights.string_or("type", "int") != "int") weights.fail("must have type int");
  if (weights.string_or("strategy", "group") != "group") weights.fail("must have strategy group");
  out.group = static_cast<int>(weights.at("group_size").integer(1, 1 << 20));
  out.zero_points = !weights.boolean_or("symmetric", true);
  return out;
}

/// {"group_size", "bits"}, and the same by name for layers that have others. Their bits are those
/// of their shapes.
QuantizationConfig read_mlx(const Json& config) {
  QuantizationConfig out;
  out.method = Method::kMlx;
  if (const std::string mode = config.string_or("mode", "affine"); mode != "affine") {
    config.fail("has mode \"" + mode + "\"; of MLX only affine is supported");
  }
  out.group = static_cast<int>(config.at("group_size").integer(1, 1 << 20));
  for (const auto& [name, value] : config.members()) {
    if (!value.is_object()) continue;
    out.groups[name] = static_cast<int>(value.at("group_size").integer(1, 1 << 20));
  }
  return out;
}

}  // namespace

int QuantizationConfig::group_of(const std::string& layer) const {
  const auto found = groups.find(layer);
  return found == groups.end() ? group : found->second;
}

std::optional<QuantizationConfig> read_quantization(const std::string& folder) {
  const std::string path = folder + "/config.json";
  if (!std::filesystem::exists(path)) return {};
  const Json model = Json::read(path);
  if (model.has("quantization")) return read_mlx(model.at("quantization"));
  if (!model.has("quantization_config")) return {};
  const Json config = model.at("quantization_config");
  std::string method = config.string_or("quant_method", "");
  if (method == "compressed-tensors") return read_compressed_tensors(config);
  // AutoRound's own packing is GPTQ's second: a stored zero point is what it means.
  const bool auto_round = method == "auto-round";
  const std::string packing = config.string_or("packing_format", "");
  if (auto_round) method = packing.find("awq") != std::string::npos ? "awq" : "gptq";
  if (method != "awq" && method != "gptq") {
    config.fail("has quant_method \"" + method +
                "\"; awq, gptq, auto-round and compressed-tensors of four bits, and MLX's, are "
                "supported: load the unquantized checkpoint");
  }
  QuantizationConfig out;
  if (config.integer_or("bits", config.integer_or("w_bit", 4, 0, 64), 0, 64) != 4) {
    config.fail("must have bits 4");
  }
  out.group = static_cast<int>(config.has("group_size")
                                   ? config.at("group_size").integer(1, 1 << 20)
                                   : config.integer_or("q_group_size", 128, 1, 1 << 20));
  if (method == "awq") {
    const std::string version = config.string_or("version", "gemm");
    if (version != "gemm" && version != "GEMM") {
      config.fail("has version \"" + version + "\"; of awq only gemm is supported");
    }
    return out;
  }
  out.method = Method::kGptq;
  out.zeros_less_one = auto_round ? packing.find("gptq") != std::string::npos
                                  : config.string_or("checkpoint_format", "gptq") != "gptq_v2";
  return out;
}

// ---- values ------------------------------------------------------------------------------------

int PackedInts::level(int row, int column) const {
  const auto at = [&](size_t outer, size_t width, size_t inner) { return outer * width + inner; };
  switch (config.method) {
    case Method::kAwq:
      return nibble(word_of(q, at(column, n / 8, row / 8)), awq_place(row));
    case Method::kGptq:
      return nibble(word_of(q, at(column / 8, n, row)), column % 8);
    case Method::kCompressedTensors:
      return nibble(word_of(q, at(row, (k + 7) / 8, column / 8)), column % 8);
    case Method::kMlx: {
      const int in_word = 32 / bits;
      const std::uint32_t word = word_of(q, at(row, k / in_word, column / in_word));
      return static_cast<int>(word >> (column % in_word * bits) & ((1u << bits) - 1));
    }
  }
  return 0;
}

void PackedInts::read(std::size_t first, std::size_t count, float* out) const {
  const auto width = static_cast<std::size_t>(k);
  int known_row = -1, known_group = -1, zero = 0;
  float scaled = 0, added = 0;
  for (std::size_t at = first; at < first + count; ++at) {
    const int row = static_cast<int>(at / width), column = static_cast<int>(at % width);
    const int group = group_of(column);
    if (row != known_row || group != known_group) {
      known_row = row;
      known_group = group;
      scaled = scale(row, group);
      if (biases) added = bias(row, group);
      if (!biases) zero = zero_point(row, group);
    }
    *out++ = scaled * static_cast<float>(level(row, column) - zero) + added;
  }
}

int PackedInts::group_of(int column) const {
  return groups ? static_cast<int>(word_of(*groups, column)) : column / config.group;
}

std::uint64_t PackedInts::bytes() const {
  std::uint64_t out = bytes_of(q) + bytes_of(scales);
  for (const auto* part : {&biases, &zeros, &groups}) {
    if (*part) out += bytes_of(**part);
  }
  return out;
}

float PackedInts::bias(int row, int group) const {
  float out;
  to_float(*biases, static_cast<size_t>(row) * group_count() + group, 1, &out);
  return out;
}

float PackedInts::scale(int row, int group) const {
  const bool by_row = config.method == Method::kCompressedTensors || config.method == Method::kMlx;
  float out;
  to_float(scales,
           by_row ? static_cast<size_t>(row) * group_count() + group
                  : static_cast<size_t>(group) * n + row,
           1, &out);
  return out;
}

int PackedInts::zero_point(int row, int group) const {
  if (!zeros) return 8;
  switch (config.method) {
    case Method::kAwq:
      return nibble(word_of(*zeros, static_cast<size_t>(group) * (n / 8) + row / 8),
                    awq_place(row));
    case Method::kGptq:
      return nibble(word_of(*zeros, static_cast<size_t>(group) * (n / 8) + row / 8), row % 8) +
             (config.zeros_less_one ? 1 : 0);
    case Method::kCompressedTensors:
      return nibble(word_of(*zeros, static_cast<size_t>(row / 8) * group_count() + group), row % 8);
    case Method::kMlx:
      break;  // has biases
  }
  return 0;
}

bool PackedInts::in_order() const {
  for (int column = 0; groups && column < k; ++column) {
    if (group_of(column) != column / config.group) return false;
  }
  return true;
}

// ---- layers ------------------------------------------------------------------------------------

namespace {

/// The parts' names, after the layer's.
struct PartNames {
  const char *q, *scales, *zeros, *groups;  // MLX: zeros are its biases
};

PartNames names_of(Method method) {
  if (method == Method::kCompressedTensors) {
    return {".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_g_idx"};
  }
  if (method == Method::kMlx) return {".weight", ".scales", ".biases", ".g_idx"};
  return {".qweight", ".scales", ".qzeros", ".g_idx"};
}

class LayerReader {
 public:
  LayerReader(const std::string& file, const QuantizationConfig& config,
              std::unordered_map<std::string, Tensor>& tensors)
      : file_(file), config_(config), names_(names_of(config.method)), tensors_(tensors) {}

  Tensor read(const std::string& layer) {
    if (config_.method == Method::kMlx) return read_mlx(layer);
    auto out = std::make_shared<PackedInts>();
    out->config = config_;
    out->q = take(layer + names_.q, Dtype::kI32);
    if (out->q.shape.size() != 2) fail(layer + names_.q, "must have two dimensions");
    const std::int64_t rows = out->q.shape[0], columns = out->q.shape[1];
    if (rows > (1 << 24) || columns > (1 << 24)) fail(layer + names_.q, "is too large");
    const bool compressed = config_.method == Method::kCompressedTensors;
    out->n = static_cast<int>(config_.method == Method::kAwq ? 8 * columns
                              : compressed                   ? rows
                                                             : columns);
    out->k = static_cast<int>(config_.method == Method::kAwq ? rows
                              : compressed                   ? 8 * columns
                                                             : 8 * rows);
    out->scales = take(layer + names_.scales, {});
    const std::int64_t groups = out->group_count(), words = (out->n + 7) / 8;
    expect(layer + names_.scales, out->scales, compressed, out->n, groups);
    if (!compressed || config_.zero_points) {
      out->zeros = take(layer + names_.zeros, Dtype::kI32);
      expect(layer + names_.zeros, *out->zeros, compressed, words, groups);
    }
    if (tensors_.contains(layer + names_.groups)) {
      out->groups = take(layer + names_.groups, Dtype::kI32);
      check_groups(layer + names_.groups, *out);
    }
    tensors_.erase(layer + ".weight_shape");
    return weight_of(std::move(out));
  }

  /// Of the part by which such a layer is known.
  const char* suffix() const { return config_.method == Method::kMlx ? names_.scales : names_.q; }

 private:
  Tensor read_mlx(const std::string& layer) {
    auto out = std::make_shared<PackedInts>();
    out->config = config_;
    out->config.group = config_.group_of(layer);
    out->config.groups.clear();
    out->q = take(layer + names_.q, Dtype::kI32);
    out->scales = take(layer + names_.scales, {});
    out->biases = take(layer + names_.zeros, {});
    for (const Tensor* part : {&out->q, &out->scales}) {
      if (part->shape.size() != 2 || part->shape[0] > (1 << 24) || part->shape[1] > (1 << 24)) {
        fail(layer + names_.q, "has shape " + shape_text(part->shape));
      }
    }
    const std::int64_t words = out->q.shape[1], groups = out->scales.shape[1];
    const std::int64_t k = groups * out->config.group;
    const std::int64_t bits = k > 0 ? 32 * words / k : 0;
    if ((bits != 4 && bits != 8) || words * 32 != k * bits || k > (1 << 24)) {
      fail(layer + names_.q, "has " + std::to_string(words) + " words a row for " +
                                 std::to_string(groups) + " groups of " +
                                 std::to_string(out->config.group) +
                                 "; four and eight bits are supported");
    }
    out->bits = static_cast<int>(bits);
    out->n = static_cast<int>(out->q.shape[0]);
    out->k = static_cast<int>(k);
    expect(layer + names_.scales, out->scales, true, out->n, groups);
    expect(layer + names_.zeros, *out->biases, true, out->n, groups);
    return weight_of(std::move(out));
  }

  static Tensor weight_of(std::shared_ptr<PackedInts> packed) {
    Tensor weight;
    weight.dtype = Dtype::kPackedInts;
    weight.shape = {packed->n, packed->k};
    weight.packed = std::move(packed);
    return weight;
  }

  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw bad_file(file_, "tensor \"" + name + "\" " + what);
  }

  /// A part, which is then no longer a tensor of its own.
  Tensor take(const std::string& name, std::optional<Dtype> dtype) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) fail(name, "is missing");
    const Tensor out = found->second;
    const bool fits = dtype ? out.dtype == *dtype : is_float(out.dtype);
    if (!fits) fail(name, std::string("has type ") + name_of(out.dtype));
    tensors_.erase(found);
    return out;
  }

  void expect(const std::string& name, const Tensor& tensor, bool by_row, std::int64_t rows,
              std::int64_t groups) const {
    const std::vector<std::int64_t> shape =
        by_row ? std::vector{rows, groups} : std::vector{groups, rows};
    if (tensor.shape != shape) {
      fail(name, "has shape " + shape_text(tensor.shape) + ", not " + shape_text(shape));
    }
  }

  void check_groups(const std::string& name, const PackedInts& layer) const {
    if (layer.groups->shape != std::vector<std::int64_t>{layer.k}) {
      fail(name, "has shape " + shape_text(layer.groups->shape));
    }
    for (int column = 0; column < layer.k; ++column) {
      const int group = layer.group_of(column);
      if (group < 0 || group >= layer.group_count()) fail(name, "names a group that is not there");
    }
  }

  const std::string& file_;
  const QuantizationConfig& config_;
  PartNames names_;
  std::unordered_map<std::string, Tensor>& tensors_;
};

}  // namespace

void compose_packed_ints(const std::string& file, const QuantizationConfig& config,
                         std::unordered_map<std::string, Tensor>& tensors) {
  LayerReader reader(file, config, tensors);
  const std::string suffix = reader.suffix();
  std::vector<std::string> layers;
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(suffix)) layers.push_back(name.substr(0, name.size() - suffix.size()));
  }
  for (const std::string& layer : layers) {
    if (!tensors.emplace(layer + ".weight", reader.read(layer)).second) {
      throw bad_file(file, "tensor \"" + layer + ".weight\" appears twice");
    }
  }
}

}  // namespace anabranch
