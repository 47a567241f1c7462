#include "model/block_formats.h"

#include <cstring>

#include "number_formats.h"

namespace anabranch {
namespace {

struct Layout {
  const char* name;
  int elements;
  int bytes;
};

const Layout& layout_of(Dtype dtype) {
  static constexpr Layout layouts[] = {
      {"F32", 1, 4},      {"F16", 1, 2},
      {"BF16", 1, 2},     {"Q4_0", 32, 18},
      {"Q4_1", 32, 20},   {"Q5_0", 32, 22},
      {"Q5_1", 32, 24},   {"Q8_0", 32, 34},
      {"Q4_K", 256, 144}, {"Q5_K", 256, 176},
      {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18},
      {"I32", 1, 4},      {"packed integers", 1, 0},
  };
  return layouts[static_cast<int>(dtype)];
}

float half_at(const std::uint8_t* at) {
  std::uint16_t bits;
  std::memcpy(&bits, at, 2);
  return from_fp16(bits);
}

std::uint32_t word_at(const std::uint8_t* at) {
  std::uint32_t bits;
  std::memcpy(&bits, at, 4);
  return bits;
}

/// Q4_0, Q4_1, Q5_0, Q5_1: value = scale · q + offset. Element i and i + 16 share a byte; `high`
/// holds the fifth bits.
void low_bits(const std::uint8_t* nibbles, std::uint32_t high, float scale, float offset,
              float* out) {
  for (int i = 0; i < 16; ++i) {
    const std::uint32_t first = (nibbles[i] & 0xfu) | ((high >> i & 1u) << 4);
    const std::uint32_t second = (nibbles[i] >> 4) | ((high >> (i + 16) & 1u) << 4);
    out[i] = scale * static_cast<float>(first) + offset;
    out[i + 16] = scale * static_cast<float>(second) + offset;
  }
}

/// As low_bits, for the symmetric types: value = scale · (q - zero), computed in integers first.
void signed_low_bits(const std::uint8_t* nibbles, std::uint32_t high, int zero, float scale,
                     float* out) {
  for (int i = 0; i < 16; ++i) {
    const int first = static_cast<int>((nibbles[i] & 0xfu) | ((high >> i & 1u) << 4)) - zero;
    const int second = static_cast<int>((nibbles[i] >> 4) | ((high >> (i + 16) & 1u) << 4)) - zero;
    out[i] = scale * static_cast<float>(first);
    out[i + 16] = scale * static_cast<float>(second);
  }
}

struct ScaleAndMin {
  float scale, min;
};

/// The six-bit scale and minimum number `j` (0 to 7) of a Q4_K or Q5_K block, packed in 12 bytes.
ScaleAndMin k_scale(const std::uint8_t* packed, int j) {
  if (j < 4) {
    return {static_cast<float>(packed[j] & 63), static_cast<float>(packed[j + 4] & 63)};
  }
  return {static_cast<float>((packed[j + 4] & 0xf) | (packed[j - 4] >> 6 << 4)),
          static_cast<float>(packed[j + 4] >> 4 | (packed[j] >> 6 << 4))};
}

/// Q4_K and Q5_K: eight groups of 32, value = d · scale · q - dmin · min. `high` [32] holds the
/// fifth bits of all groups, or is null.
void k_quants(const std::uint8_t* block, const std::uint8_t* high, const std::uint8_t* nibbles,
              float* out) {
  const float d = half_at(block), dmin = half_at(block + 2);
  for (int group = 0; group < 8; ++group) {
    const auto [scale, min] = k_scale(block + 4, group);
    const float s = d * scale, m = dmin * min;
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t byte = nibbles[group / 2 * 32 + i];
      int q = group % 2 == 0 ? byte & 0xf : byte >> 4;
      if (high && (high[i] >> group & 1)) q += 16;
      out[group * 32 + i] = s * static_cast<float>(q) - m;
    }
  }
}

/// Q6_K: sixteen groups of 16, value = d · scale · (q - 32).
void q6_k(const std::uint8_t* block, float* out) {
  const std::uint8_t* low = block;
  const std::uint8_t* high = block + 128;
  const auto* scales = reinterpret_cast<const std::int8_t*>(block + 192);
  const float d = half_at(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, in_half = i % 128;
    const int quarter = in_half / 32, l = in_half % 32;
    const std::uint8_t byte = low[half * 64 + quarter % 2 * 32 + l];
    const int nibble = quarter < 2 ? byte & 0xf : byte >> 4;
    const int top = high[half * 32 + l] >> (2 * quarter) & 3;
    const int q = (nibble | top << 4) - 32;
    out[i] =
        d * static_cast<float>(scales[half * 8 + quarter * 2 + l / 16]) * static_cast<float>(q);
  }
}

void iq4_nl(const std::uint8_t* block, float* out) {
  static constexpr float values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
  const float d = half_at(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * values[block[2 + i] & 0xf];
    out[i + 16] = d * values[block[2 + i] >> 4];
  }
}

}  // namespace

int block_elements(Dtype dtype) { return layout_of(dtype).elements; }
int block_bytes(Dtype dtype) { return layout_of(dtype).bytes; }
const char* name_of(Dtype dtype) { return layout_of(dtype).name; }

void dequantize_block(Dtype dtype, const std::uint8_t* block, float* out) {
  switch (dtype) {
    case Dtype::kF32:
      std::memcpy(out, block, 4);
      return;
    case Dtype::kF16:
      *out = half_at(block);
      return;
    case Dtype::kBF16: {
      std::uint16_t bits;
      std::memcpy(&bits, block, 2);
      *out = from_bf16(bits);
      return;
    }
    case Dtype::kQ4_0:
      signed_low_bits(block + 2, 0, 8, half_at(block), out);
      return;
    case Dtype::kQ4_1:
      low_bits(block + 4, 0, half_at(block), half_at(block + 2), out);
      return;
    case Dtype::kQ5_0:
      signed_low_bits(block + 6, word_at(block + 2), 16, half_at(block), out);
      return;
    case Dtype::kQ5_1:
      low_bits(block + 8, word_at(block + 4), half_at(block), half_at(block + 2), out);
      return;
    case Dtype::kQ8_0: {
      const float d = half_at(block);
      for (int i = 0; i < 32; ++i) {
        out[i] = d * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
      }
      return;
    }
    case Dtype::kQ4_K:
      k_quants(block, nullptr, block + 16, out);
      return;
    case Dtype::kQ5_K:
      k_quants(block, block + 16, block + 48, out);
      return;
    case Dtype::kQ6_K:
      q6_k(block, out);
      return;
    case Dtype::kIQ4_NL:
      iq4_nl(block, out);
      return;
    case Dtype::kI32:
    case Dtype::kPackedInts:
      return;  // have no blocks
  }
}

void read_four_bit_block(Dtype dtype, const std::uint8_t* block, std::uint8_t* q,
                         std::uint16_t* scales, std::uint16_t* minima) {
  if (dtype != Dtype::kQ4_K) {
    std::memcpy(scales, block, 2);
    if (dtype == Dtype::kQ4_1) std::memcpy(minima, block + 2, 2);
    const std::uint8_t* nibbles = block + (dtype == Dtype::kQ4_1 ? 4 : 2);
    for (int i = 0; i < 16; ++i) {
      q[i] = nibbles[i] & 0xf;
      q[i + 16] = nibbles[i] >> 4;
    }
    return;
  }
  const float d = half_at(block), dmin = half_at(block + 2);
  for (int group = 0; group < 8; ++group) {
    const auto [scale, min] = k_scale(block + 4, group);
    scales[group] = to_fp16(d * scale);
    minima[group] = to_fp16(-(dmin * min));
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t byte = block[16 + group / 2 * 32 + i];
      q[group * 32 + i] = group % 2 == 0 ? byte & 0xf : byte >> 4;
    }
  }
}

}  // namespace anabranch
