// Test values, and comparisons of results.
#pragma once

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "model/weight_types.h"
#include "number_formats.h"
#include "sampling/philox.h"

namespace anabranch {

/// Pseudo-random numbers in [-1, 1), the same in every run.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : seed_(seed) {}
  float operator()() { return static_cast<float>(2 * uniform(seed_, 0, 0, next_++) - 1); }
  std::vector<float> list(size_t n, float scale = 1) {
    std::vector<float> out(n);
    for (float& value : out) value = (*this)() * scale;
    return out;
  }

 private:
  std::uint64_t seed_;
  std::uint32_t next_ = 0;
};

/// `value` as weights or KV of this type store it.
inline float stored(WeightType type, float value) {
  return type == WeightType::kBF16 ? from_bf16(to_bf16(value)) : value;
}

/// Bitwise equality.
inline bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline std::string mismatch(const char* what, int i, int j, double got, double want) {
  char text[160];
  std::snprintf(text, sizeof text, "%s [%d, %d] is %.9g, not %.9g", what, i, j, got, want);
  return text;
}

}  // namespace anabranch
