// Split-KV attention (as in FlashDecoding), for decode rows and for everything that must be
// batch-invariant. A thread block takes one work item: all query heads of one KV head that read one
// KV chunk, sixteen at a time whatever rows they belong to. Its warps share the chunk's blocks.
// Each chunk yields (weighted V, max score, sum of weights) per query head, and a row's partials
// are merged in context order by log-sum-exp.
#include "backends/cuda/attention_tile.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kItemWarps = 8;
constexpr int kBlocksPerWarp = kKvChunkTokens / kBlockTokens / kItemWarps;

/// Partial results of one work item for one KV head.
/// Launch: grid (max items, kv_heads), block of kItemWarps warps. Warp w takes the chunk's blocks
/// w, w + kItemWarps, …, and the warps' results are combined in shared memory.
/// Reads the K and V of a chunk from global memory once per work item, and from L1 or L2 for each
/// further sixteen queries; writes 4 · (dim + 2) bytes per query head.
template <int Chunks, class Format>
__global__ void __launch_bounds__(kItemWarps* kWarp) chunk_attention_kernel(Attention p) {
  constexpr int kDim = Chunks * kWarpK;
  using Tile = WarpTile<Chunks, Format>;
  __shared__ float max_scores[kItemWarps][kTileQueries], weight_sums[kItemWarps][kTileQueries];
  __shared__ float values[kTileQueries][kDim + 4];

  // The work item. The step's description was copied before its first kernel started, so it can be
  // read, and the item's K and V prefetched, before the previous kernel ends.
  const DeviceAttentionPlan plan = *p.plan;
  if (static_cast<int>(blockIdx.x) >= plan.num_items) return wait_on_previous_kernel();
  const WorkItem item = p.items[blockIdx.x];
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int queries = item.num_reads * group;
  Tile tile(p, kv_head, lane);
  // This warp's blocks. For blocks that no read sees, the first seen one is a valid substitute.
  int blocks[kBlocksPerWarp];
#pragma unroll
  for (int b = 0; b < kBlocksPerWarp; ++b) {
    const int block = b * kItemWarps + warp;
    const bool seen = block >= item.skip_blocks && block < item.num_blocks;
    blocks[b] = plan.blocks[item.first_block + (seen ? block : item.skip_blocks)];
    if (seen && lane < 2) {
      const auto* cache = static_cast<const typename Format::Element*>(lane == 0 ? p.kv.k : p.kv.v);
      prefetch_l2(cache + tile.head_index(blocks[b]) * Tile::kBlockSize,
                  Tile::kBlockSize * sizeof(*cache));
    }
  }
  // The two queries of this lane. Beyond the last query, the last one is computed again and not
  // stored.
  QueryRead reads[2];
  int heads[2];
  const auto load_reads = [&](int first_query) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int query = first_query + g + 8 * half;
      const int valid_query = query < queries ? query : queries - 1;
      reads[half] = plan.reads[item.first_read + valid_query / group];
      heads[half] = valid_query % group;
    }
  };
  load_reads(0);
  wait_on_previous_kernel();

  for (int first_query = 0; first_query < queries; first_query += kTileQueries) {
    // Load K, then q.
    if (first_query > 0) load_reads(first_query);
    typename Tile::Keys keys[kBlocksPerWarp];
#pragma unroll
    for (int b = 0; b < kBlocksPerWarp; ++b) keys[b] = tile.load_keys(blocks[b]);
    const int begin[2] = {reads[0].begin, reads[1].begin};
    const int tokens[2] = {reads[0].tokens, reads[1].tokens};
#pragma unroll
    for (int half = 0; half < 2; ++half) tile.load_query(half, reads[half].row, heads[half]);
    // The tile is computed from its earliest to its longest query.
    const int earliest = tile_min(begin), longest = tile_max(tokens);

    // Scores, masked outside of each query's tokens.
    float scores[kBlocksPerWarp][2][4];  // [block][query half][token]
    float max_score[2] = {minus_infinity(), minus_infinity()};
#pragma unroll
    for (int b = 0; b < kBlocksPerWarp; ++b) {
      const int first_token = (b * kItemWarps + warp) * kBlockTokens;
      float block_scores[2][4];
      tile.compute_scores(blocks[b], keys[b], block_scores);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int token = first_token + 4 * t + i;
          scores[b][half][i] = token >= begin[half] && token < tokens[half] ? block_scores[half][i]
                                                                            : minus_infinity();
          max_score[half] = fmaxf(max_score[half], scores[b][half][i]);
        }
      }
    }

    // Softmax weights relative to this warp's max score.
    float weight_sum[2] = {0, 0};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      max_score[half] = quad_max(max_score[half]);
#pragma unroll
      for (int b = 0; b < kBlocksPerWarp; ++b) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& score = scores[b][half][i];
          score = score == minus_infinity() ? 0.0f : fast_exp(score - max_score[half]);
          weight_sum[half] += score;
        }
      }
      weight_sum[half] = quad_sum(weight_sum[half]);
    }

    // Weighted V of this warp's blocks.
    float out[kDim / 8][4] = {};
#pragma unroll
    for (int b = 0; b < kBlocksPerWarp; ++b) {
      const int first_token = (b * kItemWarps + warp) * kBlockTokens;
      if (first_token >= longest || first_token + kBlockTokens <= earliest) continue;
      tile.add_values(blocks[b], scores[b], longest - first_token, out);
    }

    // The warps' results, rescaled to the max score of all warps, are added in warp order.
    if (t == 0) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        max_scores[warp][g + 8 * half] = max_score[half];
        weight_sums[warp][g + 8 * half] = weight_sum[half];
      }
    }
    __syncthreads();
    float rescale[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float overall_max = minus_infinity();
#pragma unroll
      for (int w = 0; w < kItemWarps; ++w)
        overall_max = fmaxf(overall_max, max_scores[w][g + 8 * half]);
      rescale[half] =
          max_score[half] == minus_infinity() ? 0.0f : expf(max_score[half] - overall_max);
    }
    for (int adding = 0; adding < kItemWarps; ++adding) {
      if (adding == warp) {
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            float& sum = values[g + i / 2 * 8][d * 8 + 2 * t + i % 2];
            const float term = out[d][i] * rescale[i / 2];
            sum = adding == 0 ? term : sum + term;
          }
        }
      }
      __syncthreads();
    }

    // The partial results, one query per warp at a time.
    for (int query = warp; query < kTileQueries && first_query + query < queries;
         query += kItemWarps) {
      const QueryRead read = plan.reads[item.first_read + (first_query + query) / group];
      const int head = kv_head * group + (first_query + query) % group;
      float* to = p.partials + (static_cast<size_t>(read.partial) * p.heads + head) * (p.dim + 2);
      for (int d = lane; d < p.dim; d += kWarp) to[d] = values[query][d];
      if (lane == 0) {
        float overall_max = minus_infinity(), weight = 0;
#pragma unroll
        for (int w = 0; w < kItemWarps; ++w) overall_max = fmaxf(overall_max, max_scores[w][query]);
#pragma unroll
        for (int w = 0; w < kItemWarps; ++w) {
          if (max_scores[w][query] != minus_infinity()) {
            weight += weight_sums[w][query] * expf(max_scores[w][query] - overall_max);
          }
        }
        to[p.dim] = overall_max;
        to[p.dim + 1] = weight;
      }
    }
    __syncthreads();  // before the next sixteen queries reuse the shared memory
  }
}

/// Merges the partial results of one query head of one row per block.
/// Launch: grid (rows, heads), block of round_up(dim, kWarp).
/// Reads 4 · (dim + 2) bytes per partial, writes 2 · dim.
__global__ void merge_partials_kernel(const RowPartials* rows, const float* partials, int heads,
                                      int dim, Bf16* out) {
  const RowPartials row = rows[blockIdx.x];
  wait_on_previous_kernel();
  const int head = static_cast<int>(blockIdx.y);
  if (row.count == 0) return;  // prefill attention writes this row
  const size_t stride = static_cast<size_t>(heads) * (dim + 2);
  const float* first = partials + (static_cast<size_t>(row.first) * heads + head) * (dim + 2);
  float max_score = minus_infinity();
  for (int i = 0; i < row.count; ++i) max_score = fmaxf(max_score, first[i * stride + dim]);
  const size_t width = round_up(static_cast<size_t>(heads) * dim, kQuantGroup);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += static_cast<int>(blockDim.x)) {
    float sum = 0, weight = 0;
    for (int i = 0; i < row.count; ++i) {
      const float* partial = first + i * stride;
      if (partial[dim] == minus_infinity()) continue;
      const float scale = expf(partial[dim] - max_score);
      sum += partial[d] * scale;
      weight += partial[dim + 1] * scale;
    }
    out[blockIdx.x * width + static_cast<size_t>(head) * dim + d] =
        narrow(weight == 0 ? 0.0f : sum / weight);
  }
}

template <int Chunks, class Format>
void launch_chunk_attention(const Attention& p, int max_items, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(max_items), static_cast<unsigned>(p.kv_heads));
  launch(chunk_attention_kernel<Chunks, Format>, grid, dim3(kItemWarps * kWarp), 0, stream, p);
}

}  // namespace

void attend_chunks(const Attention& p, int max_items, cudaStream_t stream) {
  dispatch(p, [&](auto chunks, auto format) {
    launch_chunk_attention<chunks(), decltype(format)>(p, max_items, stream);
  });
}

void merge_partials(const RowPartials* rows, int count, const float* partials, int heads, int dim,
                    Bf16* out, cudaStream_t stream) {
  launch(merge_partials_kernel, dim3(static_cast<unsigned>(count), static_cast<unsigned>(heads)),
         dim3(static_cast<unsigned>(round_up(static_cast<size_t>(dim), kWarp))), 0, stream, rows,
         partials, heads, dim, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
