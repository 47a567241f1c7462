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

/// The header of one file: metadata, and where each tensor lies.
class GgufFile {
 public:
  /// Maps the file and checks its header. Throws Error naming the file and what is wrong.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return file_->path(); }
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

  bool has(std::string_view key) const { return values_.contains(std::string(key)); }
  /// Typed metadata. Throw Error naming the key if it is missing, of another type or out of range.
  std::string string(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t low, std::int64_t high) const;
  double real(std::string_view key) const;
  bool boolean(std::string_view key) const;

  /// Tensors by name, shapes row-major (outermost first, the reverse of the file's order).
  const std::unordered_map<std::string, Tensor>& tensors() const { return tensors_; }

  [[noreturn]] void fail(const std::string& what) const;

 private:
  using Value = std::variant<std::int64_t, double, bool, std::string_view>;

  void read_values(class GgufCursor& cursor, std::uint64_t count);
  void read_tensors(class GgufCursor& cursor, std::uint64_t count);
  void mark_interleaved_heads();
  const Value& at(std::string_view key) const;

  std::shared_ptr<const MappedFile> file_;
  std::unordered_map<std::string, Value> values_;  // arrays left out: the engine needs none
  std::unordered_map<std::string, Tensor> tensors_;
};

/// Whether the path names a GGUF file.
bool is_gguf(const std::string& path);

/// All files of a split model (NAME-00001-of-00003.gguf), given any of them; else the file itself.
std::vector<std::string> gguf_parts(const std::string& path);

}  // namespace anabranch
