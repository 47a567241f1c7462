// The CPU kernels, once per instruction set. kernels.cpp is compiled several times with different
// flags. Each copy fills one table of kernels, and the engine selects the best that the CPU can
// run.
//
// On every instruction set a row's result depends on that row alone: sums along K have the same
// order for every number of rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/attention_plan.h"
#include "model/activation.h"
#include "model/four_bit.h"

namespace anabranch {

/// Rows that a matrix product computes together: they stay in cache while the panels stream through
/// it (BLIS: MC).
inline constexpr int kBlockRows = 96;

/// Values along K that share a scale in int8 weights.
inline constexpr int kInt8Group = 128;

/// The format of packed weights.
struct PanelFormat {
  PanelFormat(WeightType type = WeightType::kF32) : type(type) {}
  explicit PanelFormat(const FourBitFormat& four_bit)
      : type(WeightType::kInt4), four_bit(four_bit) {}
  /// Eight bits among int4 weights: with inputs of as many bits as theirs.
  static PanelFormat beside_int4() {
    PanelFormat out(WeightType::kInt8);
    out.byte_inputs = true;
    return out;
  }

  WeightType type;
  FourBitFormat four_bit;    // of int4 weights
  bool byte_inputs = false;  // of int8 weights: inputs are rounded to bytes, not to 16 bits
};

/// Words of one converted input row, for kernels that don't take fp32: pairs of 16 bits or four
/// bytes each, these padded to whole scales. For integer weights each scale's values are followed
/// by the scale and, if they are bytes, by their sum. Static, here and below: each copy of the
/// kernels compiles its own (see kernels.cpp).
static inline size_t input_pairs(int k) { return static_cast<size_t>(k + 1) / 2; }
static inline size_t input_quads(int k) {
  return static_cast<size_t>((k + kMinFourBitGroup - 1) / kMinFourBitGroup * kMinFourBitGroup) / 4;
}
inline constexpr int kInt8ChunkWords = kInt8Group / 2 + 1;
inline constexpr int kByteChunkWords = kMinFourBitGroup / 4 + 2;
static inline size_t input_words(int k) {
  const auto chunks = [k](int values) { return static_cast<size_t>((k + values - 1) / values); };
  return std::max(chunks(kInt8Group) * kInt8ChunkWords, chunks(kMinFourBitGroup) * kByteChunkWords);
}

/// Bytes of one packed panel of `columns` outputs, with the scales of integer weights. k is padded
/// to pairs, where inputs are bytes to whole scales of them.
static inline size_t panel_bytes(const PanelFormat& format, int columns, int k) {
  const size_t padded = format.byte_inputs ? input_quads(k) * 4 : static_cast<size_t>(k + k % 2);
  const size_t values = static_cast<size_t>(columns) * padded;
  switch (format.type) {
    case WeightType::kF32:
      return values * 4;
    case WeightType::kBF16:
      return values * 2;
    case WeightType::kInt4: {
      const size_t planes = format.four_bit.offset == FourBitOffset::kEight ? 1 : 2;
      return static_cast<size_t>(columns) *
             (input_quads(k) * 2 + 2 * planes * format.four_bit.groups(k));
    }
    default:
      return values + static_cast<size_t>(columns) * 2 * ((k + kInt8Group - 1) / kInt8Group);
  }
}

/// out[i, j] (+)= sum over k of x[i, k] · w[j, k], plus bias[j], for the packed panels [first,
/// last) of w.
struct Gemm {
  const void* x = nullptr;  // [m, ldx] fp32,
  bool x_pairs = false;     // or pairs of bf16, for kernels with `pairs`
  std::ptrdiff_t ldx = 0;   // in floats, or in pairs
  int m = 0;
  int k = 0;
  const float* norm = nullptr;  // [k]: apply RMS norm with these weights to x first; or null
  float epsilon = 0;            // of the norm
  PanelFormat format;
  const std::byte* w = nullptr;  // packed panels
  int n = 0;                     // outputs; the last panel may be partial
  int first = 0;
  int last = 0;
  const float* bias = nullptr;  // [panels, panel_width], or null
  // [m] rows of [panels, panel_width] to add to one row each, or null; rows may be null
  const float* const* addends = nullptr;
  bool accumulate = false;  // add to out instead of writing it
  bool gated = false;       // panels alternate gate and up: out = activation(gate) · up, n columns
  Activation activation = Activation::kSilu;
  std::uint32_t* scratch = nullptr;  // [gemm_scratch(k)]
  void* out = nullptr;               // [m, ldo] fp32,
  bool out_pairs = false;            // or, if gated, pairs of bf16, in whole panels
  std::ptrdiff_t ldo = 0;
};

/// Words of scratch for one row block of converted inputs and one more row.
static inline size_t gemm_scratch(int k) {
  return static_cast<size_t>(kBlockRows + 1) * std::max<size_t>(k, input_words(k));
}

/// Floats of the partial result of one row, one chunk and one KV head: weighted V [group,
/// head_dim], then [group, 2] maximum scores and sums of weights. Whole cache lines, so that no two
/// cores write to the same one.
static inline size_t partial_size(int group, int head_dim) {
  return (static_cast<size_t>(group) * (head_dim + 2) + 15) / 16 * 16;
}

/// One row's query heads of one KV head, and their partial result for a chunk.
struct ChunkQuery {
  const float* q = nullptr;  // [group, head_dim], scaled
  int begin = 0;             // sees tokens [begin, tokens) of the chunk, counted from its start; at
  int tokens = 0;            // least one
  float* partial = nullptr;  // [partial_size(group, head_dim)]
};

/// Attention of several rows to one chunk of KV, for one KV head. A row's result depends only on
/// its query and its tokens.
struct AttendChunk {
  const ChunkQuery* rows = nullptr;  // [row_count]
  int row_count = 0;
  int group = 0;  // query heads of each row
  int head_dim = 0;
  const int* blocks = nullptr;   // of the chunk, as far as the longest row reads
  const std::byte* k = nullptr;  // this layer's K: block b, head h at (b · kv_heads + h) · 16 ·
                                 // head_dim, each [head_dim, kBlockTokens]
  const std::byte* v = nullptr;  // this layer's V, each [kBlockTokens, head_dim]
  int kv_heads = 0;
  int kv_head = 0;
  const std::byte* next = nullptr;  // a block of K that is needed next, or null
  float* scratch = nullptr;         // [attend_scratch_floats(head_dim)]
};

static inline size_t attend_scratch_floats(int head_dim) {
  return static_cast<size_t>(kMaxQueriesPerItem) * (kKvChunkTokens + head_dim);
}

/// Merges the partial results of one row and one query head, in context order.
struct Merge {
  const float* values = nullptr;   // of the first chunk, [head_dim]
  const float* weights = nullptr;  // of the first chunk, [2]: maximum score, sum of weights
  std::ptrdiff_t stride = 0;       // floats from one chunk to the next
  int chunks = 0;
  int head_dim = 0;
  float* out = nullptr;  // [head_dim]
};

/// The ranks of a low-rank update that reach a panel's columns.
struct PanelRanks {
  int first = 0;
  int count = 0;
  size_t at = 0;  // where the panel begins in b, in values
};

/// A low-rank update (LoRA) of a product, y += B · (A · x): what a step reads lies in the order in
/// which it is read. Kernels with `pairs` have bf16 values in words of two: of A two of k, of B two
/// ranks, whose number is even.
struct LowRankUpdate {
  WeightType type = WeightType::kF32;  // or bf16
  const std::byte* a = nullptr;        // of each half panel of ranks [k, panel_width / 2]
  const std::byte* b = nullptr;        // of each panel of the product [count, panel_width]
  const PanelRanks* panels = nullptr;
};

/// Rows that are computed together, at most, and how many floats behind a row's ranks are readable.
inline constexpr int kLowRankRows = 4, kLowRankSlack = 32;

struct Kernels {
  const char* name;
  int panel_width;  // output columns of a packed panel
  bool pairs;       // bf16 products round the inputs to bf16, too, and multiply pairs
  // Packs a panel of any type but int4. rows: [panel_width, k]
  void (*pack)(const PanelFormat& format, const float* rows, int k, std::byte* out);
  // Packs a panel of int4. rows: [panel_width]
  void (*pack_four_bit)(const FourBitFormat& format, const FourBitRow* rows, int k, std::byte* out);
  void (*gemm)(const Gemm& gemm);
  void (*rms_norm)(const float* x, const float* weight, int n, float epsilon, float* out);
  void (*attend)(WeightType type, const AttendChunk& chunk);  // the type of K and V
  void (*merge)(const Merge& merge);
  // A · x of a low-rank update. `gemm` has x as of a product, without weights, and out of [m, ldo]
  // ranks in whole half panels. Each output here is one sum in a fixed order, whatever is computed
  // beside it.
  void (*project)(const LowRankUpdate& update, const Gemm& gemm);
  // out[row][panel, j] = sum over r of t[row][r] · b[panel, r, j], for the panels [first, last) and
  // up to kLowRankRows rows.
  void (*expand)(const LowRankUpdate& update, int first, int last, const float* const* t, int rows,
                 float* const* out);
};

/// The table named `path` ("avx512bf16", "avx512vnni", "avx512", "avx2", "plain"), or the best one
/// if `path` is empty. Throws Error if this CPU can't run it.
const Kernels& select_kernels(const std::string& path);

/// Names of the tables that this CPU can run, best first.
std::vector<std::string> runnable_kernels();

}  // namespace anabranch
