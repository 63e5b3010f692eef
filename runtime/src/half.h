// IEEE half precision -> single, without hardware support.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace evss {

inline float widen(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
  uint32_t bits = sign;
  if (exponent == 0x1f) {
    bits |= 0x7f800000 | fraction << 13;
  } else if (exponent != 0) {
    bits |= (exponent + 112) << 23 | fraction << 13;
  } else if (fraction != 0) {  // subnormal: shift until the leading bit is where it belongs
    exponent = 113;
    while (!(fraction & 0x400)) {
      fraction <<= 1;
      --exponent;
    }
    bits |= exponent << 23 | (fraction & 0x3ff) << 13;
  }
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void widen(const uint16_t* from, float* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = widen(from[i]);
}

}  // namespace evss
