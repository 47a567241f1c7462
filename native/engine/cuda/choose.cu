// From rows of logits to tokens, as sampler.h says it: penalties, bias and mask, then the likeliest, or
// temperature, top-k, top-p, min-p and the inverse CDF in token-id order. One row a block.
//
// Weights are e^((logit - largest) / temperature), so the largest is 1. Their bits, as they are above
// nothing, are in the order of their values: what is kept is found digit by digit from the highest,
// without sorting. Sums are of whole numbers, 2^40 to one, so that their order changes nothing.
#include "device.cuh"
#include "kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;
using Whole = unsigned long long;

__device__ inline float never() { return as_float(0xff800000u); }  // minus infinity

struct Best {
  float logit;
  int token;  // -1: none
};

/// The lowest id among equals; NaN never wins, nor what is masked.
__device__ inline void take(Best& best, float logit, int token) {
  if (token < 0 || !(logit > never())) return;
  if (best.token < 0 || logit > best.logit || (logit == best.logit && token < best.token)) {
    best = {logit, token};
  }
}

__device__ Best likeliest(const float* row, int vocabulary) {
  __shared__ Best bests[kWarps];
  const int me = static_cast<int>(threadIdx.x);
  Best best = {0, -1};
  for (int i = me; i < vocabulary; i += kThreads) take(best, row[i], i);
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float logit = __shfl_xor_sync(0xffffffffu, best.logit, step);
    const int token = __shfl_xor_sync(0xffffffffu, best.token, step);
    take(best, logit, token);
  }
  if (me % kWarp == 0) bests[me / kWarp] = best;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) take(best, bests[w].logit, bests[w].token);
  return best;
}

__device__ void edit(float* row, const ChoicePick& pick, const Edit* edits, const int* only,
                     int vocabulary) {
  __shared__ float kept[kMostOnly];
  const int me = static_cast<int>(threadIdx.x);
  if (me == 0) {  // one after another: a token may be edited twice
    for (int i = 0; i < pick.edits; ++i) {
      const Edit& one = edits[pick.first_edit + i];
      float& logit = row[one.token];
      if (one.repetition != 1) logit = logit > 0 ? logit / one.repetition : logit * one.repetition;
      logit -= one.less;
    }
  }
  __syncthreads();
  if (pick.only == 0) return;
  if (me < pick.only) kept[me] = row[only[pick.first_only + me]];
  __syncthreads();
  for (int i = me; i < vocabulary; i += kThreads) row[i] = never();
  __syncthreads();
  if (me < pick.only) row[only[pick.first_only + me]] = kept[me];
  __syncthreads();
}

/// The weights of a row's tokens.
struct Weights {
  const float* row;
  int vocabulary;
  float top, inverse;  // of the largest logit; one over the temperature

  __device__ float at(int token) const {
    const float logit = row[token];
    if (!(logit > never())) return 0;
    return expf((logit - top) * inverse);
  }
};

__device__ inline Whole whole(float weight) { return static_cast<Whole>(weight * 0x1p40f); }

/// What is kept: every weight above `bits`, and the first `equals` tokens of those that are equal.
struct Cut {
  std::uint32_t bits;
  unsigned equals;
};
constexpr Cut kAll = {0, 0};  // weights of nothing are never kept

/// Keeps the likeliest, among those that `before` keeps, as far as their number or their sum comes to
/// `goal`.
template <bool BySum>
__device__ Cut cut_at(const Weights& weights, Cut before, Whole goal) {
  __shared__ unsigned counts[256];
  __shared__ Whole sums[256];
  __shared__ std::uint32_t digit;
  __shared__ Whole above;
  const int me = static_cast<int>(threadIdx.x);
  std::uint32_t prefix = 0;
  Whole passed = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int i = me; i < 256; i += kThreads) counts[i] = 0, sums[i] = 0;
    __syncthreads();
    for (int i = me; i < weights.vocabulary; i += kThreads) {
      const float weight = weights.at(i);
      const std::uint32_t bits = as_bits(weight);
      if (bits <= before.bits || (shift < 24 && bits >> (shift + 8) != prefix)) continue;
      atomicAdd(&counts[bits >> shift & 255], 1u);
      atomicAdd(&sums[bits >> shift & 255], whole(weight));
    }
    __syncthreads();
    if (me == 0) {
      Whole sum = passed;
      int at = 255;
      for (; at > 0; --at) {
        const Whole more = BySum ? sums[at] : counts[at];
        if (sum + more >= goal && more > 0) break;
        sum += more;
      }
      digit = static_cast<std::uint32_t>(at);
      above = sum;
    }
    __syncthreads();
    prefix = prefix << 8 | digit;
    passed = above;
    __syncthreads();
  }
  const unsigned there = counts[prefix & 255];
  // Too few of them: all, and of those equal to the earlier cut as many as are needed and allowed.
  const bool short_of = there == 0 || passed + (BySum ? sums[prefix & 255] : there) < goal;
  const std::uint32_t bits = short_of ? before.bits : prefix;
  const unsigned most = short_of ? before.equals : there;
  if (short_of && there > 0) passed += BySum ? sums[prefix & 255] : there;
  __syncthreads();
  const Whole each = BySum ? whole(as_float(bits)) : 1;
  const Whole wanted = goal > passed ? goal - passed : 0;
  Whole equals = each > 0 ? (wanted + each - 1) / each : most;
  if (!short_of && equals == 0) equals = 1;
  return {bits, static_cast<unsigned>(equals < most ? equals : most)};
}

/// The sum of `value` over the threads before this one; `total` becomes that of all.
template <class T>
__device__ T before_me(T value, T& total) {
  __shared__ T sums[kThreads];
  const int me = static_cast<int>(threadIdx.x);
  sums[me] = value;
  __syncthreads();
  for (int step = 1; step < kThreads; step *= 2) {
    const T more = me >= step ? sums[me - step] : T{0};
    __syncthreads();
    sums[me] += more;
    __syncthreads();
  }
  total = sums[kThreads - 1];
  const T before = sums[me] - value;
  __syncthreads();
  return before;
}

__global__ void __launch_bounds__(kThreads)
    choose_rows(float* logits, int vocabulary, const ChoicePick* picks, const Edit* edits,
                const int* only, int* out) {
  __shared__ int chosen;
  await_previous();
  const ChoicePick pick = picks[blockIdx.x];
  float* row = logits + static_cast<size_t>(pick.row) * vocabulary;
  const int me = static_cast<int>(threadIdx.x);
  edit(row, pick, edits, only, vocabulary);
  const Best best = likeliest(row, vocabulary);
  if (me == 0) out[blockIdx.x] = best.token;
  if (best.token < 0 || pick.temperature <= 0 || pick.top_k == 1) return;

  const Weights weights = {row, vocabulary, best.logit, 1.0f / pick.temperature};
  Cut cut = kAll;
  if (pick.top_k > 0) cut = cut_at<false>(weights, cut, static_cast<Whole>(pick.top_k));
  // In token-id order: each thread has a run of tokens.
  const int run = (vocabulary + kThreads - 1) / kThreads;
  const int first = me * run < vocabulary ? me * run : vocabulary;
  const int last = first + run < vocabulary ? first + run : vocabulary;
  const auto equals_before = [&] {
    unsigned mine = 0, all;
    for (int i = first; i < last; ++i) mine += as_bits(weights.at(i)) == cut.bits;
    return before_me(mine, all);
  };
  const auto each_kept = [&](float least, auto visit) {
    unsigned equal = cut.bits ? equals_before() : 0;
    for (int i = first; i < last; ++i) {
      const float weight = weights.at(i);
      const std::uint32_t bits = as_bits(weight);
      const bool kept =
          bits > cut.bits || (cut.bits && bits == cut.bits && equal++ < cut.equals);
      if (kept && weight >= least && !visit(i, whole(weight))) return;
    }
  };
  const auto add_up = [&](float least, Whole& total) {
    Whole mine = 0;
    each_kept(least, [&](int, Whole weight) { return mine += weight, true; });
    return before_me(mine, total);
  };
  Whole total;
  if (pick.top_p < 1) {
    add_up(0, total);
    const Whole goal = static_cast<Whole>(static_cast<double>(pick.top_p) * static_cast<double>(total));
    cut = cut_at<true>(weights, cut, goal > 0 ? goal : 1);
  }
  const float least = pick.min_p < 1 ? pick.min_p : 1.0f;
  const Whole before = add_up(least, total);
  Whole rest = static_cast<Whole>(pick.uniform * static_cast<double>(total));
  if (rest >= total) rest = total - 1;
  if (me == 0) chosen = best.token;
  __syncthreads();
  Whole sum = before;
  each_kept(least, [&](int token, Whole weight) {
    if (sum <= rest && rest < sum + weight) chosen = token;
    sum += weight;
    return sum <= rest;
  });
  __syncthreads();
  if (me == 0) out[blockIdx.x] = chosen;
}

}  // namespace

void choose(float* logits, int vocabulary, const ChoicePick* picks, int count, const Edit* edits,
            const int* only, int* out, cudaStream_t stream) {
  launch(choose_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, logits,
         vocabulary, picks, edits, only, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
