// Frames as callers of the C functions give them.
#pragma once

#include "edge_vss.h"
#include "pixels/pixels.h"

namespace evss {

/// Why a frame cannot be taken, whatever came before it, or nullptr.
const char* frame_problem(const evss_frame& frame);
FrameView view_of(const evss_frame& frame);

}  // namespace evss
