// Logits and sampling: on the device where its kernel can, else by the CPU's sampler.
#include <algorithm>
#include <limits>

#include "backends/cuda/model.h"

namespace anabranch::ANABRANCH_CUDA {
namespace {

/// Longer lists than the kernel takes are sampled on the host.
bool fits_device(const SamplingInput& input) {
  return input.constraint.allowed.size() <= kMaxAllowed &&
         input.params->top_logprobs <= kMaxTopLogprobs;
}

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 ||
         params.presence_penalty != 0;
}

/// The arguments of the sampling kernel.
struct DeviceSamplingInputs {
  std::vector<DeviceSamplingRow> rows;
  std::vector<LogitAdjustment> adjustments;
  std::vector<int> allowed;
  std::vector<std::uint32_t> masks;

  void add(const SamplingRow& sampling_row, int vocabulary) {
    constexpr float kBanned = std::numeric_limits<float>::infinity();
    const SamplingInput& input = sampling_row.input;
    const SamplingParams& params = *input.params;
    const int row = sampling_row.row;
    const int first_adjustment = static_cast<int>(adjustments.size());
    const int first_allowed = static_cast<int>(allowed.size());
    if (has_penalties(params)) {
      for (const auto& [token, count] : *input.token_counts) {
        adjustments.push_back(
            {row, token, params.repetition_penalty,
             params.frequency_penalty * static_cast<float>(count) + params.presence_penalty, 0});
      }
    }
    for (const auto& [token, bias] : params.logit_bias)
      adjustments.push_back({row, token, 1, -bias, 0});
    for (int token : input.constraint.banned) adjustments.push_back({row, token, 1, kBanned, 0});
    // A token's changes follow each other: its penalty, its bias, its ban.
    std::stable_sort(
        adjustments.begin() + first_adjustment, adjustments.end(),
        [](const LogitAdjustment& a, const LogitAdjustment& b) { return a.token < b.token; });
    const int first_word = static_cast<int>(masks.size());
    if (const auto& mask = input.constraint.mask) {
      masks.insert(masks.end(), mask->begin(), mask->end());
    }
    allowed.insert(allowed.end(), input.constraint.allowed.begin(), input.constraint.allowed.end());
    rows.push_back({row, first_adjustment, static_cast<int>(adjustments.size()) - first_adjustment,
                    first_allowed, static_cast<int>(allowed.size()) - first_allowed, first_word,
                    static_cast<int>(masks.size()) - first_word, vocabulary,
                    params.logprobs ? std::max(0, params.top_logprobs) : -1, params.temperature,
                    std::max(0.0f, params.top_p), params.top_k, params.min_p, input.uniform});
  }
  size_t bytes() const {
    return rows.size() * sizeof(DeviceSamplingRow) + adjustments.size() * sizeof(LogitAdjustment) +
           allowed.size() * sizeof(int) + masks.size() * sizeof(std::uint32_t) + 80;
  }
};

SampledToken to_host(const DeviceSampledToken& sampled, const DeviceSamplingRow& row) {
  SampledToken out{sampled.token, 0, {}};
  if (row.top_logprobs < 0 || sampled.token < 0) return out;
  out.logprob = sampled.logprob;
  for (int i = 0; i < sampled.num_top; ++i)
    out.top.emplace_back(sampled.top[i], sampled.top_logprobs[i]);
  return out;
}

}  // namespace

std::span<const float> CudaBackend::logits(int row) {
  select_device();
  fetch_logits(row);
  return {logits_row_.data(), static_cast<size_t>(vocabulary_of(row))};
}

std::vector<SampledToken> CudaBackend::sample(std::span<const SamplingRow> rows) {
  select_device();
  // A step whose rows are all of prompts is waited for as well, so that each step's time is its
  // own.
  if (rows.empty()) check(cudaStreamSynchronize(queue_.stream), "running a step");
  std::vector<SampledToken> out(rows.size(), SampledToken{-1, 0, {}});
  std::vector<size_t> on_device;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (fits_device(rows[i].input)) on_device.push_back(i);
  }
  sample_on_device(rows, on_device, out);
  // The others, and rows without a finite logit, for which the CPU's sampler has a fallback.
  for (size_t i = 0; i < rows.size(); ++i) {
    if (out[i].token >= 0) continue;
    fetch_logits(rows[i].row);
    const auto vocabulary = static_cast<size_t>(vocabulary_of(rows[i].row));
    out[i] = anabranch::sample({logits_row_.data(), vocabulary}, rows[i].input);
  }
  return out;
}

int CudaBackend::vocabulary_of(int logits_row) const {
  return logits_vocabularies_[static_cast<size_t>(logits_row)];
}

void CudaBackend::fetch_logits(int row) {
  check(cudaMemcpyAsync(logits_row_.data(),
                        logits_.data() + static_cast<size_t>(row) * logits_row_.count(),
                        logits_row_.count() * sizeof(float), cudaMemcpyDeviceToHost, queue_.stream),
        "fetching logits");
  check(cudaStreamSynchronize(queue_.stream), "running a step");
}

/// Samples rows[i] for each i in `which` into out[i].
void CudaBackend::sample_on_device(std::span<const SamplingRow> rows,
                                   const std::vector<size_t>& which,
                                   std::vector<SampledToken>& out) {
  if (which.empty()) return;
  DeviceSamplingInputs inputs;
  for (size_t i : which) inputs.add(rows[i], vocabulary_of(rows[i].row));
  if (inputs.bytes() > sampling_inputs_.size())
    sampling_inputs_ = StagingBuffer(2 * inputs.bytes());
  sampling_inputs_.clear();
  const DeviceSamplingRow* const device_rows = sampling_inputs_.append(inputs.rows);
  LogitAdjustment* const adjustments = sampling_inputs_.append(inputs.adjustments);
  const int* const allowed = sampling_inputs_.append(inputs.allowed);
  const std::uint32_t* const masks = sampling_inputs_.append(inputs.masks);
  sampling_inputs_.send(queue_.stream);
  ANABRANCH_CUDA::sample(logits_.data(), logits_stride_, device_rows,
                         static_cast<int>(inputs.rows.size()), adjustments, allowed, masks,
                         sampled_.data(), queue_);
  check(cudaGetLastError(), "sampling tokens");
  check(cudaStreamSynchronize(queue_.stream), "running a step");
  for (size_t i = 0; i < which.size(); ++i)
    out[which[i]] = to_host(sampled_.data()[i], inputs.rows[i]);
}

}  // namespace anabranch::ANABRANCH_CUDA
