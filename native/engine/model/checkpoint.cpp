#include "model/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "hash.h"
#include "model/gguf.h"
#include "model/json.h"
#include "model/packed_ints.h"
#include "model/safetensors.h"

namespace anabranch {
namespace {

constexpr size_t kHashedTogether = size_t{16} << 20;

}  // namespace

Checkpoint::Checkpoint(const std::string& path) : path_(path) {
  if (is_gguf(path)) {
    read_gguf();
  } else {
    read_folder();
    if (const auto quantization = read_quantization(path)) {
      compose_packed_ints(path, *quantization, tensors_);
    }
  }
}

std::uint64_t Checkpoint::fingerprint() const {
  std::uint64_t state = 14695981039346656037ull;
  for (const auto& file : files_) {
    for (size_t at = 0; at < file->size(); at += kHashedTogether) {
      state = hash_bulk(state, file->data() + at, std::min(kHashedTogether, file->size() - at));
      file->release();
    }
  }
  return state;
}

void Checkpoint::release_pages() const {
  for (const auto& file : files_) file->release();
}

void Checkpoint::add(const std::string& file, const std::string& name, const Tensor& tensor) {
  if (!tensors_.emplace(name, tensor).second) {
    throw bad_file(file, "tensor \"" + name + "\" appears twice");
  }
  file_of_[name] = file;
}

void Checkpoint::read_folder() {
  const std::string index = path_ + "/model.safetensors.index.json";
  const std::string single = path_ + "/model.safetensors";
  const auto open = [&](const std::string& path) {
    files_.push_back(std::make_shared<MappedFile>(path, 8, "a safetensors file"));
    for (const auto& [name, tensor] : read_safetensors(*files_.back())) add(path, name, tensor);
  };
  if (std::filesystem::exists(single)) return open(single);
  if (!std::filesystem::exists(index)) {
    throw bad_file(path_, "has neither model.safetensors nor model.safetensors.index.json");
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
  for (const std::string& shard : shards) open(path_ + "/" + shard);
  for (const auto& [tensor, shard] : wanted) {
    const auto found = file_of_.find(tensor);
    if (tensors_.contains(tensor) && found->second != path_ + "/" + shard) {
      throw bad_file(index, "tensor \"" + tensor + "\" is not in " + shard);
    }
  }
}

void Checkpoint::read_gguf() {
  const GgufModel model(path_);
  files_ = model.files();
  for (const auto& [name, tensor] : model.tensors()) add(path_, name, tensor);
}

const std::string& Checkpoint::file_of(const std::string& name) const {
  const auto found = file_of_.find(name);
  return found == file_of_.end() ? path_ : found->second;
}

const Tensor& Checkpoint::get(const TensorSpec& spec) const {
  const auto& [name, shape] = spec;
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw bad_file(path_, "tensor \"" + name + "\" is missing, or of a type that is not supported");
  }
  if (found->second.dtype == Dtype::kI32) {
    throw bad_file(file_of(name), "tensor \"" + name + "\" has type I32, which is not supported");
  }
  if (found->second.shape != shape) {
    throw bad_file(file_of(name), "tensor \"" + name + "\" has shape " +
                                      shape_text(found->second.shape) + ", not " +
                                      shape_text(shape));
  }
  return found->second;
}

std::vector<float> Checkpoint::norm(const NormSpec& spec) const {
  std::vector<float> out(static_cast<size_t>(spec.tensor.shape[0]));
  to_float(get(spec.tensor), 0, out.size(), out.data());
  for (float& weight : out) weight = (weight + spec.offset) * spec.scale;
  return out;
}

}  // namespace anabranch
