// Finds the TensorRT plan of an engine file among those that were built on this machine.
//
// A plan works with the very TensorRT build and GPU that built it, so bundles hold ONNX and `edge-vss build` leaves
// plans in a folder of this machine: EDGE_VSS_PLANS, else $XDG_CACHE_HOME/edge-vss/plans, else
// ~/.cache/edge-vss/plans. Their names say what they were built from and for:
//   <sha256 of the ONNX file>.trt-<TensorRT version>.sm<compute capability>.<precision>.<flags>.plan
#pragma once

#include <string>

#include "error.h"

namespace evss {

struct PlanKey {
  std::string sha256;   // of the ONNX file
  std::string version;  // three parts, "10.3.0"
  int build = -1;       // the fourth part; -1 where the library does not tell
  std::string sm;       // "sm87"
};

std::string plan_folder();

/// Whether a file of that name may hold the plan. A name with a three-part version fits any build.
bool plan_name_fits(const std::string& name, const PlanKey& key);

/// The bytes of the newest fitting plan. Throws Error (EVSS_UNAVAILABLE) where there is none.
std::string read_plan(const std::string& stage, const PlanKey& key);

}  // namespace evss
