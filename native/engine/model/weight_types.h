// Storage formats of weights and of KV. C++17, because nvcc reads it.
#pragma once

namespace anabranch {

/// int8 and fp8 (e4m3) weights have one bf16 scale per 128 values along K. They are quantized while
/// a checkpoint of any format loads; activations are not quantized to 8 bits. int4: linear layers
/// whose tensors have four bits keep them, float ones are quantized to four bits; layers of five to
/// eight bits, the head and the embedding are int8.
enum class WeightType { kF32, kBF16, kInt8, kFp8, kInt4 };

inline const char* name_of(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return "fp32";
    case WeightType::kBF16:
      return "bf16";
    case WeightType::kInt8:
      return "int8";
    case WeightType::kFp8:
      return "fp8";
    case WeightType::kInt4:
      return "int4";
  }
  return "";
}

/// kAuto: fp32 KV with fp32 weights, else bf16. kFp8: e4m3 with one fp32 scale per token and head.
enum class KvType { kAuto, kFp8 };

}  // namespace anabranch
