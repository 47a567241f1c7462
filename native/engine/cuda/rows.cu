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
  const size_t width = (static_cast<size_t>(hidden) + kGroup - 1) / kGroup * kGroup;
  const Bf16* from = table + static_cast<size_t>(rows[blockIdx.x].token) * width;
  float* to = x + static_cast<size_t>(blockIdx.x) * hidden;
  for (int i = static_cast<int>(threadIdx.x); i < hidden; i += kThreads) to[i] = widen(from[i]);
}

__global__ void norm_rows(const float* x, const int* from, const float* weight, int n,
                          float epsilon, Bf16* out) {
  __shared__ float shared[kThreads / kWarp];
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

/// One row a block, a head a warp at a time: first the queries', then K's, then V's.
__global__ void finish_rows(Heads p) {
  const StepRow row = p.rows[blockIdx.x];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int half = p.dim / 2;
  const int width = (p.dim + kDepth - 1) / kDepth * kDepth;
  const float* in =
      p.qkv + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(p.heads + 2 * p.kv_heads) * p.dim;
  const float root = 1.0f / sqrtf(static_cast<float>(p.dim));
  for (int head = warp; head < p.heads + 2 * p.kv_heads; head += kThreads / kWarp) {
    const float* from = in + static_cast<size_t>(head) * p.dim;
    const int kv_head = (head - p.heads) % p.kv_heads;
    const size_t block =
        (static_cast<size_t>(row.block) * p.kv_heads + (head < p.heads ? 0 : kv_head)) * width *
        kBlockTokens;
    if (head >= p.heads + p.kv_heads) {
      for (int d = lane; d < p.dim; d += kWarp) {
        p.v[block + static_cast<size_t>(d) * kBlockTokens + row.offset] = narrow(from[d]);
      }
      continue;
    }
    const bool query = head < p.heads;
    Bf16* to = query ? p.q + (static_cast<size_t>(blockIdx.x) * p.heads + head) * width
                     : p.k + block + static_cast<size_t>(row.offset) * width;
    const float* norm = query ? p.q_norm : p.k_norm;
    float scale = 1;
    if (norm) {
      float squares = 0;
      for (int d = lane; d < p.dim; d += kWarp) squares += from[d] * from[d];
      scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(p.dim) + p.epsilon);
    }
    for (int d = lane; d < half; d += kWarp) {
      const float angle = p.frequency[d] * static_cast<float>(row.position);
      const float c = cosf(angle) * p.attention_factor, s = sinf(angle) * p.attention_factor;
      float a = from[d] * scale, b = from[half + d] * scale;
      if (norm) {
        a *= norm[d];
        b *= norm[half + d];
      }
      const float end = query ? root : 1.0f;
      to[d] = narrow((a * c - b * s) * end);
      to[half + d] = narrow((b * c + a * s) * end);
    }
    if (query) {
      for (int d = p.dim + lane; d < width; d += kWarp) to[d] = 0;
    }
  }
}

__global__ void multiply_gates(const float* gate_up, int n, Bf16* out) {
  const int width = (n + kGroup - 1) / kGroup * kGroup;
  const float* gate = gate_up + static_cast<size_t>(blockIdx.y) * 2 * n;
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i >= width) return;
  float value = 0;
  if (i < n) {
    const float g = gate[i], e = expf(g < 0 ? g : -g);  // so that nothing overflows
    value = g * (g < 0 ? e : 1.0f) / (1.0f + e) * gate[n + i];
  }
  out[static_cast<size_t>(blockIdx.y) * width + i] = narrow(value);
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
  launch(finish_rows, dim3(static_cast<unsigned>(heads.count)), dim3(kThreads), 0, stream, heads);
}

void silu_multiply(const float* gate_up, int count, int n, Bf16* out, cudaStream_t stream) {
  const size_t width = padded(static_cast<size_t>(n), kGroup);
  launch(multiply_gates,
         dim3(static_cast<unsigned>((width + kThreads - 1) / kThreads), static_cast<unsigned>(count)),
         dim3(kThreads), 0, stream, gate_up, n, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
