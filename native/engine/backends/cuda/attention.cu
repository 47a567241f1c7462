// Attention of rows over their context, on tensor cores.
//
// Rows of lanes: a piece of context gives each query head (weighted V, largest score, sum of weights), and a
// row's pieces are merged in context order by log-sum-exp. A block takes one unit of one KV head: sixteen
// query heads at a time, whatever rows they belong to; its warps share the piece's blocks of tokens.
//
// Runs of a prompt's rows: each warp walks the whole context with sixteen query heads of neighbouring rows and
// rescales what it has as scores grow (FlashAttention-2, arXiv:2307.08691). Nothing is left to merge.
#include <type_traits>

#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kQueries = 16;
constexpr int kUnitWarps = 8;
constexpr int kBlocksEach = kKvChunkTokens / kBlockTokens / kUnitWarps;
constexpr int kRunWarps = kRunQueries / kQueries;

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

struct Bf16Kv {
  using Element = Bf16;

  using Eight = Words;
  static __device__ Eight eight(const Bf16* at) { return load16(at); }
  static __device__ Words wide(const Eight& values) { return values; }
  static __device__ TwoWords four(const Bf16* at) { return load8(at); }
  /// Of four tokens, from this one on.
  static __device__ void scale(float (&)[4], const float*, size_t) {}
};

struct Fp8Kv {
  using Element = std::uint8_t;

  using Eight = TwoWords;
  static __device__ Eight eight(const std::uint8_t* at) { return load8(at); }
  static __device__ Words wide(const Eight& values) { return widen8<Fp8>(values.word[0], values.word[1]); }
  static __device__ TwoWords four(const std::uint8_t* at) {
    TwoWords out;
    Fp8::widen(*reinterpret_cast<const std::uint32_t*>(at), out.word[0], out.word[1]);
    return out;
  }
  /// What is nothing stays nothing, whatever stands where no token was written yet.
  static __device__ void scale(float (&values)[4], const float* scales, size_t token) {
    const Words bits = load16(scales + token);
#pragma unroll
    for (int i = 0; i < 4; ++i) values[i] = values[i] == 0 ? 0.0f : values[i] * as_float(bits.word[i]);
  }
};

/// A warp's sixteen queries and blocks of sixteen tokens of one KV head; `Chunks` stretches of 32 make a padded
/// head.
///
/// Lane 4·g + t holds, of each block, the scores of tokens 4t … 4t+3 for queries g and g + 8: columns 2t and
/// 2t+1 of the first product stand for tokens 4t and 4t+1, those of the second for 4t+2 and 4t+3. That is just
/// what the product with V takes, and lets V be read 8 bytes at once.
template <int Chunks, class Format>
struct Tile {
  using Element = typename Format::Element;
  static constexpr int kDim = Chunks * kDepth;
  static constexpr size_t kSize = static_cast<size_t>(kBlockTokens) * kDim;

  const Attend& p;
  int kv_head, g, t;
  Words q[Chunks][2];

  __device__ Tile(const Attend& p, int kv_head, int lane) : p(p), kv_head(kv_head), g(lane / 4), t(lane % 4) {}

  /// This lane's query number `half`: `head` of the group that shares the KV head.
  __device__ void take_query(int half, int row, int head) {
    const size_t at = static_cast<size_t>(row) * p.heads + kv_head * (p.heads / p.kv_heads) + head;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) q[c][half] = load16(p.q + at * kDim + c * kDepth + 8 * t);
  }

  __device__ size_t place_of(int block) const { return static_cast<size_t>(block) * p.kv_heads + kv_head; }

  /// K of a block, as this lane multiplies it.
  struct Keys {
    typename Format::Eight early[Chunks], late[Chunks];
  };
  __device__ Keys keys(int block) const {
    const Element* k =
        static_cast<const Element*>(p.kv.k) + place_of(block) * kSize + (g / 2 * 4 + g % 2) * kDim + 8 * t;
    Keys out;
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      out.early[c] = Format::eight(k + c * kDepth);
      out.late[c] = Format::eight(k + 2 * kDim + c * kDepth);
    }
    return out;
  }
  /// Scores of its queries with its tokens, [query][token].
  __device__ void score(int block, const Keys& k, float (&got)[2][4]) const {
    float early[4] = {}, late[4] = {};
#pragma unroll
    for (int c = 0; c < Chunks; ++c) {
      multiply32(early, q[c][0], q[c][1], Format::wide(k.early[c]));
      multiply32(late, q[c][0], q[c][1], Format::wide(k.late[c]));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      got[i / 2][i % 2] = early[i];
      got[i / 2][2 + i % 2] = late[i];
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) Format::scale(got[half], p.kv.k_scales, place_of(block) * kBlockTokens + 4 * t);
  }

  /// out += weights · V, of the block's first `seen` tokens: where no token was written yet V may hold anything,
  /// and nothing times a NaN is a NaN.
  __device__ void add_values(int block, float (&s)[2][4], int seen, float (&out)[kDim / 8][4]) const {
    const int token = 4 * t;
    const Element* v = static_cast<const Element*>(p.kv.v) + place_of(block) * kSize + g * kBlockTokens + token;
#pragma unroll
    for (int half = 0; half < 2; ++half) Format::scale(s[half], p.kv.v_scales, place_of(block) * kBlockTokens + token);
    const std::uint32_t a0 = narrow2(s[0][0], s[0][1]), a1 = narrow2(s[1][0], s[1][1]);
    const std::uint32_t a2 = narrow2(s[0][2], s[0][3]), a3 = narrow2(s[1][2], s[1][3]);
    const auto add = [&](std::uint32_t mask0, std::uint32_t mask1) {
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        const TwoWords four = Format::four(v + d * 8 * kBlockTokens);
        multiply(out[d], a0, a1, a2, a3, four.word[0] & mask0, four.word[1] & mask1);
      }
    };
    if (seen >= kBlockTokens) return add(~0u, ~0u);
    add((token < seen ? 0xffffu : 0) | (token + 1 < seen ? 0xffff0000u : 0),
        (token + 2 < seen ? 0xffffu : 0) | (token + 3 < seen ? 0xffff0000u : 0));
  }
};

/// The largest of both halves over the lanes that hold a tile's queries.
__device__ inline int tile_max(const int (&values)[2]) {
  int longest = values[0] > values[1] ? values[0] : values[1];
#pragma unroll
  for (int step = 4; step < kWarp; step *= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, longest, step);
    longest = other > longest ? other : longest;
  }
  return longest;
}

template <int Chunks, class Format>
__global__ void __launch_bounds__(kUnitWarps* kWarp) attend_units(Attend p) {
  constexpr int kDim = Chunks * kDepth;
  using Tile = Tile<Chunks, Format>;
  __shared__ float tops[kUnitWarps][kQueries], weights[kUnitWarps][kQueries];
  __shared__ float values[kQueries][kDim + 4];
  // What describes the step is there before its first kernel: only what that describes has to be awaited.
  const Plan plan = *p.plan;
  if (static_cast<int>(blockIdx.x) >= plan.units) return await_previous();
  const WorkItem unit = p.units[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int queries = unit.readers * group;
  Tile tile(p, kv_head, lane);
  int blocks[kBlocksEach];  // of this warp; where there are no more, the first stands in
#pragma unroll
  for (int at = 0; at < kBlocksEach; ++at) {
    const int block = at * kUnitWarps + warp;
    blocks[at] = plan.blocks[unit.first_block + (block < unit.blocks ? block : 0)];
    if (block < unit.blocks && lane < 2) {
      const auto* all = static_cast<const typename Format::Element*>(lane == 0 ? p.kv.k : p.kv.v);
      ask_for(all + tile.place_of(blocks[at]) * Tile::kSize, Tile::kSize * sizeof(*all));
    }
  }
  // This lane's two of sixteen queries.
  QueryRead readers[2];
  int heads[2];
  const auto read = [&](int first) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = first + g + 8 * half;
      const int known = query < queries ? query : queries - 1;
      readers[half] = plan.readers[unit.first_reader + known / group];
      heads[half] = known % group;
    }
  };
  read(0);
  await_previous();
  for (int first = 0; first < queries; first += kQueries) {
    if (first > 0) read(first);
    typename Tile::Keys keys[kBlocksEach];
#pragma unroll
    for (int at = 0; at < kBlocksEach; ++at) keys[at] = tile.keys(blocks[at]);
    const int tokens[2] = {readers[0].tokens, readers[1].tokens};
#pragma unroll
    for (int half = 0; half < 2; ++half) tile.take_query(half, readers[half].row, heads[half]);
    // All sixteen walk as far as the longest.
    const int longest = tile_max(tokens);

    float scores[kBlocksEach][2][4];  // [block][query][token]
    float top[2] = {none(), none()};
#pragma unroll
    for (int at = 0; at < kBlocksEach; ++at) {
      const int from = (at * kUnitWarps + warp) * kBlockTokens;
      float got[2][4];
      tile.score(blocks[at], keys[at], got);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          scores[at][half][i] = from + 4 * t + i < tokens[half] ? got[half][i] : none();
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
          score = score == none() ? 0.0f : quick_exp(score - top[half]);
          sum[half] += score;
        }
      }
      sum[half] = quad_sum(sum[half]);
    }

    float out[kDim / 8][4] = {};
#pragma unroll
    for (int at = 0; at < kBlocksEach; ++at) {
      const int from = (at * kUnitWarps + warp) * kBlockTokens;
      if (from < longest) tile.add_values(blocks[at], scores[at], longest - from, out);
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
      for (int w = 0; w < kUnitWarps; ++w) most = fmaxf(most, tops[w][g + 8 * half]);
      scale[half] = top[half] == none() ? 0.0f : expf(top[half] - most);
    }
    for (int turn = 0; turn < kUnitWarps; ++turn) {
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
    for (int query = warp; query < kQueries && first + query < queries; query += kUnitWarps) {
      const QueryRead reader = plan.readers[unit.first_reader + (first + query) / group];
      const int head = kv_head * group + (first + query) % group;
      float* to = p.partials + (static_cast<size_t>(reader.slot) * p.heads + head) * (p.dim + 2);
      for (int d = lane; d < p.dim; d += kWarp) to[d] = values[query][d];
      if (lane == 0) {
        float most = none(), weight = 0;
#pragma unroll
        for (int w = 0; w < kUnitWarps; ++w) most = fmaxf(most, tops[w][query]);
#pragma unroll
        for (int w = 0; w < kUnitWarps; ++w) {
          if (tops[w][query] != none()) weight += weights[w][query] * expf(tops[w][query] - most);
        }
        to[p.dim] = most;
        to[p.dim + 1] = weight;
      }
    }
    __syncthreads();  // before the next sixteen use the shared memory
  }
}

/// Blocks of tokens whose scores a warp holds at once.
template <int Chunks>
constexpr int kAtOnce = Chunks > 4 ? 2 : 4;

template <int Chunks, class Format>
__global__ void __launch_bounds__(kRunWarps* kWarp) attend_runs(Attend p, AttendRuns r) {
  constexpr int kDim = Chunks * kDepth;
  const RunPart part = r.parts[blockIdx.x];
  const Run run = r.runs[part.run];
  await_previous();
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first = part.first_query + static_cast<int>(threadIdx.x) / kWarp * kQueries;
  const int queries = run.rows * group;
  if (first >= queries) return;
  Tile<Chunks, Format> tile(p, kv_head, lane);
  int row[2], head[2], own[2];  // own: tokens that it sees of the last span
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first + tile.g + 8 * half;
    const int known = query < queries ? query : queries - 1;
    row[half] = run.first_row + known / group;
    head[half] = known % group;
    own[half] = run.own + known / group;
    tile.take_query(half, row[half], head[half]);
  }
  const int longest = tile_max(own);

  float out[kDim / 8][4] = {};
  float top[2] = {none(), none()}, sum[2] = {0, 0};
  for (int s = 0; s < run.spans; ++s) {
    const RunSpan span = r.spans[run.first_span + s];
    const bool last = s + 1 == run.spans;
    const int tokens = last ? longest : span.tokens;
    for (int begin = 0; begin < tokens; begin += kAtOnce<Chunks> * kBlockTokens) {
      float scores[kAtOnce<Chunks>][2][4];  // [block][query][token]
      float most[2] = {top[0], top[1]};
#pragma unroll
      for (int at = 0; at < kAtOnce<Chunks>; ++at) {
        const int from = begin + at * kBlockTokens;
        float got[2][4] = {};
        if (from < tokens) {
          const int block = r.blocks[span.first_block + from / kBlockTokens];
          tile.score(block, tile.keys(block), got);
        }
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int seen = last ? own[half] : tokens;
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            scores[at][half][i] = from + 4 * tile.t + i < seen ? got[half][i] : none();
            most[half] = fmaxf(most[half], scores[at][half][i]);
          }
        }
      }
      // Every query sees the first token of each span, so that what is largest is a number.
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        most[half] = quad_max(most[half]);
        const float keep = expf(top[half] - most[half]);
        top[half] = most[half];
        sum[half] *= keep;
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
          out[d][2 * half] *= keep;
          out[d][2 * half + 1] *= keep;
        }
#pragma unroll
        for (int at = 0; at < kAtOnce<Chunks>; ++at) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            float& score = scores[at][half][i];
            score = quick_exp(score - top[half]);
            sum[half] += score;
          }
        }
      }
#pragma unroll
      for (int at = 0; at < kAtOnce<Chunks>; ++at) {
        const int from = begin + at * kBlockTokens;
        if (from >= tokens) continue;
        tile.add_values(r.blocks[span.first_block + from / kBlockTokens], scores[at], tokens - from, out);
      }
    }
  }

  const size_t width = (static_cast<size_t>(p.heads) * p.dim + kGroup - 1) / kGroup * kGroup;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float scale = 1.0f / quad_sum(sum[half]);
    if (first + tile.g + 8 * half >= queries) continue;
    Bf16* to = r.out + row[half] * width + static_cast<size_t>(kv_head * group + head[half]) * p.dim;
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = d * 8 + 2 * tile.t + i;
        if (column < p.dim) to[column] = narrow(out[d][2 * half + i] * scale);
      }
    }
  }
}

template <int Chunks, class Format>
void launch_units(const Attend& p, int most, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(most), static_cast<unsigned>(p.kv_heads));
  launch(attend_units<Chunks, Format>, grid, dim3(kUnitWarps * kWarp), 0, stream, p);
}

/// One query head of one row a block.
__global__ void merge_pieces(const StepRow* rows, const float* partials, int heads, int dim,
                             Bf16* out) {
  const StepRow row = rows[blockIdx.x];
  await_previous();
  const int head = static_cast<int>(blockIdx.y);
  if (row.slots == 0) return;  // of a run
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

template <int Chunks, class Format>
void launch_runs(const Attend& p, const AttendRuns& r, int parts, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(p.kv_heads));
  launch(attend_runs<Chunks, Format>, grid, dim3(kRunWarps * kWarp), 0, stream, p, r);
}

/// start(chunks, format) with what fits the heads and KV.
template <class Format, class Start>
void with_chunks(const Attend& p, Start start) {
  const auto count = [&](auto chunks) { start(chunks, Format{}); };
  switch ((p.dim + kDepth - 1) / kDepth) {
    case 1: return count(std::integral_constant<int, 1>{});
    case 2: return count(std::integral_constant<int, 2>{});
    case 3: return count(std::integral_constant<int, 3>{});
    case 4: return count(std::integral_constant<int, 4>{});
    default: return count(std::integral_constant<int, 8>{});
  }
}
template <class Start>
void with_format(const Attend& p, Start start) {
  if (p.kv.k_scales) with_chunks<Fp8Kv>(p, start);
  else with_chunks<Bf16Kv>(p, start);
}

}  // namespace

void attend(const Attend& p, int most, cudaStream_t stream) {
  with_format(p, [&](auto chunks, auto format) { launch_units<chunks(), decltype(format)>(p, most, stream); });
}

void attend(const Attend& p, const AttendRuns& runs, int parts, cudaStream_t stream) {
  with_format(p, [&](auto chunks, auto format) {
    launch_runs<chunks(), decltype(format)>(p, runs, parts, stream);
  });
}

void merge(const StepRow* rows, int count, const float* partials, int heads, int dim, Bf16* out,
           cudaStream_t stream) {
  launch(merge_pieces, dim3(static_cast<unsigned>(count), static_cast<unsigned>(heads)),
         dim3(static_cast<unsigned>(padded(static_cast<size_t>(dim), kWarp))), 0, stream, rows,
         partials, heads, dim, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
