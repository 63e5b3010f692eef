// Instruction sets the pixel kernels are compiled for, and which one to use.
//
// Every kernel gives the same bits on every instruction set, so the choice is only about speed.
#pragma once

#include <vector>

namespace evss {

/// From slow to fast. On aarch64 `kBaseline` is NEON and the only one.
enum class Isa {
  kBaseline = 0,  // x86-64 with SSE2, or aarch64 with NEON
  kAvx2 = 1,
  kAvx512 = 2,  // F, BW, VL, DQ and VBMI (Ice Lake and later; older AVX-512 machines use kAvx2)
};

/// "baseline", "avx2" or "avx512".
const char* isa_name(Isa isa);

/// What this library was built with and this processor can run, from slow to fast; never empty.
std::vector<Isa> supported_isas();

/// The fastest supported one, or the one that the environment variable EVSS_ISA names where that is supported.
/// An unknown or unsupported name is ignored. Read once per process.
Isa default_isa();

}  // namespace evss
