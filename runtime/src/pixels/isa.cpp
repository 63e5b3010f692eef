#include "isa.h"

#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace evss {
namespace {

using Fill = void (*)(Kernels&);

Kernels make(Fill preprocess, Fill upsample, Fill label) {
  Kernels kernels = {};
  preprocess(kernels), upsample(kernels), label(kernels);
  return kernels;
}

Isa choose_default() {
  const std::vector<Isa> supported = supported_isas();
  if (const char* wanted = std::getenv("EVSS_ISA")) {
    for (Isa isa : supported)
      if (std::strcmp(wanted, isa_name(isa)) == 0) return isa;
  }
  return supported.back();
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "baseline";
  }
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas = {Isa::kBaseline};
#if defined(EVSS_X86_ISAS)
  if (__builtin_cpu_supports("avx2")) isas.push_back(Isa::kAvx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi"))
    isas.push_back(Isa::kAvx512);
#endif
  return isas;
}

Isa default_isa() {
  static const Isa isa = choose_default();
  return isa;
}

#define EVSS_KERNELS(ns) make(ns::fill_preprocess_kernels, ns::fill_upsample_kernels, ns::fill_label_kernels)

const Kernels& kernels(Isa isa) {
  static const Kernels baseline = EVSS_KERNELS(isa_baseline);
#if defined(EVSS_X86_ISAS)
  static const Kernels avx2 = EVSS_KERNELS(isa_avx2), avx512 = EVSS_KERNELS(isa_avx512);
  if (isa == Isa::kAvx512) return avx512;
  if (isa == Isa::kAvx2) return avx2;
#endif
  (void)isa;
  return baseline;
}

}  // namespace evss
