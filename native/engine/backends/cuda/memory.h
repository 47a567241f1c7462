// Device and pinned host memory by ownership, and errors of CUDA calls as exceptions.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "error.h"
#include "backends/cuda/runtime.h"

namespace anabranch::ANABRANCH_CUDA {

/// Throws if a CUDA call failed while `what` was being done. Device errors are sticky: the engine
/// process ends, and its supervisor starts another.
inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw Error(ErrorCode::kInternal,
              std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

/// An array in device memory.
template <class T>
class Array {
 public:
  Array() = default;
  /// `what` is named in the error if memory runs out.
  Array(size_t count, const char* what) : count_(count) {
    if (count == 0) return;
    void* address = nullptr;
    if (cudaMalloc(&address, count * sizeof(T)) != cudaSuccess) {
      cudaGetLastError();
      throw Error(ErrorCode::kResourceExhausted,
                  std::string("the device has no ") + std::to_string((count * sizeof(T)) >> 20) +
                      " MiB for " + what + "; give --kv-mib less or a smaller model");
    }
    data_ = static_cast<T*>(address);
  }
  ~Array() {
    if (data_) cudaFree(data_);
  }
  Array(Array&& other) noexcept { swap(other); }
  Array& operator=(Array&& other) noexcept {
    swap(other);
    return *this;
  }
  T* data() const { return data_; }
  size_t count() const { return count_; }

 private:
  void swap(Array& other) {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  T* data_ = nullptr;
  size_t count_ = 0;
};

/// An array in page-locked host memory, which the device can read and write.
template <class T>
class Pinned {
 public:
  Pinned() = default;
  explicit Pinned(size_t count) : count_(count) {
    void* address = nullptr;
    check(cudaMallocHost(&address, std::max<size_t>(count, 1) * sizeof(T)),
          "allocating pinned host memory");
    data_ = static_cast<T*>(address);
  }
  ~Pinned() {
    if (data_) cudaFreeHost(data_);
  }
  Pinned(Pinned&& other) noexcept { swap(other); }
  Pinned& operator=(Pinned&& other) noexcept {
    swap(other);
    return *this;
  }
  T* data() const { return data_; }
  size_t count() const { return count_; }

 private:
  void swap(Pinned& other) {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }
  T* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace anabranch::ANABRANCH_CUDA
