// The model shapes that the benchmark knows.
#pragma once

#include <string>

namespace anabranch {

struct ModelShape {
  const char* name;
  int hidden, layers, heads, kv_heads, head_dim, intermediate, vocabulary, context;
  bool tied;
};

// Published shapes of Qwen2.5 (arXiv:2412.15115); all have biases on q, k and v.
inline constexpr ModelShape kModelShapes[] = {
    {"tiny", 256, 4, 4, 2, 64, 704, 2048, 8192, true},
    {"qwen2.5-0.5b", 896, 24, 14, 2, 64, 4864, 151936, 32768, true},
    {"qwen2.5-7b", 3584, 28, 28, 4, 128, 18944, 152064, 32768, false},
};

/// Throws Error for an unknown name.
const ModelShape& find_shape(const std::string& name);

}  // namespace anabranch
