#include "model/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include "model/json.h"
#include "hash.h"
#include "number_formats.h"

namespace anabranch {
namespace {

std::optional<Dtype> known_dtype(const std::string& name) {
  if (name == "F32") return Dtype::kF32;
  if (name == "F16") return Dtype::kF16;
  if (name == "BF16") return Dtype::kBF16;
  return std::nullopt;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

}  // namespace

void to_float(const Tensor& tensor, size_t first, size_t count, float* out) {
  const std::uint8_t* at = tensor.data + first * size_of(tensor.dtype);
  if (tensor.dtype == Dtype::kF32) {
    std::memcpy(out, at, count * 4);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, at + 2 * i, 2);
    out[i] = tensor.dtype == Dtype::kBF16 ? from_bf16(bits) : from_fp16(bits);
  }
}

struct Checkpoint::File {
  std::string path;
  const std::uint8_t* data = nullptr;
  size_t size = 0;

  explicit File(const std::string& p) : path(p) {
    const int fd = ::open(p.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw bad_file(p, "can't be opened");
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size < 8) {
      ::close(fd);
      throw bad_file(p, "is not a safetensors file");
    }
    size = static_cast<size_t>(info.st_size);
    void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    if (mapped == MAP_FAILED) throw bad_file(p, "can't be mapped");
    data = static_cast<const std::uint8_t*>(mapped);
  }
  ~File() {
    if (data) ::munmap(const_cast<std::uint8_t*>(data), size);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

void Checkpoint::open(const std::string& path) {
  files_.push_back(std::make_unique<File>(path));
  const File& file = *files_.back();
  std::uint64_t header = 0;
  std::memcpy(&header, file.data, 8);
  if (header > file.size - 8 || header > (100u << 20)) {
    throw bad_file(path, "header length " + std::to_string(header) + " is beyond the file");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data + 8), header);
  fingerprint_ = hash_bulk(fingerprint_, file.data, file.size);

  const std::uint8_t* body = file.data + 8 + header;
  const std::uint64_t body_size = file.size - 8 - header;
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
    const auto limit = static_cast<std::int64_t>(body_size);
    const auto begin = static_cast<std::uint64_t>(offsets[0].integer(0, limit));
    const auto end = static_cast<std::uint64_t>(offsets[1].integer(0, limit));
    if (end < begin) refuse("ends before it begins");
    ranges.push_back({begin, end, name});

    // A checkpoint may contain buffers of other types (masks, counters); only using one is an
    // error.
    const auto dtype = known_dtype(entry.at("dtype").string());
    if (!dtype) continue;
    Tensor tensor;
    tensor.dtype = *dtype;
    tensor.data = body + begin;
    std::uint64_t bytes = size_of(*dtype);
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
    if (!tensors_.emplace(name, tensor).second) refuse("appears twice");
    file_of_[name] = path;
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
}

Checkpoint::Checkpoint(const std::string& folder) : folder_(folder) {
  const std::string index = folder + "/model.safetensors.index.json";
  const std::string single = folder + "/model.safetensors";
  if (std::filesystem::exists(single)) {
    open(single);
    return;
  }
  if (!std::filesystem::exists(index)) {
    throw bad_file(folder, "has neither model.safetensors nor model.safetensors.index.json");
  }
  std::set<std::string> shards;
  std::vector<std::pair<std::string, std::string>> wanted;
  for (const auto& [tensor, shard] : Json::read(index).at("weight_map").members()) {
    const std::string name = shard.string();
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.') {
      shard.fail("must be a file name in the same folder");
    }
    shards.insert(name);
    wanted.emplace_back(tensor, name);
  }
  for (const std::string& shard : shards) open(folder + "/" + shard);
  for (const auto& [tensor, shard] : wanted) {
    const auto found = file_of_.find(tensor);
    if (tensors_.contains(tensor) && found->second != folder + "/" + shard) {
      throw bad_file(index, "tensor \"" + tensor + "\" is not in " + shard);
    }
  }
}

Checkpoint::~Checkpoint() = default;

const Tensor& Checkpoint::get(const TensorSpec& spec) const {
  const auto& [name, shape] = spec;
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw bad_file(folder_, "tensor \"" + name + "\" is missing, or not F32, F16 or BF16");
  }
  if (found->second.shape != shape) {
    throw bad_file(file_of_.at(name), "tensor \"" + name + "\" has shape " +
                                          shape_text(found->second.shape) + ", not " +
                                          shape_text(shape));
  }
  return found->second;
}

}  // namespace anabranch
