// Vector width of the instruction set that a kernel file is compiled for, and stores around the caches.
// For kernel files only: everything here is private to the file that includes it.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace evss {
namespace EVSS_ISA_NS {
namespace {

#if defined(__AVX512BW__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
constexpr int kLineBytes = 64;

#if defined(__x86_64__)
constexpr bool kCanStream = true;
#else
constexpr bool kCanStream = false;
#endif

typedef uint8_t VectorBytes __attribute__((vector_size(kVectorBytes)));

/// Writes past the caches where the processor can; `out` is aligned to kVectorBytes. Lines must be written whole.
inline void stream(void* out, VectorBytes value) {
#if defined(__AVX512BW__)
  _mm512_stream_si512(static_cast<__m512i*>(out), reinterpret_cast<__m512i>(value));
#elif defined(__AVX2__)
  _mm256_stream_si256(static_cast<__m256i*>(out), reinterpret_cast<__m256i>(value));
#elif defined(__SSE2__)
  _mm_stream_si128(static_cast<__m128i*>(out), reinterpret_cast<__m128i>(value));
#else
  memcpy(out, &value, sizeof value);
#endif
}

/// Bytes before the first whole line.
inline int bytes_to_line(const void* out) { return static_cast<int>(-reinterpret_cast<uintptr_t>(out) % kLineBytes); }

}  // namespace
}  // namespace EVSS_ISA_NS
}  // namespace evss
