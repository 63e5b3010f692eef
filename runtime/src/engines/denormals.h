// Denormal numbers count as zero while this object lives, on this thread; then the thread is as it was.
//
// Convolutions over nearly dead channels are many times slower on denormals. ONNX Runtime's own switch would leave the
// calling thread changed for good, and that thread is the user's.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace evss {

class DenormalsAsZero {
 public:
  DenormalsAsZero() : before_(read()) { write(before_ | kBits); }
  ~DenormalsAsZero() { write(before_); }
  DenormalsAsZero(const DenormalsAsZero&) = delete;
  DenormalsAsZero& operator=(const DenormalsAsZero&) = delete;

 private:
#if defined(__x86_64__)
  using State = unsigned;
  static constexpr State kBits = 0x8040;  // flush to zero, denormals are zero
  static State read() { return _mm_getcsr(); }
  static void write(State state) { _mm_setcsr(state); }
#elif defined(__aarch64__)
  using State = uint64_t;
  static constexpr State kBits = uint64_t{1} << 24;  // FPCR.FZ
  static State read() {
    State state;
    asm volatile("mrs %0, fpcr" : "=r"(state));
    return state;
  }
  static void write(State state) { asm volatile("msr fpcr, %0" : : "r"(state)); }
#else
  using State = unsigned;
  static constexpr State kBits = 0;
  static State read() { return 0; }
  static void write(State) {}
#endif
  State before_;
};

}  // namespace evss
