#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "model/json.h"

namespace anabranch {
namespace {

std::optional<Dtype> known_dtype(const std::string& name) {
  if (name == "F32") return Dtype::kF32;
  if (name == "F16") return Dtype::kF16;
  if (name == "BF16") return Dtype::kBF16;
  if (name == "I32" || name == "U32") return Dtype::kI32;
  return std::nullopt;
}

}  // namespace

std::unordered_map<std::string, Tensor> read_safetensors(const MappedFile& file, bool floats_only) {
  const std::string& path = file.path();
  std::unordered_map<std::string, Tensor> tensors;
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  if (header > file.size() - 8 || header > (100u << 20)) {
    const std::string_view begin(reinterpret_cast<const char*>(file.data()), 8);
    throw bad_file(path,
                   begin == "version "
                       ? "is a pointer of Git LFS, not the weights: fetch them with git lfs pull"
                       : "header length " + std::to_string(header) + " is beyond the file");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data() + 8), header);

  const std::uint8_t* body = file.data() + 8 + header;
  const std::uint64_t body_size = file.size() - 8 - header;
  struct Range {
    std::uint64_t begin, end;
    std::string name;
  };
  std::vector<Range> ranges;
  for (const auto& [name, entry] : Json::parse(path, text).members()) {
    if (name == "__metadata__") continue;
    const auto refuse = [&, &name = name](const std::string& what) {
      throw bad_file(path, "tensor \"" + name + "\" " + what);
    };
    const auto offsets = entry.at("data_offsets").items();
    if (offsets.size() != 2) refuse("needs two data_offsets");
    constexpr auto limit = std::numeric_limits<std::int64_t>::max();
    const auto begin = static_cast<std::uint64_t>(offsets[0].integer(0, limit));
    const auto end = static_cast<std::uint64_t>(offsets[1].integer(0, limit));
    if (end < begin) refuse("ends before it begins");
    if (end > body_size) refuse("is beyond the file, which is cut off: fetch it again");
    ranges.push_back({begin, end, name});

    // A checkpoint may contain buffers of other types (masks, counters); only using one is an
    // error.
    const auto dtype = known_dtype(entry.at("dtype").string());
    if (floats_only && (!dtype || *dtype == Dtype::kI32)) {
      refuse("has type " + entry.at("dtype").string() + "; F32, F16 and BF16 are supported");
    }
    if (!dtype) continue;
    Tensor tensor;
    tensor.dtype = *dtype;
    tensor.data = body + begin;
    auto bytes = static_cast<std::uint64_t>(block_bytes(*dtype));
    for (const Json& extent : entry.at("shape").items()) {
      const std::int64_t n = extent.integer(0, std::int64_t{1} << 40);
      if (n != 0 && bytes > (std::uint64_t{1} << 50) / static_cast<std::uint64_t>(n)) {
        refuse("has a shape that overflows");
      }
      bytes *= static_cast<std::uint64_t>(n);
      tensor.shape.push_back(n);
    }
    if (bytes != end - begin) {
      refuse("has shape " + shape_text(tensor.shape) + " but " + std::to_string(end - begin) +
             " bytes");
    }
    if (!tensors.emplace(name, tensor).second) refuse("appears twice");
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin < ranges[i - 1].end) {
      throw bad_file(
          path, "tensors \"" + ranges[i - 1].name + "\" and \"" + ranges[i].name + "\" overlap");
    }
  }
  return tensors;
}

}  // namespace anabranch
