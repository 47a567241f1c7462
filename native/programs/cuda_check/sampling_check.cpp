// The sampling kernel against known answers and against the CPU's sampler.
#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <span>

#include "backends/cuda/kernels.h"
#include "cuda_check/checks.h"
#include "sampling/sampler.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// Rows of logits with random sampling parameters, as the CPU and as the device take them.
struct SamplingCase {
  int vocabulary;
  std::vector<float> logits;  // [rows, vocabulary]
  std::vector<SamplingParams> params;
  std::vector<TokenCounts> counts;
  std::vector<SamplingInput> inputs;
  std::vector<DeviceSamplingRow> device_rows;
  std::vector<LogitAdjustment> adjustments;
  std::vector<int> allowed;
  std::vector<std::uint32_t> masks;

  SamplingCase(std::mt19937& random, std::normal_distribution<float>& normal, int rows,
               int vocabulary)
      : vocabulary(vocabulary),
        logits(static_cast<size_t>(rows) * vocabulary),
        params(rows),
        counts(rows),
        inputs(rows) {
    for (float& logit : logits) logit = std::round(normal(random) * 8) / 2;  // many are equal
    for (int row = 0; row < rows; ++row) add_row(random, row);
  }

  void add_row(std::mt19937& random, int row) {
    const auto one_of = [&](auto... values) {
      const float all[] = {static_cast<float>(values)...};
      return all[random() % (sizeof...(values))];
    };
    SamplingParams& p = params[row];
    p.temperature = one_of(0, 0.3, 0.8, 1, 2);
    p.top_k = static_cast<int>(one_of(0, 0, 2, 3, 40, 1000000));
    p.top_p = one_of(1, 1, 0.001, 0.5, 0.9);
    p.min_p = one_of(0, 0, 0.05, 1);
    p.logprobs = random() % 2 == 0;
    p.top_logprobs = static_cast<int>(one_of(0, 1, 5, kMaxTopLogprobs));
    const int first_adjustment = static_cast<int>(adjustments.size());
    if (random() % 2 == 0) add_adjustments(random, row);
    const double uniform = (static_cast<double>(random()) + 0.5) / 4294967296.0;
    const int first_allowed = static_cast<int>(allowed.size());
    const int first_word = static_cast<int>(masks.size());
    inputs[row] = {&p, &counts[row], {}, uniform};
    if (random() % 3 == 0) add_mask(random, row);
    device_rows.push_back(
        {row, first_adjustment, static_cast<int>(adjustments.size()) - first_adjustment,
         first_allowed, static_cast<int>(allowed.size()) - first_allowed, first_word,
         static_cast<int>(masks.size()) - first_word, vocabulary, p.logprobs ? p.top_logprobs : -1,
         p.temperature, p.top_p, p.top_k, p.min_p, uniform});
  }

  /// A mask of a part of the vocabulary, and a token beside it.
  void add_mask(std::mt19937& random, int row) {
    auto mask = std::make_shared<TokenMask>(1 + random() % ((vocabulary + 31) / 32));
    for (std::uint32_t& word : *mask) word = random() % 2 ? random() : random() & random();
    masks.insert(masks.end(), mask->begin(), mask->end());
    const int token = static_cast<int>(random() % vocabulary);
    inputs[row].constraint = {{token}, {}, std::move(mask)};
    allowed.push_back(token);
  }

  /// Penalties and a bias, of the most likely token and of another one; one token has two
  /// adjustments.
  void add_adjustments(std::mt19937& random, int row) {
    SamplingParams& p = params[row];
    const auto first = static_cast<std::ptrdiff_t>(adjustments.size());
    p.repetition_penalty = 1.5;
    p.frequency_penalty = 0.5;
    const std::span<const float> values = logits_of(row);
    const int most_likely =
        static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
    for (int token : {most_likely, most_likely / 2})
      counts[row][token] = 1 + static_cast<int>(random() % 3);
    // A long answer has more tokens than a block has threads.
    if (random() % 4 == 0) {
      for (int i = 0; i < 1000; ++i) counts[row][static_cast<int>(random() % vocabulary)] = 1;
    }
    for (const auto& [token, count] : counts[row]) {
      adjustments.push_back({row, token, 1.5, 0.5f * static_cast<float>(count), 0});
    }
    p.logit_bias = {{most_likely, 3.0f}};
    adjustments.push_back({row, most_likely, 1, -3, 0});
    std::stable_sort(
        adjustments.begin() + first, adjustments.end(),
        [](const LogitAdjustment& a, const LogitAdjustment& b) { return a.token < b.token; });
  }

  std::span<float> logits_of(int row) {
    return {logits.data() + static_cast<size_t>(row) * vocabulary, static_cast<size_t>(vocabulary)};
  }

  std::vector<DeviceSampledToken> sample_on_device() const {
    const auto device_logits = to_device(logits);
    const auto rows = to_device(device_rows);
    const auto device_adjustments = to_device(adjustments);
    const auto device_allowed = to_device(allowed);
    const auto device_masks = to_device(masks);
    const Array<DeviceSampledToken> out(device_rows.size(), "a check");
    ANABRANCH_CUDA::sample(device_logits.data(), vocabulary, rows.data(),
                           static_cast<int>(device_rows.size()), device_adjustments.data(),
                           device_allowed.data(), device_masks.data(), out.data(), Queue{});
    check(cudaGetLastError(), "sample");
    return to_host(out);
  }

  std::string describe(int row) const {
    const SamplingParams& p = params[row];
    return "vocabulary " + std::to_string(vocabulary) + ", temperature " +
           std::to_string(p.temperature) + ", top-k " + std::to_string(p.top_k) + ", top-p " +
           std::to_string(p.top_p) + ", min-p " + std::to_string(p.min_p);
  }
};

bool same_logprobs(const DeviceSampledToken& got, const SampledToken& want) {
  const auto near = [](float a, float b) { return std::abs(a - b) <= 1e-5f * (1 + std::abs(b)); };
  if (got.num_top != static_cast<int>(want.top.size())) return false;
  if (got.token == want.token && !near(got.logprob, want.logprob)) return false;
  for (size_t i = 0; i < want.top.size(); ++i) {
    if (got.top[i] != want.top[i].first || !near(got.top_logprobs[i], want.top[i].second))
      return false;
  }
  return true;
}

}  // namespace

void check_greedy_sampling(Report report) {
  constexpr int kVocabulary = 3001;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> logits(6 * kVocabulary);
  for (int i = 0; i < 4 * kVocabulary; ++i) logits[i] = normal(random);
  logits[17] = logits[1500] = 9;  // of equals, the lowest id wins
  logits[kVocabulary + 5] = NAN;  // never wins
  logits[kVocabulary + 6] = 8;
  std::fill_n(logits.begin() + 3 * kVocabulary, kVocabulary, NAN);
  logits[5 * kVocabulary + 700] = 7;
  logits[5 * kVocabulary + kVocabulary / 2] = 8;
  // Sampling changes a row, so row 0 is sampled a second time from a copy.
  std::copy_n(logits.begin(), kVocabulary, logits.begin() + 4 * kVocabulary);
  const float banned = INFINITY;
  const std::vector<LogitAdjustment> adjustments = {
      {2, 40, 1, -20, 0}, {2, 40, 1, banned, 0}, {2, 41, 2, -30, 0}};
  const std::vector<int> allowed = {7, 3, 2999};
  std::vector<DeviceSamplingRow> rows(
      6, DeviceSamplingRow{0, 0, 0, 0, 0, 0, 0, kVocabulary, -1, 0, 1, 0, 0, 0});
  rows[1].row = 1;
  rows[2].row = 2;
  rows[2].num_adjustments = 3;
  rows[3].row = 4;
  rows[3].num_allowed = 3;
  rows[4].row = 3;
  rows[5].row = 5;
  rows[5].vocabulary = kVocabulary / 2;  // as of a model beside one whose adapter adds tokens
  int best_allowed = allowed[0];
  for (int token : allowed)
    best_allowed = logits[token] > logits[best_allowed] ? token : best_allowed;
  const std::vector<int> want = {17, 6, 41, best_allowed, -1, 700};

  const auto device_logits = to_device(logits);
  const auto device_rows = to_device(rows);
  const auto device_adjustments = to_device(adjustments);
  const auto device_allowed = to_device(allowed);
  const Array<DeviceSampledToken> out(rows.size(), "a check");
  sample(device_logits.data(), kVocabulary, device_rows.data(), static_cast<int>(rows.size()),
         device_adjustments.data(), device_allowed.data(), nullptr, out.data(), Queue{});
  check(cudaGetLastError(), "sample");
  const std::vector<DeviceSampledToken> got = to_host(out);
  std::string wrong;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i].token != want[i]) {
      wrong += "row " + std::to_string(i) + " is " + std::to_string(got[i].token) + ", expected " +
               std::to_string(want[i]) + "; ";
    }
  }
  report(kName + "sample greedily", wrong);
}

void check_sampling(Report report) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  int vocabulary = 700, different = 0, sampled = 0, with_logprobs = 0;
  std::string wrong, wrong_logprobs;
  for (int round = 0; round < (kEmulated ? 2 : 12); ++round, vocabulary = vocabulary * 5 + 3) {
    if (vocabulary > 160000) vocabulary = 700;
    const int rows = kEmulated ? 30 : 100;
    SamplingCase sampling_case(random, normal, rows, vocabulary);
    const std::vector<DeviceSampledToken> got = sampling_case.sample_on_device();
    for (int row = 0; row < rows; ++row, ++sampled) {
      const SampledToken want =
          anabranch::sample(sampling_case.logits_of(row), sampling_case.inputs[row]);
      if (got[row].token != want.token && ++different <= 3) {
        wrong += sampling_case.describe(row) + ": " + std::to_string(got[row].token) +
                 ", expected " + std::to_string(want.token) + "; ";
      }
      if (!sampling_case.params[row].logprobs) continue;
      ++with_logprobs;
      if (same_logprobs(got[row], want) || wrong_logprobs.size() > 200) continue;
      wrong_logprobs +=
          "row " + std::to_string(row) + " of vocabulary " + std::to_string(vocabulary) + "; ";
    }
  }
  if (different * 100 <= sampled) wrong.clear();
  report(kName + "sampling: " + std::to_string(different) + " of " + std::to_string(sampled) +
             " differ by rounding",
         wrong);
  report(kName + "log-probabilities of " + std::to_string(with_logprobs) + " rows", wrong_logprobs);
}

}  // namespace anabranch::ANABRANCH_CUDA
