// The checks of the CUDA backend, and arrays on the device that they use.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "backends/cuda/memory.h"
#include "cuda_check.h"
#include "model/four_bit.h"
#include "model/weight_types.h"
#include "serving/scheduler.h"

namespace anabranch::ANABRANCH_CUDA {

#if defined(ANABRANCH_EMULATE)
inline const std::string kName = "emulated ";
constexpr bool kEmulated = true;
#else
inline const std::string kName = "cuda ";
constexpr bool kEmulated = false;  // fast enough for larger checks
#endif

/// Products, plain and with gated output, against double precision. `four_bit` says how int4
/// weights are stored.
void check_gemm(WeightType type, const FourBitFormat& four_bit, Report report);
/// Greedy sampling with ties, NaN, adjustments, allowed tokens, and a row without a finite logit.
void check_greedy_sampling(Report report);
/// All sampling parameters and log-probabilities against the CPU's sampler on the same logits, many
/// of them equal. Tokens may differ if a rounding error moves a threshold, which is rare.
void check_sampling(Report report);
/// Products and attention of many rows at a real model's width against those of few rows; on a GPU
/// only.
void check_wide_model(Report report);
/// The logits of the model in `folder` against fp32 weights on the CPU, under both resume rules.
void check_model(const std::string& folder, const BackendOptions& options, Report report);

/// The same of requests with random LoRA adapters and without, in one batch, and their bits.
void check_adapters(const std::string& folder, const BackendOptions& options, Report report);

/// "0.00012" and the like.
std::string short_number(double value);
/// Normalised mean squared error; infinite if the sizes differ.
double nmse(const std::vector<float>& got, const std::vector<float>& want);
/// Serial text of sizes[0] tokens, three branches up to sizes[1], and a joined part of sizes[2].
std::vector<StructureRun> random_text(int vocabulary, const std::array<int, 3>& sizes);
/// Logits of all tokens of a text, in steps of at most `prefill_rows`.
std::vector<float> logits_of(Backend& backend, const std::vector<StructureRun>& runs,
                             ResumeRule resume, int prefill_rows);

template <class T>
Array<T> to_device(const std::vector<T>& values) {
  Array<T> out(values.size(), "a check");
  check(cudaMemcpyAsync(out.data(), values.data(), values.size() * sizeof(T),
                        cudaMemcpyHostToDevice, cudaStream_t{}),
        "copying to the device");
  check(cudaStreamSynchronize(cudaStream_t{}), "copying to the device");
  return out;
}
template <class T>
std::vector<T> to_host(const Array<T>& from) {
  std::vector<T> out(from.count());
  check(cudaStreamSynchronize(cudaStream_t{}), "running a kernel");
  check(cudaMemcpyAsync(out.data(), from.data(), out.size() * sizeof(T), cudaMemcpyDeviceToHost,
                        cudaStream_t{}),
        "copying to the host");
  check(cudaStreamSynchronize(cudaStream_t{}), "copying to the host");
  return out;
}

}  // namespace anabranch::ANABRANCH_CUDA
