// Attention of rows over pieces of their context, on tensor cores.
//
// A piece gives each query head (weighted V, largest score, sum of weights), and a row's pieces are
// merged in context order by log-sum-exp. A block takes one unit of one KV head: sixteen query heads at
// a time, whatever rows they belong to; its warps share the piece's blocks of tokens.
#include "device.cuh"
#include "kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kQueries = 16;
constexpr int kBlocksEach = kPieceTokens / kBlockTokens / kWarps;

__device__ inline float none() { return as_float(0xff800000u); }  // minus infinity

/// The largest, or the sum, over the four lanes that hold a query's tokens.
__device__ inline float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ inline float quad_sum(float value) {
  value += __shfl_xor_sync(0xffffffffu, value, 1);
  return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

/// `Chunks` stretches of 32 make a padded head.
///
/// Lane 4·g + t holds, of each block of 16 tokens, the scores of tokens 4t … 4t+3 for queries g and
/// g + 8: columns 2t and 2t+1 of the first product stand for tokens 4t and 4t+1, those of the second
/// for 4t+2 and 4t+3. That is just what the product with V takes, and lets V be read 8 bytes at once.
template <int Chunks>
__global__ void __launch_bounds__(kWarps* kWarp) attend_units(Attend p) {
  constexpr int kDim = Chunks * kDepth;
  __shared__ float tops[kWarps][kQueries], weights[kWarps][kQueries];
  __shared__ float values[kQueries][kDim + 4];
  const Plan plan = *p.plan;
  if (static_cast<int>(blockIdx.x) >= plan.units) return;
  const Unit unit = p.units[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int queries = unit.readers * group;
  const size_t size = static_cast<size_t>(kBlockTokens) * kDim;
  for (int first = 0; first < queries; first += kQueries) {
    // This lane's two queries.
    int tokens[2];
    Words q[Chunks][2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = first + g + 8 * half;
      const int known = query < queries ? query : queries - 1;
      const Reader reader = plan.readers[unit.first_reader + known / group];
      tokens[half] = reader.tokens;
      const size_t head = static_cast<size_t>(reader.row) * p.heads + kv_head * group + known % group;
#pragma unroll
      for (int c = 0; c < Chunks; ++c) q[c][half] = load16(p.q + head * kDim + c * kDepth + 8 * t);
    }
    // All sixteen walk as far as the longest.
    int longest = tokens[0] > tokens[1] ? tokens[0] : tokens[1];
#pragma unroll
    for (int step = 4; step < kWarp; step *= 2) {
      const int other = __shfl_xor_sync(0xffffffffu, longest, step);
      longest = other > longest ? other : longest;
    }

    float scores[kBlocksEach][2][4];  // [block][query][token]
    float top[2] = {none(), none()};
#pragma unroll
    for (int at = 0; at < kBlocksEach; ++at) {
      const int from = (at * kWarps + warp) * kBlockTokens;
      float early[4] = {}, late[4] = {};
      if (from < longest) {
        const size_t block = static_cast<size_t>(plan.blocks[unit.first_block + at * kWarps + warp]);
        const Bf16* k = p.k + (block * p.kv_heads + kv_head) * size +
                        (g / 2 * 4 + g % 2) * kDim + 8 * t;
#pragma unroll
        for (int c = 0; c < Chunks; ++c) {
          multiply32(early, q[c][0], q[c][1], load16(k + c * kDepth));
          multiply32(late, q[c][0], q[c][1], load16(k + 2 * kDim + c * kDepth));
        }
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float got[4] = {early[2 * half], early[2 * half + 1], late[2 * half],
                              late[2 * half + 1]};
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          scores[at][half][i] = from + 4 * t + i < tokens[half] ? got[i] : none();
          top[half] = fmaxf(top[half], scores[at][half][i]);
        }
      }
    }
    float sum[2] = {0, 0};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      top[half] = quad_max(top[half]);
#pragma unroll
      for (int at = 0; at < kBlocksEach; ++at) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& score = scores[at][half][i];
          score = score == none() ? 0.0f : expf(score - top[half]);
          sum[half] += score;
        }
      }
      sum[half] = quad_sum(sum[half]);
    }

    float out[kDim / 8][4] = {};
#pragma unroll
    for (int at = 0; at < kBlocksEach; ++at) {
      const int token = (at * kWarps + warp) * kBlockTokens + 4 * t;
      if (token - 4 * t >= longest) continue;
      // Where no token was written yet, V may hold anything, and nothing times a NaN is a NaN.
      const std::uint32_t mask0 = (token < longest ? 0xffffu : 0) | (token + 1 < longest ? 0xffff0000u : 0);
      const std::uint32_t mask1 =
          (token + 2 < longest ? 0xffffu : 0) | (token + 3 < longest ? 0xffff0000u : 0);
      const size_t block = static_cast<size_t>(plan.blocks[unit.first_block + at * kWarps + warp]);
      const Bf16* v = p.v + (block * p.kv_heads + kv_head) * size + g * kBlockTokens + 4 * t;
      const auto& s = scores[at];
      const std::uint32_t a0 = narrow2(s[0][0], s[0][1]), a1 = narrow2(s[1][0], s[1][1]);
      const std::uint32_t a2 = narrow2(s[0][2], s[0][3]), a3 = narrow2(s[1][2], s[1][3]);
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        const auto* pair = reinterpret_cast<const std::uint32_t*>(v + d * 8 * kBlockTokens);
        multiply(out[d], a0, a1, a2, a3, pair[0] & mask0, pair[1] & mask1);
      }
    }

    // The warps' parts, scaled to the largest score of all, are added in their order.
    if (t == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        tops[warp][g + 8 * half] = top[half];
        weights[warp][g + 8 * half] = sum[half];
      }
    }
    __syncthreads();
    float scale[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = none();
#pragma unroll
      for (int w = 0; w < kWarps; ++w) most = fmaxf(most, tops[w][g + 8 * half]);
      scale[half] = top[half] == none() ? 0.0f : expf(top[half] - most);
    }
    for (int turn = 0; turn < kWarps; ++turn) {
      if (turn == warp) {
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            float& at = values[g + i / 2 * 8][d * 8 + 2 * t + i % 2];
            const float mine = out[d][i] * scale[i / 2];
            at = turn == 0 ? mine : at + mine;
          }
        }
      }
      __syncthreads();
    }
    for (int query = warp; query < kQueries && first + query < queries; query += kWarps) {
      const Reader reader = plan.readers[unit.first_reader + (first + query) / group];
      const int head = kv_head * group + (first + query) % group;
      float* to = p.partials + (static_cast<size_t>(reader.slot) * p.heads + head) * (p.dim + 2);
      for (int d = lane; d < p.dim; d += kWarp) to[d] = values[query][d];
      if (lane == 0) {
        float most = none(), weight = 0;
#pragma unroll
        for (int w = 0; w < kWarps; ++w) most = fmaxf(most, tops[w][query]);
#pragma unroll
        for (int w = 0; w < kWarps; ++w) {
          if (tops[w][query] != none()) weight += weights[w][query] * expf(tops[w][query] - most);
        }
        to[p.dim] = most;
        to[p.dim + 1] = weight;
      }
    }
    __syncthreads();  // before the next sixteen use the shared memory
  }
}

template <int Chunks>
void launch_units(const Attend& p, int most, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(most), static_cast<unsigned>(p.kv_heads));
  launch(attend_units<Chunks>, grid, dim3(kWarps * kWarp), 0, stream, p);
}

/// One query head of one row a block.
__global__ void merge_pieces(const StepRow* rows, const float* partials, int heads, int dim,
                             Bf16* out) {
  const StepRow row = rows[blockIdx.x];
  const int head = static_cast<int>(blockIdx.y);
  const size_t stride = static_cast<size_t>(heads) * (dim + 2);
  const float* first =
      partials + (static_cast<size_t>(row.first_slot) * heads + head) * (dim + 2);
  float most = none();
  for (int i = 0; i < row.slots; ++i) most = fmaxf(most, first[i * stride + dim]);
  const size_t width = (static_cast<size_t>(heads) * dim + kGroup - 1) / kGroup * kGroup;
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += static_cast<int>(blockDim.x)) {
    float sum = 0, weight = 0;
    for (int i = 0; i < row.slots; ++i) {
      const float* piece = first + i * stride;
      if (piece[dim] == none()) continue;
      const float scale = expf(piece[dim] - most);
      sum += piece[d] * scale;
      weight += piece[dim + 1] * scale;
    }
    out[blockIdx.x * width + static_cast<size_t>(head) * dim + d] =
        narrow(weight == 0 ? 0.0f : sum / weight);
  }
}

}  // namespace

void attend(const Attend& p, int most, cudaStream_t stream) {
  switch ((p.dim + kDepth - 1) / kDepth) {
    case 1: return launch_units<1>(p, most, stream);
    case 2: return launch_units<2>(p, most, stream);
    case 3: return launch_units<3>(p, most, stream);
    case 4: return launch_units<4>(p, most, stream);
    default: return launch_units<8>(p, most, stream);
  }
}

void merge(const StepRow* rows, int count, const float* partials, int heads, int dim, Bf16* out,
           cudaStream_t stream) {
  launch(merge_pieces, dim3(static_cast<unsigned>(count), static_cast<unsigned>(heads)),
         dim3(static_cast<unsigned>(padded(static_cast<size_t>(dim), kWarp))), 0, stream, rows,
         partials, heads, dim, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
