#include "model/tensor.h"

#include <algorithm>
#include <cstring>

#include "number_formats.h"

namespace anabranch {
namespace {

/// Elements [first, first + count) as they are stored.
void stored_to_float(const Tensor& tensor, size_t first, size_t count, float* out) {
  const auto elements = static_cast<size_t>(block_elements(tensor.dtype));
  const auto bytes = static_cast<size_t>(block_bytes(tensor.dtype));
  if (tensor.dtype == Dtype::kF32) {
    std::memcpy(out, tensor.data + first * bytes, count * bytes);
    return;
  }
  if (elements == 1) {
    for (size_t i = 0; i < count; ++i) {
      std::uint16_t bits;
      std::memcpy(&bits, tensor.data + (first + i) * bytes, 2);
      out[i] = tensor.dtype == Dtype::kBF16 ? from_bf16(bits) : from_fp16(bits);
    }
    return;
  }
  float block[256];
  for (size_t at = first; at < first + count;) {
    const size_t offset = at % elements;
    const size_t take = std::min(elements - offset, first + count - at);
    const std::uint8_t* data = tensor.data + at / elements * bytes;
    if (take == elements) {
      dequantize_block(tensor.dtype, data, out);
    } else {
      dequantize_block(tensor.dtype, data, block);
      std::copy_n(block + offset, take, out);
    }
    out += take;
    at += take;
  }
}

}  // namespace

std::uint64_t bytes_of(Dtype dtype, std::uint64_t elements) {
  return elements / static_cast<std::uint64_t>(block_elements(dtype)) *
         static_cast<std::uint64_t>(block_bytes(dtype));
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

void to_float(const Tensor& tensor, size_t first, size_t count, float* out) {
  const auto head = static_cast<size_t>(tensor.interleaved_head_dim);
  if (head == 0) return stored_to_float(tensor, first, count, out);
  // Row h · head + half · head/2 + i of Hugging Face is row h · head + 2 · i + half of the file.
  const size_t width = tensor.shape.size() > 1 ? static_cast<size_t>(tensor.shape.back()) : 1;
  for (size_t at = first; at < first + count;) {
    const size_t row = at / width, column = at % width;
    const size_t take = std::min(width - column, first + count - at);
    const size_t in_head = row % head;
    const size_t half = in_head / (head / 2), i = in_head % (head / 2);
    const size_t stored = row - in_head + 2 * i + half;
    stored_to_float(tensor, stored * width + column, take, out);
    out += take;
    at += take;
  }
}

}  // namespace anabranch
