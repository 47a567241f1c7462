#include "model/eight_bit.h"

#include <algorithm>
#include <cmath>

#include "number_formats.h"

namespace anabranch {
namespace {

/// Writes the levels of at most kEightBitGroup values and returns their scale.
float quantize_group(const float* values, int n, float* levels) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23
  float largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(values[i]));
  // Values are divided by the scale as it is stored.
  const float scale = from_bf16(to_bf16(largest / 127.0f));
  const float inverse = scale > 1e-30f ? 1.0f / scale : 0.0f;
  for (int i = 0; i < n; ++i) {
    const float level = std::min(127.0f, std::max(-127.0f, values[i] * inverse));
    levels[i] = (level + kRound) - kRound;
  }
  return scale;
}

}  // namespace

void quantize_eight_bit(const float* values, int k, EightBitRow& out) {
  out.q.resize(k);
  out.scales.resize((k + kEightBitGroup - 1) / kEightBitGroup);
  float levels[kEightBitGroup];
  for (int first = 0; first < k; first += kEightBitGroup) {
    const int n = std::min(kEightBitGroup, k - first);
    out.scales[first / kEightBitGroup] = to_bf16(quantize_group(values + first, n, levels));
    for (int i = 0; i < n; ++i) out.q[first + i] = static_cast<std::int8_t>(levels[i]);
  }
}

void round_to_eight_bits(float* values, int k) {
  float levels[kEightBitGroup];
  for (int first = 0; first < k; first += kEightBitGroup) {
    const int n = std::min(kEightBitGroup, k - first);
    const float scale = quantize_group(values + first, n, levels);
    for (int i = 0; i < n; ++i) values[first + i] = scale * levels[i];
  }
}

}  // namespace anabranch
