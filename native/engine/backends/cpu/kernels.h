// The inner loops, once per instruction set. kernels.cpp is compiled several times with different
// flags; each copy fills one of these tables, and the best one that this CPU runs is chosen.
//
// Whatever the instruction set, a kernel's result for a row depends on that row alone: sums along
// K run in one fixed order for every number of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/attention_plan.h"

namespace anabranch {

/// Rows that a matrix product walks together, so that they stay in cache while the strips pass.
inline constexpr int kPanelRows = 96;

/// Values along K that share a scale in int8 weights.
inline constexpr int kInt8Group = 128;

/// Words of one row of inputs as the kernels that don't take fp32 want it: pairs, then scales.
inline size_t panel_words(int k) {
  return static_cast<size_t>((k + 1) / 2 + (k + kInt8Group - 1) / kInt8Group);
}

/// Bytes of one packed strip of `columns`; an odd k is padded to a pair. int8 has its scales within.
inline size_t strip_bytes(WeightType type, int columns, int k) {
  const size_t values = static_cast<size_t>(columns) * (k + k % 2);
  if (type == WeightType::kF32) return values * 4;
  if (type == WeightType::kBF16) return values * 2;
  return values + static_cast<size_t>(columns) * 2 * ((k + kInt8Group - 1) / kInt8Group);
}

/// out[i, j] (+)= sum over k of x[i, k] · w[j, k], plus bias[j], for the packed strips [first, last) of w.
struct Gemm {
  const void* x = nullptr;       // [m, ldx] fp32,
  bool x_pairs = false;          // or pairs of bf16, where the kernels take bf16 weights' inputs so
  std::ptrdiff_t ldx = 0;        // in floats, or in pairs
  int m = 0;
  int k = 0;
  const float* norm = nullptr;   // [k]: x is the RMS norm, with these weights, of what stands there; or null
  float epsilon = 0;             // of the norm
  const std::byte* w = nullptr;  // packed strips
  int n = 0;                     // true columns; the last strip may be partial
  int first = 0;
  int last = 0;
  const float* bias = nullptr;   // [strips, strip], or null
  bool accumulate = false;       // add to out instead of writing it
  bool gated = false;            // strips are pairs: out = silu(of the even one) · of the odd one, n columns
  std::uint32_t* scratch = nullptr;  // [gemm_scratch(k)]
  void* out = nullptr;           // [m, ldo] fp32,
  bool out_pairs = false;        // or, of what is gated, pairs of bf16, in whole strips
  std::ptrdiff_t ldo = 0;
};

/// Rows of inputs as the kernels want them, and one beside them.
inline size_t gemm_scratch(int k) {
  return static_cast<size_t>(kPanelRows + 1) * std::max<size_t>(k, panel_words(k));
}

/// What attention to one piece gives a row for one KV head: weighted V [group, head_dim], then [group, 2]
/// largest scores and sums of weights. Whole cache lines, so that no two cores write to one.
inline size_t partial_size(int group, int head_dim) {
  return (static_cast<size_t>(group) * (head_dim + 2) + 15) / 16 * 16;
}

/// A row's part in a piece of context: its query heads that share one KV head, and what they get.
struct PieceRow {
  const float* q = nullptr;  // [group, head_dim], scaled by 1/sqrt(head_dim)
  int tokens = 0;            // of the piece, counted from its begin; at least 1
  float* partial = nullptr;  // [partial_size(group, head_dim)]
};

/// One piece of context for every row that reads it, and one KV head. What a row gets depends on its
/// query and its tokens alone.
struct Piece {
  const PieceRow* rows = nullptr;  // [row_count]
  int row_count = 0;
  int group = 0;                   // query heads of each row
  int head_dim = 0;
  const int* blocks = nullptr;     // of the piece, as far as its longest row reads
  const std::byte* k = nullptr;  // this layer's K: block b, head h at (b · kv_heads + h) · 16 · head_dim,
                                 // each [head_dim, kBlockTokens]
  const std::byte* v = nullptr;  // this layer's V, each [kBlockTokens, head_dim]
  int kv_heads = 0;
  int kv_head = 0;
  float* scratch = nullptr;      // [piece_scratch(head_dim)]
};

inline size_t piece_scratch(int head_dim) {
  return static_cast<size_t>(kMaxQueriesPerItem) * (kKvChunkTokens + head_dim);
}

/// The partial results of one row's context for one query head, merged in context order.
struct Merge {
  const float* values = nullptr;  // the first piece's [head_dim]
  const float* weights = nullptr;  // the first piece's [2]: largest score, sum of weights
  std::ptrdiff_t stride = 0;      // floats from one piece's to the next one's
  int pieces = 0;
  int head_dim = 0;
  float* out = nullptr;           // [head_dim]
};

struct Kernels {
  const char* name;
  int strip;  // output columns in a packed strip
  bool pairs;  // inputs of bf16 weights are rounded to bf16 as well, and multiplied by pairs
  // rows: [strip, k]
  void (*pack)(WeightType type, const float* rows, int k, std::byte* out);
  void (*gemm)(WeightType type, const Gemm& gemm);
  void (*rms_norm)(const float* x, const float* weight, int n, float epsilon, float* out);
  void (*attend)(WeightType type, const Piece& piece);  // the type of K and V
  void (*merge)(const Merge& merge);
};

/// The table named `path` ("avx512bf16", "avx512vnni", "avx512", "avx2", "plain"), or the best one
/// for an empty name. Throws Error where this CPU can't run it.
const Kernels& select_kernels(const std::string& path);

/// Names of the tables this CPU can run, best first.
std::vector<std::string> runnable_kernels();

}  // namespace anabranch
