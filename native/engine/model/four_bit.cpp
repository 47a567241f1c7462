#include "model/four_bit.h"

#include <algorithm>
#include <cmath>

#include "model/packed_ints.h"
#include "model/tensor.h"
#include "number_formats.h"

namespace anabranch {
namespace {

constexpr int kGroup = kQuantizedFormat.group;
constexpr float kLargest = 65504.0f;  // of fp16

float round_to_fp16(float value) {
  return from_fp16(to_fp16(std::min(kLargest, std::max(-kLargest, value))));
}

/// The level nearest to each value, 0 to 15, as floats.
void nearest_levels(const float* values, float scale, float min, float* levels) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23
  const float inverse = 1.0f / scale;
  for (int i = 0; i < kGroup; ++i) {
    const float level = (values[i] - min) * inverse;
    levels[i] = (std::min(15.0f, std::max(0.0f, level)) + kRound) - kRound;
  }
}

struct ScaleAndMin {
  float scale, min;
};

/// The scale and minimum of the least squared error for these levels, rounded to fp16.
ScaleAndMin fit(const float* values, const float* levels) {
  float x = 0, l = 0, ll = 0, xl = 0;
  for (int i = 0; i < kGroup; ++i) {
    x += values[i];
    l += levels[i];
    ll += levels[i] * levels[i];
    xl += values[i] * levels[i];
  }
  const float determinant = kGroup * ll - l * l;
  if (!(determinant > 0)) return {0, round_to_fp16(x / kGroup)};
  const float scale = round_to_fp16((kGroup * xl - x * l) / determinant);
  return {scale, round_to_fp16((x - scale * l) / kGroup)};
}

float squared_error(const float* values, const float* levels, ScaleAndMin fitted) {
  float error = 0;
  for (int i = 0; i < kGroup; ++i) {
    const float difference = fitted.scale * levels[i] + fitted.min - values[i];
    error += difference * difference;
  }
  return error;
}

/// Tries several ranges within the values' own: clipping the outermost ones can leave less error.
ScaleAndMin quantize_group(const float* values, float* levels) {
  const auto [low, high] = std::minmax_element(values, values + kGroup);
  const float middle = (*low + *high) / 2, reach = (*high - *low) / 2;
  ScaleAndMin best{0, round_to_fp16(middle)};
  std::fill_n(levels, kGroup, 0.0f);
  float least = squared_error(values, levels, best);
  for (const float share : {1.0f, 0.93f, 0.86f, 0.79f, 0.72f}) {
    ScaleAndMin next{2 * reach * share / 15, middle - reach * share};
    float candidate[kGroup];
    for (int pass = 0; pass < 2; ++pass) {
      if (!(next.scale > 1e-8f)) break;
      nearest_levels(values, next.scale, next.min, candidate);
      next = fit(values, candidate);
      const float error = squared_error(values, candidate, next);
      if (error >= least) continue;
      least = error;
      best = next;
      std::copy_n(candidate, kGroup, levels);
    }
  }
  return best;
}

/// AWQ, GPTQ and compressed-tensors: in zero points, MLX: in minima, if groups are of a size and an
/// order that the kernels know. Scales in bf16 lose nothing in fp16 unless they are tiny.
std::optional<FourBitFormat> packed_format(const PackedInts& packed) {
  const int group = packed.config.group;
  if (packed.bits != 4) return {};
  if (group % kMinFourBitGroup != 0 || group > kMaxFourBitGroup || !packed.in_order()) return {};
  if (packed.biases) return FourBitFormat{group, FourBitOffset::kMin};
  return FourBitFormat{group, packed.zeros ? FourBitOffset::kZeroPoint : FourBitOffset::kEight};
}

void read_packed_row(const PackedInts& packed, int row, const FourBitFormat& format,
                     FourBitRow& out) {
  out.resize(format, packed.k);
  for (int column = 0; column < packed.k; ++column) {
    out.q[column] = static_cast<std::uint8_t>(packed.level(row, column));
  }
  for (int group = 0; group < format.groups(packed.k); ++group) {
    const int stored = group * format.group / packed.config.group;
    out.scales[group] = to_fp16(packed.scale(row, stored));
    if (packed.biases) {
      out.offsets[group] = to_fp16(packed.bias(row, stored));
      continue;
    }
    // As a minimum beside float layers, then from a format without stored offsets.
    const auto zero = static_cast<float>(packed.zero_point(row, stored));
    const bool is_min = format.offset == FourBitOffset::kMin;
    out.offsets[group] = to_fp16(is_min ? -from_fp16(out.scales[group]) * zero : zero);
  }
}

}  // namespace

void FourBitRow::resize(const FourBitFormat& format, int k) {
  q.resize(k);
  scales.resize(format.groups(k));
  offsets.resize(format.groups(k));
}

std::optional<FourBitFormat> four_bit_format(const Tensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::kQ4_0:
      return FourBitFormat{32, FourBitOffset::kEight};
    case Dtype::kQ4_1:
    case Dtype::kQ4_K:
      return FourBitFormat{32, FourBitOffset::kMin};
    case Dtype::kPackedInts:
      return packed_format(*tensor.packed);
    default:
      return {};
  }
}

namespace {

/// The format that holds rows of both.
std::optional<FourBitFormat> common_format(const FourBitFormat& a, const FourBitFormat& b) {
  if (a == b) return a;
  const int small = std::min(a.group, b.group);
  if (std::max(a.group, b.group) % small != 0) return {};
  if (a.offset == b.offset || b.offset == FourBitOffset::kEight) {
    return FourBitFormat{small, a.offset};
  }
  if (a.offset == FourBitOffset::kEight) return FourBitFormat{small, b.offset};
  return {};
}

}  // namespace

std::optional<FourBitFormat> common_four_bit_format(const std::vector<const Tensor*>& tensors) {
  std::optional<FourBitFormat> out;
  for (const Tensor* tensor : tensors) {
    const auto own = is_float(tensor->dtype) ? kQuantizedFormat : four_bit_format(*tensor);
    if (own) out = out ? common_format(*out, *own) : own;
    if (!own || !out) return {};
  }
  return out;
}

void read_four_bit_row(const Tensor& tensor, int row, const FourBitFormat& format,
                       FourBitRow& out) {
  const auto k = static_cast<int>(tensor.shape.back());
  if (tensor.packed) return read_packed_row(*tensor.packed, row, format, out);
  if (is_float(tensor.dtype)) {
    std::vector<float> values(static_cast<size_t>(k));
    to_float(tensor, static_cast<size_t>(row) * values.size(), values.size(), values.data());
    return quantize_four_bit(values.data(), k, out);
  }
  const FourBitFormat stored = *four_bit_format(tensor);
  const int elements = block_elements(tensor.dtype);
  const std::uint8_t* block =
      tensor.data +
      bytes_of(tensor.dtype, static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>(k));
  out.resize(format, k);
  for (int first = 0; first < k; first += elements, block += block_bytes(tensor.dtype)) {
    read_four_bit_block(tensor.dtype, block, &out.q[first], &out.scales[first / 32],
                        &out.offsets[first / 32]);
  }
  if (stored.offset == format.offset) return;
  for (int group = 0; group < format.groups(k); ++group) {
    const float offset =
        format.offset == FourBitOffset::kZeroPoint ? 8 : -8 * from_fp16(out.scales[group]);
    out.offsets[group] = to_fp16(offset);
  }
}

void quantize_four_bit(const float* values, int k, FourBitRow& out) {
  out.resize(kQuantizedFormat, k);
  for (int first = 0; first < k; first += kGroup) {
    float part[kGroup], levels[kGroup];
    const int n = std::min(kGroup, k - first);
    std::copy_n(values + first, n, part);
    std::fill(part + n, part + kGroup, part[n - 1]);
    const auto [scale, min] = quantize_group(part, levels);
    out.scales[first / kGroup] = to_fp16(scale);
    out.offsets[first / kGroup] = to_fp16(min);
    for (int i = 0; i < n; ++i) out.q[first + i] = static_cast<std::uint8_t>(levels[i]);
  }
}

}  // namespace anabranch
