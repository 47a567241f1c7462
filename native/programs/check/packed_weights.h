// Packed weights of a test.
#pragma once

#include "backends/cpu/kernels.h"
#include "check/values.h"

namespace anabranch {

struct PackedWeights {
  std::vector<float> values;      // [n, k] as stored
  std::vector<std::byte> packed;  // [panels]
  int panels = 0;
};

PackedWeights make_weights(const Kernels& kernels, const PanelFormat& format, int n, int k,
                           Numbers& numbers);

}  // namespace anabranch
