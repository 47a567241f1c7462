// The CUDA kernels as the host calls them. All pointers are device pointers unless stated
// otherwise; all calls are queued on `queue` and return immediately.
//
// A product of up to kMaxSkinnyRows rows, or with `batch_invariant`, gives a row the same bits
// whatever other rows share the batch: every sum runs in one fixed order. Attention of lanes does
// so if items take one tile each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/activation.h"
#include "model/four_bit.h"
#include "model/weight_types.h"
#include "backends/cuda/runtime.h"

namespace anabranch::ANABRANCH_CUDA {

// ---- layout constants --------------------------------------------------------------------------

/// K extent of one warp-level product (two m16n8k16). Heads are zero-padded to a multiple of it.
constexpr int kWarpK = 32;
/// Values along K that share a scale in 8-bit weights. K of every GEMM is zero-padded to a
/// multiple.
constexpr int kQuantGroup = 128;
/// Output channels in a panel of packed weights. Weights are zero-padded to whole panels.
constexpr int kPanel = 16;
/// If a result combines two outputs of a layer, each panel holds kHalfPanel channels of the first
/// output, then the matching kHalfPanel of the second: gate and up, or both halves of a RoPE head.
constexpr int kHalfPanel = kPanel / 2;
/// Same as in blocks.h and attention_plan.h, which nvcc cannot include because they are C++20.
constexpr int kBlockTokens = 16;
constexpr int kKvChunkTokens = 256;

__host__ __device__ inline size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
__host__ __device__ inline int panels_of(int n) { return (n + kPanel - 1) / kPanel; }

/// Storage index of value i in a row of 8-bit numbers. Every four are stored as 0, 2, 1, 3, so that
/// the even and the odd bytes of a word are two pairs of neighbours and widen to two bf16 pairs.
__host__ __device__ inline int interleaved(int i) { return (i & ~3) | (i & 1) << 1 | (i >> 1 & 1); }

/// Where value i of a row of four-bit weights is stored: its 32-bit word, and its first bit there.
/// A word holds eight neighbours, the first and second of each pair sixteen bits apart, so that a
/// shift and a mask leave a pair. Sixteen bytes hold such neighbours of four groups of kWarpK
/// values, so that each product of a warp lies within one group.
struct FourBitPlace {
  size_t word;
  int bit;
};
__host__ __device__ inline FourBitPlace four_bit_place(int i) {
  const int in_slice = i % (4 * kWarpK), pair = i % 8 / 2;
  return {
      static_cast<size_t>(i / (4 * kWarpK) * 16 + in_slice % kWarpK / 8 * 4 + in_slice / kWarpK),
      4 * pair + 16 * (i % 2)};
}

/// Where a backend's kernels run, and how they are started.
struct Queue {
  cudaStream_t stream{};
  /// Programmatic dependent launch (sm_90 and later): a kernel may start while the previous one
  /// still runs.
  bool overlap = false;
  /// With it, bytes of a product's weights that are fetched into L2 ahead of the previous kernel's
  /// end, beside those that wait in shared memory.
  size_t prefetch_bytes = 0;
  int multiprocessors = 1;
};

/// Writes kProbeAnswer to `out`, which may be pinned host memory.
constexpr int kProbeAnswer = 0x5a5a;
void probe(int* out, const Queue& queue);

// ---- one step's rows ---------------------------------------------------------------------------

/// One row of a step.
struct StepRow {
  int token;
  int position;
  int block;   // its K and V are written at this block
  int offset;  // and this token of it
};

// ---- weights -----------------------------------------------------------------------------------

/// Packed weights of one linear layer. Everything beyond the true n and k is zero; in four bits the
/// end of a row may be what its last group's scale and minimum make of zeros.
struct PackedWeights {
  WeightType type = WeightType::kBF16;
  /// [round_up(n, kPanel), k]: bf16, bytes with interleaved rows, or four bits by four_bit_place().
  const void* values = nullptr;
  /// Of bytes: bf16, [panels_of(n), k / kQuantGroup, kPanel]. Of four bits: fp16, [panels_of(n),
  /// k / group, 1, kPanel]; with stored offsets 2 instead of 1, the scales and then the offsets:
  /// minima in fp16, zero points as four_bit_centre().
  const Bf16* scales = nullptr;
  int n = 0;               // outputs
  int k = 0;               // inputs, a multiple of kQuantGroup
  FourBitFormat four_bit;  // of four bits; kQuantGroup is a multiple of its group
};
/// Bytes of one weight row of k values.
__host__ __device__ inline size_t row_bytes(WeightType type, int k) {
  const auto size = static_cast<size_t>(k);
  return type == WeightType::kBF16 ? size * 2 : type == WeightType::kInt4 ? size / 2 : size;
}
/// 16-bit numbers in `scales` for the values of a panel that share a scale.
__host__ __device__ inline int scales_of_group(const PackedWeights& w) {
  return w.type == WeightType::kInt4 && w.four_bit.offset != FourBitOffset::kEight ? 2 * kPanel
                                                                                   : kPanel;
}
/// Values along K that share a scale.
__host__ __device__ inline int scaled_together(const PackedWeights& w) {
  return w.type == WeightType::kInt4 ? w.four_bit.group : kQuantGroup;
}
/// -(128 + zero) in bf16, for a zero point below 128: what is added to 128 + q, whose bf16 has q as
/// its low bits.
__host__ __device__ constexpr Bf16 four_bit_centre(int zero) {
  return static_cast<Bf16>(0xc300 + zero);
}

/// out = panels [0, panels_of(w.n)) of w in bf16, [round_up(w.n, kPanel), w.k]; each value is
/// rounded once.
void widen(const PackedWeights& w, Bf16* out, const Queue& queue);

/// Quantizes fp32 rows to 8 bits. The scale of a group is its largest magnitude divided by the
/// largest number of the format, rounded to bf16; values beyond the format's range saturate.
struct QuantizeArgs {
  WeightType type = WeightType::kInt8;
  const float* rows = nullptr;  // [count, k]
  int count = 0;
  int first_row = 0;               // index of rows[0] in the packed weights
  int k = 0;                       // a multiple of kQuantGroup
  std::uint8_t* values = nullptr;  // as PackedWeights::values
  Bf16* scales = nullptr;          // as PackedWeights::scales
};
void quantize(const QuantizeArgs& args, const Queue& queue);

// ---- LoRA adapters -----------------------------------------------------------------------------

/// What an adapter adds to one product, in fp32: to output j of part p, the sum over r of
/// b[r, j] · (a[p · rank + r] · x).
struct LowRankUpdate {
  const float* a = nullptr;      // [parts · rank, k of the product]
  const float* b = nullptr;      // [rank, n of the product], as its outputs are packed
  int rank = 0;                  // 0: no update
  int parts = 1;                 // layers that are packed as one: gate and up 2; q, K and V 3
  int first_k = 0, first_v = 0;  // of three parts: where K and V begin

  __device__ int part_of(int column) const {
    if (parts == 2) return column % kPanel / kHalfPanel;
    return parts == 3 ? (column >= first_k) + (column >= first_v) : 0;
  }
};

/// Rows of a step that have the same adapter; padding tiles have none.
constexpr int kAdapterTileRows = 8;
struct AdapterTile {
  const LowRankUpdate* table;  // of the adapter's products
  int first, count;            // in LowRankTerm::tile_rows
};

/// The adapters of a product's rows, and what they add.
struct LowRankTerm {
  const LowRankUpdate* const* tables = nullptr;  // [m], null without one; null: no row has one
  int product = 0;                               // the index in them
  const AdapterTile* tiles = nullptr;            // [num_tiles]
  const int* tile_rows = nullptr;
  int num_tiles = 0;
  float* projected = nullptr;  // [m, stride]: a · x
  int stride = 0;
};

/// Rows of an embedding or a head that an adapter has trained.
struct TrainedRows {
  const int* tokens = nullptr;  // [count]
  const float* rows = nullptr;  // [count, k]
  int count = 0;
};

// ---- embedding and norms -----------------------------------------------------------------------

/// RMS norm fused into the kernels around it, for small steps. The kernel that produces the
/// residual stream also stores x · weight in bf16 and the sum of squares of each panel; the GEMM
/// that consumes it multiplies its sums by 1/rms. This saves one kernel launch per norm.
struct FusedNormOutput {
  const float* weight = nullptr;  // [n], of the norm; null: what follows has none
  Bf16* x = nullptr;              // [rows, round_up(n, kQuantGroup)]; the padding is not written
  float* squares = nullptr;       // [rows, panels_of(n)]
};

/// The start of a step: x[row] = table[token] · scale, with the first norm if it is fused, and the
/// RoPE tables of the rows' positions, which all layers use.
struct EmbedArgs {
  const StepRow* rows = nullptr;
  int count = 0;
  PackedWeights table;  // [vocabulary, round_up(hidden, kQuantGroup)], bf16 or int8
  int hidden = 0;
  /// [count]: a trained embedding [hidden] in place of the table's, or null; or null.
  const float* const* trained = nullptr;
  float scale = 1;
  float* x = nullptr;  // [count, hidden]
  FusedNormOutput norm_output;
  int ropes = 0;
  int half_dim = 0;                          // pairs per head
  const float* inverse_frequency = nullptr;  // [ropes, half_dim], radians per position
  const float* rope_magnitude = nullptr;     // [ropes, half_dim], of cosine and sine
  float* rope_tables = nullptr;              // [ropes, count, half_dim, 2]: cosine, sine
};
void embed(const EmbedArgs& args, const Queue& queue);

/// x[row] += scale · added[row], after RMS norm of added[row] if there is a weight, with the norm
/// that follows if it is fused. For models that do this between a product and its addition.
struct AddArgs {
  const float* added = nullptr;  // [count, n]
  int count = 0;
  int n = 0;
  const float* weight = nullptr;  // [n], or null
  float epsilon = 0;
  float scale = 1;
  float* x = nullptr;  // [count, n]
  FusedNormOutput norm_output;
};
void add_to_residual(const AddArgs& args, const Queue& queue);

/// out[i] = x[r] / rms(x[r]) · weight with r = source_rows[i], or r = i if source_rows is null; or
/// out[i] = x[r] if weight is null.
/// x is [rows, n], out is [count, round_up(n, kQuantGroup)] with zeros in the padding.
void rms_norm(const float* x, const int* source_rows, int count, const float* weight, int n,
              float epsilon, Bf16* out, const Queue& queue);

// ---- KV cache ----------------------------------------------------------------------------------

/// K and V of one layer; dim is padded to a multiple of kWarpK. In fp8 each token of each head has
/// its own scale, because the tokens of a block arrive one by one and written values are never
/// rescaled.
struct KvCacheLayer {
  void* k = nullptr;  // [blocks, kv_heads, kBlockTokens, dim]: bf16, or e4m3, interleaved rows
  void* v = nullptr;  // [blocks, kv_heads, dim, kBlockTokens]
  float* k_scales = nullptr;  // of e4m3: [blocks, kv_heads, kBlockTokens]; else null
  float* v_scales = nullptr;
};

/// What follows the QKV projection of every row: q/k norm, RoPE, the scale of q, and the write of K
/// and V into the cache.
struct QkvEpilogue {
  const StepRow* rows = nullptr;
  int count = 0;
  const float* qkv = nullptr;       // [count, (heads + 2 · kv_heads) · dim]
  bool halves_interleaved = false;  // qkv's q and K heads alternate kHalfPanel values of each half
  const float* q_norm = nullptr;    // [dim], or null
  const float* k_norm = nullptr;
  bool norms_whole_rows = false;  // over all heads: q_norm [heads · dim], k_norm [kv_heads · dim]
  const float* rope_table = nullptr;  // one of EmbedArgs::rope_tables
  float epsilon = 0;
  float query_scale = 1;
  int heads = 0, kv_heads = 0, dim = 0;
  Bf16* q = nullptr;  // [count, heads, round_up(dim, kWarpK)], scaled; the padding is not written
  KvCacheLayer kv;
};
/// The epilogue as a kernel of its own. gemm() can fuse it instead: Gemm::qkv_epilogue.
void apply_qkv_epilogue(const QkvEpilogue& args, const Queue& queue);

// ---- matrix products ---------------------------------------------------------------------------

/// Up to this many rows the order of sums is the batch-invariant one, and fused epilogues are
/// allowed.
constexpr int kMaxSkinnyRows = 64;
/// Floats of split-K workspace.
constexpr size_t kSplitKWorkspace = size_t{256} * 128 * 128;

/// Sums over k of x[i, k] · w[j, k], then one of several epilogues.
/// "Skinny only" means: m <= kMaxSkinnyRows or batch_invariant.
struct Gemm {
  const Bf16* x = nullptr;  // [m, w.k]
  int m = 0;
  PackedWeights w;
  const float* bias = nullptr;         // [w.n], or null
  bool batch_invariant = false;        // one order of sums for every m; slower if m is large
  float* split_k_workspace = nullptr;  // [kSplitKWorkspace], for few tiles of a large m; or null
  /// Room for `widened_values` weights of at least a panel, if w is not bf16 and m is large.
  Bf16* widened = nullptr;
  size_t widened_values = 0;

  // Skinny only: x and norm_squares come from FusedNormOutput, with rows of norm_size values.
  const float* norm_squares = nullptr;
  int norm_size = 0;
  float norm_epsilon = 0;
  const int* source_rows = nullptr;  // [m], rows of x and norm_squares; null: 0, 1, …

  // The epilogue, one of:
  float* out = nullptr;         // [m, width()]
  bool accumulate = false;      // out += instead of out =
  FusedNormOutput norm_output;  // of `out`; skinny only
  /// activation(gate) · up, [m, round_up(width() / 2, kQuantGroup)]; the padding is not written.
  Bf16* gated_out = nullptr;
  Activation activation = Activation::kSilu;
  /// Used if its q is set. Requires halves_interleaved, bf16 KV and no q/k norm; skinny only.
  QkvEpilogue qkv_epilogue;

  int layer_n = 0;       // outputs of the layer that w is a part of; 0: w is the layer
  int first_column = 0;  // of w in the layer
  __host__ __device__ int width() const { return layer_n > 0 ? layer_n : w.n; }

  /// What adapters add to the sums, after the bias; project() has been called with it.
  LowRankTerm low_rank;
};
void skinny_gemm(const Gemm& args, const Queue& queue);
/// Takes bf16 weights only.
void tiled_gemm(const Gemm& args, const Queue& queue);

/// multiply(part) with the whole of a product of many rows, if its weights are bf16, else with one
/// part of its outputs after another, whose weights have just been widened.
template <class Multiply>
void for_each_bf16_part(const Gemm& args, const Queue& queue, Multiply multiply) {
  constexpr int kPanelsOfTile = 8;
  if (args.w.type == WeightType::kBF16) return multiply(args);
  const int panels = panels_of(args.w.n);
  const auto most = static_cast<int>(args.widened_values / kPanel / args.w.k);
  // Parts of about one size, of whole tiles where there is room for one.
  const int parts = (panels + most - 1) / most, even = (panels + parts - 1) / parts;
  const auto tiles = static_cast<int>(round_up(even, kPanelsOfTile));
  const int together = tiles <= most ? tiles : most;
  for (int first = 0; first < panels; first += together) {
    const int column = first * kPanel, rest = args.w.n - column;
    Gemm part = args;
    part.layer_n = args.width();
    part.w.n = rest < together * kPanel ? rest : together * kPanel;
    part.w.values = static_cast<const std::byte*>(args.w.values) +
                    static_cast<size_t>(column) * row_bytes(args.w.type, args.w.k);
    part.w.scales +=
        static_cast<size_t>(first) * (args.w.k / scaled_together(args.w)) * scales_of_group(args.w);
    widen(part.w, args.widened, queue);
    part.w = {WeightType::kBF16, args.widened, nullptr, part.w.n, args.w.k, {}};
    part.first_column = column;
    if (args.bias) part.bias += column;
    if (args.out) part.out += column;
    if (args.gated_out) part.gated_out += first * kHalfPanel;
    multiply(part);
  }
}

inline void gemm(const Gemm& args, const Queue& queue) {
  if (args.m <= kMaxSkinnyRows || args.batch_invariant) return skinny_gemm(args, queue);
  for_each_bf16_part(args, queue, [&](const Gemm& part) { tiled_gemm(part, queue); });
}

/// args.low_rank.projected of args.x.
void project(const Gemm& args, const Queue& queue);
/// args.out += what adapters add, after a product that has not done it.
void add_low_rank(const Gemm& args, const Queue& queue);
/// Logits args.out of a head whose other arguments are `args`: those of tokens that the adapter of
/// a row has trained, trained[row].
void replace_logits(const Gemm& args, const TrainedRows* trained, const Queue& queue);

/// Gemm::gated_out of a product, computed from what it would be without, gate_up [args.m, args.w.n]
/// in bf16.
void activate_and_mul(const Gemm& args, const Bf16* gate_up, const Queue& queue);

// ---- attention ---------------------------------------------------------------------------------

/// Query heads that one thread block computes together. Rows that read the same KV chunk
/// (AttentionPlan::WorkItem) have heads / kv_heads queries each: query i belongs to the chunk's
/// read i / (heads / kv_heads).
struct WorkItem {
  int first_block;  // in DeviceAttentionPlan::blocks
  int skip_blocks;  // blocks at the chunk's start that no read sees
  int num_blocks;   // with those
  int first_read;   // of the chunk, in DeviceAttentionPlan::reads
  int first_query;  // queries [first_query, end_query), from a multiple of kTileQueries on
  int end_query;
  int tiles;  // that the block's warps take side by side: 1, 2, 4 or 8
};
/// Query heads that a warp multiplies together: M of the mma.
constexpr int kTileQueries = 16;

/// One row's read of a chunk.
struct QueryRead {
  int row;
  int begin;  // tokens [begin, tokens) of the chunk, counted from its start; at least one
  int tokens;
  int partial;  // index of the partial result
};

/// A row's partial results.
struct RowPartials {
  int first;  // index of the first
  int count;  // 0: a prefill row, or padding
};

/// The part of a wave's plan that changes from step to step. Kernels read it from device memory, so
/// that a captured graph stays valid.
struct DeviceAttentionPlan {
  int num_items;
  const QueryRead* reads;
  const int* blocks;  // KV blocks of all items
};

/// The inputs of attention in one layer. plan, items and partials belong to chunk attention.
struct Attention {
  const Bf16* q = nullptr;  // as QkvEpilogue::q
  KvCacheLayer kv;
  const DeviceAttentionPlan* plan = nullptr;
  const WorkItem* items = nullptr;
  int heads = 0, kv_heads = 0, dim = 0;
  int window = 0;             // of prefill attention: a row sees keys less than this many positions
                              // before its own; 0: all
  float* partials = nullptr;  // [partials, heads, dim + 2]: weighted V, max score, sum of weights
};
/// Split-KV attention: partial results of rows over chunks of their context. The grid has max_items
/// items; those from plan->num_items on return at once.
void attend_chunks(const Attention& args, int max_items, const Queue& queue);

/// out[row] = the partials of a row, merged in context order; rows without partials are skipped.
/// out is [count, round_up(heads · dim, kQuantGroup)].
void merge_partials(const RowPartials* rows, int count, const float* partials, int heads, int dim,
                    Bf16* out, const Queue& queue);

/// Consecutive rows of one segment: a prefill chunk. Every row sees all KV ranges whole except the
/// last one; of that, each row sees one token more than the row before it (causal). With a window
/// it sees the part of that within the window.
struct PrefillSpan {
  int first_row;
  int first_position;  // of the first row
  int num_rows;
  int first_range;  // in PrefillAttention::ranges
  int num_ranges;
  int first_row_tokens;  // of the last range, as far as the first row sees it
};
struct PrefillKvRange {
  int first_block;  // in PrefillAttention::blocks
  int tokens;
  int start;  // position of token 0
};
/// The queries of one thread block: up to kPrefillTileQueries from first_query on. Query
/// i · (heads / kv_heads) + h of a span is row i's head h of the GQA group.
struct PrefillTile {
  int span;
  int first_query;
};
constexpr int kPrefillTileQueries = 64;

struct PrefillAttention {
  const PrefillTile* tiles = nullptr;
  const PrefillSpan* spans = nullptr;
  const PrefillKvRange* ranges = nullptr;
  const int* blocks = nullptr;
  Bf16* out = nullptr;  // [rows, round_up(heads · dim, kQuantGroup)]
};
/// Causal attention of whole prefill spans. Not batch-invariant: the order of sums follows the
/// span.
void attend_prefill(const Attention& args, const PrefillAttention& prefill, int num_tiles,
                    const Queue& queue);

// ---- sampling ----------------------------------------------------------------------------------

/// A change of one logit before sampling. The repetition penalty divides positive logits and
/// multiplies the others; then `subtract` is subtracted. A row's adjustments of one token follow
/// each other and are applied in their order.
struct LogitAdjustment {
  int row;
  int token;
  float repetition_penalty;
  float subtract;  // infinity: banned
  float
      raw_logit;  // output of a token's first: the logit before, if log-probabilities are requested
};

/// Allowed tokens that one row may list.
constexpr int kMaxAllowed = 64;
/// The largest top_logprobs.
constexpr int kMaxTopLogprobs = 20;

/// A logits row and how to sample from it: SamplingParams and SamplingInput in sampler.h.
struct DeviceSamplingRow {
  int row;
  int first_adjustment, num_adjustments;
  int first_allowed, num_allowed;  // with the mask, the only allowed tokens; neither: all are
  int first_word, num_words;       // of the mask, a bit for each token; those beyond are not in it
  int vocabulary;                  // tokens of the row
  int top_logprobs;                // length of the list; -1: no log-probabilities at all
  float temperature;
  float top_p;
  int top_k;
  float min_p;
  double uniform;
};

struct DeviceSampledToken {
  int token;  // -1 if no logit is finite; the other fields are then undefined
  float logprob;
  int num_top;
  int top[kMaxTopLogprobs];
  float top_logprobs[kMaxTopLogprobs];
};

/// Samples one token per row of logits [rows, stride]. `out` may be pinned host memory. Changes the
/// logits.
void sample(float* logits, int stride, const DeviceSamplingRow* rows, int count,
            LogitAdjustment* adjustments, const int* allowed, const std::uint32_t* masks,
            DeviceSampledToken* out, const Queue& queue);

}  // namespace anabranch::ANABRANCH_CUDA
