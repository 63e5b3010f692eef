// Whether a schedule can be played. It mirrors edge_vss/dry_run.py.
#pragma once

#include "graph.h"

namespace evss {

/// Plays a schedule without data, long enough to meet every combination of clocks. Throws Error.
void check_schedule(const Graph& graph, const Schedule& schedule);

}  // namespace evss
