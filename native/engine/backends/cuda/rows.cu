// What is done row by row between the matrix products.
#include "backends/cuda/device.cuh"
#include "backends/cuda/heads.cuh"
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

__global__ void begin_rows(Begin p) {
  await_previous();
  const int row = static_cast<int>(blockIdx.x), me = static_cast<int>(threadIdx.x);
  const int width = static_cast<int>(padded(p.hidden, kGroup));
  const Bf16* from = p.table + static_cast<size_t>(p.rows[row].token) * width;
  float* to = p.x + static_cast<size_t>(row) * p.hidden;
  for (int i = me; i < width; i += kThreads) {
    const bool there = i < p.hidden;
    const float value = there ? widen(from[i]) : 0.0f;
    if (there) to[i] = value;
    if (p.next.x) hand_on(p.next, there, row, i, p.hidden, value, there ? p.next.weight[i] : 0.0f);
  }
  for (int i = me; i < p.half; i += kThreads) {
    const float angle = p.frequency[i] * static_cast<float>(p.rows[row].position);
    float* turn = p.turns + (static_cast<size_t>(row) * p.half + i) * 2;
    turn[0] = cosf(angle) * p.factor;
    turn[1] = sinf(angle) * p.factor;
  }
}

__global__ void norm_rows(const float* x, const int* from, const float* weight, int n,
                          float epsilon, Bf16* out) {
  __shared__ float shared[kThreads / kWarp];
  await_previous();
  const int row = from ? from[blockIdx.x] : static_cast<int>(blockIdx.x);
  const float* in = x + static_cast<size_t>(row) * n;
  float squares = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) squares += in[i] * in[i];
  const float scale = 1.0f / sqrtf(block_sum(squares, shared) / static_cast<float>(n) + epsilon);
  const int width = static_cast<int>(padded(n, kGroup));
  Bf16* to = out + static_cast<size_t>(blockIdx.x) * width;
  for (int i = static_cast<int>(threadIdx.x); i < width; i += kThreads) {
    to[i] = i < n ? narrow(in[i] * scale * weight[i]) : Bf16{0};
  }
}

/// What the lanes of a warp hold of a head: values d and dim / 2 + d, from d = lane on, kWarp apart.
struct HeldHead {
  static constexpr int kPairs = 4;  // heads of 256
  float low[kPairs] = {}, high[kPairs] = {};

  /// step(i, d) for every pair that is there.
  template <class Step>
  static __device__ void each(int dim, int lane, Step step) {
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      if (lane + i * kWarp < dim / 2) step(i, lane + i * kWarp);
    }
  }
  /// to[place(d)] = narrowed value d.
  template <class Element, class Place, class Narrow>
  __device__ void store(int dim, int lane, Element* to, Place place, Narrow narrowed) const {
    each(dim, lane, [&](int i, int d) {
      to[place(d)] = narrowed(low[i]);
      to[place(dim / 2 + d)] = narrowed(high[i]);
    });
  }
};

struct Bf16Kv {
  /// place(d) is where value d of the head stands in `all`, and `token` where its scale does.
  template <class Place>
  static __device__ void store(const HeldHead& head, int dim, int lane, void* all, float*, size_t,
                               Place place) {
    head.store(dim, lane, static_cast<Bf16*>(all), place, narrow);
  }
  static __device__ int woven(int i) { return i; }
};

struct Fp8Kv {
  template <class Place>
  static __device__ void store(const HeldHead& head, int dim, int lane, void* all, float* scales,
                               size_t token, Place place) {
    float most = 0;
    HeldHead::each(dim, lane, [&](int i, int) {
      most = fmaxf(most, fmaxf(fabsf(head.low[i]), fabsf(head.high[i])));
    });
    most = warp_max(most);
    const float inverse = most > 1e-30f ? Fp8::kLargest / most : 0.0f;
    head.store(dim, lane, static_cast<std::uint8_t*>(all), place,
               [&](float value) { return Fp8::narrow(value * inverse); });
    if (lane == 0) scales[token] = most / Fp8::kLargest;
  }
  static __device__ int woven(int i) { return ANABRANCH_CUDA::woven(i); }
};

/// One row a block, a head a warp at a time: first the queries', then K's, then V's.
template <class Format>
__global__ void finish_rows(Heads p) {
  await_previous();
  const int at = static_cast<int>(blockIdx.x);
  const StepRow row = p.rows[at];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int half = p.dim / 2;
  const float* in =
      p.qkv + static_cast<size_t>(at) * static_cast<size_t>(p.heads + 2 * p.kv_heads) * p.dim;
  for (int head = warp; head < p.heads + 2 * p.kv_heads; head += kThreads / kWarp) {
    const float* from = in + static_cast<size_t>(head) * p.dim;
    const bool query = head < p.heads;
    const int kv_head = query ? 0 : (head - p.heads) % p.kv_heads;
    HeldHead held;
    if (head >= p.heads + p.kv_heads) {
      HeldHead::each(p.dim, lane, [&](int i, int d) {
        held.low[i] = from[d];
        held.high[i] = from[half + d];
      });
      const size_t to = value_at(p, row, kv_head) + Format::woven(row.offset);
      Format::store(held, p.dim, lane, p.kv.v, p.kv.v_scales, token_of(p, row, kv_head),
                    [&](int d) { return to + static_cast<size_t>(d) * kBlockTokens; });
      continue;
    }
    HeldHead::each(p.dim, lane, [&](int i, int d) {
      const float* pair = from + place_in_head(p, d);
      held.low[i] = pair[0];
      held.high[i] = pair[partner_of(p)];
    });
    const float* norm = query ? p.q_norm : p.k_norm;
    if (norm) {
      float squares = 0;
      HeldHead::each(p.dim, lane, [&](int i, int) {
        squares += held.low[i] * held.low[i] + held.high[i] * held.high[i];
      });
      const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(p.dim) + p.epsilon);
      HeldHead::each(p.dim, lane, [&](int i, int d) {
        held.low[i] *= scale * norm[d];
        held.high[i] *= scale * norm[half + d];
      });
    }
    HeldHead::each(p.dim, lane, [&](int i, int d) { Turn(p, at, d).apply(p, query, held.low[i], held.high[i]); });
    if (query) {
      held.store(p.dim, lane, p.q + query_at(p, at, head), [](int d) { return d; }, narrow);
      continue;
    }
    const size_t to = key_at(p, row, kv_head);
    Format::store(held, p.dim, lane, p.kv.k, p.kv.k_scales, token_of(p, row, kv_head),
                  [&](int d) { return to + Format::woven(d); });
  }
}

__global__ void multiply_gates(const Bf16* gate_up, int n, Bf16* gates) {
  await_previous();
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= n / 2) return;
  const size_t width = padded(n / 2, kGroup);
  const Bf16* gate = gate_up + static_cast<size_t>(blockIdx.y) * n + i / kHalf * kStrip + i % kHalf;
  gates[blockIdx.y * width + i] = narrow(silu(widen(gate[0])) * widen(gate[kHalf]));
}

}  // namespace

void begin(const Begin& p, cudaStream_t stream) {
  launch(begin_rows, dim3(static_cast<unsigned>(p.count)), dim3(kThreads), 0, stream, p);
}

void rms_norm(const float* x, const int* from, int count, const float* weight, int n, float epsilon,
              Bf16* out, cudaStream_t stream) {
  launch(norm_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, x, from, weight,
         n, epsilon, out);
}

void finish_heads(const Heads& heads, cudaStream_t stream) {
  launch(heads.kv.k_scales ? finish_rows<Fp8Kv> : finish_rows<Bf16Kv>,
         dim3(static_cast<unsigned>(heads.count)), dim3(kThreads), 0, stream, heads);
}

void silu_multiply(const Bf16* gate_up, int count, int n, Bf16* gates, cudaStream_t stream) {
  launch(multiply_gates,
         dim3(static_cast<unsigned>((n / 2 + kThreads - 1) / kThreads), static_cast<unsigned>(count)),
         dim3(kThreads), 0, stream, gate_up, n, gates);
}

}  // namespace anabranch::ANABRANCH_CUDA
