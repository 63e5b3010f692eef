// What a run has seen, with the keys of `edge-vss run --json`.
#pragma once

#include <string>

#include "edge_vss.h"

namespace evss_run {

std::string as_json(evss_loop* loop, const evss_source& source, const evss_info& info);

}  // namespace evss_run
