// Four-bit weights: groups of values along a row share a scale and an offset, and
// value = scale · q + offset, q in 0..15. C++17, because nvcc reads the formats.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace anabranch {

inline constexpr int kMinFourBitGroup = 32;
inline constexpr int kMaxFourBitGroup = 128;

/// What a group's offset is, and what is stored for it.
enum class FourBitOffset {
  kEight,      // -8 · scale; nothing is stored
  kMin,        // the stored fp16 value
  kZeroPoint,  // -scale · the stored fp16 value, an integer
};

struct FourBitFormat {
  int group = kMinFourBitGroup;  // values per scale: a multiple of 32, at most 128
  FourBitOffset offset = FourBitOffset::kEight;

  double bytes_per_weight() const {
    return 0.5 + (offset == FourBitOffset::kEight ? 2.0 : 4.0) / group;
  }
  int groups(int k) const { return (k + group - 1) / group; }
  bool operator==(const FourBitFormat& other) const {
    return group == other.group && offset == other.offset;
  }
};

/// One row of k values.
struct FourBitRow {
  std::vector<std::uint8_t> q;         // [k]
  std::vector<std::uint16_t> scales;   // [groups], fp16
  std::vector<std::uint16_t> offsets;  // [groups], fp16; with kEight unused

  void resize(const FourBitFormat& format, int k);
};

struct Tensor;

/// The format in which a tensor's values can be stored with nothing lost but, for Q4_K, the scales'
/// rounding to fp16 (relative 2^-12). Nothing if it has more than four bits.
std::optional<FourBitFormat> four_bit_format(const Tensor& tensor);

/// The format in which layers that are packed as one have four bits: one that loses nothing of
/// theirs, kQuantizedFormat for float ones. Nothing if one of them has more bits.
std::optional<FourBitFormat> common_four_bit_format(const std::vector<const Tensor*>& tensors);

/// Reads stored row `row` of a tensor into `format`: its four_bit_format(), or a common one, into
/// which floats are quantized.
void read_four_bit_row(const Tensor& tensor, int row, const FourBitFormat& format, FourBitRow& out);

/// The format of float weights that are quantized while they load.
inline constexpr FourBitFormat kQuantizedFormat{32, FourBitOffset::kMin};

/// Quantizes k values into kQuantizedFormat with a small squared error. `values` must be finite.
void quantize_four_bit(const float* values, int k, FourBitRow& out);

}  // namespace anabranch
