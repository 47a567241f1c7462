// Matrix products over packed weights.
// Included by kernels.cpp only.
#pragma once

#include <algorithm>
#include <cstring>

#include "backends/cpu/kernels.h"
#include "backends/cpu/rows.h"
#include "backends/cpu/vectors.h"
#include "backends/cpu/weight_formats.h"

namespace anabranch {
namespace {

// A panel has 2W output columns. It is processed in chunks along K, which stay in the L1 cache
// while all tiles of rows use them. Between chunks the rows' sums are stored in memory unrounded,
// so each sum runs along K in one order for every tiling.

/// M rows by S panels over one chunk of K, in registers. `sums` is [S][block_rows][kPanelWidth].
template <class Format>
struct Chunk {
  const typename Format::Input* x = nullptr;  // at the chunk
  std::ptrdiff_t ldx = 0;
  const std::byte* w = nullptr;  // at the chunk, in the first panel
  size_t stride = 0;             // bytes of a panel
  int steps = 0;
  bool first = false;  // of K: sums start at zero
  // Software prefetch: with several rows the hardware prefetcher leaves a third of the bandwidth
  // unused. The next panel follows this one in memory.
  size_t fetch = 0;       // bytes from w at which these rows start to prefetch
  size_t fetch_step = 0;  // bytes to prefetch per step, or 0
  float* sums = nullptr;
  int block_rows = 0;  // rows of the row block
};

template <class Format, int M, int S, bool Fetch>
void accumulate(const Chunk<Format>& c, const std::byte* w, typename Format::Sum (&acc)[M][S][2]) {
  const typename Format::Input* x[M];
  for (int m = 0; m < M; ++m) {
    x[m] = c.x + m * c.ldx;
#if defined(__x86_64__) && !defined(__AVX512F__)
    // Hides how the pointers are related: the compiler would recompute each from the last one.
    asm("" : "+r"(x[m]));
#endif
  }
  const std::byte* ahead = w + c.fetch;
  for (int i = 0; i < c.steps; ++i, ahead += c.fetch_step) {
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
      const std::byte* at = w + s * c.stride + static_cast<size_t>(i) * Format::step;
      for (size_t line = 0; Fetch && line < Format::step; line += 64) {
        __builtin_prefetch(ahead + s * c.stride + line, 0, M <= Format::near ? 3 : 2);
      }
      typename Format::Wide low, high;
      Format::load_pair(at, low, high);
      // One input at a time: all M inputs and the sums would not fit 16 registers.
#pragma GCC unroll 16
      for (int m = 0; m < M; ++m) {
        const auto in = Format::spread(x[m][i]);
        acc[m][s][0] = Format::multiply(acc[m][s][0], in, low);
        acc[m][s][1] = Format::multiply(acc[m][s][1], in, high);
      }
    }
  }
}

template <class Format, int M, int S>
void tile(const Chunk<Format>& c) {
  const auto sums_at = [&](int m, int s, int half) {
    return c.sums + (static_cast<size_t>(s) * c.block_rows + m) * kPanelWidth + half * W;
  };
  typename Format::Sum acc[M][S][2];
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        if (c.first)
          acc[m][s][half] = typename Format::Sum{};
        else
          acc[m][s][half] = load<typename Format::Sum>(sums_at(m, s, half));
      }
    }
  }
  if (c.fetch_step)
    accumulate<Format, M, S, true>(c, c.w, acc);
  else
    accumulate<Format, M, S, false>(c, c.w, acc);
#pragma GCC unroll 4
  for (int s = 0; s < S; ++s) {
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      store(sums_at(m, s, 0), acc[m][s][0]);
      store(sums_at(m, s, 1), acc[m][s][1]);
    }
  }
}

/// `rows` rows by S panels: together if the registers hold the sums, else panel by panel.
template <class Format, int S, int M = kTileRows>
void tile_of(Chunk<Format> c, int rows) {
  if constexpr (M > 1) {
    if (rows < M) return tile_of<Format, S, M - 1>(c, rows);
  }
  if constexpr (M * S <= kTileRows) {
    tile<Format, M, S>(c);
  } else {
    for (int s = 0; s < S; ++s) {
      tile<Format, M, 1>(c);
      c.w += c.stride;
      c.sums += c.block_rows * kPanelWidth;
    }
  }
}

/// Rows of the next tile if `left` rows remain: tiles of nearly equal size. Eight rows are the
/// exception, six and two: tiles of four rows and one panel have too few independent sums to keep
/// two FMA units busy.
inline int next_tile(int left) {
  if (left == 8 && kTileRows == 6) return 6;
  const int tiles = (left + kTileRows - 1) / kTileRows;
  return (left + tiles - 1) / tiles;
}

/// Writes (or adds) one row's sums of one panel. If gated, `sums` are the gate's and `up` the other
/// panel's of the pair.
inline void store_sums(const Gemm& g, int row, int panel, float* sums, float* up) {
  const int column = (up ? panel / 2 : panel) * kPanelWidth;
  const int width = g.out_pairs ? kPanelWidth : std::min(kPanelWidth, g.n - column);
  float* out = g.out_pairs ? nullptr : static_cast<float*>(g.out) + row * g.ldo + column;
  const auto add = [](float* to, const float* values) {
#pragma GCC unroll 2
    for (int j = 0; j < kPanelWidth; j += W)
      store(to + j, load<Vec>(to + j) + load<Vec>(values + j));
  };
  if (g.accumulate && width == kPanelWidth) {
    add(sums, out);
  } else if (g.accumulate) {
    for (int j = 0; j < width; ++j) sums[j] += out[j];
  }
  const float* addend = g.addends ? g.addends[row] : nullptr;
  if (g.bias) add(sums, g.bias + panel * kPanelWidth);
  if (addend) add(sums, addend + panel * kPanelWidth);
  if (up) {
    if (g.bias) add(up, g.bias + (panel + 1) * kPanelWidth);
    if (addend) add(up, addend + (panel + 1) * kPanelWidth);
    multiply_activated(g.activation, sums, up, kPanelWidth);
  }
  if (!out) {
    store_pairs(static_cast<std::uint32_t*>(g.out) + row * g.ldo + column / 2, sums);
  } else if (width == kPanelWidth) {
    for (int j = 0; j < kPanelWidth; j += W) store(out + j, load<Vec>(sums + j));
  } else {
    std::copy_n(sums, width, out);
  }
}

/// Prefetches the destination of one row's sums for writing: other cores have read it, and taking
/// the cache lines back is slow. Forced inline, because GCC drops calls of functions that only
/// prefetch.
__attribute__((always_inline)) inline void prefetch_output(const Gemm& g, int row, int panel) {
  const int column = (g.gated ? panel / 2 : panel) * kPanelWidth;
  const auto* out = static_cast<const std::byte*>(g.out);
  if (g.out_pairs) return __builtin_prefetch(out + (row * g.ldo + column / 2) * 4, 1);
  for (int j = 0; j < kPanelWidth; j += 16)
    __builtin_prefetch(out + (row * g.ldo + column + j) * 4, 1);
}

/// Rows [first_row, first_row + rows) by panels [first, last), S at a time. Returns the first panel
/// that is left over.
template <class Format, int S>
int multiply_row_block(const Gemm& g, const typename Format::Input* x, std::ptrdiff_t ldx,
                       int first_row, int rows, int first, int last) {
  // Room for at least two panels: the first one of a gated pair waits for the second.
  float sums[(S > 2 ? 1 : kBlockRows) * std::max(S, 2) * kPanelWidth];
  const auto sums_of = [&](int s, int row) {
    return sums + (static_cast<size_t>(s) * rows + row) * kPanelWidth;
  };
  Chunk<Format> c;
  c.ldx = ldx;
  c.stride = panel_bytes(g.format, kPanelWidth, g.k);
  c.block_rows = rows;
  const int chunk = rows <= kTileRows ? g.k : Format::chunk;  // a single tile needs none
  // Not within a chunk that other tiles still use.
  const size_t ahead =
      rows <= kTileRows ? Format::ahead
                        : std::max(Format::ahead, Format::step * (Format::chunk / Format::depth));
  int panel = first;
  for (; panel + S <= last; panel += S) {
    const int waiting = S == 1 && g.gated ? panel % 2 : 0;
    c.w = g.w + c.stride * static_cast<size_t>(panel);
    for (int row = 0; row < rows; ++row) {
      for (int s = 0; s < S; ++s) prefetch_output(g, first_row + row, panel + s);
    }
    for (int k = 0; k < g.k; k += chunk) {
      c.steps = (std::min(chunk, g.k - k) + Format::depth - 1) / Format::depth;
      c.first = k == 0;
      c.fetch = ahead;
      c.fetch_step =
          rows > kTileRows ? Format::step / 2 : Format::step;  // the first two tiles share the work
      for (int row = 0, next; row < rows; row += next) {
        next = next_tile(rows - row);
        c.x = x + row * ldx + k / Format::depth;
        c.sums = sums_of(waiting, row);
        tile_of<Format, S>(c, next);
        c.fetch += c.fetch_step * c.steps;
        if (c.fetch >= ahead + Format::step * c.steps) c.fetch_step = 0;
      }
      c.w += c.steps * Format::step;
    }
    const int complete = waiting + S;
    for (int s = 0; s + g.gated < complete; s += 1 + g.gated) {
      for (int row = 0; row < rows; ++row) {
        store_sums(g, first_row + row, panel - waiting + s, sums_of(s, row),
                   g.gated ? sums_of(s + 1, row) : nullptr);
      }
    }
  }
  return panel;
}

// ---- formats in groups: sums of integers, scaled group by group --------------------------------

/// Keeps a sum where it is computed: GCC would compute all products first and spill them.
template <class Format, class T>
inline void pin([[maybe_unused]] T& sum) {
#if defined(__AVX512F__)
  if constexpr (Format::whole) asm("" : "+v"(sum));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
  asm("" : "+x"(sum));
#endif
}

/// Rows by one panel over whole groups of K.
template <class Format>
struct Groups {
  const typename Format::Input* x = nullptr;  // the first chunk of the first row
  size_t next_chunk = 0;                      // words from a row's chunk to its next one
  const std::byte* w = nullptr;               // at the first group
  int k = 0;                                  // values along K
  int group = 0;                              // values of a group of weights: one chunk or several
  const std::byte* fetch = nullptr;           // where to prefetch
  size_t fetch_step = 0;                      // bytes to prefetch per step
  bool first = false;                         // of K: sums start at zero
  float* sums = nullptr;                      // [rows][kPanelWidth]
};

/// Rows for which memory alone is the limit: the hardware's prefetcher does better without ours.
constexpr int kFewRows = 4;

template <class Format, int M>
void multiply_groups(const Groups<Format>& g) {
  constexpr int kSteps = Format::chunk / Format::depth;  // that share the inputs' scale
  const typename Format::Input* x = g.x;
  const std::byte *w = g.w, *head = w, *fetch = g.fetch;
  Vec sums[M][2];  // in registers, where they have room for a tile's
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    sums[m][0] = g.first ? splat(0.0f) : load<Vec>(g.sums + m * kPanelWidth);
    sums[m][1] = g.first ? splat(0.0f) : load<Vec>(g.sums + m * kPanelWidth + W);
  }
  int left = 0;  // values of the group of weights
  for (int k = 0; k < g.k; k += Format::chunk, left -= Format::chunk, x += g.next_chunk) {
    if (left == 0) {
      head = w;
      w += Format::head;
      left = g.group;
    }
    typename Format::Sum acc[M][2];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      acc[m][0] = acc[m][1] = Format::start(x + m * Format::chunk_words + kSteps * Format::parts);
    }
    const int steps =
        Format::whole ? kSteps : std::min(kSteps, (g.k - k + Format::depth - 1) / Format::depth);
#pragma GCC unroll 4
    for (int i = 0; i < steps; ++i, w += Format::step, fetch += g.fetch_step) {
      for (size_t line = 0; M > kFewRows && line < Format::step; line += 64) {
        __builtin_prefetch(fetch + line, 0, M <= Format::near ? 3 : 2);
      }
#pragma GCC unroll 4
      for (int part = 0; part < Format::parts; ++part) {
        typename Format::Wide low, high;
        Format::load_pair(w, part, low, high);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) {
          const auto in = Format::spread(x[m * Format::chunk_words + i * Format::parts + part]);
          acc[m][0] = Format::multiply(acc[m][0], in, low);
          pin<Format>(acc[m][0]);
          acc[m][1] = Format::multiply(acc[m][1], in, high);
          pin<Format>(acc[m][1]);
        }
      }
    }
    const auto low = Format::group_scale(head, 0);
    const auto high = Format::group_scale(head, 1);
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) {
      const auto* input = x + m * Format::chunk_words + kSteps * Format::parts;
      sums[m][0] = low.add(sums[m][0], acc[m][0], input);
      sums[m][1] = high.add(sums[m][1], acc[m][1], input);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < M; ++m) {
    store(g.sums + m * kPanelWidth, sums[m][0]);
    store(g.sums + m * kPanelWidth + W, sums[m][1]);
  }
}

template <class Format, int M = Format::rows>
void multiply_groups(const Groups<Format>& groups, int rows) {
  if constexpr (M > 1) {
    if (rows < M) return multiply_groups<Format, M - 1>(groups, rows);
  }
  multiply_groups<Format, M>(groups);
}

/// Rows [first_row, first_row + rows), converted to x, by the panels of g.
template <class Format>
void multiply_grouped_rows(const Gemm& g, const typename Format::Input* x, int first_row,
                           int rows) {
  float sums[2 * kBlockRows * kPanelWidth];  // the first panel of a gated pair waits for the second
  const int tiles = (rows + Format::rows - 1) / Format::rows;
  Groups<Format> c;
  c.next_chunk = static_cast<size_t>(rows) * Format::chunk_words;
  c.group = Format::group(g.format);
  // Values along K, in whole groups, that all tiles use before the next ones: they stay in L1.
  const int in_cache = 256 / c.group * c.group;
  c.fetch_step = std::max<size_t>(1, Format::step / tiles);
  c.w = g.w + panel_bytes(g.format, kPanelWidth, g.k) * static_cast<size_t>(g.first);
  for (int panel = g.first; panel < g.last; ++panel) {
    float* const panel_sums = sums + (g.gated ? panel % 2 : 0) * rows * kPanelWidth;
    for (int row = 0; row < rows; ++row) prefetch_output(g, first_row + row, panel);
    for (int k = 0; k < g.k; k += c.k) {
      c.k = tiles == 1 ? g.k : std::min(in_cache, g.k - k);
      c.first = k == 0;
      c.fetch = c.w + Format::ahead;
      const int groups = (c.k + c.group - 1) / c.group;
      const size_t steps = Format::steps(c.k);
      for (int row = 0, tile = 0, next; row < rows; row += next, ++tile) {
        next = (rows - row) / (tiles - tile);
        c.x = x + k / Format::chunk * c.next_chunk + static_cast<size_t>(row) * Format::chunk_words;
        c.sums = panel_sums + row * kPanelWidth;
        multiply_groups<Format>(c, next);
        c.fetch += steps * c.fetch_step;
      }
      c.w += groups * Format::head + steps * Format::step;
    }
    if (g.gated && panel % 2 == 0) continue;
    for (int row = 0; row < rows; ++row) {
      float* const second = sums + (rows + row) * kPanelWidth;
      store_sums(g, first_row + row, panel - g.gated, sums + row * kPanelWidth,
                 g.gated ? second : nullptr);
    }
  }
}

/// The inputs of the rows [first_row, first_row + rows) as the format takes them, in place or in
/// g's scratch. `ldx`: from one row to the next, unless the format is grouped.
template <class Format>
const typename Format::Input* inputs_of(const Gemm& g, int first_row, int rows,
                                        std::ptrdiff_t& ldx) {
  const auto input_row = [&](int row) {
    return static_cast<const float*>(g.x) + (first_row + row) * g.ldx;
  };
  const auto normed = [&](int row, float* to) {
    rms_norm(input_row(row), g.norm, g.k, g.epsilon, to);
    return to;
  };
  float* const normed_row = reinterpret_cast<float*>(g.scratch + kBlockRows * input_words(g.k));
  if constexpr (Format::grouped) {
    const size_t next_chunk = static_cast<size_t>(rows) * Format::chunk_words;
    for (int row = 0; row < rows; ++row) {
      Format::prepare(g.norm ? normed(row, normed_row) : input_row(row), g.k,
                      g.scratch + static_cast<size_t>(row) * Format::chunk_words, next_chunk);
    }
    return g.scratch;
  } else if constexpr (std::is_same_v<typename Format::Input, float>) {
    float* to = reinterpret_cast<float*>(g.scratch);
    for (int row = 0; g.norm && row < rows; ++row) normed(row, to + static_cast<size_t>(row) * g.k);
    ldx = g.norm ? g.k : g.ldx;
    return g.norm ? to : input_row(0);
  } else if (g.x_pairs) {
    ldx = g.ldx;
    return static_cast<const std::uint32_t*>(g.x) + first_row * g.ldx;
  } else {
    ldx = static_cast<std::ptrdiff_t>(input_words(g.k));
    for (int row = 0; row < rows; ++row) {
      Format::prepare(g.norm ? normed(row, normed_row) : input_row(row), g.k,
                      g.scratch + row * ldx);
    }
    return g.scratch;
  }
}

template <class Format>
void gemm_of(const Gemm& g) {
  // A panel is read from memory once, then from cache for all row tiles. Row blocks stay in cache
  // while the panels stream through.
  for (int first_row = 0; first_row < g.m; first_row += kBlockRows) {
    const int rows = std::min(g.m - first_row, kBlockRows);
    std::ptrdiff_t ldx = 0;
    const typename Format::Input* x = inputs_of<Format>(g, first_row, rows, ldx);
    if constexpr (Format::grouped) {
      multiply_grouped_rows<Format>(g, x, first_row, rows);
    } else {
      int panel = g.first;
      if constexpr (kTileRows < 12) {  // few rows by one panel have too few independent sums
        if (rows == 1)
          panel = multiply_row_block<Format, 4>(g, x, ldx, first_row, rows, panel, g.last);
        else
          panel = multiply_row_block<Format, 2>(g, x, ldx, first_row, rows, panel, g.last);
      }
      multiply_row_block<Format, 1>(g, x, ldx, first_row, rows, panel, g.last);
    }
  }
}

void gemm(const Gemm& g) {
  switch (g.format.type) {
    case WeightType::kF32:
      return gemm_of<F32Weights>(g);
    case WeightType::kInt8:
      return g.format.byte_inputs ? gemm_of<Int8ByteWeights>(g) : gemm_of<Int8Weights>(g);
    case WeightType::kInt4:
      switch (g.format.four_bit.offset) {
        case FourBitOffset::kEight:
          return gemm_of<Int4Weights<FourBitOffset::kEight>>(g);
        case FourBitOffset::kMin:
          return gemm_of<Int4Weights<FourBitOffset::kMin>>(g);
        case FourBitOffset::kZeroPoint:
          return gemm_of<Int4Weights<FourBitOffset::kZeroPoint>>(g);
      }
      __builtin_unreachable();
    default:
#if defined(ANABRANCH_DOT)
      return gemm_of<DotWeights>(g);
#else
      return gemm_of<Bf16Weights>(g);
#endif
  }
}

}  // namespace
}  // namespace anabranch
