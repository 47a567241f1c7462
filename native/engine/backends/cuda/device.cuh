// What every kernel file stands on: number formats, loads, the tensor-core product, and launching.
#pragma once

#include <cstddef>
#include <cstring>

#include "backends/cuda/kernels.h"

namespace anabranch::ANABRANCH_CUDA {

constexpr int kWarp = 32;

/// Lets launches of `kernel` ask for so much shared memory; to be said once. One that asks for more than the device
/// has fails, and that is seen.
template <class... Parameters>
bool allow_shared(void (*kernel)(Parameters...), size_t bytes) {
#if defined(ANABRANCH_EMULATE)
  return (void)kernel, bytes > 0;
#else
  return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)) ==
         cudaSuccess;
#endif
}

/// Starts `kernel`, which must call await_previous(); what goes wrong shows at the next check().
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
            cudaStream_t stream, Arguments... arguments) {
#if defined(ANABRANCH_EMULATE)
  (void)stream;
  emulate::run(grid, block, shared, [=] { kernel(arguments...); });
#else
  cudaLaunchConfig_t how{};
  how.gridDim = grid;
  how.blockDim = block;
  how.dynamicSmemBytes = shared;
  how.stream = stream;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  how.attrs = &early;
  how.numAttrs = kernels_overlap ? 1 : 0;
  cudaLaunchKernelEx(&how, kernel, arguments...);
#endif
}

/// Every thread of every kernel calls this: it may have been started while the kernel before it still ran, whose
/// results are there from here on. What no kernel of a step writes may be read before: weights, and what describes
/// the step, which is there before the first kernel can begin. The kernel after it may be started as soon as all
/// blocks of this one have come here.
__device__ inline void await_previous() {
#if !defined(ANABRANCH_EMULATE) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Asks for memory that will be read once, both multiples of 16. Only where a kernel may begin before its turn is
/// there something to gain.
__device__ inline void ask_for(const void* at, std::uint32_t bytes) {
#if !defined(ANABRANCH_EMULATE) && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(at), "r"(bytes));
#else
  (void)at, (void)bytes;
#endif
}

// ---- numbers -------------------------------------------------------------------------------------

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

__device__ inline float widen(Bf16 value) { return as_float(std::uint32_t{value} << 16); }

/// Round to nearest, ties to even; NaN stays NaN.
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

__device__ inline float silu(float x) {
  const float e = expf(x < 0 ? x : -x);  // so that nothing overflows
  return x * (x < 0 ? e : 1.0f) / (1.0f + e);
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

/// e^x to some 1e-5, in two instructions.
__device__ inline float quick_exp(float x) {
#if defined(ANABRANCH_EMULATE)
  return std::exp(x);
#else
  return __expf(x);
#endif
}

/// a · b + c of two bf16 each, rounded once.
__device__ inline std::uint32_t fma2(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
#if defined(ANABRANCH_EMULATE)
  const auto part = [](std::uint32_t word, int shift) { return widen(static_cast<Bf16>(word >> shift)); };
  return narrow2(part(a, 0) * part(b, 0) + part(c, 0), part(a, 16) * part(b, 16) + part(c, 16));
#else
  std::uint32_t out;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(a), "r"(b), "r"(c));
  return out;
#endif
}
/// Two bf16 times one.
__device__ inline std::uint32_t scale2(std::uint32_t pair, Bf16 scale) {
  return fma2(pair, scale * 0x10001u, 0x80008000u);  // plus minus nothing
}

/// Numbers of 8 bits, four to a woven word.
struct Int8 {
  static constexpr float kLargest = 127;

  /// |value| is at most kLargest, but for rounding.
  static __device__ std::uint8_t narrow(float value) {
    return static_cast<std::uint8_t>(static_cast<int>(rintf(fminf(kLargest, fmaxf(-kLargest, value)))));
  }
  /// The two pairs of a word, exactly: 128 + the low seven bits, less 128, or 256 for the eighth.
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

/// e4m3: no infinities, largest 448, smallest 2^-9.
struct Fp8 {
  static constexpr float kLargest = 448;

  /// Round to nearest, ties to even; what is larger is cut, NaN included.
  static __device__ std::uint8_t narrow(float value) {
    const std::uint32_t sign = as_bits(value) >> 24 & 0x80u;
    const float size = fminf(kLargest, fabsf(value));
    if (size < 0.015625f) {  // below 2^-6 all stand 2^-9 apart, as floats do from 2^14 on
      return static_cast<std::uint8_t>(sign | (as_bits(size + 16384.0f) & 0xffu));
    }
    const std::uint32_t bits = as_bits(size);
    return static_cast<std::uint8_t>(sign | (((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - 120 * 8));
  }
  /// The two pairs of a word, exactly: sign, exponent and fraction in bf16's places are the value times
  /// 2^-120, subnormal numbers included.
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

// ---- memory --------------------------------------------------------------------------------------

struct alignas(16) Words {
  std::uint32_t word[4];
};

#if defined(ANABRANCH_EMULATE)
inline bool aligned(const void* at, size_t to) { return reinterpret_cast<std::uintptr_t>(at) % to == 0; }
#endif

__device__ inline Words load16(const void* at) {
#if defined(ANABRANCH_EMULATE)
  emulate::demand(aligned(at, 16), "a load of 16 bytes is not aligned");
#endif
  return *static_cast<const Words*>(at);
}

struct alignas(8) TwoWords {
  std::uint32_t word[2];
};

__device__ inline TwoWords load8(const void* at) {
#if defined(ANABRANCH_EMULATE)
  emulate::demand(aligned(at, 8), "a load of 8 bytes is not aligned");
#endif
  return *static_cast<const TwoWords*>(at);
}

/// The shared memory that a launch asks for.
__device__ inline std::uint8_t* dynamic_shared() {
#if defined(ANABRANCH_EMULATE)
  return static_cast<std::uint8_t*>(emulate::dynamic_shared());
#else
  extern __shared__ __align__(128) std::uint8_t shared[];
  return shared;
#endif
}

/// 16 bytes from device to shared memory, in the background and past the first cache.
__device__ inline void copy16(void* shared, const void* global) {
#if defined(ANABRANCH_EMULATE)
  emulate::demand(aligned(shared, 16) && aligned(global, 16), "a copy of 16 bytes is not aligned");
  emulate::Fiber& mine = emulate::block->fibers[emulate::block->current];
  mine.copies.push_back({shared, global, mine.group});
#else
  const auto to = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to), "l"(global) : "memory");
#endif
}
/// Ends a group of copies.
__device__ inline void close_copies() {
#if defined(ANABRANCH_EMULATE)
  ++emulate::block->fibers[emulate::block->current].group;
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
/// Until all but the last `Open` groups of this thread's copies have arrived.
template <int Open>
__device__ inline void await_copies() {
#if defined(ANABRANCH_EMULATE)
  emulate::await_copies(Open);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
#endif
}

/// Eight 8-bit numbers as bf16.
template <class Format>
__device__ inline Words widen8(std::uint32_t first, std::uint32_t second) {
  Words out;
  Format::widen(first, out.word[0], out.word[1]);
  Format::widen(second, out.word[2], out.word[3]);
  return out;
}

// ---- warps ---------------------------------------------------------------------------------------

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

/// Of the sixteen lanes that hold a strip.
__device__ inline float strip_sum(float value) {
#pragma unroll
  for (int step = kStrip / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, step);
  }
  return value;
}

/// Hands `value` on, of one row and column of n, with the column's weight, where it is `there`. All lanes of a warp
/// call this, sixteen neighbours for a strip of a row.
__device__ inline void hand_on(const HandedOn& to, bool there, int row, int column, int n, float value, float weight) {
  const float squares = strip_sum(there ? value * value : 0.0f);
  if (!there) return;
  to.x[row * padded(n, kGroup) + column] = narrow(value * weight);
  if (column % kStrip == 0) to.squares[static_cast<size_t>(row) * strips_of(n) + column / kStrip] = squares;
}

/// d[16, 8] += a[16, 16] · b[16, 8], in the registers of a warp as PTX lays out m16n8k16. With lane =
/// 4·g + t: d holds (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1); a holds pairs along k at (g, 2t),
/// (g+8, 2t), (g, 2t+8), (g+8, 2t+8); b holds pairs along k at (2t, g), (2t+8, g).
__device__ inline void multiply(float (&d)[4], std::uint32_t a0, std::uint32_t a1, std::uint32_t a2,
                                std::uint32_t a3, std::uint32_t b0, std::uint32_t b1) {
#if defined(ANABRANCH_EMULATE)
  emulate::multiply(d, {a0, a1, a2, a3}, {b0, b1});
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

/// The same over 32 values of k that each lane holds as 8 in a row, from 8·t on: which of them meets
/// which is the same on both sides, and that is all a sum over k asks for.
__device__ inline void multiply32(float (&d)[4], const Words& low, const Words& high,
                                  const Words& b) {
  multiply(d, low.word[0], high.word[0], low.word[1], high.word[1], b.word[0], b.word[1]);
  multiply(d, low.word[2], high.word[2], low.word[3], high.word[3], b.word[2], b.word[3]);
}

}  // namespace anabranch::ANABRANCH_CUDA
