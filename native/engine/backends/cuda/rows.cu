// The row-wise kernels between the matrix products: embedding, RMS norm, residual addition, QKV
// epilogue, activation.
#include "backends/cuda/device.cuh"
#include "backends/cuda/low_rank.cuh"
#include "backends/cuda/qkv_epilogue.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kThreads = 256;

/// The sum over a block of kThreads, in one fixed order. `shared` holds kThreads / kWarp floats.
__device__ float block_sum(float value, float* shared) {
  value = warp_sum(value);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) sum += shared[i];
  return sum;
}

/// Stores one value of the residual stream for the norm that follows, if that is fused. All lanes
/// of a warp call this.
__device__ void store_fused_norm(const FusedNormOutput& to, bool valid, int row, int i, int n,
                                 float value) {
  if (!to.x) return;
  store_norm_output(to, valid, row, i, n, value, valid && to.weight ? to.weight[i] : 1.0f);
}

/// 1/rms of n values, for all threads of a block.
__device__ float block_inverse_rms(const float* values, int n, float epsilon, float* shared) {
  float squares = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads)
    squares += values[i] * values[i];
  return 1.0f / sqrtf(block_sum(squares, shared) / static_cast<float>(n) + epsilon);
}

// ---- embedding and RoPE table ------------------------------------------------------------------

/// Value i of a token's embedding.
__device__ float embedding_at(const PackedWeights& table, int token, int i) {
  const size_t row = static_cast<size_t>(token) * table.k;
  if (table.type == WeightType::kBF16)
    return widen(static_cast<const Bf16*>(table.values)[row + i]);
  const auto group =
      static_cast<size_t>(token / kPanel) * (table.k / kQuantGroup) + i / kQuantGroup;
  return static_cast<float>(static_cast<const std::int8_t*>(table.values)[row + interleaved(i)]) *
         widen(table.scales[group * kPanel + token % kPanel]);
}

/// Token embeddings, the first layer's fused norm if requested, and the RoPE tables.
/// Launch: grid (rows), block of kThreads.
/// Per row: reads 2 · hidden bytes (int8: 1), writes 4 · hidden (+ 2 · hidden fused) + 8 · ropes ·
/// half_dim.
__global__ void embed_kernel(EmbedArgs p) {
  wait_on_previous_kernel();
  const int row = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  const int width = p.table.k, token = p.rows[row].token;
  const float* const trained = p.trained ? p.trained[row] : nullptr;
  float* to = p.x + static_cast<size_t>(row) * p.hidden;
#pragma unroll 4
  for (int i = thread; i < width; i += kThreads) {
    const bool valid = i < p.hidden;
    const float entry = !valid ? 0 : trained ? trained[i] : embedding_at(p.table, token, i);
    const float value = entry * p.scale;
    if (valid) to[i] = value;
    store_fused_norm(p.norm_output, valid, row, i, p.hidden, value);
  }
  for (int i = thread; i < p.ropes * p.half_dim; i += kThreads) {
    const float angle = p.inverse_frequency[i] * static_cast<float>(p.rows[row].position);
    const int rope = i / p.half_dim, pair = i % p.half_dim;
    const size_t at = (static_cast<size_t>(rope) * p.count + row) * p.half_dim + pair;
    float sine, cosine;
    sincosf(angle, &sine, &cosine);
    p.rope_tables[at * 2] = cosine * p.rope_magnitude[i];
    p.rope_tables[at * 2 + 1] = sine * p.rope_magnitude[i];
  }
}

// ---- RMS norm ----------------------------------------------------------------------------------

/// RMS norm of one row per block, fp32 in and bf16 out. Launch: grid (rows), block of kThreads.
/// Per row: reads 4 · n bytes twice (the second time from cache), writes 2 · n.
__global__ void rms_norm_kernel(const float* x, const int* source_rows, const float* weight, int n,
                                float epsilon, Bf16* out) {
  __shared__ float shared[kThreads / kWarp];
  wait_on_previous_kernel();
  const int row = source_rows ? source_rows[blockIdx.x] : static_cast<int>(blockIdx.x);
  const float* in = x + static_cast<size_t>(row) * n;
  const float scale = weight ? block_inverse_rms(in, n, epsilon, shared) : 1.0f;
  const int width = static_cast<int>(round_up(n, kQuantGroup));
  Bf16* to = out + static_cast<size_t>(blockIdx.x) * width;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) {
    to[i] = i < n ? narrow(in[i] * scale * (weight ? weight[i] : 1.0f)) : Bf16{0};
  }
}

/// What attention or MLP adds to the residual stream, one row per block. Launch: grid (rows), block
/// of kThreads. Per row: reads 8 · n bytes (with a norm 4 · n of them twice), writes 4 · n (+ 2 · n
/// fused).
__global__ void add_to_residual_kernel(AddArgs p) {
  __shared__ float shared[kThreads / kWarp];
  wait_on_previous_kernel();
  const int row = static_cast<int>(blockIdx.x);
  const float* added = p.added + static_cast<size_t>(row) * p.n;
  float* to = p.x + static_cast<size_t>(row) * p.n;
  const float inverse_rms = p.weight ? block_inverse_rms(added, p.n, p.epsilon, shared) : 1.0f;
  const int width = static_cast<int>(round_up(p.n, kQuantGroup));
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) {
    const bool valid = i < p.n;
    float value = 0;
    if (valid) {
      const float term = p.weight ? added[i] * inverse_rms * p.weight[i] : added[i];
      to[i] = value = to[i] + p.scale * term;
    }
    store_fused_norm(p.norm_output, valid, row, i, p.n, value);
  }
}

// ---- QKV epilogue ------------------------------------------------------------------------------

/// One head in the registers of a warp. Each lane holds the RoPE pairs (d, dim / 2 + d) of
/// d = lane, lane + kWarp, …
struct WarpHead {
  static constexpr int kPairs = 4;  // enough for heads of 256
  float low[kPairs] = {}, high[kPairs] = {};

  /// visit(i, d) for every pair that this lane holds.
  template <class Visit>
  static __device__ void for_each(int dim, int lane, Visit visit) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (lane + i * kWarp < dim / 2) visit(i, lane + i * kWarp);
    }
  }
  /// to[index(d)] = narrowed value d.
  template <class Element, class Index, class Narrow>
  __device__ void store(int dim, int lane, Element* to, Index index, Narrow narrowed) const {
    for_each(dim, lane, [&](int i, int d) {
      to[index(d)] = narrowed(low[i]);
      to[index(dim / 2 + d)] = narrowed(high[i]);
    });
  }
};

/// How a head is written to a bf16 cache.
struct Bf16KvStore {
  /// index(d) is the index of value d in `cache`, and `token` that of the token's scale.
  template <class Index>
  static __device__ void store(const WarpHead& head, int dim, int lane, void* cache, float*, size_t,
                               Index index) {
    head.store(dim, lane, static_cast<Bf16*>(cache), index, narrow);
  }
  static __device__ int interleaved(int i) { return i; }
};

/// How a head is quantized and written to an e4m3 cache.
struct Fp8KvStore {
  template <class Index>
  static __device__ void store(const WarpHead& head, int dim, int lane, void* cache, float* scales,
                               size_t token, Index index) {
    float max_magnitude = 0;
    WarpHead::for_each(dim, lane, [&](int i, int) {
      max_magnitude = fmaxf(max_magnitude, fmaxf(fabsf(head.low[i]), fabsf(head.high[i])));
    });
    max_magnitude = warp_max(max_magnitude);
    const float inverse = max_magnitude > 1e-30f ? Fp8::kLargest / max_magnitude : 0.0f;
    head.store(dim, lane, static_cast<std::uint8_t*>(cache), index,
               [&](float value) { return Fp8::narrow(value * inverse); });
    if (lane == 0) scales[token] = max_magnitude / Fp8::kLargest;
  }
  static __device__ int interleaved(int i) { return ANABRANCH_CUDA::interleaved(i); }
};

/// q/k norm, RoPE and the KV write of one row per block. A warp takes one head at a time: first the
/// query heads, then those of K, then those of V. Launch: grid (rows), block of kThreads.
/// Per row: reads 4 bytes per value of q, K and V, writes 2 (fp8 KV: 1).
template <class KvStore>
__global__ void qkv_epilogue_kernel(QkvEpilogue p) {
  __shared__ float shared[2][kThreads / kWarp];
  wait_on_previous_kernel();
  const int row_index = static_cast<int>(blockIdx.x);
  const StepRow row = p.rows[row_index];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int half = p.dim / 2;
  const float* in = p.qkv + static_cast<size_t>(row_index) *
                                static_cast<size_t>(p.heads + 2 * p.kv_heads) * p.dim;
  float row_scale[2] = {1, 1};  // 1/rms of all of q, and of all of K
  if (p.norms_whole_rows) {
    row_scale[0] = block_inverse_rms(in, p.heads * p.dim, p.epsilon, shared[0]);
    row_scale[1] =
        block_inverse_rms(in + p.heads * p.dim, p.kv_heads * p.dim, p.epsilon, shared[1]);
  }
  for (int head = warp; head < p.heads + 2 * p.kv_heads; head += kThreads / kWarp) {
    const float* from = in + static_cast<size_t>(head) * p.dim;
    const bool query = head < p.heads;
    const int kv_head = query ? 0 : (head - p.heads) % p.kv_heads;
    WarpHead values;

    // V is stored as it is.
    if (head >= p.heads + p.kv_heads) {
      WarpHead::for_each(p.dim, lane, [&](int i, int d) {
        values.low[i] = from[d];
        values.high[i] = from[half + d];
      });
      const size_t to = value_index(p, row, kv_head) + KvStore::interleaved(row.offset);
      KvStore::store(values, p.dim, lane, p.kv.v, p.kv.v_scales, kv_token_index(p, row, kv_head),
                     [&](int d) { return to + static_cast<size_t>(d) * kBlockTokens; });
      continue;
    }

    // q/k norm and RoPE.
    WarpHead::for_each(p.dim, lane, [&](int i, int d) {
      const float* pair = from + index_in_head(p, d);
      values.low[i] = pair[0];
      values.high[i] = pair[partner_distance(p)];
    });
    const float* norm = query ? p.q_norm : p.k_norm;
    if (norm) {
      float scale = row_scale[query ? 0 : 1];
      if (p.norms_whole_rows) {
        norm += (query ? head : kv_head) * p.dim;
      } else {
        float squares = 0;
        WarpHead::for_each(p.dim, lane, [&](int i, int) {
          squares += values.low[i] * values.low[i] + values.high[i] * values.high[i];
        });
        scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(p.dim) + p.epsilon);
      }
      WarpHead::for_each(p.dim, lane, [&](int i, int d) {
        values.low[i] *= scale * norm[d];
        values.high[i] *= scale * norm[half + d];
      });
    }
    WarpHead::for_each(p.dim, lane, [&](int i, int d) {
      RopeRotation(p, row_index, d).apply(p, query, values.low[i], values.high[i]);
    });

    // The store of q or K.
    if (query) {
      values.store(
          p.dim, lane, p.q + query_index(p, row_index, head), [](int d) { return d; }, narrow);
      continue;
    }
    const size_t to = key_index(p, row, kv_head);
    KvStore::store(values, p.dim, lane, p.kv.k, p.kv.k_scales, kv_token_index(p, row, kv_head),
                   [&](int d) { return to + KvStore::interleaved(d); });
  }
}

// ---- activation --------------------------------------------------------------------------------

/// activation(gate) · up of one product in bf16; gates and ups alternate by kHalfPanel.
/// Launch: grid (w.n / 2 in blocks of kThreads, rows), block of kThreads. Moves 6 bytes per output.
__global__ void activate_and_mul_kernel(Gemm p, const Bf16* gate_up) {
  wait_on_previous_kernel();
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.y), panel = i / kHalfPanel;
  if (i >= p.w.n / 2) return;
  const Bf16* gate = gate_up + static_cast<size_t>(row) * p.w.n + panel * kPanel + i % kHalfPanel;
  float values[2] = {widen(gate[0]), widen(gate[kHalfPanel])};
  const int column = panel * kPanel + i % kHalfPanel;
  add_low_rank(p, row, column, values[0]);
  add_low_rank(p, row, column + kHalfPanel, values[1]);
  gated_out_at(p, row, panel)[i % kHalfPanel] =
      narrow(activate(p.activation, values[0]) * values[1]);
}

}  // namespace

void embed(const EmbedArgs& p, const Queue& queue) {
  launch(embed_kernel, dim3(static_cast<unsigned>(p.count)), dim3(kThreads), 0, queue, p);
}

void add_to_residual(const AddArgs& p, const Queue& queue) {
  launch(add_to_residual_kernel, dim3(static_cast<unsigned>(p.count)), dim3(kThreads), 0, queue, p);
}

void rms_norm(const float* x, const int* source_rows, int count, const float* weight, int n,
              float epsilon, Bf16* out, const Queue& queue) {
  launch(rms_norm_kernel, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, queue, x,
         source_rows, weight, n, epsilon, out);
}

void apply_qkv_epilogue(const QkvEpilogue& p, const Queue& queue) {
  launch(p.kv.k_scales ? qkv_epilogue_kernel<Fp8KvStore> : qkv_epilogue_kernel<Bf16KvStore>,
         dim3(static_cast<unsigned>(p.count)), dim3(kThreads), 0, queue, p);
}

void activate_and_mul(const Gemm& p, const Bf16* gate_up, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>((p.w.n / 2 + kThreads - 1) / kThreads),
                  static_cast<unsigned>(p.m));
  launch(activate_and_mul_kernel, grid, dim3(kThreads), 0, queue, p, gate_up);
}

}  // namespace anabranch::ANABRANCH_CUDA
