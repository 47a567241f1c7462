// What all kernel files share: launching, number formats, memory access, and warp-level products.
#pragma once

#include <cstddef>
#include <cstring>

#include "backends/cuda/kernels.h"
#if defined(ANABRANCH_EMULATE)
#include "number_formats.h"
#endif

namespace anabranch::ANABRANCH_CUDA {

constexpr int kWarp = 32;

// ---- launching ---------------------------------------------------------------------------------

/// Launches `kernel`, which must call wait_on_previous_kernel(), with `shared` bytes of dynamic
/// shared memory. Errors show at the next check(), as that of a device that has less of it.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared, const Queue& queue,
            Arguments... arguments) {
#if defined(ANABRANCH_EMULATE)
  (void)queue;
  emulate::run(grid, block, shared, [=] { kernel(arguments...); });
#else
  constexpr size_t kFree = size_t{32} << 10;  // that no kernel has to ask for, static memory beside
  // Each time, because a process may use several devices. Steps of few rows are replayed as graphs.
  if (shared > kFree) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(shared));
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = queue.stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = queue.overlap ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, arguments...);
#endif
}

/// Every thread of every kernel calls this. With programmatic dependent launch a kernel may start
/// while the previous one still runs; the previous kernel's results are visible only after this
/// call. Before it, a kernel may read only what no kernel of the step writes: weights, and the
/// step's description, which is copied before the first kernel starts. The call also lets the next
/// kernel start as soon as all blocks of this one have reached it.
__device__ inline void wait_on_previous_kernel() {
#if !defined(ANABRANCH_EMULATE) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Prefetches memory into L2; address and size are multiples of 16. Only useful if a kernel can
/// start before the previous one ends, hence from sm_90 on.
__device__ inline void prefetch_l2(const void* address, std::uint32_t bytes) {
#if !defined(ANABRANCH_EMULATE) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(address), "r"(bytes));
#else
  (void)address, (void)bytes;
#endif
}

// ---- number formats ----------------------------------------------------------------------------

__device__ inline float as_float(std::uint32_t bits) {
#if defined(ANABRANCH_EMULATE)
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
#else
  return __uint_as_float(bits);
#endif
}
__device__ inline std::uint32_t as_bits(float value) {
#if defined(ANABRANCH_EMULATE)
  std::uint32_t out;
  std::memcpy(&out, &value, 4);
  return out;
#else
  return __float_as_uint(value);
#endif
}

__device__ inline float minus_infinity() { return as_float(0xff800000u); }

__device__ inline float widen(Bf16 value) { return as_float(std::uint32_t{value} << 16); }

__device__ inline float widen_fp16(std::uint16_t value) {
#if defined(ANABRANCH_EMULATE)
  return from_fp16(value);
#else
  float out;
  asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(value));
  return out;
#endif
}

/// Rounds to nearest, ties to even; NaN stays NaN.
__device__ inline Bf16 narrow(float value) {
#if defined(ANABRANCH_EMULATE)
  const std::uint32_t bits = as_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Bf16>((bits >> 16) | 0x40u);
  return static_cast<Bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#else
  Bf16 out;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out) : "f"(value));
  return out;
#endif
}

__device__ inline float activate(Activation activation, float x) {
  const float z = activation == Activation::kSilu ? x : x * fmaf(x * x, 0.071354816f, 1.5957691f);
  const float e = expf(z < 0 ? z : -z);  // never overflows
  return x * (z < 0 ? e : 1.0f) / (1.0f + e);
}

/// Two bf16 in one word, the first in the low half.
__device__ inline std::uint32_t narrow2(float low, float high) {
#if defined(ANABRANCH_EMULATE)
  return narrow(low) | std::uint32_t{narrow(high)} << 16;
#else
  std::uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
#endif
}

/// e^x with a relative error of about 1e-5, in two instructions.
__device__ inline float fast_exp(float x) {
#if defined(ANABRANCH_EMULATE)
  return std::exp(x);
#else
  return __expf(x);
#endif
}

/// a · b + c of two bf16 each, rounded once.
__device__ inline std::uint32_t fma2(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
#if defined(ANABRANCH_EMULATE)
  const auto half = [](std::uint32_t word, int shift) {
    return widen(static_cast<Bf16>(word >> shift));
  };
  return narrow2(half(a, 0) * half(b, 0) + half(c, 0), half(a, 16) * half(b, 16) + half(c, 16));
#else
  std::uint32_t out;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
#endif
}
/// Two bf16, both multiplied by `scale`.
__device__ inline std::uint32_t scale2(std::uint32_t pair, Bf16 scale) {
  return fma2(pair, scale * 0x10001u, 0x80008000u);  // + (-0), which changes nothing
}

/// int8 numbers, four to an interleaved word.
struct Int8 {
  static constexpr float kLargest = 127;

  /// Rounds to nearest; values beyond the range saturate.
  static __device__ std::uint8_t narrow(float value) {
    return static_cast<std::uint8_t>(
        static_cast<int>(rintf(fminf(kLargest, fmaxf(-kLargest, value)))));
  }
  /// The two bf16 pairs of a word, exactly. The low seven bits go into the fraction of 128 + x;
  /// then 128 is subtracted, or 256 if the sign bit is set.
  static __device__ void widen(std::uint32_t word, std::uint32_t& low, std::uint32_t& high) {
    low = pair(word);
    high = pair(word >> 8);
  }

 private:
  static __device__ std::uint32_t pair(std::uint32_t bytes) {
    constexpr std::uint32_t kOnes = 0x3f803f80u;
    return fma2((bytes & 0x007f007fu) | 0x43004300u, kOnes, (bytes & 0x00800080u) | 0xc300c300u);
  }
};

/// e4m3 numbers, four to an interleaved word: no infinities, largest 448, smallest 2^-9.
struct Fp8 {
  static constexpr float kLargest = 448;

  /// Rounds to nearest, ties to even; values beyond the range saturate, NaN included.
  static __device__ std::uint8_t narrow(float value) {
    const std::uint32_t sign = as_bits(value) >> 24 & 0x80u;
    const float magnitude = fminf(kLargest, fabsf(value));
    if (magnitude < 0.015625f) {  // subnormal: numbers are 2^-9 apart, as floats are from 2^14 on
      return static_cast<std::uint8_t>(sign | (as_bits(magnitude + 16384.0f) & 0xffu));
    }
    const std::uint32_t bits = as_bits(magnitude);
    return static_cast<std::uint8_t>(sign |
                                     (((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - 120 * 8));
  }
  /// The two bf16 pairs of a word, exactly, subnormal numbers included. Sign, exponent and fraction
  /// moved to their places in bf16 give the value times 2^-120.
  static __device__ void widen(std::uint32_t word, std::uint32_t& low, std::uint32_t& high) {
    low = pair(word << 8);
    high = pair(word);
  }

 private:
  static __device__ std::uint32_t pair(std::uint32_t bytes) {
    constexpr Bf16 kBias = 0x7b80;  // 2^120
    return scale2((bytes & 0x80008000u) | (bytes & 0x7f007f00u) >> 4, kBias);
  }
};

// ---- memory ------------------------------------------------------------------------------------

struct alignas(16) Words4 {
  std::uint32_t word[4];
};
struct alignas(8) Words2 {
  std::uint32_t word[2];
};

#if defined(ANABRANCH_EMULATE)
inline bool aligned(const void* address, size_t to) {
  return reinterpret_cast<std::uintptr_t>(address) % to == 0;
}
#endif

__device__ inline Words4 load16(const void* address) {
#if defined(ANABRANCH_EMULATE)
  emulate::require(aligned(address, 16), "a 16-byte load is not aligned");
#endif
  return *static_cast<const Words4*>(address);
}
__device__ inline Words2 load8(const void* address) {
#if defined(ANABRANCH_EMULATE)
  emulate::require(aligned(address, 8), "an 8-byte load is not aligned");
#endif
  return *static_cast<const Words2*>(address);
}

/// The dynamic shared memory of this launch.
__device__ inline std::uint8_t* dynamic_shared() {
#if defined(ANABRANCH_EMULATE)
  return static_cast<std::uint8_t*>(emulate::dynamic_shared());
#else
  extern __shared__ __align__(128) std::uint8_t shared[];
  return shared;
#endif
}

/// Copies 16 bytes from global to shared memory asynchronously, bypassing L1.
__device__ inline void cp_async16(void* shared, const void* global) {
#if defined(ANABRANCH_EMULATE)
  emulate::require(aligned(shared, 16) && aligned(global, 16), "a 16-byte copy is not aligned");
  emulate::Thread& self = emulate::block->threads[emulate::block->current];
  self.copies.push_back({shared, global, self.copy_group});
#else
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to), "l"(global)
               : "memory");
#endif
}
/// Closes this thread's current group of asynchronous copies.
__device__ inline void cp_async_commit() {
#if defined(ANABRANCH_EMULATE)
  ++emulate::block->threads[emulate::block->current].copy_group;
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Waits until at most `Pending` of this thread's copy groups are still in flight.
template <int Pending>
__device__ inline void cp_async_wait() {
#if defined(ANABRANCH_EMULATE)
  emulate::cp_async_wait(Pending);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#endif
}

/// Eight 8-bit numbers as bf16.
template <class Format>
__device__ inline Words4 widen8(std::uint32_t first, std::uint32_t second) {
  Words4 out;
  Format::widen(first, out.word[0], out.word[1]);
  Format::widen(second, out.word[2], out.word[3]);
  return out;
}

// ---- warp reductions ---------------------------------------------------------------------------

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, step);
  }
  return value;
}

__device__ inline float warp_max(float value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  }
  return value;
}

/// The sum over the sixteen neighbouring lanes that hold one panel.
__device__ inline float panel_sum(float value) {
#pragma unroll
  for (int step = kPanel / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, step);
  }
  return value;
}

// ---- what several kernels do -------------------------------------------------------------------

/// 1/rms of a row from its FusedNormOutput::squares; every lane of a warp gets it.
__device__ inline float inverse_rms(const Gemm& p, int row) {
  const int panels = panels_of(p.norm_size), lane = static_cast<int>(threadIdx.x) % kWarp;
  const float* squares = p.norm_squares + static_cast<size_t>(row) * panels;
  float sum = 0;
#pragma unroll 4
  for (int i = lane; i < panels; i += kWarp) sum += squares[i];
  return rsqrtf(warp_sum(sum) / static_cast<float>(p.norm_size) + p.norm_epsilon);
}

/// Where activation(gate) · up of a row and a panel is stored: the place of the panel's first gate.
__device__ inline Bf16* gated_out_at(const Gemm& p, int row, int panel) {
  return p.gated_out + row * round_up(p.width() / 2, kQuantGroup) + panel * kHalfPanel;
}

/// Stores one value of the residual stream into a FusedNormOutput: row, column of n, and the norm's
/// weight of that column. All lanes of a warp call this, sixteen neighbours per panel of a row;
/// lanes with `valid` false store nothing.
__device__ inline void store_norm_output(const FusedNormOutput& to, bool valid, int row, int column,
                                         int n, float value, float weight) {
  const float squares = panel_sum(valid ? value * value : 0.0f);
  if (!valid) return;
  to.x[row * round_up(n, kQuantGroup) + column] = narrow(value * weight);
  if (column % kPanel == 0)
    to.squares[static_cast<size_t>(row) * panels_of(n) + column / kPanel] = squares;
}

// ---- tensor cores ------------------------------------------------------------------------------

/// d[16, 8] += a[16, 16] · b[16, 8]: PTX mma.m16n8k16 with its register layout. Lane 4·g + t holds
///   d: (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1);
///   a: pairs along k at (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8);
///   b: pairs along k at (2t, g), (2t+8, g).
__device__ inline void mma(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                           std::uint32_t a3, std::uint32_t b0, std::uint32_t b1) {
#if defined(ANABRANCH_EMULATE)
  emulate::mma(d, {a0, a1, a2, a3}, {b0, b1});
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

/// d += a · b over kWarpK values of k. Each lane holds 8 consecutive ones, from 8·t on, of rows g
/// (a_low) and g+8 (a_high) of a and of column g of b, so that it can load them with 16-byte loads.
/// This permutes k relative to the mma layout, but in the same way on both sides, which a sum over
/// k allows.
__device__ inline void mma_k32(float (&d)[4], const Words4& a_low, const Words4& a_high,
                               const Words4& b) {
  mma(d, a_low.word[0], a_high.word[0], a_low.word[1], a_high.word[1], b.word[0], b.word[1]);
  mma(d, a_low.word[2], a_high.word[2], a_low.word[3], a_high.word[3], b.word[2], b.word[3]);
}

}  // namespace anabranch::ANABRANCH_CUDA
