// Split-KV attention (as in FlashDecoding), for decode rows and for everything that must be
// batch-invariant. A thread block takes one work item: query heads of one KV head that read one KV
// chunk, in tiles of sixteen whatever rows they belong to. Its warps divide the tiles and the
// chunk's blocks among them. Each chunk yields (weighted V, max score, sum of weights) per query
// head, and a row's partials are merged in context order by log-sum-exp.
#include "backends/cuda/attention_tile.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kItemWarps = 8;
constexpr int kItemThreads = kItemWarps * kWarp;

/// KV blocks whose scores a warp holds in registers at once.
constexpr int kBlocksInFlight = 2;

/// The warps' results in shared memory.
template <int Chunks>
struct WarpResults {
  static constexpr int kWidth = Chunks > 4 ? 128 : Chunks * kWarpK;  // values of V at once
  float max_scores[kItemWarps][kTileQueries], weight_sums[kItemWarps][kTileQueries];
  float values[kItemWarps][kTileQueries][kWidth + 4];
  QueryRead reads[kItemWarps * kTileQueries];  // of the queries of the tiles side by side
  int blocks[kKvChunkTokens / kBlockTokens];   // of the chunk
};

/// Partial results of one work item for one KV head.
/// Launch: grid (max items, kv_heads), block of kItemWarps warps: item.tiles side by side, and
/// kItemWarps / item.tiles warps for each of them. Of these, warp s takes every so many blocks of
/// the chunk from block s on, and their results are combined in shared memory.
/// Reads the K and V of a chunk from global memory once per work item, and from L1 or L2 for each
/// further tile; writes 4 · (dim + 2) bytes per query head.
template <int Chunks, class Format>
__global__ void __launch_bounds__(kItemThreads, Chunks > 4 ? 1 : 2)
    chunk_attention_kernel(Attention p) {
  constexpr int kDim = Chunks * kWarpK;
  using Results = WarpResults<Chunks>;
  auto& results = *reinterpret_cast<Results*>(dynamic_shared());

  // The work item. The step's description was copied before its first kernel started, so it can be
  // read, and the item's K and V prefetched, before the previous kernel ends.
  const DeviceAttentionPlan plan = *p.plan;
  if (static_cast<int>(blockIdx.x) >= plan.num_items) return;  // the first block waits for all
  const WorkItem item = p.items[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarp, warp = thread / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int tile_of_warp = warp % item.tiles, split = warp / item.tiles,
            splits = kItemWarps / item.tiles;
  WarpTile<Chunks, Format> tile(p, kv_head, lane);
  if (thread < item.num_blocks) {
    results.blocks[thread] = plan.blocks[item.first_block + thread];
    if (thread >= item.skip_blocks) tile.prefetch(results.blocks[thread]);
  }
  // Beyond the last query, the last one is computed again and not stored.
  const auto valid = [&](int query) { return query < item.end_query ? query : item.end_query - 1; };
  const auto load_reads = [&](int first_query) {
    if (thread < item.tiles * kTileQueries)
      results.reads[thread] = plan.reads[item.first_read + valid(first_query + thread) / group];
    __syncthreads();
  };
  load_reads(item.first_query);
  wait_on_previous_kernel();

  for (int first_query = item.first_query; first_query < item.end_query;
       first_query += item.tiles * kTileQueries) {
    // The two queries of this lane.
    if (first_query > item.first_query) load_reads(first_query);
    int begin[2], tokens[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = tile_of_warp * kTileQueries + g + 8 * half;
      const QueryRead& read = results.reads[query];
      begin[half] = read.begin;
      tokens[half] = read.tokens;
      tile.load_query(half, read.row, valid(first_query + query) % group);
    }
    // The tile is computed from its earliest to its longest query.
    const int earliest = tile_min(begin), longest = tile_max(tokens);

    TileSums<Chunks> sums;
    const auto visible = [&](int half, int token) {
      return token >= begin[half] && token < tokens[half];
    };
    for (int block = split; block * kBlockTokens < longest; block += splits * kBlocksInFlight) {
      tile.template attend<kBlocksInFlight>(sums, block * kBlockTokens, splits * kBlockTokens,
                                            earliest, longest, results.blocks, visible);
    }

    // The results of a tile's warps, rescaled to the max score of all of them, are added in warp
    // order.
    if (t == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        results.max_scores[warp][g + 8 * half] = sums.max_score[half];
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float weight_sum = quad_sum(sums.weight_sum[half]);
      if (t == 0) results.weight_sums[warp][g + 8 * half] = weight_sum;
    }
    __syncthreads();
    float rescale[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float overall_max = minus_infinity();
      for (int w = tile_of_warp; w < kItemWarps; w += item.tiles)
        overall_max = fmaxf(overall_max, results.max_scores[w][g + 8 * half]);
      rescale[half] = sums.max_score[half] == minus_infinity()
                          ? 0.0f
                          : expf(sums.max_score[half] - overall_max);
    }
    const int queries = item.end_query - first_query < item.tiles * kTileQueries
                            ? item.end_query - first_query
                            : item.tiles * kTileQueries;
    const auto partial_of = [&](int query) {
      const auto partial = static_cast<size_t>(results.reads[query].partial);
      const int head = kv_head * group + (first_query + query) % group;
      return p.partials + (partial * p.heads + head) * (p.dim + 2);
    };
    for (int part = 0; part < kDim; part += Results::kWidth) {
#pragma unroll
      for (int d = 0; d < kDim / 8; ++d) {
        if (d * 8 < part || d * 8 >= part + Results::kWidth) continue;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float* to = &results.values[warp][g + 8 * half][d * 8 - part + 2 * t];
          to[0] = sums.out[d][2 * half] * rescale[half];
          to[1] = sums.out[d][2 * half + 1] * rescale[half];
        }
      }
      __syncthreads();
      // A warp stores whole queries, one after another.
      for (int query = warp; query < queries; query += kItemWarps) {
        float* const to = partial_of(query) + part;
        for (int d = lane; d < Results::kWidth && part + d < p.dim; d += kWarp) {
          float sum = 0;
          for (int w = query / kTileQueries; w < kItemWarps; w += item.tiles)
            sum += results.values[w][query % kTileQueries][d];
          to[d] = sum;
        }
      }
      __syncthreads();
    }
    if (thread < queries) {
      const int query = thread % kTileQueries;
      float overall_max = minus_infinity(), weight = 0;
      for (int w = thread / kTileQueries; w < kItemWarps; w += item.tiles)
        overall_max = fmaxf(overall_max, results.max_scores[w][query]);
      for (int w = thread / kTileQueries; w < kItemWarps; w += item.tiles) {
        const float score = results.max_scores[w][query];
        if (score != minus_infinity())
          weight += results.weight_sums[w][query] * expf(score - overall_max);
      }
      float* to = partial_of(thread);
      to[p.dim] = overall_max;
      to[p.dim + 1] = weight;
    }
    __syncthreads();  // before the next tiles reuse the shared memory
  }
}

/// Merges the partial results of one query head of one row per block, a few at a time: what is
/// merged so far is rescaled whenever the max score grows.
/// Launch: grid (rows, heads), block of round_up(dim, kWarp).
/// Reads 4 · (dim + 2) bytes per partial, writes 2 · dim.
__global__ void merge_partials_kernel(const RowPartials* rows, const float* partials, int heads,
                                      int dim, Bf16* out) {
  constexpr int kLoads = 8;
  const RowPartials row = rows[blockIdx.x];
  wait_on_previous_kernel();
  const int head = static_cast<int>(blockIdx.y), d = static_cast<int>(threadIdx.x);
  if (row.count == 0 || d >= dim) return;  // prefill attention writes rows without partials
  const size_t stride = static_cast<size_t>(heads) * (dim + 2);
  const float* first = partials + (static_cast<size_t>(row.first) * heads + head) * (dim + 2);
  float max_score = minus_infinity(), sum = 0, weight = 0;
  for (int begin = 0; begin < row.count; begin += kLoads) {
    float scores[kLoads], weights[kLoads], values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const bool valid = begin + i < row.count;
      const float* at = first + (begin + i) * stride;
      scores[i] = valid ? at[dim] : minus_infinity();
      weights[i] = valid ? at[dim + 1] : 0.0f;
      values[i] = valid ? at[d] : 0.0f;
    }
    float new_max = max_score;
#pragma unroll
    for (int i = 0; i < kLoads; ++i) new_max = fmaxf(new_max, scores[i]);
    if (new_max == minus_infinity()) continue;
    const float rescale = expf(max_score - new_max);
    max_score = new_max;
    sum *= rescale;
    weight *= rescale;
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (scores[i] == minus_infinity()) continue;
      const float share = expf(scores[i] - new_max);
      sum = fmaf(values[i], share, sum);
      weight = fmaf(weights[i], share, weight);
    }
  }
  const size_t width = round_up(static_cast<size_t>(heads) * dim, kQuantGroup);
  out[blockIdx.x * width + static_cast<size_t>(head) * dim + d] =
      narrow(weight == 0 ? 0.0f : sum / weight);
}

template <int Chunks, class Format>
void launch_chunk_attention(const Attention& p, int max_items, const Queue& queue) {
  const dim3 grid(static_cast<unsigned>(max_items), static_cast<unsigned>(p.kv_heads));
  launch(chunk_attention_kernel<Chunks, Format>, grid, dim3(kItemThreads),
         sizeof(WarpResults<Chunks>), queue, p);
}

}  // namespace

void attend_chunks(const Attention& p, int max_items, const Queue& queue) {
  dispatch(p, [&](auto chunks, auto format) {
    launch_chunk_attention<chunks(), decltype(format)>(p, max_items, queue);
  });
}

void merge_partials(const RowPartials* rows, int count, const float* partials, int heads, int dim,
                    Bf16* out, const Queue& queue) {
  launch(merge_partials_kernel, dim3(static_cast<unsigned>(count), static_cast<unsigned>(heads)),
         dim3(static_cast<unsigned>(round_up(static_cast<size_t>(dim), kWarp))), 0, queue, rows,
         partials, heads, dim, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
