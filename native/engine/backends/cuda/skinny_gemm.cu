// The skinny GEMM, for few rows. It is bound by the bandwidth of the weights, so all it does is
// read each weight once, at full speed, and fuse what comes before and after.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"
#include "backends/cuda/low_rank.cuh"
#include "backends/cuda/qkv_epilogue.cuh"
#include "backends/cuda/weight_formats.cuh"

namespace anabranch::ANABRANCH_CUDA {
namespace {

// ---- epilogue ----------------------------------------------------------------------------------

/// What the epilogue of one result reads. It is loaded before the main loop, which hides the
/// latency.
struct EpilogueInput {
  float old_out = 0;  // if the GEMM accumulates
  StepRow row{};      // for the QKV epilogue
  RopeRotation rotation{};
};

/// Outputs `i` and kHalfPanel + i of a panel of qkv: a RoPE pair of a q or K head, or two values of
/// V.
struct QkvPair {
  int head, d;   // head among those of q, K and V; d: index of the first value within the head
  bool rotated;  // false: V

  __device__ QkvPair(const QkvEpilogue& p, int panel, int i) {
    const int panels_per_head = p.dim / kPanel, panel_in_head = panel % panels_per_head;
    head = panel / panels_per_head;
    rotated = head < p.heads + p.kv_heads;
    d = rotated ? panel_in_head * kHalfPanel + i : panel_in_head * kPanel + i;
  }
};

/// Rotates a pair of q or K and stores it, or stores a pair of V.
__device__ void store_qkv_pair(const QkvEpilogue& p, int row, const QkvPair& pair,
                               const EpilogueInput& input, float low, float high) {
  const bool query = pair.head < p.heads;
  const int kv_head = query ? 0 : (pair.head - p.heads) % p.kv_heads;
  if (!pair.rotated) {
    Bf16* to = static_cast<Bf16*>(p.kv.v) + value_index(p, input.row, kv_head) +
               pair.d * kBlockTokens + input.row.offset;
    to[0] = narrow(low);
    to[kHalfPanel * kBlockTokens] = narrow(high);
    return;
  }
  input.rotation.apply(p, query, low, high);
  Bf16* to = query ? p.q + query_index(p, row, pair.head)
                   : static_cast<Bf16*>(p.kv.k) + key_index(p, input.row, kv_head);
  to[pair.d] = narrow(low);
  to[p.dim / 2 + pair.d] = narrow(high);
}

// ---- kernel ------------------------------------------------------------------------------------

/// A warp's ring of kStages stages in shared memory, each one slice of each of `Panels` panels.
/// After the main loop the same memory holds the warp's sums.
template <class WeightFormat, int Panels>
struct SliceRing {
  static constexpr int kSliceBytes = 2 * kWarp * 16 + WeightFormat::kScaleBytes;
  // As many as fit sixteen warps, or what several panels leave of them.
  static constexpr int kStages = Panels == 4 ? 3 : WeightFormat::kScaleBytes > 64 ? 4 : 5;
  static constexpr int kBytes = kStages * Panels * kSliceBytes;
};

/// The slices of x that a lane loads at once: 8 · Tiles rows each. Slices of many fragments are
/// loaded in several passes, because registers are short.
template <class WeightFormat, int Tiles>
struct XFragments {
  static constexpr int kAll = WeightFormat::kFragments;
  static constexpr int kFragments = kAll > 2 && Tiles > 1 ? 2 : kAll, kPasses = kAll / kFragments;
  static constexpr int kSlices = Tiles * kAll <= 2 ? 4 / (Tiles * kAll) : 1;
  static_assert(kSlices == 1 || kPasses == 1);
  Words4 slice[kSlices][Tiles][kFragments];

  /// From `k` on, `stride` apart. Beyond the end of a row, the first slice is loaded again.
  __device__ void load(const Bf16* const (&x)[Tiles], int k, int pass, int stride, int depth) {
#pragma unroll
    for (int s = 0; s < kSlices; ++s) {
      const int at = (k + s * stride < depth ? k + s * stride : k) +
                     pass * kFragments * WeightFormat::kFragmentStride;
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
#pragma unroll
        for (int f = 0; f < kFragments; ++f)
          slice[s][i][f] = load16(x[i] + at + f * WeightFormat::kFragmentStride);
      }
    }
  }
};

/// What one block computes: 8·Tiles rows of x by `Panels` panels of weights. The number of warps is
/// limited by the shared memory and registers that every supported device has.
template <int Tiles_, int Panels_>
struct SkinnyShape {
  static constexpr int Tiles = Tiles_, Panels = Panels_, kRows = 8 * Tiles;
  static constexpr int kMaxWarps = 16 / Panels;
};

/// out = x · wᵀ for few rows, with one of the epilogues of Gemm.
/// Launch: grid (m / kRows, panels / Panels), block of 4 to 16 warps. Warp w takes the slices w, w
/// + warps, … along K; the warps' sums are added in warp order, so that the order of sums depends
/// on the weights' shape alone.
/// Reads each weight once, streamed through shared memory by cp.async; for more than kRows rows,
/// the next blocks read the same weights from L2. The first stages are copied before the previous
/// kernel has finished, and the next `prefetch_bytes` of each weight row are prefetched into L2.
template <class WeightFormat, class Shape>
__global__ void __launch_bounds__(Shape::kMaxWarps* kWarp, 1)
    skinny_gemm_kernel(Gemm p, int prefetch_bytes) {
  constexpr int Tiles = Shape::Tiles, Panels = Shape::Panels, kRows = Shape::kRows;
  using Ring = SliceRing<WeightFormat, Panels>;
  using Fragments = XFragments<WeightFormat, Tiles>;
  constexpr int kStages = Ring::kStages;
  // Whether x is loaded while the slices before are multiplied. With more rows, registers are
  // short.
  constexpr bool kLoadsAhead = Tiles <= 2;
  using Sums = float[Panels][kRows][kPanel + 1];
  static_assert(sizeof(Sums) <= Ring::kBytes);
  __shared__ float inverse_rms_of[kRows];
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % kWarp, warp = thread / kWarp;
  const int threads = static_cast<int>(blockDim.x), warps = threads / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int first_row = static_cast<int>(blockIdx.x) * kRows,
            first_panel = static_cast<int>(blockIdx.y) * Panels;
  const int depth = p.w.k, stride = warps * WeightFormat::kSliceK,
            last_panel = panels_of(p.w.n) - 1;
  std::uint8_t* const ring = dynamic_shared() + warp * Ring::kBytes;

  // Start of the weight pipeline. Beyond the last panel, the last one is loaded again.
  const auto* const weights = static_cast<const std::uint8_t*>(p.w.values);
  const auto bytes_of = [](int k) { return row_bytes(WeightFormat::kType, k); };
  const size_t row = bytes_of(depth);
  const auto load_slices = [&](int k, int stage) {
    if (k < depth) {
#pragma unroll
      for (int i = 0; i < Panels; ++i) {
        const int panel = first_panel + i < last_panel ? first_panel + i : last_panel;
        const auto* from =
            weights + (static_cast<size_t>(panel) * kPanel + g) * row + bytes_of(k) + t * 16;
        std::uint8_t* const to = ring + (stage * Panels + i) * Ring::kSliceBytes;
        cp_async16(to + lane * 16, from);
        cp_async16(to + (kWarp + lane) * 16, from + 8 * row);
        WeightFormat::copy_scales(p.w, panel, k, lane, to + 2 * kWarp * 16);
      }
    }
    cp_async_commit();
  };
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage)
    load_slices(warp * WeightFormat::kSliceK + stage * stride, stage);
  if (prefetch_bytes > 0 && thread < Panels * kPanel && blockIdx.x == 0 &&
      first_panel + thread / kPanel <= last_panel) {
    prefetch_l2(weights + (static_cast<size_t>(first_panel) * kPanel + thread) * row +
                    bytes_of((kStages - 1) * stride),
                static_cast<unsigned>(prefetch_bytes));
  }

  // The column of this thread's results. If an epilogue combines pairs, a thread's column is in the
  // first half of a panel and its partner's in the second.
  const bool pairs = p.gated_out || p.qkv_epilogue.q;
  const int per_panel = pairs ? kHalfPanel : kPanel, width = Panels * per_panel;
  const int s = thread % width / per_panel;  // panel of the block
  const int j = thread % per_panel;          // column of the panel
  const int panel = first_panel + s, column = panel * kPanel + j;
  const bool valid_column = column < p.w.n;
  const float bias = p.bias && valid_column ? p.bias[column] : 0.0f;
  const float partner_bias = p.bias && valid_column && pairs ? p.bias[column + kHalfPanel] : 0.0f;
  const float norm_weight = p.norm_output.x && valid_column ? p.norm_output.weight[column] : 0.0f;
  wait_on_previous_kernel();

  // x, norm scales and epilogue inputs, which the previous kernel may have written.
  const auto source_row = [&](int row) { return p.source_rows ? p.source_rows[row] : row; };
  const Bf16* x[Tiles];
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    const int row = first_row + 8 * i + g;
    x[i] = p.x + static_cast<size_t>(source_row(row < p.m ? row : p.m - 1)) * depth +
           t * WeightFormat::kLaneStride;
  }
  // By the last warps first: if the slices don't divide evenly, those have fewer of them.
  if (p.norm_squares) {
    for (int i = warps - 1 - warp; i < kRows && first_row + i < p.m; i += warps) {
      const float scale = inverse_rms(p, source_row(first_row + i));
      if (lane == 0) inverse_rms_of[i] = scale;
    }
  }
  const auto load_epilogue_input = [&](int i) {
    EpilogueInput input;
    const int row = first_row + i;
    if (row >= p.m || !valid_column) return input;
    if (p.accumulate) input.old_out = p.out[static_cast<size_t>(row) * p.width() + column];
    if (p.qkv_epilogue.q) {
      const QkvPair pair(p.qkv_epilogue, panel, j);
      input.row = p.qkv_epilogue.rows[row];
      if (pair.rotated) input.rotation = RopeRotation(p.qkv_epilogue, row, pair.d);
    }
    return input;
  };
  EpilogueInput input = load_epilogue_input(thread / width);

  // Main loop over this warp's slices of K.
  float sums[Panels][Tiles][4] = {};
  int stage = 0, k = warp * WeightFormat::kSliceK;
  Fragments fragments, next;
  if (kLoadsAhead && k < depth) next.load(x, k, 0, stride, depth);
#pragma unroll 1
  while (k < depth) {
#pragma unroll
    for (int pass = 0; pass < Fragments::kPasses; ++pass) {
      const bool last_pass = pass + 1 == Fragments::kPasses;
      if constexpr (kLoadsAhead) {
        fragments = next;
        const int ahead = last_pass ? k + Fragments::kSlices * stride : k;
        if (ahead < depth) next.load(x, ahead, last_pass ? 0 : pass + 1, stride, depth);
      } else {
        fragments.load(x, k, pass, stride, depth);
      }
#pragma unroll
      for (int slice = 0; slice < Fragments::kSlices; ++slice) {
        if (k >= depth) break;
        if (pass == 0) {
          cp_async_wait<kStages - 2>();
          __syncwarp();  // all lanes' copies are here, and all are done with the stage before
          load_slices(k + (kStages - 1) * stride, (stage == 0 ? kStages : stage) - 1);
        }
#pragma unroll
        for (int i = 0; i < Panels; ++i) {
          WeightFormat::multiply(p.w, ring + (stage * Panels + i) * Ring::kSliceBytes, lane,
                                 pass * Fragments::kFragments, fragments.slice[slice], sums[i]);
        }
        if (!last_pass) continue;
        stage = stage + 1 == kStages ? 0 : stage + 1;
        k += stride;
      }
    }
  }

  // The warps' sums, to shared memory.
  cp_async_wait<0>();
  __syncwarp();
  auto& warp_sums = *reinterpret_cast<Sums*>(ring);
#pragma unroll
  for (int of = 0; of < Panels; ++of) {
#pragma unroll
    for (int i = 0; i < Tiles; ++i) {
#pragma unroll
      for (int at = 0; at < 4; ++at)
        warp_sums[of][8 * i + 2 * t + at % 2][g + at / 2 * 8] = sums[of][i][at];
    }
  }
  __syncthreads();

  // Epilogue: add the warps' sums, scale, add the bias, and store.
  const auto result = [&](int i, int j, float bias) {
    float sum = 0, value;
    for (int w = 0; w < warps; ++w) {
      sum += (*reinterpret_cast<const Sums*>(dynamic_shared() + w * Ring::kBytes))[s][i][j];
    }
    value = (p.norm_squares ? sum * inverse_rms_of[i] : sum) + bias;
    add_low_rank(p, first_row + i, panel * kPanel + j, value);
    return value;
  };
  for (int i = thread / width; i < kRows; i += threads / width) {
    if (i != thread / width) input = load_epilogue_input(i);
    const int row = first_row + i;
    const bool valid = row < p.m && valid_column;
    float value = 0;
    if (valid) {
      value = result(i, j, bias);
      if (p.gated_out) {
        gated_out_at(p, row, panel)[j] =
            narrow(activate(p.activation, value) * result(i, j + kHalfPanel, partner_bias));
      } else if (p.qkv_epilogue.q) {
        store_qkv_pair(p.qkv_epilogue, row, QkvPair(p.qkv_epilogue, panel, j), input, value,
                       result(i, j + kHalfPanel, partner_bias));
      } else {
        p.out[static_cast<size_t>(row) * p.width() + column] = value += input.old_out;
      }
    }
    if (p.norm_output.x)
      store_norm_output(p.norm_output, valid, row, column, p.w.n, value, norm_weight);
  }
}

// ---- launch ------------------------------------------------------------------------------------

template <class WeightFormat, class Shape>
void launch_shape(const Gemm& p, int warps, const Queue& queue) {
  using Ring = SliceRing<WeightFormat, Shape::Panels>;
  constexpr size_t kMaxShared = size_t{Shape::kMaxWarps} * Ring::kBytes;
  static_assert(kMaxShared + Shape::kRows * sizeof(float) <= size_t{98} << 10,
                "not every device has more");
  const auto panels = static_cast<size_t>(panels_of(p.w.n));
  const size_t row = row_bytes(p.w.type, p.w.k);
  const size_t copied = row_bytes(p.w.type, (Ring::kStages - 1) * warps * WeightFormat::kSliceK);
  const size_t rest = row > copied ? row - copied : 0,
               max_prefetch = queue.overlap ? queue.prefetch_bytes / panels / kPanel / 16 * 16 : 0;
  const dim3 grid(static_cast<unsigned>((p.m + Shape::kRows - 1) / Shape::kRows),
                  static_cast<unsigned>((panels + Shape::Panels - 1) / Shape::Panels));
  launch(skinny_gemm_kernel<WeightFormat, Shape>, grid, dim3(static_cast<unsigned>(warps * kWarp)),
         warps * size_t{Ring::kBytes}, queue, p,
         static_cast<int>(rest < max_prefetch ? rest : max_prefetch));
}

/// Chooses warps and shape. If there are few panels, more warps share each of them, so that the
/// whole device reads; this depends on the weights alone, because the number of warps sets the
/// order of sums. A block takes one panel, so that many blocks read at once, until x is so much
/// that several panels should share it.
template <class WeightFormat>
void launch_skinny(const Gemm& p, const Queue& queue) {
  const int panels = panels_of(p.w.n), warps = panels >= 256 ? 4 : panels >= 128 ? 8 : 16;
  const auto with = [&](auto shape) {
    launch_shape<WeightFormat, decltype(shape)>(p, warps, queue);
  };
  if (p.m <= 8) return with(SkinnyShape<1, 1>{});
  if (p.m <= 16) return with(SkinnyShape<2, 1>{});
  if (warps == 16) return with(SkinnyShape<4, 1>{});
  if (warps == 8) return with(SkinnyShape<4, 2>{});
  with(SkinnyShape<4, 4>{});
}

}  // namespace

void skinny_gemm(const Gemm& p, const Queue& queue) {
  dispatch_weights(p.w, [&](auto weights) { launch_skinny<decltype(weights)>(p, queue); });
}

}  // namespace anabranch::ANABRANCH_CUDA
