// The inner loops, once per instruction set. kernels.cpp is compiled several times with different
// flags; each copy fills one of these tables, and the best one that this CPU runs is chosen.
//
// Whatever the instruction set, a kernel's result for a row depends on that row alone: sums along
// K run in one fixed order for every number of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../backend.h"

namespace anabranch {

/// Tokens of context that attention treats as one piece, at fixed offsets within a segment.
inline constexpr int kPieceTokens = 256;

/// Rows that a matrix product walks together, so that they stay in cache while the strips pass.
inline constexpr int kPanelRows = 96;

/// out[i, j] (+)= sum over k of x[i, k] · w[j, k], for the packed strips [first, last) of w.
struct Gemm {
  const float* x = nullptr;  // [m, ldx]
  std::ptrdiff_t ldx = 0;
  int m = 0;
  int k = 0;
  const std::byte* w = nullptr;  // packed strips
  int n = 0;                     // true columns; the last strip may be partial
  int first = 0;
  int last = 0;
  bool accumulate = false;       // add to out instead of writing it
  std::uint32_t* words = nullptr;  // scratch, [kPanelRows, (k + 1) / 2]
  float* out = nullptr;          // [m, ldo]
  std::ptrdiff_t ldo = 0;
};

/// Attention of one row's query heads that share one KV head.
struct Attend {
  const float* q = nullptr;      // [group, head_dim], scaled by 1/sqrt(head_dim)
  float* out = nullptr;          // [group, head_dim]
  int group = 0;                 // query heads
  int head_dim = 0;
  const std::byte* k = nullptr;  // this layer's K: block b, head h at (b · kv_heads + h) · 16 · head_dim,
                                 // each [head_dim, kBlockTokens]
  const std::byte* v = nullptr;  // this layer's V, each [kBlockTokens, head_dim]
  int kv_heads = 0;
  int kv_head = 0;
  const Span* spans = nullptr;   // [span_count] in context order
  int span_count = 0;
  float* scratch = nullptr;      // [group · kPieceTokens + head_dim]
};

struct Kernels {
  const char* name;
  int strip;  // output columns in a packed strip
  void (*pack)(WeightType type, const float* rows, int k, std::byte* out);  // rows: [strip, k]
  void (*gemm)(WeightType type, const Gemm& gemm);
  void (*rms_norm)(const float* x, const float* weight, int n, float epsilon, float* out);
  void (*silu_multiply)(float* gate, const float* up, int n);  // gate = silu(gate) · up
  void (*attend)(WeightType type, const Attend& attend);
};

/// Bytes of one packed strip; an odd k is padded to a pair.
inline size_t strip_bytes(const Kernels& kernels, WeightType type, int k) {
  return static_cast<size_t>(kernels.strip) * (k + k % 2) * (type == WeightType::kF32 ? 4 : 2);
}

/// The table named `path` ("avx512bf16", "avx512", "avx2", "plain"), or the best one for an empty name.
/// Throws Error where this CPU can't run it.
const Kernels& select_kernels(const std::string& path);

/// Names of the tables this CPU can run, best first.
std::vector<std::string> runnable_kernels();

}  // namespace anabranch
