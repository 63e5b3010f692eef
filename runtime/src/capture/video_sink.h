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
  /// Finishes the file and gives it its name; throws where it is not whole, and removes it. The destructor of one that
  /// is open discards it.
  void close();
  /// Stops and removes what was written; what was there before stays.
  void discard();
  const char* encoder() const { return encoder_.c_str(); }

 private:
  void build(const evss_video_options& options);
  void fail_if_broken();
  void wait_for_room();

  const std::string path_, part_;
  const uint32_t width_, height_;
  std::string encoder_;
  Owned<GstElement> pipeline_, source_;
  Owned<GstBus> bus_;
  Owned<GstBufferPool> pool_;
  GstVideoInfo info_;
  bool open_ = false;
  int64_t first_us_ = 0, last_us_ = 0;
  uint64_t written_ = 0;
  GstClockTime step_ns_;
};

}  // namespace evss::capture
