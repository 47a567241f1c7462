// The kernels of the CUDA backend, as the host calls them. All pointers are to device memory; all
// calls are queued on `stream` and return at once.
//
// A kernel's result for a row depends on that row alone: sums run in one order for every number of
// rows, so that a batch's company changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/weight_types.h"
#include "backends/cuda/runtime.h"

namespace anabranch::ANABRANCH_CUDA {

/// Values along K that a warp's products take at once; heads are padded with zeros to a multiple.
constexpr int kDepth = 32;
/// Values along K that share a scale in 8-bit weights; both sides of matrix products are padded with
/// zeros to a multiple.
constexpr int kGroup = 128;
/// Weights are padded with rows of zeros to a multiple of this.
constexpr int kStrip = 16;
/// Where a result is made of two outputs of a layer, a strip of its weights holds so many of the first and then
/// those of the second: gates and ups, or both halves of heads.
constexpr int kHalf = kStrip / 2;
/// As blocks.h and attention_plan.h have them, which nvcc's C++17 can't read.
constexpr int kBlockTokens = 16;
constexpr int kKvChunkTokens = 256;

/// Whether a kernel may be started while the one before it still runs (programmatic dependent launch, from sm_90
/// on); the backend says so before its first step.
inline bool kernels_overlap = false;

__host__ __device__ inline size_t padded(size_t n, size_t to) { return (n + to - 1) / to * to; }

/// Where value i of a row of 8-bit numbers stands: every four as 0, 2, 1, 3, so that the even and the
/// odd bytes of a word are two pairs of neighbours.
__host__ __device__ inline int woven(int i) { return (i & ~3) | (i & 1) << 1 | (i >> 1 & 1); }

/// One row of a step.
struct StepRow {
  int token;
  int position;
  int block;       // where its K and V go
  int offset;
  int first_slot;  // of its partial results in attention
  int slots;
};

/// Rows that read one piece of context together.
struct WorkItem {
  int first_block;   // in Plan::blocks
  int blocks;
  int first_reader;  // in Plan::readers
  int readers;
};

/// A row's part in a piece.
struct QueryRead {
  int row;
  int tokens;  // of the piece, counted from its begin; at least 1
  int slot;
};

/// Weights of one linear layer. What is beyond n and the true k is zero.
struct Weights {
  WeightType type = WeightType::kBF16;
  const void* values = nullptr;  // [n padded to kStrip, k]: bf16, or bytes, every row woven
  const Bf16* scales = nullptr;  // of bytes: [n padded to kStrip / kStrip, k / kGroup, kStrip]
  int n = 0;                     // outputs
  int k = 0;                     // inputs, a multiple of kGroup
};
/// Bytes of a row of weights of k values.
inline size_t row_bytes(WeightType type, int k) {
  return static_cast<size_t>(k) * (type == WeightType::kBF16 ? 2 : 1);
}

/// Rows of 8-bit weights out of fp32: each group's scale is its largest value over the format's
/// largest, rounded to bf16, and what rounds beyond the format's largest is cut.
struct Quantize {
  WeightType type = WeightType::kInt8;
  const float* rows = nullptr;  // [count, k]
  int count = 0;
  int first = 0;                // the first one's place among the weights' rows
  int k = 0;                    // a multiple of kGroup
  std::uint8_t* values = nullptr;  // as Weights has them
  Bf16* scales = nullptr;
};
void quantize(const Quantize& quantize, cudaStream_t stream);

/// The residual stream as the product behind a norm reads it in small steps: who writes it leaves value · weight,
/// and sums of squares, by which the product divides its own sums. So no kernel is the norm's.
struct HandedOn {
  const float* weight = nullptr;  // [n], the norm's
  Bf16* x = nullptr;              // [rows, padded n]; what pads it is left alone
  float* squares = nullptr;       // [rows, strips of n]
};
__host__ __device__ inline int strips_of(int n) { return (n + kStrip - 1) / kStrip; }

/// What a step begins with: x[row] = table[token], handed on where it is asked for, and RoPE's turns at the rows'
/// positions, which all layers use.
struct Begin {
  const StepRow* rows = nullptr;
  int count = 0;
  const Bf16* table = nullptr;       // [vocabulary, padded hidden]
  int hidden = 0;
  float* x = nullptr;                // [count, hidden]
  HandedOn next;
  const float* frequency = nullptr;  // [half], radians a position
  int half = 0;                      // pairs of a head
  float factor = 1;                  // on cosines and sines
  float* turns = nullptr;            // [count, half, 2]: cosine, sine
};
void begin(const Begin& begin, cudaStream_t stream);

/// out[i] = x[from[i]] / rms · weight, or of x[i] without `from`; [count, padded n], padding 0.
void rms_norm(const float* x, const int* from, int count, const float* weight, int n, float epsilon,
              Bf16* out, cudaStream_t stream);

/// K and V of one layer, heads padded to a multiple of kDepth. In fp8 each token and head has a scale of
/// its own: a block's tokens come one by one, and what is written is never written again.
struct Kv {
  void* k = nullptr;          // [blocks, kv_heads, kBlockTokens, padded dim]: bf16, or e4m3, rows woven
  void* v = nullptr;          // [blocks, kv_heads, padded dim, kBlockTokens]
  float* k_scales = nullptr;  // of e4m3: [blocks, kv_heads, kBlockTokens]; else none
  float* v_scales = nullptr;
};

/// Norm of q and k, RoPE, and the write of K and V, of every row.
struct Heads {
  const StepRow* rows = nullptr;
  int count = 0;
  const float* qkv = nullptr;          // [count, (heads + 2 · kv_heads) · dim]
  bool paired = false;                 // in qkv, kHalf of the first half of a head of q or K and kHalf of the second
  const float* q_norm = nullptr;       // [dim], or none
  const float* k_norm = nullptr;
  const float* turns = nullptr;        // as Begin has them
  float epsilon = 0;
  int heads = 0, kv_heads = 0, dim = 0;
  Bf16* q = nullptr;  // [count, heads, padded dim], scaled by 1/sqrt(dim); what pads it is left alone
  Kv kv;
};
void finish_heads(const Heads& heads, cudaStream_t stream);

/// Sums over k of x[i, k] · w[j, k], and what becomes of them.
struct Gemm {
  const Bf16* x = nullptr;        // [m, w.k]
  int m = 0;
  Weights w;
  const float* bias = nullptr;    // [w.n], or none
  bool invariant = false;         // the same order of sums for every m, at the price of speed for many
  float* parts = nullptr;         // [kParts], of many rows where there are too few tiles for a device, or none

  // Up to kFewRows rows, or invariant: x is what was handed on, of n values a row.
  const float* squares = nullptr;
  int n = 0;
  float epsilon = 0;
  const int* from = nullptr;      // [m], the rows of x and squares, or none: 0, 1, …

  // One of:
  float* out = nullptr;           // [m, w.n]
  bool accumulate = false;        // out += instead of =
  HandedOn next;                  // of out, up to kFewRows rows or invariant
  Bf16* gates = nullptr;          // silu(gate) · up, [m, padded w.n / 2], of w's halves; what pads it is left alone
  Heads heads;                    // where it has a q: finished, paired, without norms and in bf16, up to kFewRows
                                  // rows or invariant
};
void gemm(const Gemm& gemm, cudaStream_t stream);
/// Up to so many the order of sums is always that of `invariant`.
constexpr int kFewRows = 64;
constexpr size_t kParts = size_t{256} * 128 * 128;

/// Gemm's gates, of a product [count, n] that is there already, rounded.
void silu_multiply(const Bf16* gate_up, int count, int n, Bf16* gates, cudaStream_t stream);

/// What changes from step to step, so that all else can be recorded once.
struct Plan {
  int units;
  const QueryRead* readers;
  const int* blocks;  // numbers of the units' blocks
};

/// Partial results of rows over pieces of their context.
struct Attend {
  const Bf16* q = nullptr;  // as Heads has it
  Kv kv;
  const Plan* plan = nullptr;
  const WorkItem* units = nullptr;
  int heads = 0, kv_heads = 0, dim = 0;
  float* partials = nullptr;    // [slots, heads, dim + 2]: weighted V, largest score, sum of weights
};
/// `most` bounds the units.
void attend(const Attend& attend, int most, cudaStream_t stream);

/// Neighbouring rows of one segment, of which each sees the spans before the last one whole, and of the last one
/// a token more than the row before it.
struct Run {
  int first_row;
  int rows;
  int first_span;  // in AttendRuns::spans
  int spans;
  int own;         // tokens of the last span that the first row sees
};
struct RunSpan {
  int first_block;  // in AttendRuns::blocks
  int tokens;
};
/// Query heads of a run that one block takes, from `first_query` on: those of row i that share a KV head are
/// number i · (heads / kv_heads) and on.
struct RunPart {
  int run;
  int first_query;
};
constexpr int kRunQueries = 64;

/// Attention of whole runs, for which an order of sums that depends on no company is not asked for.
struct AttendRuns {
  const RunPart* parts = nullptr;
  const Run* runs = nullptr;
  const RunSpan* spans = nullptr;
  const int* blocks = nullptr;
  Bf16* out = nullptr;  // [rows, padded heads · dim]
};
void attend(const Attend& attend, const AttendRuns& runs, int parts, cudaStream_t stream);

/// out[row] = the row's partial results, merged in context order, where it has any; [count, padded heads · dim].
void merge(const StepRow* rows, int count, const float* partials, int heads, int dim, Bf16* out,
           cudaStream_t stream);

/// A change to one logit before a token is chosen. A repetition penalty divides what is above zero
/// and multiplies the rest; then `less` is taken off.
struct Edit {
  int row;
  int token;
  float repetition;
  float less;  // infinity: masked
  float raw;   // what it was: left here where log-probabilities are asked for
};

/// Sole legal tokens that one pick may name.
constexpr int kMostOnly = 64;
/// The longest list of likeliest tokens.
constexpr int kMostTop = 20;

/// How one row's token is chosen, as sampler.h's SamplingParams and SamplingInput have it.
struct DeviceSamplingRow {
  int row;
  int first_edit, edits;
  int first_only, only;  // the sole legal tokens, or none
  int top;               // so many of the likeliest with their log-probabilities; -1: none, nor the token's
  float temperature;
  float top_p;
  int top_k;
  float min_p;
  double uniform;
};

struct DeviceSampledToken {
  int token;  // -1 where none is likely at all; what follows is then not written
  float log_probability;
  int tops;   // that were found
  int top[kMostTop];
  float top_log_probabilities[kMostTop];
};

/// One DeviceSampledToken for each pick, which may be host memory. Changes the logits.
void sample(float* logits, int vocabulary, const DeviceSamplingRow* picks, int count, Edit* edits, const int* only,
            DeviceSampledToken* out, cudaStream_t stream);

}  // namespace anabranch::ANABRANCH_CUDA
