// A read-only memory-mapped file.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "error.h"

namespace anabranch {

class MappedFile {
 public:
  /// Throws Error if the file can't be mapped or is shorter than `min_size`; `kind` names what it
  /// should be, such as "a GGUF file".
  MappedFile(const std::string& path, size_t min_size, const char* kind) : path_(path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw bad_file(path, "can't be opened");
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) ||
        static_cast<size_t>(info.st_size) < min_size) {
      ::close(fd);
      throw bad_file(path, std::string("is not ") + kind);
    }
    size_ = static_cast<size_t>(info.st_size);
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    if (mapped == MAP_FAILED) throw bad_file(path, "can't be mapped");
    data_ = static_cast<const std::uint8_t*>(mapped);
  }
  ~MappedFile() { ::munmap(const_cast<std::uint8_t*>(data_), size_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Takes what was read so far out of this process's memory. It is read again if it is needed,
  /// from the system's cache as long as that has it.
  void release() const { ::madvise(const_cast<std::uint8_t*>(data_), size_, MADV_DONTNEED); }

  const std::string& path() const { return path_; }
  const std::uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::string path_;
  const std::uint8_t* data_ = nullptr;  // [size_]
  size_t size_ = 0;
};

}  // namespace anabranch
