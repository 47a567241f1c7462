// How weights, and K and V, are stored. C++17, as nvcc reads it.
#pragma once

namespace anabranch {

/// Of weights. int8 and fp8 (e4m3) carry a bf16 scale for each 128 values along K, are made from any
/// checkpoint while it is loaded, and multiply inputs that keep their own precision.
enum class WeightType { kF32, kBF16, kInt8, kFp8 };

inline const char* name_of(WeightType type) {
  switch (type) {
    case WeightType::kF32: return "fp32";
    case WeightType::kBF16: return "bf16";
    case WeightType::kInt8: return "int8";
    case WeightType::kFp8: return "fp8";
  }
  return "";
}

/// Of K and V: what goes with the weights (fp32 beside fp32, else bf16), or fp8 (e4m3) with an fp32 scale
/// for each token and head.
enum class KvType { kAuto, kFp8 };

}  // namespace anabranch
