#include "picture.h"

namespace evss::capture {

namespace {

bool format_of(GstVideoFormat format, uint32_t* out) {
  switch (format) {
    case GST_VIDEO_FORMAT_NV12:
      *out = EVSS_NV12;
      return true;
    case GST_VIDEO_FORMAT_I420:
      *out = EVSS_I420;
      return true;
    case GST_VIDEO_FORMAT_YUY2:
      *out = EVSS_YUYV;
      return true;
    case GST_VIDEO_FORMAT_BGR:
      *out = EVSS_BGR;
      return true;
    case GST_VIDEO_FORMAT_RGB:
      *out = EVSS_RGB;
      return true;
    case GST_VIDEO_FORMAT_GRAY8:
      *out = EVSS_GREY;
      return true;
    default:
      return false;
  }
}

}  // namespace

bool picture_format(const GstVideoInfo& info, evss_frame* frame) {
  if (!format_of(GST_VIDEO_INFO_FORMAT(&info), &frame->format)) return false;
  frame->width = static_cast<uint32_t>(GST_VIDEO_INFO_WIDTH(&info));
  frame->height = static_cast<uint32_t>(GST_VIDEO_INFO_HEIGHT(&info));
  // GStreamer itself fills in what a stream leaves unsaid: BT.709 above 576 lines.
  const GstVideoColorimetry& colour = GST_VIDEO_INFO_COLORIMETRY(&info);
  frame->matrix = colour.matrix == GST_VIDEO_COLOR_MATRIX_BT709 ? EVSS_BT709 : EVSS_BT601;
  frame->range = colour.range == GST_VIDEO_COLOR_RANGE_0_255 ? EVSS_FULL : EVSS_LIMITED;
  return true;
}

void picture_planes(const GstVideoFrame& mapped, evss_frame* frame) {
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(&mapped) && i < 3; ++i) {
    frame->planes[i] = static_cast<const uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&mapped, i));
    frame->strides[i] = static_cast<uint32_t>(GST_VIDEO_FRAME_PLANE_STRIDE(&mapped, i));
  }
}

}  // namespace evss::capture
