#include "model/tensor.h"

#include <algorithm>
#include <cstring>

#include "model/packed_ints.h"
#include "number_formats.h"

namespace anabranch {

std::uint64_t bytes_of(Dtype dtype, std::uint64_t elements) {
  return elements / static_cast<std::uint64_t>(block_elements(dtype)) *
         static_cast<std::uint64_t>(block_bytes(dtype));
}

std::uint64_t bytes_of(const Tensor& tensor) {
  if (tensor.packed) return tensor.packed->bytes();
  std::uint64_t elements = 1;
  for (const std::int64_t extent : tensor.shape) elements *= static_cast<std::uint64_t>(extent);
  return bytes_of(tensor.dtype, elements);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

void to_float(const Tensor& tensor, size_t first, size_t count, float* out) {
  if (tensor.packed) {
    tensor.packed->read(first, count, out);
    return;
  }
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

}  // namespace anabranch
