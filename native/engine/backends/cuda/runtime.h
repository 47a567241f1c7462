// The CUDA runtime; with ANABRANCH_EMULATE, the emulation that runs the same code on the CPU.
#pragma once

#include <cstdint>

#if defined(ANABRANCH_EMULATE)
#include "backends/cuda/emulate.h"
#define ANABRANCH_CUDA emulated
#else
#include <cuda_runtime.h>
#define ANABRANCH_CUDA cuda
#endif

namespace anabranch::ANABRANCH_CUDA {

using Bf16 = std::uint16_t;

}  // namespace anabranch::ANABRANCH_CUDA
