#include "model/quantized_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/packed_ints.h"
#include "model/quantized_files.h"
#include "model/tensor_manifest.h"
#include "number_formats.h"

namespace anabranch {
namespace {

/// Both formats have whole blocks of so many values. Layers of other widths are kept as they are.
constexpr int kBlock = 32;

class OutputFile {
 public:
  explicit OutputFile(const std::string& path) : path_(path) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("can't be created");
  }
  ~OutputFile() { ::close(fd_); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// From several threads at once.
  void write(std::uint64_t at, const void* data, size_t size) const {
    const auto* from = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t done = ::pwrite(fd_, from, size, static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) fail("can't be written");
      from += done;
      at += static_cast<std::uint64_t>(done);
      size -= static_cast<size_t>(done);
    }
  }

  void finish(std::uint64_t size) const {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0 || ::fsync(fd_) != 0) {
      fail("can't be written");
    }
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kFailedPrecondition, path_ + ": " + what + ": " + std::strerror(errno));
  }

  std::string path_;
  int fd_ = -1;
};

bool can_quantize(const Tensor& tensor) {
  return is_float(tensor.dtype) && tensor.shape.size() == 2 && tensor.shape[1] % kBlock == 0;
}

/// What becomes of the linear layers, the embedding and the head, by name.
std::map<std::string, QuantizedAs> targets_of(const TensorManifest& manifest,
                                              const Checkpoint& weights, WeightType type) {
  std::map<std::string, QuantizedAs> out;
  // Layers that the backends pack as one have one format.
  const auto add = [&](const std::vector<const LinearSpec*>& together) {
    std::vector<const Tensor*> tensors;
    for (const LinearSpec* linear : together) tensors.push_back(&weights.get(linear->weight));
    const bool four = type == WeightType::kInt4 && common_four_bit_format(tensors);
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (!can_quantize(*tensors[i])) continue;
      out[together[i]->weight.name] = four ? QuantizedAs::kFourBit : QuantizedAs::kEightBit;
    }
  };
  for (const LayerManifest& layer : manifest.layers) {
    add({&layer.q, &layer.k, &layer.v});
    add({&layer.output});
    add({&layer.gate, &layer.up});
    add({&layer.down});
  }
  if (out.empty()) return out;
  for (const TensorSpec* spec : {&manifest.embedding, &manifest.head.weight}) {
    if (can_quantize(weights.get(*spec))) out[spec->name] = QuantizedAs::kEightBit;
  }
  return out;
}

/// Quantizes the rows of all tensors into the file, on several threads.
class Converter {
 public:
  Converter(const std::string& model, const std::vector<CopiedTensor>& tensors,
            const OutputFile& file, bool gguf, int group)
      : model_(model), tensors_(tensors), file_(file), gguf_(gguf), group_(group) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const std::int64_t rows = tensors[i].as == QuantizedAs::kKept ? 1 : tensors[i].rows();
      for (std::int64_t first = 0; first < rows; first += kRows) {
        tasks_.push_back({i, first, std::min(rows, first + kRows)});
      }
    }
  }

  void run(int threads, const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    std::uint64_t all = 0;
    for (const CopiedTensor& tensor : tensors_) all += elements_of(tensor);
    std::vector<std::thread> workers;
    running_ = threads;
    for (int i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
    {
      std::unique_lock lock(mutex_);
      while (running_ > 0) {
        changed_.wait(lock);
        const std::uint64_t done = done_;
        lock.unlock();
        progress(done, all);
        lock.lock();
      }
    }
    for (std::thread& worker : workers) worker.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  struct Sums {
    double error = 0, size = 0;
    double relative() const { return size > 0 ? error / size : 0; }
  };
  Sums four_bit, eight_bit;
  std::uint64_t inexact_scales = 0;

  static std::uint64_t elements_of(const CopiedTensor& tensor) {
    std::uint64_t out = 1;
    for (const std::int64_t extent : tensor.source->shape)
      out *= static_cast<std::uint64_t>(extent);
    return out;
  }

 private:
  static constexpr std::int64_t kRows = 256;
  struct Task {
    size_t tensor;
    std::int64_t first, last;  // rows
  };

  void work() {
    try {
      for (size_t i; (i = next_.fetch_add(1)) < tasks_.size();) convert(tasks_[i]);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      next_ = tasks_.size();
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_one();
  }

  void convert(const Task& task) {
    const CopiedTensor& tensor = tensors_[task.tensor];
    if (tensor.as == QuantizedAs::kKept) {
      file_.write(tensor.parts[0].at, tensor.source->data, bytes_of(*tensor.source));
      return add(elements_of(tensor), {}, {}, 0);
    }
    const auto k = static_cast<size_t>(tensor.columns());
    std::vector<float> values(k);
    std::array<std::vector<std::uint8_t>, 3> buffers;
    RowBytes bytes;
    Sums four, eight;
    std::uint64_t inexact = 0;
    for (std::int64_t row = task.first; row < task.last; ++row) {
      to_float(*tensor.source, static_cast<size_t>(row) * k, k, values.data());
      for (const float value : values) {
        if (!std::isfinite(value)) {
          throw bad_file(model_, "tensor \"" + tensor.name + "\" has values that are not finite");
        }
      }
      if (tensor.as == QuantizedAs::kFourBit)
        quantize_four(values, bytes, four);
      else
        inexact += quantize_eight(values, bytes, eight);
      for (size_t part = 0; part < bytes.size(); ++part) {
        buffers[part].insert(buffers[part].end(), bytes[part].begin(), bytes[part].end());
      }
    }
    for (size_t part = 0; part < buffers.size(); ++part) {
      const auto& [at, row_bytes] = tensor.parts[part];
      file_.write(at + row_bytes * static_cast<std::uint64_t>(task.first), buffers[part].data(),
                  buffers[part].size());
    }
    add(static_cast<std::uint64_t>(task.last - task.first) * k, four, eight, inexact);
  }

  void quantize_four(const std::vector<float>& values, RowBytes& bytes, Sums& sums) const {
    FourBitRow row;
    quantize_four_bit(values.data(), static_cast<int>(values.size()), row);
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t group = i / kQuantizedFormat.group;
      add_error(sums, values[i],
                from_fp16(row.scales[group]) * row.q[i] + from_fp16(row.offsets[group]));
    }
    if (gguf_)
      encode_gguf(row, bytes);
    else
      encode_mlx(row, bytes);
  }

  std::uint64_t quantize_eight(const std::vector<float>& values, RowBytes& bytes,
                               Sums& sums) const {
    EightBitRow row;
    quantize_eight_bit(values.data(), static_cast<int>(values.size()), row);
    for (size_t i = 0; i < values.size(); ++i) {
      float scale = from_bf16(row.scales[i / kEightBitGroup]);
      if (gguf_) scale = from_fp16(to_fp16(scale));
      add_error(sums, values[i], scale * row.q[i]);
    }
    if (gguf_) return static_cast<std::uint64_t>(encode_gguf(row, bytes));
    encode_mlx(row, group_, bytes);
    return 0;
  }

  static void add_error(Sums& sums, double value, double written) {
    sums.error += (written - value) * (written - value);
    sums.size += value * value;
  }

  void add(std::uint64_t elements, const Sums& four, const Sums& eight, std::uint64_t inexact) {
    const std::lock_guard lock(mutex_);
    done_ += elements;
    four_bit.error += four.error;
    four_bit.size += four.size;
    eight_bit.error += eight.error;
    eight_bit.size += eight.size;
    inexact_scales += inexact;
    changed_.notify_one();
  }

  const std::string& model_;
  const std::vector<CopiedTensor>& tensors_;
  const OutputFile& file_;
  bool gguf_;
  int group_;
  std::vector<Task> tasks_;
  std::atomic<size_t> next_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  int running_ = 0;
  std::uint64_t done_ = 0;
  std::exception_ptr failure_;
};

/// All tensors of a GGUF model in the order of its files, or those of a folder that the model
/// needs.
std::vector<CopiedTensor> tensors_of(const TensorManifest& manifest, const Checkpoint& weights,
                                     const GgufModel* gguf) {
  std::vector<CopiedTensor> out;
  if (!gguf) {
    for (const TensorSpec& spec : manifest.tensors())
      out.push_back({spec.name, &weights.get(spec)});
    return out;
  }
  for (const auto& file : gguf->files()) {
    const auto first = static_cast<std::ptrdiff_t>(out.size());
    for (const auto& [name, tensor] : gguf->tensors()) {
      const bool inside = tensor.data >= file->data() && tensor.data < file->data() + file->size();
      if (inside) out.push_back({name, &tensor});
    }
    std::sort(out.begin() + first, out.end(), [](const CopiedTensor& a, const CopiedTensor& b) {
      return a.source->data < b.source->data;
    });
  }
  return out;
}

/// The largest group that divides eight-bit layers of all widths and the engine's groups.
int common_group(const std::vector<CopiedTensor>& tensors) {
  int out = kEightBitGroup;
  for (const CopiedTensor& tensor : tensors) {
    if (tensor.as == QuantizedAs::kEightBit) out = std::gcd(out, tensor.columns());
  }
  return out;
}

}  // namespace

QuantizedCopy write_quantized_copy(const QuantizedCopyOptions& options) {
  const std::string& path = options.model;
  const ModelConfig config = read_config(path);
  const Checkpoint weights(path);
  const TensorManifest manifest = tensor_manifest(config);
  const auto targets = targets_of(manifest, weights, options.type);
  const std::string again = ": quantize the original weights";
  if (!is_gguf(path) && read_quantization(path))
    throw bad_file(path, "is quantized already" + again);
  if (targets.empty()) {
    throw bad_file(path, "has no linear layers of floats in rows of whole blocks of 32" + again);
  }
  const std::unique_ptr<GgufModel> gguf =
      is_gguf(path) ? std::make_unique<GgufModel>(path) : nullptr;

  QuantizedCopy out;
  std::vector<CopiedTensor> tensors = tensors_of(manifest, weights, gguf.get());
  for (CopiedTensor& tensor : tensors) {
    const auto found = targets.find(tensor.name);
    if (found != targets.end()) tensor.as = found->second;
    QuantizedPart& part = tensor.as == QuantizedAs::kFourBit    ? out.four_bit
                          : tensor.as == QuantizedAs::kEightBit ? out.eight_bit
                                                                : out.kept;
    part.tensors++;
    part.weights += Converter::elements_of(tensor);
    if (tensor.as == QuantizedAs::kEightBit && !gguf) {
      out.eight_bit_layers.push_back(
          tensor.name.substr(0, tensor.name.size() - std::strlen(".weight")));
    }
  }
  out.four_bit_group = kQuantizedFormat.group;
  out.eight_bit_group = common_group(tensors);
  const bool four_bit = options.type == WeightType::kInt4;
  const std::string header =
      gguf ? lay_out_gguf(tensors, *gguf, four_bit) : lay_out_mlx(tensors, out.eight_bit_group);

  const OutputFile file(options.file);
  file.write(0, header.data(), header.size());
  Converter converter(path, tensors, file, gguf != nullptr, out.eight_bit_group);
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  converter.run(options.threads > 0 ? options.threads : cores, options.progress);
  out.bytes = std::max<std::uint64_t>(header.size(), end_of(tensors));
  file.finish(out.bytes);
  out.four_bit.error = converter.four_bit.relative();
  out.eight_bit.error = converter.eight_bit.relative();
  out.inexact_scales = converter.inexact_scales;
  return out;
}

}  // namespace anabranch
