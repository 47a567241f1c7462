// The random decisions of one fuzzing round.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace anabranch {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : next_(seed) {}

  std::uint64_t word() { return next_(); }
  int below(int n) { return static_cast<int>(next_() % static_cast<std::uint64_t>(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  const T& pick(const std::vector<T>& list) {
    return list[below(static_cast<int>(list.size()))];
  }
  float normal() {
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += static_cast<float>(below(1 << 20)) / (1 << 20);
    return sum - 6;
  }

 private:
  std::mt19937_64 next_;
};

}  // namespace anabranch
