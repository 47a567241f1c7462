// From rows of logits to tokens, as sampler.h says it: penalties, bias and mask, then the likeliest, or
// temperature, top-k, top-p, min-p and the inverse CDF in token-id order; and log-probabilities of the logits as they
// were. One row a block.
//
// Weights are e^((logit - largest) / temperature), so the largest is 1. Their bits, as they are above nothing, are in
// the order of their values: what is kept is found digit by digit from the highest, without sorting, and the token by
// parts that grow smaller. Sums are of whole numbers, 2^40 to one, so that their order changes nothing.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;
using Whole = unsigned long long;

__device__ inline float never() { return as_float(0xff800000u); }  // minus infinity

/// visit(i, value) for values begin + me, begin + me + step, … of a row, several of which are under way at once.
template <class Visit>
__device__ void each(const float* row, int begin, int end, int me, int step, Visit visit) {
  constexpr int kBatch = 8;
  for (int first = begin + me; first < end; first += step * kBatch) {
    float values[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i) values[i] = first + i * step < end ? row[first + i * step] : 0.0f;
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (first + i * step < end) visit(first + i * step, values[i]);
    }
  }
}

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

/// The likeliest of a row, or of those behind `last` in that order.
__device__ Best likeliest(const float* row, int vocabulary, Best last = {0, -1}) {
  __shared__ Best bests[kWarps];
  const int me = static_cast<int>(threadIdx.x);
  Best best = {0, -1};
  each(row, 0, vocabulary, me, kThreads, [&](int i, float logit) {
    if (last.token >= 0 && !(logit < last.logit || (logit == last.logit && i > last.token))) return;
    take(best, logit, i);
  });
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float logit = __shfl_xor_sync(0xffffffffu, best.logit, step);
    const int token = __shfl_xor_sync(0xffffffffu, best.token, step);
    take(best, logit, token);
  }
  __syncthreads();  // all have read those before
  if (me % kWarp == 0) bests[me / kWarp] = best;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) take(best, bests[w].logit, bests[w].token);
  return best;
}

/// The logarithm of the sum of e^logit.
__device__ double log_sum(const float* row, int vocabulary, float top) {
  __shared__ double sums[kWarps];
  const int me = static_cast<int>(threadIdx.x);
  double sum = 0;
  each(row, 0, vocabulary, me, kThreads, [&](int, float logit) { sum += static_cast<double>(expf(logit - top)); });
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (me % kWarp == 0) sums[me / kWarp] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += sums[w];
  return static_cast<double>(top) + log(sum);
}

__device__ void edit(float* row, const DeviceSamplingRow& pick, Edit* edits, const int* only, int vocabulary) {
  __shared__ float kept[kMostOnly];
  const int me = static_cast<int>(threadIdx.x);
  if (me == 0) {  // one after another: a token may be edited twice
    for (int i = 0; i < pick.edits; ++i) {
      Edit& one = edits[pick.first_edit + i];
      float& logit = row[one.token];
      if (pick.top >= 0) one.raw = logit;
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
  bool there;          // they have taken the logits' place

  __device__ float of(float value) const {
    if (there) return value;
    return value > never() ? expf((value - top) * inverse) : 0.0f;
  }
  /// visit(token, weight), as each() does it.
  template <class Visit>
  __device__ void each(int begin, int end, int me, int step, Visit visit) const {
    ANABRANCH_CUDA::each(row, begin, end, me, step, [&](int i, float value) { visit(i, of(value)); });
  }
};

__device__ inline Whole whole(float weight) { return static_cast<Whole>(weight * 0x1p40f); }

/// What is kept: every weight above `bits`, and the first `equals` tokens of those that are equal.
struct Cut {
  std::uint32_t bits;
  unsigned equals;
};
constexpr Cut kAll = {0, 0};  // weights of nothing are never kept

/// The sum of `value` over the threads before this one.
__device__ Whole before_me(Whole value) {
  __shared__ Whole sums[kThreads];
  const int me = static_cast<int>(threadIdx.x);
  sums[me] = value;
  __syncthreads();
  for (int step = 1; step < kThreads; step *= 2) {
    const Whole more = me >= step ? sums[me - step] : 0;
    __syncthreads();
    sums[me] += more;
    __syncthreads();
  }
  const Whole before = sums[me] - value;
  __syncthreads();
  return before;
}

/// How many weights there are of each digit, and their sums, of which 64 bits at once are no atomic's.
struct Digits {
  static constexpr int kCount = 1024;  // the first has so few values too: no weight is above 1
  static constexpr int kEach = kCount / kThreads;
  unsigned counts[kCount], low[kCount], high[kCount];

  __device__ void clear(int me) {
    for (int i = me; i < kCount; i += kThreads) counts[i] = low[i] = high[i] = 0;
  }
  template <bool BySum>
  __device__ void add(std::uint32_t digit, Whole value) {
    atomicAdd(&counts[digit], 1u);
    if constexpr (BySum) {
      const auto part = static_cast<unsigned>(value);
      const unsigned before = atomicAdd(&low[digit], part);
      const unsigned rest = static_cast<unsigned>(value >> 32) + (before + part < before);
      if (rest > 0) atomicAdd(&high[digit], rest);
    }
  }
  template <bool BySum>
  __device__ Whole at(int digit) const {
    return BySum ? static_cast<Whole>(high[digit]) << 32 | low[digit] : counts[digit];
  }
};

/// Keeps the likeliest, among those that `before` keeps, as far as their number or their sum comes to
/// `goal`, which is at least 1.
template <bool BySum>
__device__ Cut cut_at(const Weights& weights, Cut before, Whole goal) {
  __shared__ Digits digits;
  __shared__ std::uint32_t digit;
  __shared__ Whole above;
  const int me = static_cast<int>(threadIdx.x);
  std::uint32_t prefix = 0;
  Whole passed = 0;
  for (int shift = 20; shift >= 0; shift -= 10) {
    digits.clear(me);
    __syncthreads();
    weights.each(0, weights.vocabulary, me, kThreads, [&](int, float weight) {
      const std::uint32_t bits = as_bits(weight);
      if (bits <= before.bits || (shift < 20 && bits >> (shift + 10) != prefix)) return;
      digits.add<BySum>(bits >> shift & (Digits::kCount - 1), whole(weight));
    });
    __syncthreads();
    // From the highest on, that with which the goal is reached, or else 0.
    const int mine = Digits::kCount - 1 - me * Digits::kEach;
    Whole own = 0;
    for (int i = 0; i < Digits::kEach; ++i) own += digits.at<BySum>(mine - i);
    Whole sum = passed + before_me(own);
    for (int i = 0; i < Digits::kEach; ++i) {
      const Whole more = digits.at<BySum>(mine - i);
      if (sum < goal && (sum + more >= goal || mine == i)) {
        digit = static_cast<std::uint32_t>(mine - i);
        above = sum;
      }
      sum += more;
    }
    __syncthreads();
    prefix = prefix << 10 | digit;
    passed = above;
    __syncthreads();
  }
  const int last = static_cast<int>(prefix & (Digits::kCount - 1));
  const unsigned there = digits.counts[last];
  const Whole more = digits.at<BySum>(last);
  __syncthreads();
  // Too few of them: all, and of those equal to the earlier cut as many as are needed and allowed.
  const bool short_of = there == 0 || passed + more < goal;
  const std::uint32_t bits = short_of ? before.bits : prefix;
  const unsigned most = short_of ? before.equals : there;
  if (short_of) passed += more;
  const Whole weight = BySum ? whole(as_float(bits)) : 1;
  const Whole wanted = goal > passed ? goal - passed : 0;
  Whole equals = weight > 0 ? (wanted + weight - 1) / weight : most;
  if (!short_of && equals == 0) equals = 1;
  return {bits, static_cast<unsigned>(equals < most ? equals : most)};
}

/// What is kept of a row, in token-id order: that of `cut`, of at least `least`.
struct Kept {
  const Weights& weights;
  Cut cut;
  float least;
};
/// Tokens begin … end - 1, in a part for each warp.
struct Range {
  int begin, end;
  unsigned equals;  // of those equal to the cut, so many are kept from `begin` on

  __device__ int each() const { return static_cast<int>((end - begin + kThreads - 1) / kThreads) * kWarp; }
};

/// Sums of what is kept of a range's parts: visit(part, sum, equals in it that are kept), in order.
template <class Visit>
__device__ void each_part(const Kept& kept, const Range& range, Visit visit) {
  __shared__ Whole sums[kWarps];
  __shared__ unsigned equals[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int begin = range.begin + warp * range.each();
  const int end = begin + range.each() < range.end ? begin + range.each() : range.end;
  Whole sum = 0;
  unsigned equal = 0;
  kept.weights.each(begin, end, lane, kWarp, [&](int, float weight) {
    const std::uint32_t bits = as_bits(weight);
    if (bits > kept.cut.bits && weight >= kept.least) sum += whole(weight);
    equal += bits == kept.cut.bits;
  });
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, step);
    equal += __shfl_xor_sync(0xffffffffu, equal, step);
  }
  __syncthreads();  // all are done with the parts before
  if (lane == 0) {
    sums[warp] = sum;
    equals[warp] = equal;
  }
  __syncthreads();
  const float weight = as_float(kept.cut.bits);
  const Whole each_equal = weight >= kept.least ? whole(weight) : 0;
  unsigned left = range.equals;
  for (int part = 0; part < kWarps; ++part) {
    const unsigned of_equals = equals[part] < left ? equals[part] : left;
    left -= of_equals;
    visit(part, sums[part] + of_equals * each_equal, of_equals);
  }
}

__device__ Whole sum_of(const Kept& kept) {
  Whole total = 0;
  each_part(kept, Range{0, kept.weights.vocabulary, kept.cut.equals}, [&](int, Whole sum, unsigned) { total += sum; });
  return total;
}

/// The token in which the running sum of what is kept passes `rest`; all threads get it. `likeliest` where none does.
__device__ int find(const Kept& kept, Whole rest, int likeliest) {
  Range range = {0, kept.weights.vocabulary, kept.cut.equals};
  while (range.end - range.begin > 2 * kWarp) {
    Range inner = range;
    bool found = false;
    unsigned equals = range.equals;
    each_part(kept, range, [&](int part, Whole sum, unsigned of_equals) {
      if (found) return;
      if (rest < sum) {
        const int begin = range.begin + part * range.each(), end = begin + range.each();
        inner = {begin, end < range.end ? end : range.end, equals};
        found = true;
        return;
      }
      rest -= sum;
      equals -= of_equals;
    });
    if (!found) return likeliest;
    range = inner;
  }
  for (int token = range.begin; token < range.end; ++token) {
    const float weight = kept.weights.of(kept.weights.row[token]);
    const std::uint32_t bits = as_bits(weight);
    const bool equal = kept.cut.bits && bits == kept.cut.bits && range.equals > 0;
    range.equals -= equal;
    if ((bits <= kept.cut.bits && !equal) || weight < kept.least) continue;
    if (rest < whole(weight)) return token;
    rest -= whole(weight);
  }
  return likeliest;
}

/// A token other than the likeliest, where sampling asks for it.
__device__ int sample(float* row, int vocabulary, const DeviceSamplingRow& pick, Best best) {
  const bool kept_raw = pick.top >= 0;
  const Weights weights = {row, vocabulary, best.logit, 1.0f / pick.temperature, !kept_raw};
  if (!kept_raw) {
    const Weights logits = {row, vocabulary, weights.top, weights.inverse, false};
    logits.each(0, vocabulary, static_cast<int>(threadIdx.x), kThreads, [&](int i, float weight) { row[i] = weight; });
    __syncthreads();
  }
  Cut cut = kAll;
  if (pick.top_k > 0) cut = cut_at<false>(weights, cut, static_cast<Whole>(pick.top_k));
  if (pick.top_p < 1) {
    const Whole total = sum_of({weights, cut, 0});
    const Whole goal = static_cast<Whole>(static_cast<double>(pick.top_p) * static_cast<double>(total));
    cut = cut_at<true>(weights, cut, goal > 0 ? goal : 1);
  }
  const Kept kept = {weights, cut, pick.min_p < 1 ? pick.min_p : 1.0f};
  const Whole total = sum_of(kept);
  Whole rest = static_cast<Whole>(pick.uniform * static_cast<double>(total));
  if (rest >= total) rest = total - 1;
  return find(kept, rest, best.token);
}

__global__ void __launch_bounds__(kThreads, 1)
    choose_rows(float* logits, int vocabulary, const DeviceSamplingRow* picks, Edit* edits, const int* only, DeviceSampledToken* all) {
  await_previous();
  const DeviceSamplingRow pick = picks[blockIdx.x];
  float* row = logits + static_cast<size_t>(pick.row) * vocabulary;
  DeviceSampledToken& out = all[blockIdx.x];
  const bool first = threadIdx.x == 0;
  double total = 0;
  if (pick.top >= 0) {
    Best next = likeliest(row, vocabulary);
    total = log_sum(row, vocabulary, next.logit);
    int found = 0;
    for (; found < pick.top && next.token >= 0; ++found) {
      if (first) {
        out.top[found] = next.token;
        out.top_log_probabilities[found] = static_cast<float>(next.logit - total);
      }
      if (found + 1 < pick.top) next = likeliest(row, vocabulary, next);
    }
    if (first) out.tops = found;
    __syncthreads();  // before the row is changed
  }
  edit(row, pick, edits, only, vocabulary);
  const Best best = likeliest(row, vocabulary);
  int token = best.token;
  if (token >= 0 && pick.temperature > 0 && pick.top_k != 1) token = sample(row, vocabulary, pick, best);
  if (!first) return;
  out.token = token;
  if (pick.top < 0 || token < 0) return;
  float raw = row[token];
  for (int i = pick.edits - 1; i >= 0; --i) {  // its first edit found it as it was
    const Edit& one = edits[pick.first_edit + i];
    if (one.token == token) raw = one.raw;
  }
  out.log_probability = static_cast<float>(raw - total);
}

}  // namespace

void sample(float* logits, int vocabulary, const DeviceSamplingRow* picks, int count, Edit* edits, const int* only,
            DeviceSampledToken* out, cudaStream_t stream) {
  launch(choose_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, logits,
         vocabulary, picks, edits, only, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
