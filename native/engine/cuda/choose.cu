// From rows of logits to tokens, as sampler.h says it: penalties, bias and mask, then the likeliest, or
// temperature, top-k, top-p, min-p and the inverse CDF in token-id order. One row a block.
//
// Weights are e^((logit - largest) / temperature), so the largest is 1; they take the logits' place. Their bits, as
// they are above nothing, are in the order of their values: what is kept is found digit by digit from the highest,
// without sorting, and the token by parts that grow smaller. Sums are of whole numbers, 2^40 to one, so that their
// order changes nothing.
#include "device.cuh"
#include "kernels.h"

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

__device__ Best likeliest(const float* row, int vocabulary) {
  __shared__ Best bests[kWarps];
  const int me = static_cast<int>(threadIdx.x);
  Best best = {0, -1};
  each(row, 0, vocabulary, me, kThreads, [&](int i, float logit) { take(best, logit, i); });
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

__device__ inline Whole whole(float weight) { return static_cast<Whole>(weight * 0x1p40f); }

/// What is kept: every weight above `bits`, and the first `equals` tokens of those that are equal.
struct Cut {
  std::uint32_t bits;
  unsigned equals;
};
constexpr Cut kAll = {0, 0};  // weights of nothing are never kept

/// The sum of `value` over the threads before this one; `total` becomes that of all.
__device__ Whole before_me(Whole value, Whole& total) {
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
  total = sums[kThreads - 1];
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
__device__ Cut cut_at(const float* row, int vocabulary, Cut before, Whole goal) {
  __shared__ Digits digits;
  __shared__ std::uint32_t digit;
  __shared__ Whole above;
  const int me = static_cast<int>(threadIdx.x);
  std::uint32_t prefix = 0;
  Whole passed = 0;
  for (int shift = 20; shift >= 0; shift -= 10) {
    digits.clear(me);
    __syncthreads();
    each(row, 0, vocabulary, me, kThreads, [&](int, float weight) {
      const std::uint32_t bits = as_bits(weight);
      if (bits <= before.bits || (shift < 20 && bits >> (shift + 10) != prefix)) return;
      digits.add<BySum>(bits >> shift & (Digits::kCount - 1), whole(weight));
    });
    __syncthreads();
    // From the highest on, that with which the goal is reached, or else 0.
    const int mine = Digits::kCount - 1 - me * Digits::kEach;
    Whole own = 0, total;
    for (int i = 0; i < Digits::kEach; ++i) own += digits.at<BySum>(mine - i);
    Whole sum = passed + before_me(own, total);
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
  const float* row;
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
  each(kept.row, begin, end, lane, kWarp, [&](int, float weight) {
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

__device__ Whole sum_of(const Kept& kept, int vocabulary) {
  Whole total = 0;
  each_part(kept, Range{0, vocabulary, kept.cut.equals}, [&](int, Whole sum, unsigned) { total += sum; });
  return total;
}

/// The token in which the running sum of what is kept passes `rest`; all threads get it. `likeliest` where none does.
__device__ int find(const Kept& kept, int vocabulary, Whole rest, int likeliest) {
  Range range = {0, vocabulary, kept.cut.equals};
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
    const float weight = kept.row[token];
    const std::uint32_t bits = as_bits(weight);
    const bool equal = kept.cut.bits && bits == kept.cut.bits && range.equals > 0;
    range.equals -= equal;
    if ((bits <= kept.cut.bits && !equal) || weight < kept.least) continue;
    if (rest < whole(weight)) return token;
    rest -= whole(weight);
  }
  return likeliest;
}

__global__ void __launch_bounds__(kThreads)
    choose_rows(float* logits, int vocabulary, const ChoicePick* picks, const Edit* edits,
                const int* only, int* out) {
  await_previous();
  const ChoicePick pick = picks[blockIdx.x];
  float* row = logits + static_cast<size_t>(pick.row) * vocabulary;
  const int me = static_cast<int>(threadIdx.x);
  edit(row, pick, edits, only, vocabulary);
  const Best best = likeliest(row, vocabulary);
  if (best.token < 0 || pick.temperature <= 0 || pick.top_k == 1) {
    if (me == 0) out[blockIdx.x] = best.token;
    return;
  }
  const float inverse = 1.0f / pick.temperature;
  each(row, 0, vocabulary, me, kThreads, [&](int i, float logit) {
    row[i] = logit > never() ? expf((logit - best.logit) * inverse) : 0.0f;
  });
  __syncthreads();
  Cut cut = kAll;
  if (pick.top_k > 0) cut = cut_at<false>(row, vocabulary, cut, static_cast<Whole>(pick.top_k));
  if (pick.top_p < 1) {
    const Whole total = sum_of({row, cut, 0}, vocabulary);
    const Whole goal = static_cast<Whole>(static_cast<double>(pick.top_p) * static_cast<double>(total));
    cut = cut_at<true>(row, vocabulary, cut, goal > 0 ? goal : 1);
  }
  const Kept kept = {row, cut, pick.min_p < 1 ? pick.min_p : 1.0f};
  const Whole total = sum_of(kept, vocabulary);
  Whole rest = static_cast<Whole>(pick.uniform * static_cast<double>(total));
  if (rest >= total) rest = total - 1;
  const int token = find(kept, vocabulary, rest, best.token);
  if (me == 0) out[blockIdx.x] = token;
}

}  // namespace

void choose(float* logits, int vocabulary, const ChoicePick* picks, int count, const Edit* edits,
            const int* only, int* out, cudaStream_t stream) {
  launch(choose_rows, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, stream, logits,
         vocabulary, picks, edits, only, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
