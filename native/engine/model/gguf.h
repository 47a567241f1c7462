// GGUF files (versions 2 and 3), memory-mapped. Their contents are untrusted and checked. Source of
// the format: ggml's public specification, docs/gguf.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "model/mapped_file.h"
#include "model/tensor.h"

namespace anabranch {

/// The headers of a model's files: metadata, and where each tensor lies.
class GgufModel {
 public:
  using Value = std::variant<std::int64_t, double, bool, std::string_view>;
  using Values = std::unordered_map<std::string, Value>;  // arrays left out: the engine needs none

  /// Maps the file and checks its header. A split model (NAME-00001-of-00003.gguf) may be named by
  /// any of its parts; its metadata is that of the first. Throws Error naming the file and what is
  /// wrong.
  explicit GgufModel(const std::string& path);

  /// Its parts, in order.
  const std::vector<std::shared_ptr<const MappedFile>>& files() const { return files_; }

  /// A key of the first part, with its value as the file holds them.
  struct Entry {
    std::string_view key, bytes;
  };
  /// All of them in order, arrays included.
  const std::vector<Entry>& entries() const { return entries_; }

  bool has(std::string_view key) const { return values_.contains(std::string(key)); }
  /// Typed metadata. Throw Error naming the key if it is missing, of another type or out of range.
  std::string string(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  double real(std::string_view key) const;

  /// Tensors by name, shapes row-major (outermost first, the reverse of the file's order).
  const std::unordered_map<std::string, Tensor>& tensors() const { return tensors_; }

  [[noreturn]] void fail(const std::string& what) const;

 private:
  void read_part();  // the last of files_
  const Value& at(std::string_view key) const;

  std::vector<std::shared_ptr<const MappedFile>> files_;
  Values values_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string, Tensor> tensors_;
};

/// Whether the path names a GGUF file, by its ending in any case.
bool is_gguf(const std::string& path);

}  // namespace anabranch
