// Hugging Face safetensors files, memory-mapped. Their contents are untrusted and checked.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace anabranch {

enum class Dtype { kF32, kF16, kBF16 };

inline size_t size_of(Dtype dtype) { return dtype == Dtype::kF32 ? 4 : 2; }

/// A view of one tensor in a mapped file. Row-major.
struct Tensor {
  Dtype dtype = Dtype::kF32;
  std::vector<std::int64_t> shape;
  const std::uint8_t* data = nullptr;  // [product of shape] of dtype, unaligned
};

/// What a tensor of a checkpoint must be.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// Converts `count` elements of `tensor`, from element `first` on, to fp32.
void to_float(const Tensor& tensor, size_t first, size_t count, float* out);

/// The weights in one model folder: model.safetensors, or the shards that
/// model.safetensors.index.json names.
class Checkpoint {
 public:
  /// Maps and validates every file. Throws Error naming the file and tensor.
  explicit Checkpoint(const std::string& folder);
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  bool has(const std::string& name) const { return tensors_.contains(name); }

  /// The tensor of this name. Throws Error if it is missing or has another shape.
  const Tensor& get(const TensorSpec& spec) const;

  /// A hash of every byte of every file: two checkpoints of one shape differ only in their weights.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  struct File;
  void open(const std::string& path);

  std::string folder_;
  std::vector<std::unique_ptr<File>> files_;
  std::unordered_map<std::string, Tensor> tensors_;
  std::unordered_map<std::string, std::string> file_of_;
  std::uint64_t fingerprint_ = 14695981039346656037ull;
};

}  // namespace anabranch
