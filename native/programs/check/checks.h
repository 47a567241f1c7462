// The checks of engine-check. Each reports one line per property.
#pragma once

#include <string>

#include "backends/cpu/kernels.h"

namespace anabranch {

/// Prints a line for one check. `wrong` says what failed and is empty for a pass.
void report(const std::string& name, const std::string& wrong);

void check_philox();
void check_sampler();
/// Sampling with temperature, top-k, top-p and min-p against sorting in double precision.
void check_truncation();

/// The tokens that a grammar allows, state by state.
void check_grammar_masks();

void check_gemm(const Kernels& kernels, const PanelFormat& format);
/// bf16 pairs between two products against fp32 between them, for kernels that take pairs.
void check_bf16_pairs(const Kernels& kernels);
void check_rms_norm(const Kernels& kernels);
void check_activations(const Kernels& kernels);
/// What LoRA adapters add to products.
void check_low_rank(const Kernels& kernels);
void check_attention(const Kernels& kernels, WeightType type);

void check_attention_plan();
void check_window_plan();
void check_plan_balance();

/// The prediction of step times.
void check_step_time();
/// The branches that decode in a step.
void check_branch_schedule();

/// Serves the model in `folder` from several threads, calling every member of Engine concurrently.
void check_serving(const std::string& folder);

}  // namespace anabranch
