// Vectors of W floats, as wide as the instruction set of this copy allows.
// Included by kernels.cpp only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace anabranch {
namespace {

// ANABRANCH_WIDE: the width of AVX-512 on any CPU, to test its logic there.
#if defined(__AVX512F__) || defined(ANABRANCH_WIDE)
constexpr int W = 16;
#else
constexpr int W = 8;
#endif

typedef float Vec __attribute__((vector_size(W * 4)));
typedef std::uint32_t Bits __attribute__((vector_size(W * 4)));
typedef std::int32_t Ints __attribute__((vector_size(W * 4)));
typedef std::uint16_t Halves __attribute__((vector_size(W * 2)));
typedef std::int16_t Shorts __attribute__((vector_size(W * 4)));
typedef std::uint16_t Words __attribute__((vector_size(W * 4)));

inline Vec splat(float value) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_set1_ps(value));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
  return reinterpret_cast<Vec>(_mm256_set1_ps(value));
#else
  Vec out;
  for (int i = 0; i < W; ++i) out[i] = value;
  return out;
#endif
}

inline Bits splat_bits(std::uint32_t value) {
  return reinterpret_cast<Bits>(splat(std::bit_cast<float>(value)));
}

/// a · b + c, fused if the instruction set can; the same in every instantiation.
inline Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_fmadd_ps(
      reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__) && defined(ANABRANCH_WIDE)
  for (int i = 0; i < W; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#elif defined(__FMA__)
  return reinterpret_cast<Vec>(_mm256_fmadd_ps(
      reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return a * b + c;
#endif
}

/// a · b + c, rounded once on every instruction set: where none is for it, by libm.
inline Vec fused(Vec a, Vec b, Vec c) {
#if defined(__FMA__)
  return fma(a, b, c);
#else
  for (int i = 0; i < W; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#endif
}

/// The larger value of each lane; b's where one is NaN.
inline Vec larger(Vec a, Vec b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(
      _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
  return reinterpret_cast<Vec>(
      _mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#else
  return a > b ? a : b;
#endif
}

template <class T>
inline T load(const void* at) {
  T out;
  std::memcpy(&out, at, sizeof out);
  return out;
}
inline void store(float* at, Vec value) { std::memcpy(at, &value, sizeof value); }

/// bf16 to fp32. The compiler's own conversion would use half vectors.
inline Vec widen(const std::uint16_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load<__m256i_u>(at)), 16));
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
  return reinterpret_cast<Vec>(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load<__m128i_u>(at)), 16));
#else
  return reinterpret_cast<Vec>(__builtin_convertvector(load<Halves>(at), Bits) << 16);
#endif
}

/// fp16 to fp32, exactly.
inline Vec widen_fp16(const std::uint16_t* at) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vec>(_mm512_cvtph_ps(load<__m256i_u>(at)));
#elif defined(__F16C__) && !defined(ANABRANCH_WIDE)
  return reinterpret_cast<Vec>(_mm256_cvtph_ps(load<__m128i_u>(at)));
#else
  // Shifted into place, an fp16 value is the fp32 value divided by 2^112; exponents of fp16's
  // infinity become fp32's by a second step.
  const Bits bits = __builtin_convertvector(load<Halves>(at), Bits);
  const Vec value = reinterpret_cast<Vec>((bits & 0x7fffu) << 13) * splat(0x1p112f);
  const Ints special = value >= splat(65536.0f);
  const Bits magnitude =
      reinterpret_cast<Bits>(value) | (special ? splat_bits(0x7f800000u) : splat_bits(0));
  return reinterpret_cast<Vec>(magnitude | (bits & 0x8000u) << 16);
#endif
}

/// v with the lanes i and i ^ kDistance exchanged.
template <int kDistance, class V, size_t... kLanes>
inline V exchanged(V v, std::index_sequence<kLanes...>) {
  return __builtin_shufflevector(v, v, (kLanes ^ kDistance)...);
}

/// All lanes of v combined: its halves, then the halves of the result, until one lane is left.
template <int kDistance = W / 2, class V, class Combine>
inline auto fold(V v, Combine combine) {
  v = combine(v, exchanged<kDistance>(v, std::make_index_sequence<W>()));
  if constexpr (kDistance == 1)
    return v[0];
  else
    return fold<kDistance / 2>(v, combine);
}
template <class V>
inline auto sum(V v) {
  return fold(v, [](V a, V b) { return a + b; });
}

/// Writes the low bytes of integers from -128 to 127.
inline void store_bytes(std::byte* at, const Ints (&v)[32 / W]) {
#if defined(__AVX512F__)
  for (int i = 0; i < 2; ++i) {
    const __m128i bytes = _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(v[i]));
    std::memcpy(at + 16 * i, &bytes, 16);
  }
#elif defined(__AVX2__) && !defined(ANABRANCH_WIDE)
  const auto words = [&](int i) {
    return _mm256_packs_epi32(reinterpret_cast<__m256i>(v[i]), reinterpret_cast<__m256i>(v[i + 1]));
  };
  // Packing works on halves: four bytes of each vector, then the other four.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  const __m256i bytes = _mm256_packs_epi16(words(0), words(2));
  const __m256i ordered = _mm256_permutevar8x32_epi32(bytes, order);
  std::memcpy(at, &ordered, 32);
#else
  for (int i = 0; i < 32; ++i) at[i] = static_cast<std::byte>(v[i / W][i % W]);
#endif
}

/// e^x for x ≤ 0 (0 below -87), to about 2 ulp: Cody-Waite reduction and the minimax polynomial of
/// Cephes expf.
inline Vec exponential(Vec x) {
  const Vec lowest = splat(-87.0f);
  const Ints dead = x < lowest;
  x = dead ? lowest : x;
  Vec n = fma(x, splat(1.44269504088896341f), splat(12582912.0f));  // round by 1.5 · 2^23
  const Ints shift = reinterpret_cast<Ints>(n) << 23;
  n = n - splat(12582912.0f);
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r + splat(1.0f));
  const Vec scaled = reinterpret_cast<Vec>(reinterpret_cast<Ints>(p) + shift);
  return dead ? splat(0.0f) : scaled;
}

}  // namespace
}  // namespace anabranch
