// Matrix products on tensor cores: few rows, where the weights' bandwidth is all that counts, and many.
#include "backends/cuda/device.cuh"
#include "backends/cuda/heads.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

// A kind of weights says how they are read: `kBytes` a value. For few rows, a stretch is what one warp takes of a
// strip at a time: `kValues` along K of sixteen rows, in shared memory as each lane of 4·g + t has copied it: 16
// bytes of row g, and of row g + 8, that begin at value kValues / 4 · t; then `kBeside` bytes. They meet kWords
// times eight values of x. For many, eight() are the values of a row that lane t multiplies, out of shared memory.

struct Bf16Weights {
  static constexpr int kBytes = 2, kValues = kDepth, kWords = 1, kBeside = 0;

  static __device__ void copy_beside(const Weights&, int, int, int, std::uint8_t*) {}
  /// sums += stretch · x of 8·Tiles rows.
  template <int Tiles>
  static __device__ void multiply(const std::uint8_t* stretch, int lane, const Words (&x)[Tiles][kWords],
                                  float (&sums)[Tiles][4]) {
    const Words low = load16(stretch + lane * 16), high = load16(stretch + (kWarp + lane) * 16);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) multiply32(sums[i], low, high, x[i][0]);
  }

  struct Scale {
    __device__ void load(const Weights&, int, int) {}
  };
  static __device__ Words eight(const std::uint8_t* at, const Scale&) { return load16(at); }
};

/// 8-bit weights are widened to bf16 in registers, where they are whole: a group's scale is for its sums.
template <class Format>
struct ByteWeights {
  static constexpr int kBytes = 1, kValues = 2 * kDepth, kWords = 2, kBeside = kStrip * 2;  // a group's scales

  static __device__ void copy_beside(const Weights& w, int strip, int k, int lane, std::uint8_t* to) {
    const auto group = static_cast<size_t>(strip) * (w.k / kGroup) + k / kGroup;
    if (lane < kBeside / 16) copy16(to + lane * 16, w.scales + group * kStrip + lane * 8);
  }
  template <int Tiles>
  static __device__ void multiply(const std::uint8_t* stretch, int lane, const Words (&x)[Tiles][kWords],
                                  float (&sums)[Tiles][4]) {
    const Words low = load16(stretch + lane * 16), high = load16(stretch + (kWarp + lane) * 16);
    float plain[Tiles][4] = {};
#pragma unroll
    for (int part = 0; part < kWords; ++part) {
      const Words a0 = widen8<Format>(low.word[2 * part], low.word[2 * part + 1]);
      const Words a1 = widen8<Format>(high.word[2 * part], high.word[2 * part + 1]);
#pragma unroll
      for (int i = 0; i < Tiles; ++i) multiply32(plain[i], a0, a1, x[i][part]);
    }
    const auto* scales = reinterpret_cast<const Bf16*>(stretch + 2 * kWarp * 16) + lane / 4;
    const float scale_low = ANABRANCH_CUDA::widen(scales[0]), scale_high = ANABRANCH_CUDA::widen(scales[8]);
#pragma unroll
    for (int i = 0; i < Tiles; ++i) {
#pragma unroll
      for (int at = 0; at < 4; ++at) sums[i][at] = fmaf(plain[i][at], at < 2 ? scale_low : scale_high, sums[i][at]);
    }
  }

  /// Many rows have no registers for a group's sums: there each weight is scaled, and rounded once more.
  struct Scale {
    Bf16 value;

    /// For the values from `k` on, well before they are read; of the last row where `row` is beyond it.
    __device__ void load(const Weights& w, int row, int k) {
      if (k % kGroup != 0) return;
      row = row < w.n ? row : w.n - 1;
      const auto group = static_cast<size_t>(row / kStrip) * (w.k / kGroup) + k / kGroup;
      value = w.scales[group * kStrip + row % kStrip];
    }
  };
  static __device__ Words eight(const std::uint8_t* at, const Scale& scale) {
    const TwoWords bytes = load8(at);
    Words out = widen8<Format>(bytes.word[0], bytes.word[1]);
#pragma unroll
    for (std::uint32_t& pair : out.word) pair = scale2(pair, scale.value);
    return out;
  }
};

/// Where the silu(gate) · up of row and strip is to stand, from its first gate on.
__device__ inline Bf16* gates_at(const Gemm& p, int row, int strip) {
  return p.gates + row * padded(p.w.n / 2, kGroup) + strip * kHalf;
}

// ---- few rows ------------------------------------------------------------------------------------

/// 1 / rms of a row whose squares were handed on; all lanes of a warp get it.
__device__ float inverse_rms(const Gemm& p, int row) {
  const int strips = strips_of(p.n), lane = static_cast<int>(threadIdx.x) % kWarp;
  const float* squares = p.squares + static_cast<size_t>(row) * strips;
  float sum = 0;
#pragma unroll 4
  for (int i = lane; i < strips; i += kWarp) sum += squares[i];
  return rsqrtf(warp_sum(sum) / static_cast<float>(p.n) + p.epsilon);
}

/// What the results of a row and column meet: it is under way while sums are made.
struct Met {
  float was = 0;  // that they are added to
  StepRow row{};  // of heads
  Turn turn{};
};

/// The first of a pair of outputs `i` and kHalf + i of a strip of qkv: its head, and its place there.
struct Pair {
  int head, d;
  bool turns;  // else V's

  __device__ Pair(const Heads& p, int strip, int i) {
    const int strips = p.dim / kStrip, part = strip % strips;
    head = strip / strips;
    turns = head < p.heads + p.kv_heads;
    d = turns ? part * kHalf + i : part * kStrip + i;
  }
};

/// RoPE of a pair, and where it goes.
__device__ void finish(const Heads& p, int row, const Pair& pair, const Met& met, float low, float high) {
  const bool query = pair.head < p.heads;
  const int kv_head = query ? 0 : (pair.head - p.heads) % p.kv_heads;
  if (!pair.turns) {
    Bf16* to = static_cast<Bf16*>(p.kv.v) + value_at(p, met.row, kv_head) + pair.d * kBlockTokens + met.row.offset;
    to[0] = narrow(low);
    to[kHalf * kBlockTokens] = narrow(high);
    return;
  }
  met.turn.apply(p, query, low, high);
  Bf16* to = query ? p.q + query_at(p, row, pair.head) : static_cast<Bf16*>(p.kv.k) + key_at(p, met.row, kv_head);
  to[pair.d] = narrow(low);
  to[p.dim / 2 + pair.d] = narrow(high);
}

/// A warp's stretches under way, of Strips strips each, in turn in kSlots places of shared memory; then its sums.
template <class Kind, int Strips>
struct Ring {
  static constexpr int kStretch = 2 * kWarp * 16 + Kind::kBeside;
  static constexpr int kSlots = Strips == 4 ? 3 : 5;
  static constexpr int kBytes = kSlots * Strips * kStretch;
};

/// How many rows of x a block takes by how many of weights, and warps at the most: more have no shared memory on
/// every device, nor registers.
template <int Tiles_, int Strips_>
struct Shape {
  static constexpr int Tiles = Tiles_, Strips = Strips_, kRows = 8 * Tiles;
  static constexpr int kMostWarps = 16 / Strips;
};

/// `Strips` strips of weights by 8·Tiles rows of x a block. Its warps take the stretches of K in turn, and their sums
/// are added in warp order. The first stretches are copied before the kernel's turn has come, and of what follows
/// `asked` bytes of each row are asked for.
template <class Kind, class Shape>
__global__ void __launch_bounds__(Shape::kMostWarps* kWarp, 1) skinny(Gemm p, int asked) {
  constexpr int Tiles = Shape::Tiles, Strips = Shape::Strips, kRows = Shape::kRows;
  using Ring = Ring<Kind, Strips>;
  constexpr int kSlots = Ring::kSlots, kWords = Kind::kWords;
  constexpr int kBatch = Tiles * kWords <= 2 ? 4 / (Tiles * kWords) : 1;
  using Sums = float[Strips][kRows][kStrip + 1];
  static_assert(sizeof(Sums) <= Ring::kBytes);
  __shared__ float scales[kRows];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int threads = static_cast<int>(blockDim.x), warps = threads / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int first = static_cast<int>(blockIdx.y) * kRows, first_strip = static_cast<int>(blockIdx.x) * Strips;
  const int depth = p.w.k, stride = warps * Kind::kValues, last_strip = strips_of(p.w.n) - 1;
  std::uint8_t* const ring = dynamic_shared() + warp * Ring::kBytes;

  const auto* const weights = static_cast<const std::uint8_t*>(p.w.values);
  const size_t row_bytes = static_cast<size_t>(depth) * Kind::kBytes;
  const auto fetch = [&](int k, int slot) {
    if (k < depth) {
#pragma unroll
      for (int i = 0; i < Strips; ++i) {
        const int of = first_strip + i < last_strip ? first_strip + i : last_strip;
        const auto* from = weights + (static_cast<size_t>(of) * kStrip + g) * row_bytes + k * Kind::kBytes + t * 16;
        std::uint8_t* const to = ring + (slot * Strips + i) * Ring::kStretch;
        copy16(to + lane * 16, from);
        copy16(to + (kWarp + lane) * 16, from + 8 * row_bytes);
        Kind::copy_beside(p.w, of, k, lane, to + 2 * kWarp * 16);
      }
    }
    close_copies();
  };
#pragma unroll
  for (int slot = 0; slot < kSlots - 1; ++slot) fetch(warp * Kind::kValues + slot * stride, slot);
  const int me = static_cast<int>(threadIdx.x);
  if (asked > 0 && me < Strips * kStrip && blockIdx.y == 0 && first_strip + me / kStrip <= last_strip) {
    ask_for(weights + (static_cast<size_t>(first_strip) * kStrip + me) * row_bytes +
                (kSlots - 1) * stride * Kind::kBytes,
            static_cast<unsigned>(asked));
  }
  // A thread's results are all of one column, or of one pair of a strip's halves.
  const bool pairs = p.gates || p.heads.q;
  const int each = pairs ? kHalf : kStrip, width = Strips * each;
  const int s = me % width / each, j = me % each, strip = first_strip + s, column = strip * kStrip + j;
  const bool counts = column < p.w.n;
  const float bias = p.bias && counts ? p.bias[column] : 0.0f;
  const float second_bias = p.bias && counts && pairs ? p.bias[column + kHalf] : 0.0f;
  const float next_weight = p.next.x && counts ? p.next.weight[column] : 0.0f;
  await_previous();

  const auto source = [&](int row) { return p.from ? p.from[row] : row; };
  const Bf16* x[Tiles];
#pragma unroll
  for (int i = 0; i < Tiles; ++i) {
    const int row = first + 8 * i + g;
    x[i] = p.x + static_cast<size_t>(source(row < p.m ? row : p.m - 1)) * depth + t * (Kind::kValues / 4);
  }
  // The last warps have the least to multiply where stretches don't come out even.
  if (p.squares) {
    for (int i = warps - 1 - warp; i < kRows && first + i < p.m; i += warps) {
      const float scale = inverse_rms(p, source(first + i));
      if (lane == 0) scales[i] = scale;
    }
  }
  const auto meet = [&](int i) {
    Met met;
    const int row = first + i;
    if (row >= p.m || !counts) return met;
    if (p.accumulate) met.was = p.out[static_cast<size_t>(row) * p.w.n + column];
    if (p.heads.q) {
      const Pair pair(p.heads, strip, j);
      met.row = p.heads.rows[row];
      if (pair.turns) met.turn = Turn(p.heads, row, pair.d);
    }
    return met;
  };
  Met met = meet(me / width);
  float sums[Strips][Tiles][4] = {};
  int slot = 0;
#pragma unroll 1
  for (int k = warp * Kind::kValues; k < depth;) {
    // x of some stretches is under way at once.
    Words begun[kBatch][Tiles][kWords];
#pragma unroll
    for (int turn = 0; turn < kBatch; ++turn) {
      const int at = k + turn * stride < depth ? k + turn * stride : k;
#pragma unroll
      for (int i = 0; i < Tiles; ++i) {
#pragma unroll
        for (int word = 0; word < kWords; ++word) begun[turn][i][word] = load16(x[i] + at + 8 * word);
      }
    }
#pragma unroll
    for (int turn = 0; turn < kBatch; ++turn) {
      if (k >= depth) break;
      await_copies<kSlots - 2>();
      __syncwarp();  // what other lanes copied is there, and all are done with the slot before
      fetch(k + (kSlots - 1) * stride, (slot == 0 ? kSlots : slot) - 1);
#pragma unroll
      for (int i = 0; i < Strips; ++i) {
        Kind::multiply(ring + (slot * Strips + i) * Ring::kStretch, lane, begun[turn], sums[i]);
      }
      slot = slot + 1 == kSlots ? 0 : slot + 1;
      k += stride;
    }
  }
  await_copies<0>();
  __syncwarp();
  auto& mine = *reinterpret_cast<Sums*>(ring);
#pragma unroll
  for (int of = 0; of < Strips; ++of) {
#pragma unroll
    for (int i = 0; i < Tiles; ++i) {
#pragma unroll
      for (int at = 0; at < 4; ++at) mine[of][8 * i + 2 * t + at % 2][g + at / 2 * 8] = sums[of][i][at];
    }
  }
  __syncthreads();

  const auto result = [&](int i, int j, float bias) {
    float sum = 0;
    for (int split = 0; split < warps; ++split) {
      sum += (*reinterpret_cast<const Sums*>(dynamic_shared() + split * Ring::kBytes))[s][i][j];
    }
    return (p.squares ? sum * scales[i] : sum) + bias;
  };
  for (int i = me / width; i < kRows; i += threads / width) {
    if (i != me / width) met = meet(i);
    const int row = first + i;
    const bool there = row < p.m && counts;
    float value = 0;
    if (there) {
      value = result(i, j, bias);
      if (p.gates) gates_at(p, row, strip)[j] = narrow(silu(value) * result(i, j + kHalf, second_bias));
      else if (p.heads.q) finish(p.heads, row, Pair(p.heads, strip, j), met, value, result(i, j + kHalf, second_bias));
      else p.out[static_cast<size_t>(row) * p.w.n + column] = value += met.was;
    }
    if (p.next.x) hand_on(p.next, there, row, column, p.w.n, value, next_weight);
  }
}

template <class Kind, class Shape>
void launch_skinny(const Gemm& p, int warps, cudaStream_t stream) {
  using Ring = Ring<Kind, Shape::Strips>;
  constexpr size_t kAsked = size_t{16} << 20;  // of a product's weights: a part of what the second cache holds
  constexpr size_t kMostShared = size_t{Shape::kMostWarps} * Ring::kBytes;
  static_assert(kMostShared + Shape::kRows * sizeof(float) <= size_t{98} << 10, "not every device has more");
  [[maybe_unused]] static const bool allowed = allow_shared(skinny<Kind, Shape>, kMostShared);
  const auto strips = static_cast<size_t>(strips_of(p.w.n));
  const size_t row = row_bytes(p.w.type, p.w.k);
  const size_t copied = static_cast<size_t>(Ring::kSlots - 1) * warps * Kind::kValues * Kind::kBytes;
  const size_t rest = row > copied ? row - copied : 0, most = kAsked / strips / kStrip / 16 * 16;
  const dim3 grid(static_cast<unsigned>((strips + Shape::Strips - 1) / Shape::Strips),
                  static_cast<unsigned>((p.m + Shape::kRows - 1) / Shape::kRows));
  launch(skinny<Kind, Shape>, grid, dim3(static_cast<unsigned>(warps * kWarp)), warps * size_t{Ring::kBytes}, stream, p,
         static_cast<int>(rest < most ? rest : most));
}

/// Where there are few strips, more warps share each, so that all of the device reads. That depends on
/// the weights alone: sums must not depend on the number of rows. Where there are many, a block takes several, and
/// the more the more rows of x it reads for them.
template <class Kind>
void launch_skinny(const Gemm& p, cudaStream_t stream) {
  const int strips = strips_of(p.w.n), warps = strips >= 256 ? 4 : strips >= 128 ? 8 : 16;
  const auto with = [&](auto shape) { launch_skinny<Kind, decltype(shape)>(p, warps, stream); };
  const bool one = warps == 16, four = warps == 4;
  if (p.m <= 4 || (one && p.m <= 8)) return with(Shape<1, 1>{});
  if (p.m <= 8) return with(Shape<1, 2>{});
  if (p.m <= 16) return one ? with(Shape<2, 1>{}) : with(Shape<2, 2>{});
  if (one) return with(Shape<4, 1>{});
  if (p.m <= 32) return four ? with(Shape<4, 4>{}) : with(Shape<4, 2>{});
  with(Shape<8, 2>{});
}

// ---- many rows -----------------------------------------------------------------------------------

constexpr int kTile = 128;  // rows of x, and of w, a block
constexpr int kStages = 4;
constexpr int kTileThreads = 128;
constexpr int kWarpTile = 64;  // rows of x, and of w, a warp

/// `Bytes` of each of kTile rows, from `first` on, into shared memory. Where rows end, the last stands
/// in for what is beyond.
template <int Bytes>
__device__ void fetch_rows(std::uint8_t* to, const void* from, size_t stride, int first, int rows) {
  constexpr int kPieces = Bytes / 16;
#pragma unroll
  for (int part = 0; part < kTile * kPieces / kTileThreads; ++part) {
    const int at = static_cast<int>(threadIdx.x) + part * kTileThreads;
    int row = first + at / kPieces;
    row = row < rows ? row : rows - 1;
    copy16(to + at * 16,
           static_cast<const std::uint8_t*>(from) + static_cast<size_t>(row) * stride + at % kPieces * 16);
  }
}

__device__ inline void put(const Gemm& p, int row, int column, float sum) {
  if (p.bias) sum += p.bias[column];
  float* out = p.out + static_cast<size_t>(row) * p.w.n + column;
  *out = p.accumulate ? *out + sum : sum;
}
/// Of a gate's column.
__device__ inline void put_gate(const Gemm& p, int row, int column, float gate, float up) {
  if (p.bias) gate += p.bias[column], up += p.bias[column + kHalf];
  gates_at(p, row, column / kStrip)[column % kStrip] = narrow(silu(gate) * up);
}

/// A stage of shared memory: one stretch of K of this block's rows of x, then of w.
template <class Kind>
struct Stage {
  static constexpr int kRowX = kDepth * 2, kRowW = kDepth * Kind::kBytes;
  static constexpr int kBytes = kTile * (kRowX + kRowW);

  static __device__ void fetch(const Gemm& p, std::uint8_t* stage, int k) {
    const auto* w = static_cast<const std::uint8_t*>(p.w.values) + static_cast<size_t>(k) * Kind::kBytes;
    fetch_rows<kRowX>(stage, p.x + k, static_cast<size_t>(p.w.k) * 2,
                      static_cast<int>(blockIdx.x) * kTile, p.m);
    fetch_rows<kRowW>(stage + kTile * kRowX, w, static_cast<size_t>(p.w.k) * Kind::kBytes,
                      static_cast<int>(blockIdx.y) * kTile, strips_of(p.w.n) * kStrip);
  }
};

/// 128 by 128 results a block, 64 by 64 a warp. Rows of a stage are 64 bytes, or 32 of 8-bit weights:
/// eight lanes' 16-byte reads of two rows, or sixteen lanes' 8-byte reads of four, fill all banks once.
///
/// Where `splits` blocks share a tile, each takes a part of K and leaves its sums in p.parts, [splits, m, w.n].
template <class Kind>
__global__ void __launch_bounds__(kTileThreads, 2) tiled(Gemm p, int splits) {
  using Stage = Stage<Kind>;
  std::uint8_t* const shared = dynamic_shared();
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int g = lane / 4, t = lane % 4;
  const int warp_row = warp / 2 * kWarpTile, warp_column = warp % 2 * kWarpTile;
  constexpr int kX = kWarpTile / 16, kW = kWarpTile / 8;
  const int groups = p.w.k / kGroup, split = static_cast<int>(blockIdx.z);
  const int begin = groups * split / splits * kGroup;  // along K
  const int steps = (groups * (split + 1) / splits * kGroup - begin) / kDepth;
  await_previous();
  for (int stage = 0; stage < kStages - 1; ++stage) {
    if (stage < steps) Stage::fetch(p, shared + stage * Stage::kBytes, begin + stage * kDepth);
    close_copies();
  }
  const int weights = static_cast<int>(blockIdx.y) * kTile + warp_column + g;
  typename Kind::Scale scales[kW];
  float sums[kX][kW][4] = {};
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int j = 0; j < kW; ++j) scales[j].load(p.w, weights + j * 8, begin + step * kDepth);
    await_copies<kStages - 2>();
    __syncthreads();
    const int next = step + kStages - 1;
    if (next < steps) Stage::fetch(p, shared + next % kStages * Stage::kBytes, begin + next * kDepth);
    close_copies();
    const std::uint8_t* stage = shared + step % kStages * Stage::kBytes;
    const std::uint8_t* x = stage + (warp_row + g) * Stage::kRowX + t * 16;
    const std::uint8_t* w =
        stage + kTile * Stage::kRowX + (warp_column + g) * Stage::kRowW + t * 8 * Kind::kBytes;
    Words b[kW];
#pragma unroll
    for (int j = 0; j < kW; ++j) b[j] = Kind::eight(w + j * 8 * Stage::kRowW, scales[j]);
#pragma unroll
    for (int i = 0; i < kX; ++i) {
      const Words low = load16(x + i * 16 * Stage::kRowX), high = load16(x + (i * 16 + 8) * Stage::kRowX);
#pragma unroll
      for (int j = 0; j < kW; ++j) multiply32(sums[i][j], low, high, b[j]);
    }
  }
#pragma unroll
  for (int i = 0; i < kX; ++i) {
#pragma unroll
    for (int j = 0; j < kW; ++j) {
#pragma unroll
      for (int at = 0; at < 4; ++at) {
        const int row = static_cast<int>(blockIdx.x) * kTile + warp_row + i * 16 + g + at / 2 * 8;
        const int column =
            static_cast<int>(blockIdx.y) * kTile + warp_column + j * 8 + 2 * t + at % 2;
        if (row >= p.m || column >= p.w.n) continue;
        if (splits > 1) p.parts[(static_cast<size_t>(split) * p.m + row) * p.w.n + column] = sums[i][j][at];
        else if (!p.gates) put(p, row, column, sums[i][j][at]);
        else if (j % 2 == 0) put_gate(p, row, column, sums[i][j][at], sums[i][j + 1][at]);  // ups are eight further on
      }
    }
  }
}

/// The parts of a product, added in their order.
__global__ void join_parts(Gemm p, int splits) {
  await_previous();
  const int row = static_cast<int>(blockIdx.y);
  const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (column >= p.w.n || (p.gates && column % kStrip >= kHalf)) return;
  const auto sum_at = [&](int of) {
    float sum = 0;
    for (int split = 0; split < splits; ++split) {
      sum += p.parts[(static_cast<size_t>(split) * p.m + row) * p.w.n + of];
    }
    return sum;
  };
  if (p.gates) put_gate(p, row, column, sum_at(column), sum_at(column + kHalf));
  else put(p, row, column, sum_at(column));
}

template <class Kind>
void launch_tiled(const Gemm& p, cudaStream_t stream) {
  constexpr unsigned kBusy = 256, kThreads = 256;  // blocks that keep a device busy
  const size_t shared = size_t{kStages} * Stage<Kind>::kBytes;
  [[maybe_unused]] static const bool allowed = allow_shared(tiled<Kind>, shared);
  // Blocks that run together share tiles of w, each of which is read once; rows of x stay in the second cache.
  dim3 grid(static_cast<unsigned>((p.m + kTile - 1) / kTile), static_cast<unsigned>((p.w.n + kTile - 1) / kTile));
  const auto groups = static_cast<unsigned>(p.w.k / kGroup);
  while (p.parts && grid.x * grid.y * grid.z * 2 <= kBusy && grid.z * 4 <= groups) grid.z *= 2;
  const int splits = static_cast<int>(grid.z);
  launch(tiled<Kind>, grid, dim3(kTileThreads), shared, stream, p, splits);
  if (splits == 1) return;
  launch(join_parts, dim3((static_cast<unsigned>(p.w.n) + kThreads - 1) / kThreads, static_cast<unsigned>(p.m)),
         dim3(kThreads), 0, stream, p, splits);
}

template <class Kind>
void launch_gemm(const Gemm& p, cudaStream_t stream) {
  if (p.m <= kFewRows || p.invariant) launch_skinny<Kind>(p, stream);
  else launch_tiled<Kind>(p, stream);
}

}  // namespace

void gemm(const Gemm& p, cudaStream_t stream) {
  switch (p.w.type) {
    case WeightType::kInt8: return launch_gemm<ByteWeights<Int8>>(p, stream);
    case WeightType::kFp8: return launch_gemm<ByteWeights<Fp8>>(p, stream);
    default: return launch_gemm<Bf16Weights>(p, stream);
  }
}

}  // namespace anabranch::ANABRANCH_CUDA
