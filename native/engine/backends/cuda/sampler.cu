// Sampling on the device, in the order that sampler.h defines: penalties, bias and mask; then the
// greedy token, or temperature, top-k, top-p, min-p and the inverse CDF in token-id order; and
// log-probabilities of the raw logits. One thread block per row.
//
// A token's weight is its unnormalised probability exp((logit - max) / temperature), so the largest
// is 1. Nothing is sorted. The bits of positive floats have the order of their values, so top-k and
// top-p find their threshold by a radix select over the weights' bits, from the highest digit down.
// The sampled token is found by narrowing the range of token ids in which the running sum passes
// the target. Weights are summed as integers in units of 2^-40, so the order of a sum changes
// nothing.
#include "backends/cuda/device.cuh"
#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;
using FixedPoint = unsigned long long;  // in units of 2^-40

__device__ inline FixedPoint to_fixed_point(float weight) {
  return static_cast<FixedPoint>(weight * 0x1p40f);
}

/// visit(i, value) for all values of a row, by all threads of the block, in any order. Each thread
/// has 128 bytes in flight.
template <class Visit>
__device__ void for_each_in_row(const float* row, int vocabulary, Visit visit) {
  constexpr int kLoads = 8;
  const int thread = static_cast<int>(threadIdx.x);
  // Rows begin at multiples of the vocabulary, which need not be one of four.
  const int offset = static_cast<int>(reinterpret_cast<std::uintptr_t>(row) / sizeof(float) % 4);
  const int head = offset == 0 ? 0 : 4 - offset < vocabulary ? 4 - offset : vocabulary;
  const int fours = (vocabulary - head) / 4, tail = head + fours * 4;
  if (thread < head) visit(thread, row[thread]);
  for (int at = thread; at < fours; at += kThreads * kLoads) {
    Words4 values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int four = at + i * kThreads;
      if (four < fours) values[i] = load16(row + head + four * 4);
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int four = at + i * kThreads;
      if (four >= fours) continue;
#pragma unroll
      for (int j = 0; j < 4; ++j) visit(head + four * 4 + j, as_float(values[i].word[j]));
    }
  }
  if (tail + thread < vocabulary) visit(tail + thread, row[tail + thread]);
}

/// visit(i, value) for the values begin + first, begin + first + step, … of a row. Several loads
/// are in flight at once.
template <class Visit>
__device__ void for_each(const float* row, int begin, int end, int first, int step, Visit visit) {
  constexpr int kLoads = 8;
  for (int at = begin + first; at < end; at += step * kLoads) {
    float values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) values[i] = at + i * step < end ? row[at + i * step] : 0.0f;
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      if (at + i * step < end) visit(at + i * step, values[i]);
    }
  }
}

// ---- the most likely tokens and log-probabilities ----------------------------------------------

struct Candidate {
  float logit;
  int token;  // -1: none
};

/// Keeps the better of two; of equals, the lower id. NaN and masked logits never win.
__device__ inline void take_better(Candidate& best, float logit, int token) {
  if (token < 0 || !(logit > minus_infinity())) return;
  if (best.token < 0 || logit > best.logit || (logit == best.logit && token < best.token)) {
    best = {logit, token};
  }
}

/// The most likely token of a row; or, given `previous`, the next one after it. All threads get it.
__device__ Candidate most_likely(const float* row, int vocabulary, Candidate previous = {0, -1}) {
  __shared__ Candidate warp_best[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  Candidate best = {0, -1};
  for_each_in_row(row, vocabulary, [&](int i, float logit) {
    if (previous.token >= 0 &&
        !(logit < previous.logit || (logit == previous.logit && i > previous.token)))
      return;
    take_better(best, logit, i);
  });
  for (int step = kWarp / 2; step > 0; step /= 2) {
    const float logit = __shfl_xor_sync(0xffffffffu, best.logit, step);
    const int token = __shfl_xor_sync(0xffffffffu, best.token, step);
    take_better(best, logit, token);
  }
  __syncthreads();  // all have read the results of the previous call
  if (thread % kWarp == 0) warp_best[thread / kWarp] = best;
  __syncthreads();
  for (int w = 0; w < kWarps; ++w) take_better(best, warp_best[w].logit, warp_best[w].token);
  return best;
}

/// log(sum(exp(logit))).
__device__ double log_sum_exp(const float* row, int vocabulary, float max_logit) {
  __shared__ double warp_sums[kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  double sum = 0;
  for_each(row, 0, vocabulary, thread, kThreads,
           [&](int, float logit) { sum += static_cast<double>(expf(logit - max_logit)); });
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  if (thread % kWarp == 0) warp_sums[thread / kWarp] = sum;
  __syncthreads();
  sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += warp_sums[w];
  return static_cast<double>(max_logit) + log(sum);
}

// ---- penalties, bias and mask ------------------------------------------------------------------

__device__ void adjust_logits(float* row, const DeviceSamplingRow& input,
                              LogitAdjustment* adjustments, const int* allowed,
                              const std::uint32_t* masks, int vocabulary) {
  __shared__ float kept[kMaxAllowed];
  const int thread = static_cast<int>(threadIdx.x);
  // A thread takes all adjustments of a token, which follow each other.
  LogitAdjustment* const all = adjustments + input.first_adjustment;
  for (int first = thread; first < input.num_adjustments; first += kThreads) {
    const int token = all[first].token;
    if (first > 0 && all[first - 1].token == token) continue;
    float logit = row[token];
    if (input.top_logprobs >= 0) all[first].raw_logit = logit;
    for (int i = first; i < input.num_adjustments && all[i].token == token; ++i) {
      const float penalty = all[i].repetition_penalty;
      if (penalty != 1) logit = logit > 0 ? logit / penalty : logit * penalty;
      logit -= all[i].subtract;
    }
    row[token] = logit;
  }
  __syncthreads();
  if (input.num_allowed == 0 && input.num_words == 0) return;
  if (thread < input.num_allowed) kept[thread] = row[allowed[input.first_allowed + thread]];
  __syncthreads();
  const std::uint32_t* mask = masks + input.first_word;
  for (int i = thread; i < vocabulary; i += kThreads) {
    const bool in = i / 32 < input.num_words && (mask[i / 32] >> (i % 32) & 1) != 0;
    if (!in) row[i] = minus_infinity();
  }
  __syncthreads();
  if (thread < input.num_allowed) row[allowed[input.first_allowed + thread]] = kept[thread];
  __syncthreads();
}

// ---- top-k and top-p: a threshold by radix select ----------------------------------------------

/// The weights of a row's tokens, computed from its logits or already stored in their place.
struct TokenWeights {
  const float* row;
  int vocabulary;
  float max_logit, inverse_temperature;
  bool stored;

  __device__ float weight_of(float value) const {
    if (stored) return value;
    return value > minus_infinity() ? expf((value - max_logit) * inverse_temperature) : 0.0f;
  }
  /// visit(token, weight), as for_each_in_row() does it.
  template <class Visit>
  __device__ void for_each_in_row(Visit visit) const {
    ANABRANCH_CUDA::for_each_in_row(row, vocabulary,
                                    [&](int i, float value) { visit(i, weight_of(value)); });
  }
  /// visit(token, weight), as for_each() does it.
  template <class Visit>
  __device__ void for_each(int begin, int end, int first, int step, Visit visit) const {
    ANABRANCH_CUDA::for_each(row, begin, end, first, step,
                             [&](int i, float value) { visit(i, weight_of(value)); });
  }
};

/// What is kept: every weight whose bits are above `bits`, and the first `equals` tokens whose bits
/// are equal to it.
struct Threshold {
  std::uint32_t bits;
  unsigned equals;
};
constexpr Threshold kKeepAll = {0, 0};  // all but weights of 0

/// Exclusive prefix sum of `value` over the block's threads.
__device__ FixedPoint exclusive_sum(FixedPoint value) {
  __shared__ FixedPoint sums[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  sums[thread] = value;
  __syncthreads();
  for (int step = 1; step < kThreads; step *= 2) {
    const FixedPoint more = thread >= step ? sums[thread - step] : 0;
    __syncthreads();
    sums[thread] += more;
    __syncthreads();
  }
  const FixedPoint before = sums[thread] - value;
  __syncthreads();
  return before;
}

/// Counts and sums of the weights with each value of the current digit. A sum is kept as two 32-bit
/// halves, because shared-memory atomics on 64 bits are slow.
struct DigitHistogram {
  /// Of ten bits. The first digit has twelve, but no weight is above 1.
  static constexpr int kDigits = 1024;
  static constexpr int kPerThread = kDigits / kThreads;
  unsigned counts[kDigits], low[kDigits], high[kDigits];

  __device__ void clear(int thread) {
    for (int i = thread; i < kDigits; i += kThreads) counts[i] = low[i] = high[i] = 0;
  }
  template <bool BySum>
  __device__ void add(std::uint32_t digit, FixedPoint value) {
    atomicAdd(&counts[digit], 1u);
    if constexpr (BySum) {
      const auto part = static_cast<unsigned>(value);
      const unsigned before = atomicAdd(&low[digit], part);
      const unsigned rest = static_cast<unsigned>(value >> 32) + (before + part < before);
      if (rest > 0) atomicAdd(&high[digit], rest);
    }
  }
  /// The sum, or else the count.
  template <bool BySum>
  __device__ FixedPoint at(int digit) const {
    return BySum ? static_cast<FixedPoint>(high[digit]) << 32 | low[digit] : counts[digit];
  }
};

/// The threshold that keeps the largest weights, among those that `before` keeps, until their count
/// (top-k) or their sum (top-p) reaches `goal`, which is at least 1.
template <bool BySum>
__device__ Threshold select_threshold(const TokenWeights& weights, Threshold before,
                                      FixedPoint goal) {
  __shared__ DigitHistogram histogram;
  __shared__ std::uint32_t digit;
  __shared__ FixedPoint above;
  const int thread = static_cast<int>(threadIdx.x);
  std::uint32_t prefix = 0;  // the digits found so far
  FixedPoint passed = 0;     // count or sum of the weights above them
  for (int shift = 20; shift >= 0; shift -= 10) {
    // Histogram of the next digit of the weights that share the prefix.
    histogram.clear(thread);
    __syncthreads();
    weights.for_each_in_row([&](int, float weight) {
      const std::uint32_t bits = as_bits(weight);
      if (bits <= before.bits || (shift < 20 && bits >> (shift + 10) != prefix)) return;
      histogram.add<BySum>(bits >> shift & (DigitHistogram::kDigits - 1), to_fixed_point(weight));
    });
    __syncthreads();
    // The digit at which the goal is reached, counted from the highest; 0 if it is not reached.
    const int my_digit = DigitHistogram::kDigits - 1 - thread * DigitHistogram::kPerThread;
    FixedPoint own = 0;
    for (int i = 0; i < DigitHistogram::kPerThread; ++i) own += histogram.at<BySum>(my_digit - i);
    FixedPoint sum = passed + exclusive_sum(own);
    for (int i = 0; i < DigitHistogram::kPerThread; ++i) {
      const FixedPoint more = histogram.at<BySum>(my_digit - i);
      if (sum < goal && (sum + more >= goal || my_digit == i)) {
        digit = static_cast<std::uint32_t>(my_digit - i);
        above = sum;
      }
      sum += more;
    }
    __syncthreads();
    prefix = prefix << 10 | digit;
    passed = above;
    __syncthreads();
  }
  const int last_digit = static_cast<int>(prefix & (DigitHistogram::kDigits - 1));
  const unsigned count = histogram.counts[last_digit];
  const FixedPoint more = histogram.at<BySum>(last_digit);
  __syncthreads();
  // If all weights above `before` are too few, the threshold stays where it was, and as many of its
  // equals are kept as are needed and allowed.
  const bool too_few = count == 0 || passed + more < goal;
  const std::uint32_t bits = too_few ? before.bits : prefix;
  const unsigned max_equals = too_few ? before.equals : count;
  if (too_few) passed += more;
  const FixedPoint weight = BySum ? to_fixed_point(as_float(bits)) : 1;
  const FixedPoint missing = goal > passed ? goal - passed : 0;
  FixedPoint equals = weight > 0 ? (missing + weight - 1) / weight : max_equals;
  if (!too_few && equals == 0) equals = 1;
  return {bits, static_cast<unsigned>(equals < max_equals ? equals : max_equals)};
}

// ---- the inverse CDF ---------------------------------------------------------------------------

/// The tokens of a row that all filters keep.
struct KeptTokens {
  const TokenWeights& weights;
  Threshold threshold;
  float min_weight;  // min-p
};

/// Token ids begin … end - 1, divided into one part per warp.
struct TokenRange {
  int begin, end;
  unsigned equals;  // how many tokens equal to the threshold are kept, from `begin` on

  __device__ int part_size() const {
    return static_cast<int>((end - begin + kThreads - 1) / kThreads) * kWarp;
  }
};

/// visit(part, sum of its kept weights, kept tokens in it that equal the threshold) for each part
/// of a range, in order. Every thread visits.
template <class Visit>
__device__ void for_each_part(const KeptTokens& kept, const TokenRange& range, Visit visit) {
  __shared__ FixedPoint sums[kWarps];
  __shared__ unsigned equals[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            warp = static_cast<int>(threadIdx.x) / kWarp;
  const int begin = range.begin + warp * range.part_size();
  const int end = begin + range.part_size() < range.end ? begin + range.part_size() : range.end;
  FixedPoint sum = 0;
  unsigned equal = 0;
  kept.weights.for_each(begin, end, lane, kWarp, [&](int, float weight) {
    const std::uint32_t bits = as_bits(weight);
    if (bits > kept.threshold.bits && weight >= kept.min_weight) sum += to_fixed_point(weight);
    equal += bits == kept.threshold.bits;
  });
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, step);
    equal += __shfl_xor_sync(0xffffffffu, equal, step);
  }
  __syncthreads();  // all have read the results of the previous call
  if (lane == 0) {
    sums[warp] = sum;
    equals[warp] = equal;
  }
  __syncthreads();
  const float weight = as_float(kept.threshold.bits);
  const FixedPoint equal_weight = weight >= kept.min_weight ? to_fixed_point(weight) : 0;
  unsigned left = range.equals;
  for (int part = 0; part < kWarps; ++part) {
    const unsigned kept_equals = equals[part] < left ? equals[part] : left;
    left -= kept_equals;
    visit(part, sums[part] + kept_equals * equal_weight, kept_equals);
  }
}

__device__ FixedPoint sum_of(const KeptTokens& kept) {
  FixedPoint total = 0;
  for_each_part(kept, TokenRange{0, kept.weights.vocabulary, kept.threshold.equals},
                [&](int, FixedPoint sum, unsigned) { total += sum; });
  return total;
}

/// The kept token at which the running sum passes `target`, or `fallback` if none does. All threads
/// get it.
__device__ int find_token(const KeptTokens& kept, FixedPoint target, int fallback) {
  // Narrow the range to the part that contains the token.
  TokenRange range = {0, kept.weights.vocabulary, kept.threshold.equals};
  while (range.end - range.begin > 2 * kWarp) {
    TokenRange inner = range;
    bool found = false;
    unsigned equals = range.equals;
    for_each_part(kept, range, [&](int part, FixedPoint sum, unsigned kept_equals) {
      if (found) return;
      if (target < sum) {
        const int begin = range.begin + part * range.part_size(), end = begin + range.part_size();
        inner = {begin, end < range.end ? end : range.end, equals};
        found = true;
        return;
      }
      target -= sum;
      equals -= kept_equals;
    });
    if (!found) return fallback;
    range = inner;
  }
  // Then walk it.
  for (int token = range.begin; token < range.end; ++token) {
    const float weight = kept.weights.weight_of(kept.weights.row[token]);
    const std::uint32_t bits = as_bits(weight);
    const bool equal = kept.threshold.bits && bits == kept.threshold.bits && range.equals > 0;
    range.equals -= equal;
    if ((bits <= kept.threshold.bits && !equal) || weight < kept.min_weight) continue;
    if (target < to_fixed_point(weight)) return token;
    target -= to_fixed_point(weight);
  }
  return fallback;
}

// ---- the kernel --------------------------------------------------------------------------------

/// Samples by temperature, top-k, top-p and min-p from adjusted logits.
__device__ int sample_token(float* row, int vocabulary, const DeviceSamplingRow& input,
                            Candidate best) {
  // Unless the raw logits are still needed, the weights replace them and are computed only once.
  const bool keep_logits = input.top_logprobs >= 0;
  const TokenWeights weights = {row, vocabulary, best.logit, 1.0f / input.temperature,
                                !keep_logits};
  if (!keep_logits) {
    const TokenWeights computed = {row, vocabulary, weights.max_logit, weights.inverse_temperature,
                                   false};
    computed.for_each_in_row([&](int i, float weight) { row[i] = weight; });
    __syncthreads();
  }
  Threshold threshold = kKeepAll;
  if (input.top_k > 0)
    threshold = select_threshold<false>(weights, threshold, static_cast<FixedPoint>(input.top_k));
  if (input.top_p < 1) {
    const FixedPoint total = sum_of({weights, threshold, 0});
    const auto goal =
        static_cast<FixedPoint>(static_cast<double>(input.top_p) * static_cast<double>(total));
    threshold = select_threshold<true>(weights, threshold, goal > 0 ? goal : 1);
  }
  const KeptTokens kept = {weights, threshold, input.min_p < 1 ? input.min_p : 1.0f};
  const FixedPoint total = sum_of(kept);
  auto target = static_cast<FixedPoint>(input.uniform * static_cast<double>(total));
  if (target >= total) target = total - 1;
  return find_token(kept, target, best.token);
}

/// Launch: grid (rows), block of kThreads. Each pass over a row reads 4 · vocabulary bytes, after
/// the first one mostly from L2: one pass for greedy, about ten for top-k and top-p, and one per
/// entry of the list of top log-probabilities.
__global__ void __launch_bounds__(kThreads, 1)
    sample_kernel(float* logits, int stride, const DeviceSamplingRow* rows,
                  LogitAdjustment* adjustments, const int* allowed, const std::uint32_t* masks,
                  DeviceSampledToken* results) {
  wait_on_previous_kernel();
  const DeviceSamplingRow input = rows[blockIdx.x];
  const int vocabulary = input.vocabulary;
  float* row = logits + static_cast<size_t>(input.row) * stride;
  DeviceSampledToken& out = results[blockIdx.x];
  const bool first_thread = threadIdx.x == 0;

  // Log-probabilities of the raw logits.
  double log_total = 0;
  if (input.top_logprobs >= 0) {
    Candidate next = most_likely(row, vocabulary);
    log_total = log_sum_exp(row, vocabulary, next.logit);
    int found = 0;
    for (; found < input.top_logprobs && next.token >= 0; ++found) {
      if (first_thread) {
        out.top[found] = next.token;
        out.top_logprobs[found] = static_cast<float>(next.logit - log_total);
      }
      if (found + 1 < input.top_logprobs) next = most_likely(row, vocabulary, next);
    }
    if (first_thread) out.num_top = found;
    __syncthreads();  // before the row changes
  }

  // The token.
  adjust_logits(row, input, adjustments, allowed, masks, vocabulary);
  const Candidate best = most_likely(row, vocabulary);
  int token = best.token;
  if (token >= 0 && input.temperature > 0 && input.top_k != 1)
    token = sample_token(row, vocabulary, input, best);
  if (first_thread) out.token = token;
  if (input.top_logprobs < 0 || token < 0) return;

  // Its raw logit, which its first adjustment recorded.
  __shared__ float raw_logit;
  if (first_thread) raw_logit = row[token];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < input.num_adjustments; i += kThreads) {
    const LogitAdjustment* const adjustment = adjustments + input.first_adjustment + i;
    if (adjustment->token == token && (i == 0 || adjustment[-1].token != token))
      raw_logit = adjustment->raw_logit;
  }
  __syncthreads();
  if (first_thread) out.logprob = static_cast<float>(raw_logit - log_total);
}

}  // namespace

void sample(float* logits, int stride, const DeviceSamplingRow* rows, int count,
            LogitAdjustment* adjustments, const int* allowed, const std::uint32_t* masks,
            DeviceSampledToken* out, const Queue& queue) {
  launch(sample_kernel, dim3(static_cast<unsigned>(count)), dim3(kThreads), 0, queue, logits,
         stride, rows, adjustments, allowed, masks, out);
}

}  // namespace anabranch::ANABRANCH_CUDA
