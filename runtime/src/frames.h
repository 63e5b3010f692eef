// Frames as callers of the C functions give them.
#pragma once

#include "edge_vss.h"
#include "pixels/pixels.h"

namespace evss {

/// Why a frame cannot be taken, whatever came before it, or nullptr.
const char* frame_problem(const evss_frame& frame);
FrameView view_of(const evss_frame& frame);
/// (height, width, 3) RGB, by the pre-processing without a network: chroma is interpolated. What it allocates it keeps
/// for the thread's next frame of that size and format.
void to_rgb(const FrameView& frame, uint8_t* out);

}  // namespace evss
