// Prefill attention, for spans of consecutive prompt rows. Each warp walks the whole context with
// sixteen query heads of neighbouring rows and rescales its accumulator whenever the max score
// grows (FlashAttention-2, arXiv:2307.08691). There are no partials to merge.
#include "backends/cuda/attention_tile.cuh"
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kPrefillWarps = kPrefillTileQueries / kTileQueries;

/// KV blocks whose scores a warp holds in registers at once.
template <int Chunks>
constexpr int kBlocksInFlight = Chunks > 4 ? 2 : 4;

/// FlashAttention-2 of one tile of queries over its span's KV ranges.
/// Launch: grid (tiles, kv_heads), block of kPrefillWarps warps with kTileQueries queries each;
/// warps share nothing. Each warp reads its context's K and V once; warps of a block and blocks of
/// a span read the same KV at about the same time, so that most reads hit L2.
template <int Chunks, class Format>
__global__ void __launch_bounds__(kPrefillWarps* kWarp)
    prefill_attention_kernel(Attention p, PrefillAttention r) {
  constexpr int kDim = Chunks * kWarpK;
  const PrefillTile part = r.tiles[blockIdx.x];
  const PrefillSpan span = r.spans[part.span];
  wait_on_previous_kernel();

  // This warp's queries.
  const int kv_head = static_cast<int>(blockIdx.y);
  const int group = p.heads / p.kv_heads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first_query = part.first_query + static_cast<int>(threadIdx.x) / kWarp * kTileQueries;
  const int queries = span.num_rows * group;
  if (first_query >= queries) return;
  WarpTile<Chunks, Format> tile(p, kv_head, lane);
  int row[2], head[2];
  int last_range_tokens[2];  // tokens of the last range that the query sees
  int first_position[2];     // the first position that the query sees
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int query = first_query + tile.g + 8 * half;
    const int valid_query = query < queries ? query : queries - 1;
    row[half] = span.first_row + valid_query / group;
    head[half] = valid_query % group;
    last_range_tokens[half] = span.first_row_tokens + valid_query / group;
    first_position[half] =
        p.window == 0 ? 0 : span.first_position + valid_query / group - p.window + 1;
    tile.load_query(half, row[half], head[half]);
  }
  const int longest = tile_max(last_range_tokens);

  TileSums<Chunks> sums;
  for (int s = 0; s < span.num_ranges; ++s) {
    const PrefillKvRange range = r.ranges[span.first_range + s];
    // The causal mask in the last range, and the window's.
    const bool last = s + 1 == span.num_ranges;
    const int tokens = last ? longest : range.tokens;
    const int first_visible[2] = {first_position[0] - range.start, first_position[1] - range.start};
    const int earliest = p.window == 0 ? 0 : tile_min(first_visible) / kBlockTokens * kBlockTokens;
    const auto visible = [&](int half, int token) {
      return token < (last ? last_range_tokens[half] : tokens) &&
             (p.window == 0 || token >= first_visible[half]);
    };
    for (int begin = earliest > 0 ? earliest : 0; begin < tokens;
         begin += kBlocksInFlight<Chunks> * kBlockTokens) {
      tile.template attend<kBlocksInFlight<Chunks>>(sums, begin, kBlockTokens, 0, tokens,
                                                    r.blocks + range.first_block, visible);
    }
  }

  // Normalise and store.
  const size_t width = round_up(static_cast<size_t>(p.heads) * p.dim, kQuantGroup);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float scale = 1.0f / quad_sum(sums.weight_sum[half]);
    if (first_query + tile.g + 8 * half >= queries) continue;
    Bf16* to =
        r.out + row[half] * width + static_cast<size_t>(kv_head * group + head[half]) * p.dim;
#pragma unroll
    for (int d = 0; d < kDim / 8; ++d) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = d * 8 + 2 * tile.t + i;
        if (column < p.dim) to[column] = narrow(sums.out[d][2 * half + i] * scale);
      }
    }
  }
}

template <int Chunks, class Format>
void launch_prefill_attention(const Attention& p, const PrefillAttention& r, int num_tiles,
                              const Queue& queue) {
  const dim3 grid(static_cast<unsigned>(num_tiles), static_cast<unsigned>(p.kv_heads));
  launch(prefill_attention_kernel<Chunks, Format>, grid, dim3(kPrefillWarps * kWarp), 0, queue, p,
         r);
}

}  // namespace

void attend_prefill(const Attention& p, const PrefillAttention& prefill, int num_tiles,
                    const Queue& queue) {
  dispatch(p, [&](auto chunks, auto format) {
    launch_prefill_attention<chunks(), decltype(format)>(p, prefill, num_tiles, queue);
  });
}

}  // namespace anabranch::ANABRANCH_CUDA
