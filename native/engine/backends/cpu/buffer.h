// Large allocations for weights, KV and scratch.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "error.h"

namespace anabranch {

/// Zeroed memory, on huge pages if the system has them.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t bytes) : size_(std::max<size_t>(bytes, 1)) {
    void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      throw Error(ErrorCode::kResourceExhausted,
                  "no memory for " + std::to_string(bytes >> 20) + " MiB; give a smaller --kv-mib");
    }
#if defined(MADV_HUGEPAGE)
    ::madvise(at, size_, MADV_HUGEPAGE);
#endif
    data_ = static_cast<std::byte*>(at);
  }
  ~Buffer() {
    if (data_) ::munmap(data_, size_);
  }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  std::uint32_t* words() const { return reinterpret_cast<std::uint32_t*>(data_); }

 private:
  void swap(Buffer& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Allocates from large buffers, because one layer's weights are too small for huge pages of their
/// own.
class Arena {
 public:
  /// Zeroed bytes on cache lines of their own, valid as long as the arena.
  std::byte* take(size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (chunks_.empty() || used_ + bytes > chunks_.back().size()) {
      chunks_.emplace_back(std::max(kChunk, bytes));  // untouched pages take no memory
      used_ = 0;
    }
    return chunks_.back().data() + std::exchange(used_, used_ + bytes);
  }

 private:
  static constexpr size_t kChunk = size_t{64} << 20;
  std::vector<Buffer> chunks_;
  size_t used_ = 0;  // of the last one
};

}  // namespace anabranch
