// A GStreamer buffer as an evss_frame.
#pragma once

#include <gst/video/video.h>

#include "edge_vss.h"

namespace evss::capture {

/// Formats that frames may have, as caps for an appsink.
constexpr char kFormatCaps[] = "video/x-raw,format=(string){NV12,I420,YUY2,RGB,BGR,GRAY8}";

/// Whether `info` is of a format that evss_frame has; fills format, size, matrix and range if so.
bool picture_format(const GstVideoInfo& info, evss_frame* frame);

/// Planes and strides of a mapped frame.
void picture_planes(const GstVideoFrame& mapped, evss_frame* frame);

}  // namespace evss::capture
