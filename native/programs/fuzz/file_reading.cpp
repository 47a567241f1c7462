// A libFuzzer target: whatever a file holds, reading it ends with a typed Error or a model whose
// tensors can be read. `npm run fuzz` builds it with clang and runs it. The input's first bytes say
// what it is:
//   GGUF…                   a GGUF file
//   {JSON}                  config.json, adapter_config.json and a dialect
//   {JSON} NUL safetensors  a folder: as a model, and as an adapter of a small model
//   else                    a safetensors file
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dialect/dialect.h"
#include "error.h"
#include "fuzz/dice.h"
#include "fuzz/model_files.h"
#include "model/adapter.h"
#include "model/adapter_config.h"
#include "model/checkpoint.h"
#include "model/four_bit.h"
#include "model/gguf.h"
#include "model/memory_estimate.h"
#include "model/safetensors.h"
#include "model/tensor_manifest.h"

namespace anabranch {
namespace {

namespace fs = std::filesystem;

/// In memory, if this machine has such a file system. Removed at the end of the process.
struct ScratchFolder {
  ScratchFolder() { fs::create_directories(path); }
  ~ScratchFolder() { fs::remove_all(path); }
  fs::path path =
      (fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
      ("anabranch-fuzz-" + std::to_string(::getpid()));
};

const fs::path& folder() {
  static const ScratchFolder made;
  return made.path;
}

std::string write(const std::string& name, std::string_view content) {
  const fs::path path = folder() / name;
  std::ofstream(path, std::ios::binary)
      .write(content.data(), static_cast<std::streamsize>(content.size()));
  return path;
}

/// Runs `task`, which may throw an Error that is no bug.
template <class Task>
void attempt(Task task) {
  try {
    task();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInternal || std::string_view(error.what()).empty())
      std::abort();
  }
}

/// Reads the first and the last row of a tensor, as loading does.
void read_rows(const Tensor& tensor) {
  if (tensor.dtype == Dtype::kI32 || tensor.shape.empty()) return;
  const std::int64_t k = tensor.shape.back();
  std::int64_t rows = 1;
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) rows *= tensor.shape[i];
  if (rows == 0 || k == 0) return;
  std::vector<float> values(static_cast<size_t>(k));
  for (const std::int64_t row : {std::int64_t{0}, rows - 1}) {
    to_float(tensor, static_cast<size_t>(row * k), values.size(), values.data());
    if (tensor.shape.size() != 2) continue;
    const auto format = four_bit_format(tensor);
    FourBitRow four;
    if (format) read_four_bit_row(tensor, static_cast<int>(row), *format, four);
  }
}

void read_model(const std::string& path) {
  attempt([&] {
    const ModelConfig config = read_config(path);
    const Checkpoint weights(path);
    memory_estimates(config, weights);
    for (const TensorSpec& spec : tensor_manifest(config).tensors()) read_rows(weights.get(spec));
  });
}

void read_gguf(std::string_view content) {
  const std::string path = write("model.gguf", content);
  attempt([&] {
    const GgufModel model(path);
    for (const auto& [name, tensor] : model.tensors()) read_rows(tensor);
  });
  read_model(path);
}

void read_safetensors_file(std::string_view content) {
  const std::string path = write("model.safetensors", content);
  attempt([&] {
    const MappedFile file(path, 8, "a safetensors file");
    for (const auto& [name, tensor] : read_safetensors(file)) read_rows(tensor);
  });
}

void read_json(std::string_view content) {
  write("config.json", content);
  attempt([] { read_config(folder()); });
  attempt([&] { AdapterConfig::read(write("adapter_config.json", content)); });
  attempt([&] { read_dialect(std::string(content), folder(), 64); });
}

struct BaseModel {
  ModelConfig config;
  Checkpoint weights;
};

/// The model of which inputs are adapters.
const BaseModel& base() {
  static const fs::path path = folder() / "base";
  static const std::unique_ptr<BaseModel> model = [] {
    Dice dice(2);
    write_folder(path, random_model(random_shape(dice), dice), dice);
    return std::unique_ptr<BaseModel>(new BaseModel{read_config(path), Checkpoint(path)});
  }();
  return *model;
}

void read_folder(std::string_view json, std::string_view weights) {
  write("config.json", json);
  write("model.safetensors", weights);
  read_model(folder());
  write("adapter_config.json", json);
  write("adapter_model.safetensors", weights);
  attempt([] { read_adapter(folder(), base().config, base().weights); });
}

void read(std::string_view input) {
  if (input.starts_with("GGUF")) return read_gguf(input);
  if (!input.starts_with("{")) return read_safetensors_file(input);
  const size_t end = input.find('\0');
  if (end == std::string_view::npos) return read_json(input);
  read_folder(input.substr(0, end), input.substr(end + 1));
}

/// A folder's input, of a random model or adapter.
std::string random_folder(std::uint64_t seed) {
  Dice dice(seed);
  const ModelShape shape = random_shape(dice);
  const bool adapter = dice.chance(30);
  const Files files = adapter ? random_adapter(shape, dice) : random_model(shape, dice);
  const auto weights = files.find(adapter ? "adapter_model.safetensors" : "model.safetensors");
  std::string out = files.at(adapter ? "adapter_config.json" : "config.json");
  if (weights != files.end()) out += '\0' + weights->second;
  return out;
}

}  // namespace
}  // namespace anabranch

extern "C" size_t LLVMFuzzerMutate(std::uint8_t* data, size_t size, size_t max_size);

/// libFuzzer's own changes, and now and then a new model, so that all formats occur.
extern "C" size_t LLVMFuzzerCustomMutator(std::uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  if (seed % 50 != 0) return LLVMFuzzerMutate(data, size, max_size);
  const std::string input = anabranch::random_folder(seed);
  if (input.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(input.begin(), input.end(), data);
  return input.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, size_t size) {
  anabranch::read({reinterpret_cast<const char*>(data), size});
  return 0;
}
