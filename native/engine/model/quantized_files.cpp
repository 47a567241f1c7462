#include "model/quantized_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "number_formats.h"

namespace anabranch {
namespace {

template <class T>
void append(std::vector<std::uint8_t>& out, T value) {
  const size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void clear(RowBytes& out) {
  for (auto& part : out) part.clear();
}

std::uint64_t padded(std::uint64_t size, std::uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

// ---- MLX ---------------------------------------------------------------------------------------

struct HeaderEntry {
  CopiedTensor* tensor;
  int part;
  std::string name;
  std::string type;
  std::vector<std::int64_t> shape;
  int alignment;
  std::uint64_t bytes;
};

std::string without_weight(const std::string& name) {
  return name.substr(0, name.size() - std::strlen(".weight"));
}

std::vector<HeaderEntry> entries_of(CopiedTensor& tensor, int eight_bit_group) {
  const Tensor& source = *tensor.source;
  if (tensor.as == QuantizedAs::kKept) {
    return {{&tensor, 0, tensor.name, name_of(source.dtype), source.shape,
             block_bytes(source.dtype), bytes_of(source)}};
  }
  const bool four = tensor.as == QuantizedAs::kFourBit;
  const std::int64_t rows = tensor.rows(), k = tensor.columns();
  const std::int64_t words = four ? k / 8 : k / 4;
  const std::int64_t groups = k / (four ? kQuantizedFormat.group : eight_bit_group);
  const std::string layer = without_weight(tensor.name), type = four ? "F16" : "BF16";
  const auto size = [&](std::int64_t extent, int bytes) {
    return static_cast<std::uint64_t>(rows * extent * bytes);
  };
  return {{&tensor, 0, tensor.name, "U32", {rows, words}, 4, size(words, 4)},
          {&tensor, 1, layer + ".scales", type, {rows, groups}, 2, size(groups, 2)},
          {&tensor, 2, layer + ".biases", type, {rows, groups}, 2, size(groups, 2)}};
}

}  // namespace

std::string lay_out_mlx(std::vector<CopiedTensor>& tensors, int group) {
  std::vector<HeaderEntry> entries;
  for (CopiedTensor& tensor : tensors) {
    for (HeaderEntry& entry : entries_of(tensor, group)) entries.push_back(std::move(entry));
  }
  // The widest elements first keeps all of them aligned.
  std::stable_sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return a.alignment > b.alignment;
  });
  std::string header = R"({"__metadata__":{"format":"mlx"})";
  std::uint64_t at = 0;
  for (const HeaderEntry& entry : entries) {
    // Names come from the model's manifest: letters, digits, dots and underscores.
    header += ",\"" + entry.name + "\":{\"dtype\":\"" + entry.type +
              "\",\"shape\":" + shape_text(entry.shape) + ",\"data_offsets\":[" +
              std::to_string(at) + "," + std::to_string(at + entry.bytes) + "]}";
    CopiedTensor::Part& part = entry.tensor->parts[entry.part];
    part.at = at;
    part.row_bytes = entry.bytes / static_cast<std::uint64_t>(entry.tensor->rows());
    at += entry.bytes;
  }
  header += "}";
  header.resize(padded(header.size(), 8), ' ');
  std::string out;
  append(out, static_cast<std::uint64_t>(header.size()));
  out += header;
  for (CopiedTensor& tensor : tensors) {
    for (CopiedTensor::Part& part : tensor.parts) part.at += out.size();
  }
  return out;
}

void encode_mlx(const FourBitRow& row, RowBytes& out) {
  clear(out);
  for (size_t i = 0; i < row.q.size(); i += 2) {
    out[0].push_back(static_cast<std::uint8_t>(row.q[i] | row.q[i + 1] << 4));
  }
  for (const std::uint16_t scale : row.scales) append(out[1], scale);
  for (const std::uint16_t offset : row.offsets) append(out[2], offset);
}

void encode_mlx(const EightBitRow& row, int group, RowBytes& out) {
  clear(out);
  for (const std::int8_t q : row.q) out[0].push_back(static_cast<std::uint8_t>(q + 128));
  for (size_t first = 0; first < row.q.size(); first += static_cast<size_t>(group)) {
    const std::uint16_t scale = row.scales[first / kEightBitGroup];
    append(out[1], scale);
    append(out[2], to_bf16(-128 * from_bf16(scale)));  // exact
  }
}

// ---- GGUF --------------------------------------------------------------------------------------

namespace {

constexpr std::uint32_t kTypeU32 = 4;
constexpr std::uint64_t kAlignment = 32;
constexpr int kBlock = 32;

/// A type as the format numbers it.
std::uint32_t number_of(Dtype dtype) {
  static constexpr std::pair<Dtype, std::uint32_t> numbers[] = {
      {Dtype::kF32, 0},   {Dtype::kF16, 1},   {Dtype::kQ4_0, 2},    {Dtype::kQ4_1, 3},
      {Dtype::kQ5_0, 6},  {Dtype::kQ5_1, 7},  {Dtype::kQ8_0, 8},    {Dtype::kQ4_K, 12},
      {Dtype::kQ5_K, 13}, {Dtype::kQ6_K, 14}, {Dtype::kIQ4_NL, 20}, {Dtype::kBF16, 30}};
  for (const auto& [known, number] : numbers) {
    if (known == dtype) return number;
  }
  return 0;
}

void append_string(std::string& out, std::string_view text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void append_number(std::string& out, std::string_view key, std::uint32_t value) {
  append_string(out, key);
  append(out, kTypeU32);
  append(out, value);
}

/// Keys that say how the original is stored.
bool describes_storage(std::string_view key) {
  return key.starts_with("split.") || key == "general.file_type" || key == "general.alignment" ||
         key == "general.quantization_version";
}

Dtype dtype_of(const CopiedTensor& tensor) {
  switch (tensor.as) {
    case QuantizedAs::kFourBit:
      return Dtype::kQ4_1;
    case QuantizedAs::kEightBit:
      return Dtype::kQ8_0;
    case QuantizedAs::kKept:
      break;
  }
  return tensor.source->dtype;
}

}  // namespace

std::string lay_out_gguf(std::vector<CopiedTensor>& tensors, const GgufModel& model,
                         bool four_bit) {
  std::string values;
  std::uint64_t count = 3;
  for (const GgufModel::Entry& entry : model.entries()) {
    if (describes_storage(entry.key)) continue;
    values += entry.bytes;
    ++count;
  }
  append_number(values, "general.file_type", four_bit ? 3 : 7);  // "mostly Q4_1", "mostly Q8_0"
  append_number(values, "general.quantization_version", 2);
  append_number(values, "general.alignment", kAlignment);

  std::string infos;
  std::uint64_t at = 0;
  for (CopiedTensor& tensor : tensors) {
    const Dtype dtype = dtype_of(tensor);
    append_string(infos, tensor.name);
    const auto& shape = tensor.source->shape;
    append(infos, static_cast<std::uint32_t>(shape.size()));
    std::uint64_t elements = 1;
    for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
      append(infos, static_cast<std::uint64_t>(*extent));
      elements *= static_cast<std::uint64_t>(*extent);
    }
    append(infos, number_of(dtype));
    append(infos, at);
    const std::uint64_t bytes = bytes_of(dtype, elements);
    tensor.parts[0] = {at, bytes / static_cast<std::uint64_t>(tensor.rows())};
    at = padded(at + bytes, kAlignment);
  }

  std::string out = "GGUF";
  append(out, std::uint32_t{3});
  append(out, static_cast<std::uint64_t>(tensors.size()));
  append(out, count);
  out += values + infos;
  out.resize(padded(out.size(), kAlignment), '\0');
  for (CopiedTensor& tensor : tensors) tensor.parts[0].at += out.size();
  return out;
}

void encode_gguf(const FourBitRow& row, RowBytes& out) {
  clear(out);
  for (size_t first = 0; first < row.q.size(); first += kBlock) {
    append(out[0], row.scales[first / kBlock]);
    append(out[0], row.offsets[first / kBlock]);
    for (size_t i = first; i < first + kBlock / 2; ++i) {
      out[0].push_back(static_cast<std::uint8_t>(row.q[i] | row.q[i + kBlock / 2] << 4));
    }
  }
}

int encode_gguf(const EightBitRow& row, RowBytes& out) {
  clear(out);
  int inexact = 0;
  for (size_t first = 0; first < row.q.size(); first += kBlock) {
    const float scale = from_bf16(row.scales[first / kEightBitGroup]);
    const std::uint16_t stored = to_fp16(scale);
    if (from_fp16(stored) != scale) ++inexact;
    append(out[0], stored);
    for (size_t i = first; i < first + kBlock; ++i) {
      out[0].push_back(static_cast<std::uint8_t>(row.q[i]));
    }
  }
  return inexact;
}

std::uint64_t end_of(const std::vector<CopiedTensor>& tensors) {
  std::uint64_t end = 0;
  for (const CopiedTensor& tensor : tensors) {
    for (const CopiedTensor::Part& part : tensor.parts) {
      end = std::max(end, part.at + part.row_bytes * static_cast<std::uint64_t>(tensor.rows()));
    }
  }
  return end;
}

}  // namespace anabranch
