// The weights of a model: a Hugging Face folder or a GGUF file, memory-mapped.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/mapped_file.h"
#include "model/tensor.h"

namespace anabranch {

class Checkpoint {
 public:
  /// Maps and validates every file: `path` is a folder with model.safetensors, or with the shards
  /// that model.safetensors.index.json names, or a .gguf file, of which any part of a split model
  /// will do. Throws Error naming the file and tensor.
  explicit Checkpoint(const std::string& path);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  /// The tensor of this name. Throws Error if it is missing or has another shape.
  const Tensor& get(const TensorSpec& spec) const;

  /// The weights of a norm, in fp32: (stored + offset) · scale.
  std::vector<float> norm(const NormSpec& spec) const;

  /// Takes what was read so far out of this process's memory: backends have their own copies.
  void release_pages() const;

  /// A hash of every byte of every file: two checkpoints of one shape differ only in their weights.
  /// Reads all of them, and keeps little of them in memory.
  std::uint64_t fingerprint() const;

 private:
  /// The file that holds a tensor; of composed ones, the folder.
  const std::string& file_of(const std::string& name) const;
  void read_folder();
  void read_gguf();
  void add(const std::string& file, const std::string& name, const Tensor& tensor);

  std::string path_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::unordered_map<std::string, Tensor> tensors_;
  std::unordered_map<std::string, std::string> file_of_;
};

}  // namespace anabranch
