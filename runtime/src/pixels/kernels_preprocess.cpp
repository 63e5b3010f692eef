// Row kernels of the pre-processing; compiled once per instruction set (EVSS_ISA_NS names it).
#include "kernels.h"
#include "kernels_vector.h"

#define RESTRICT __restrict__

namespace evss {
namespace EVSS_ISA_NS {
namespace {

constexpr int kShorts = kVectorBytes / 2;
static_assert(kPaddedTo % kShorts == 0, "row kernels have no tails");

typedef int16_t Shorts __attribute__((vector_size(kVectorBytes)));
typedef uint16_t UnsignedShorts __attribute__((vector_size(kVectorBytes)));
typedef int16_t HalfShorts __attribute__((vector_size(kVectorBytes / 2)));
typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
typedef float Floats __attribute__((vector_size(kVectorBytes)));

// (a * b + 2^14) >> 15 per lane; nobody multiplies -32768 by itself.
inline Shorts mulhrs(Shorts a, Shorts b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<Shorts>(_mm512_mulhrs_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Shorts>(_mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__aarch64__)
  return reinterpret_cast<Shorts>(vqrdmulhq_s16(reinterpret_cast<int16x8_t>(a), reinterpret_cast<int16x8_t>(b)));
#elif defined(__SSE2__)
  const Shorts high =
      reinterpret_cast<Shorts>(_mm_mulhi_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
  const UnsignedShorts low = reinterpret_cast<UnsignedShorts>(a) * reinterpret_cast<UnsignedShorts>(b);
  return high + high + reinterpret_cast<Shorts>((low >> 15) + ((low >> 14) & 1));
#else
  Shorts out;
  for (int i = 0; i < kShorts; ++i) out[i] = static_cast<int16_t>((a[i] * b[i] + (1 << 14)) >> 15);
  return out;
#endif
}

inline Shorts load(const void* from) {
  Shorts out;
  memcpy(&out, from, sizeof out);
  return out;
}

inline void store(int16_t* to, Shorts value) { memcpy(to, &value, sizeof value); }

// Step 2 for byte pairs a | b << 8.
inline Shorts blend_pairs(Shorts pairs, Shorts weight) {
  const Shorts a = pairs & 255, b = reinterpret_cast<Shorts>(reinterpret_cast<UnsignedShorts>(pairs) >> 8);
  return (a << kFraction) + mulhrs((b - a) << kFraction, weight);
}

void horizontal_plain(const GatherPlan& plan, const uint8_t* row, int begin, int count, int16_t* out) {
  alignas(64) uint16_t pairs[kChunk];
  const int32_t *left = plan.left + begin, *right = plan.right + begin;
  for (int i = 0; i < count; ++i) pairs[i] = static_cast<uint16_t>(row[left[i]] | row[right[i]] << 8);
  for (int i = 0; i < count; i += kShorts) store(out + i, blend_pairs(load(pairs + i), load(plan.weight + begin + i)));
}

// pairs_at: one vector of byte pairs by shuffles of the windows at first[0], first[1] ...
#if defined(__AVX512VBMI__)

constexpr int kShuffleBytes = 64;

template <int kWindows>
inline Shorts pairs_at(const uint8_t* row, const int32_t* first, const uint8_t* indices) {
  const uint8_t* p = row + first[0];
  const __m512i index = _mm512_loadu_si512(indices), w0 = _mm512_loadu_si512(p);
  if (kWindows == 1) return reinterpret_cast<Shorts>(_mm512_permutexvar_epi8(index, w0));
  const __m512i low = _mm512_permutex2var_epi8(w0, index, _mm512_loadu_si512(p + 64));
  if (kWindows == 2) return reinterpret_cast<Shorts>(low);
  const __m512i w2 = _mm512_loadu_si512(p + 128);
  const __m512i high = kWindows == 3 ? _mm512_permutexvar_epi8(index, w2)
                                     : _mm512_permutex2var_epi8(w2, index, _mm512_loadu_si512(p + 192));
  return reinterpret_cast<Shorts>(_mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
}

#elif defined(__AVX2__)

constexpr int kShuffleBytes = 16;

template <int kWindows>
inline __m128i shuffle(const uint8_t* p, const uint8_t* indices) {
  const __m128i index = _mm_loadu_si128(reinterpret_cast<const __m128i*>(indices));
  __m128i out = _mm_setzero_si128();
  for (int k = 0; k < kWindows; ++k) {
    // Indices of other windows get their top bit set (from below by wrapping, from above by saturating): zero.
    const __m128i here =
        _mm_adds_epu8(_mm_sub_epi8(index, _mm_set1_epi8(static_cast<char>(16 * k))), _mm_set1_epi8(0x70));
    out = _mm_or_si128(out, _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * k)), here));
  }
  return out;
}

template <int kWindows>
inline Shorts pairs_at(const uint8_t* row, const int32_t* first, const uint8_t* indices) {
  const __m128i low = shuffle<kWindows>(row + first[0], indices),
                high = shuffle<kWindows>(row + first[1], indices + 16);
  return reinterpret_cast<Shorts>(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
}

#elif defined(__aarch64__)

constexpr int kShuffleBytes = 16;

template <int kWindows>
inline Shorts pairs_at(const uint8_t* row, const int32_t* first, const uint8_t* indices) {
  const uint8_t* p = row + first[0];
  const uint8x16_t index = vld1q_u8(indices), w0 = vld1q_u8(p);
  if (kWindows == 1) return reinterpret_cast<Shorts>(vqtbl1q_u8(w0, index));
  const uint8x16_t w1 = vld1q_u8(p + 16);
  if (kWindows == 2) return reinterpret_cast<Shorts>(vqtbl2q_u8({w0, w1}, index));
  const uint8x16_t w2 = vld1q_u8(p + 32);
  if (kWindows == 3) return reinterpret_cast<Shorts>(vqtbl3q_u8({w0, w1, w2}, index));
  return reinterpret_cast<Shorts>(vqtbl4q_u8({w0, w1, w2, vld1q_u8(p + 48)}, index));
}

#else

constexpr int kShuffleBytes = 0;

template <int kWindows>
inline Shorts pairs_at(const uint8_t*, const int32_t*, const uint8_t*) {
  return Shorts{};
}

#endif

template <int kWindows>
void horizontal_shuffled(const GatherPlan& plan, const uint8_t* row, int begin, int count, int16_t* out) {
  constexpr int kGroup = kShuffleBytes > 0 ? kShuffleBytes / 2 : 1;
  const int32_t* first = plan.first + begin / kGroup;
  const uint8_t* index = plan.index + ptrdiff_t{2} * begin;
  const int16_t* weight = plan.weight + begin;
  for (int i = 0; i < count; i += kShorts, first += kShorts / kGroup)
    store(out + i, blend_pairs(pairs_at<kWindows>(row, first, index + 2 * i), load(weight + i)));
}

void horizontal(const GatherPlan& plan, const uint8_t* row, int begin, int count, int16_t* out) {
  constexpr decltype(&horizontal_plain) kByWindows[kMaxWindows + 1] = {
      horizontal_plain, horizontal_shuffled<1>, horizontal_shuffled<2>, horizontal_shuffled<3>, horizontal_shuffled<4>};
  kByWindows[plan.windows](plan, row, begin, count, out);
}

void vertical(const int16_t* upper, const int16_t* lower, int16_t weight, int count, int16_t* out) {
  const Shorts weights = Shorts{} + weight;
  for (int i = 0; i < count; i += kShorts) {
    const Shorts from = load(upper + i);
    store(out + i, from + mulhrs(load(lower + i) - from, weights));
  }
}

inline Shorts to_level(Shorts centred) {
  const Shorts high = Shorts{} + int16_t{kLevelMax / 4}, low = -high;
  const Shorts not_below = centred < low ? low : centred;
  return ((not_below > high ? high : not_below) + high) << 1;
}

void yuv_to_rgb(const YuvConstants& k, int count, int16_t* y, int16_t* u, int16_t* v) {
  const Shorts gain = Shorts{} + k.gain, kr = Shorts{} + k.kr, kb = Shorts{} + k.kb;
  const Shorts kgr = Shorts{} + k.kgr, kgb = Shorts{} + k.kgb;
  for (int i = 0; i < count; i += kShorts) {
    const Shorts l = mulhrs(load(y + i) - k.black, gain) - int16_t{kLevelMax / 4};
    const Shorts cb = (load(u + i) - int16_t{16384}) << 1, cr = (load(v + i) - int16_t{16384}) << 1;
    store(y + i, to_level(l + mulhrs(cr, kr)));
    store(u + i, to_level(l + mulhrs(cb, kgb) + mulhrs(cr, kgr)));
    store(v + i, to_level(l + mulhrs(cb, kb)));
  }
}

template <int kStep>
void store_float_step(const int16_t* RESTRICT level, const StoreArgs& args, int count, float* RESTRICT out) {
  const int32_t mean = args.mean;
  const float factor = args.factor;
  for (int i = 0; i < count; ++i) out[i * kStep] = static_cast<float>(level[i] - mean) * factor;
}

// Whole cache lines past the caches: a tensor that does not stay in them need not be fetched before it is written.
void stream_float(const int16_t* level, const StoreArgs& args, int count, float* out) {
  constexpr int kLine = kLineBytes / 4, kFloats = kVectorBytes / 4;
  const int head = bytes_to_line(out) / 4;
  if (count < head + kLine) return store_float_step<1>(level, args, count, out);
  const int end = head + (count - head) / kLine * kLine;
  store_float_step<1>(level, args, head, out);
  for (int i = head; i < end; i += kFloats) {
    HalfShorts levels;
    memcpy(&levels, level + i, sizeof levels);
    const Ints centred = __builtin_convertvector(levels, Ints) - args.mean;
    stream(out + i, reinterpret_cast<VectorBytes>(__builtin_convertvector(centred, Floats) * args.factor));
  }
  store_float_step<1>(level + end, args, count - end, out + end);
}

void store_float(const int16_t* level, const StoreArgs& args, int count, float* out) {
  if (args.step != 1) return store_float_step<3>(level, args, count, out);
  if (kCanStream && args.stream) return stream_float(level, args, count, out);
  store_float_step<1>(level, args, count, out);
}

// Round half to even by the addition of 1.5 * 2^23; exact for |x| < 2^22, and clamped far outside any 8-bit type.
inline int32_t round_half_even(float x) {
  constexpr float kMagic = 12582912.0f, kLimit = 1024.0f;
  const float low = x < -kLimit ? -kLimit : x;
  const float inside = low > kLimit ? kLimit : low;
  return static_cast<int32_t>((inside + kMagic) - kMagic);
}

template <int kStep, class T>
void store_quantised_step(const int16_t* RESTRICT level, const StoreArgs& args, int count, T* RESTRICT out) {
  constexpr int32_t kLow = T(-1) < T(0) ? -128 : 0, kHigh = kLow + 255;
  const int32_t mean = args.mean, zero_point = args.zero_point;
  const float factor = args.factor, scale = args.scale;
  for (int i = 0; i < count; ++i) {
    const int32_t q = round_half_even(static_cast<float>(level[i] - mean) * factor / scale) + zero_point;
    const int32_t low = q < kLow ? kLow : q;
    out[i * kStep] = static_cast<T>(low > kHigh ? kHigh : low);
  }
}

template <class T>
void store_quantised(const int16_t* level, const StoreArgs& args, int count, T* out) {
  args.step == 1 ? store_quantised_step<1>(level, args, count, out) : store_quantised_step<3>(level, args, count, out);
}

}  // namespace

void fill_preprocess_kernels(Kernels& kernels) {
  kernels.shuffle_bytes = kShuffleBytes;
  kernels.horizontal = horizontal;
  kernels.vertical = vertical;
  kernels.yuv_to_rgb = yuv_to_rgb;
  kernels.store_float = store_float;
  kernels.store_uint8 = store_quantised<uint8_t>;
  kernels.store_int8 = store_quantised<int8_t>;
}

}  // namespace EVSS_ISA_NS
}  // namespace evss
