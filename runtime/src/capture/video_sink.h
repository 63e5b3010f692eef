// A video file that is playable whatever happens to the process: every block reaches the file as it is made.
#pragma once

#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>

#include <string>

#include "camera_pipeline.h"

namespace evss::capture {

class VideoSink {
 public:
  /// Throws EVSS_INVALID_ARGUMENT: a suffix or place that cannot be written; EVSS_UNAVAILABLE: no encoder for it.
  VideoSink(const std::string& path, const evss_video_options& options);
  ~VideoSink();
  VideoSink(const VideoSink&) = delete;
  VideoSink& operator=(const VideoSink&) = delete;

  /// Copies the picture and hands it to the encoder; waits where that is behind. Throws Error.
  void write(const uint8_t* rgb, uint32_t stride, int64_t pts_us);
  /// Finishes the file; throws where its end is missing. The destructor finishes it silently.
  void close();
  const char* encoder() const { return encoder_.c_str(); }

 private:
  void build(const evss_video_options& options);
  void fail_if_broken();
  void wait_for_room();
  void appear();

  const std::string path_, part_;
  const uint32_t width_, height_;
  std::string encoder_;
  Owned<GstElement> pipeline_, source_;
  Owned<GstBus> bus_;
  Owned<GstBufferPool> pool_;
  GstVideoInfo info_;
  bool open_ = false, appeared_ = false;
  int64_t first_us_ = 0, last_us_ = 0;
  uint64_t written_ = 0;
  GstClockTime step_ns_;
};

}  // namespace evss::capture
