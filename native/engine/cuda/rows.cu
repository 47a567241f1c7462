// What is done row by row between the matrix products.
#include "device.cuh"
#include "kernels.h"

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

__global__ void embed_rows(const StepRow* rows, const Bf16* table, int hidden, float* x) {
  await_previous();
  const size_t width = (static_cast<size_t>(hidden) + kGroup - 1) / kGroup * kGroup;
  const Bf16* from = table + static_cast<size_t>(rows[blockIdx.x].token) * width;
  float* to = x + static_cast<size_t>(blockIdx.x) * hidden;
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += kThreads) to[i] = widen(from[i]);
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
  const int width = (n + kGroup - 1) / kGroup * kGroup;
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
  /// to(d) = narrowed value d.
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
  const StepRow row = p.rows[blockIdx.x];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int half = p.dim / 2;
  const int width = (p.dim + kDepth - 1) / kDepth * kDepth;
  const float* in =
      p.qkv + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(p.heads + 2 * p.kv_heads) * p.dim;
  for (int head = warp; head < p.heads + 2 * p.kv_heads; head += kThreads / kWarp) {
    const float* from = in + static_cast<size_t>(head) * p.dim;
    const bool query = head < p.heads;
    const size_t block = static_cast<size_t>(row.block) * p.kv_heads +
                         (query ? 0 : static_cast<size_t>((head - p.heads) % p.kv_heads));
    const size_t token = block * kBlockTokens + row.offset;
    HeldHead held;
    HeldHead::each(p.dim, lane, [&](int i, int d) {
      held.low[i] = from[d];
      held.high[i] = from[half + d];
    });
    if (head >= p.heads + p.kv_heads) {
      Format::store(held, p.dim, lane, p.kv.v, p.kv.v_scales, token, [&](int d) {
        return (block * width + d) * kBlockTokens + Format::woven(row.offset);
      });
      continue;
    }
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
    const float end = query ? 1.0f / sqrtf(static_cast<float>(p.dim)) : 1.0f;
    HeldHead::each(p.dim, lane, [&](int i, int d) {
      const float angle = p.frequency[d] * static_cast<float>(row.position);
      const float c = cosf(angle) * p.attention_factor, s = sinf(angle) * p.attention_factor;
      const float a = held.low[i], b = held.high[i];
      held.low[i] = (a * c - b * s) * end;
      held.high[i] = (b * c + a * s) * end;
    });
    if (!query) {
      Format::store(held, p.dim, lane, p.kv.k, p.kv.k_scales, token,
                    [&](int d) { return token * width + Format::woven(d); });
      continue;
    }
    Bf16* to = p.q + (static_cast<size_t>(blockIdx.x) * p.heads + head) * width;
    held.store(p.dim, lane, to, [](int d) { return d; }, narrow);
    for (int d = p.dim + lane; d < width; d += kWarp) to[d] = 0;
  }
}

__global__ void multiply_gates(const float* gate_up, int n, Bf16* gates) {
  await_previous();
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= n / 2) return;
  const int width = (n / 2 + kGroup - 1) / kGroup * kGroup;
  const float* gate = gate_up + static_cast<size_t>(blockIdx.y) * n + i / kGates * kStrip + i % kGates;
  gates[static_cast<size_t>(blockIdx.y) * width + i] = narrow(silu(gate[0]) * gate[kGates]);
}

}  // namespace

void embed(const StepRow* rows, int count, const Bf16* table, int hidden, float* x,
           cudaStream_t stream) {
  launch(embed_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, rows, table,
         hidden, x);
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

void silu_multiply(const float* gate_up, int count, int n, Bf16* gates, cudaStream_t stream) {
  launch(multiply_gates,
         dim3(static_cast<unsigned>((n / 2 + kThreads - 1) / kThreads), static_cast<unsigned>(count)),
         dim3(kThreads), 0, stream, gate_up, n, gates);
}

}  // namespace anabranch::ANABRANCH_CUDA
