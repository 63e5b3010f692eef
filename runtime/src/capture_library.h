// Finds and opens libedge_vss_capture.so, so that nothing needs GStreamer before a camera or a video is asked for.
#pragma once

#include <string>

#include "capture/table.h"

namespace evss {

/// The functions of the library at `path`, of EDGE_VSS_CAPTURE, beside this library, or on the loader's path.
/// Opened once per process and never closed: GLib keeps threads and types of its own. Throws EVSS_UNAVAILABLE.
const evss_capture_table& capture_library(const char* path);

}  // namespace evss
