// The C functions of sources and video files: options are checked here, the work is done in the capture library.
#include <cmath>
#include <cstring>

#include "c_guard.h"
#include "capture_library.h"

using evss::guarded;
using evss::refuse;

namespace {

constexpr uint32_t kMaxSide = 16384, kMaxTimeout = 600000;
constexpr double kMaxFps = 1000.0;
thread_local char said[640];

// What the capture library wrote becomes evss_last_error().
evss_status told(evss_status status) { return status < 0 ? refuse(status, evss::shortened(said)) : status; }

evss_status refuse_options(const evss_source_options& options) {
  if (options.struct_size < sizeof options)
    return refuse(EVSS_INVALID_ARGUMENT, "options.struct_size is not set; call evss_source_options_init first");
  if (options.width > kMaxSide || options.height > kMaxSide || (options.width == 0) != (options.height == 0))
    return refuse(EVSS_INVALID_ARGUMENT, "width and height must be 1..16384, or both 0");
  if (!(options.fps >= 0.0 && options.fps <= kMaxFps)) return refuse(EVSS_INVALID_ARGUMENT, "fps must be in 0..1000");
  if (options.flip_method > 7)
    return refuse(EVSS_INVALID_ARGUMENT, "flip_method must be 0..7, got " + std::to_string(options.flip_method));
  if (options.sensor_mode < -1 || options.sensor_mode > 255 || options.max_rebuilds < -1)
    return refuse(EVSS_INVALID_ARGUMENT, "sensor_mode must be -1..255, max_rebuilds at least -1");
  if (options.timeout_ms > kMaxTimeout) return refuse(EVSS_INVALID_ARGUMENT, "timeout_ms must be at most 600000");
  return EVSS_OK;
}

}  // namespace

extern "C" {

void evss_source_options_init(evss_source_options* options) {
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->sensor_mode = -1;
  options->max_rebuilds = -1;
}

evss_status evss_source_open(const char* uri, const evss_source_options* options, evss_source* out) {
  if (!out) return refuse(EVSS_INVALID_ARGUMENT, "out is NULL");
  std::memset(out, 0, sizeof *out);
  return guarded([&] {
    if (!uri) return refuse(EVSS_INVALID_ARGUMENT, "uri is NULL");
    evss_source_options wanted;
    evss_source_options_init(&wanted);
    if (options) {
      if (const evss_status status = refuse_options(*options)) return status;
      wanted = *options;
    }
    return told(evss::capture_library(wanted.library).source_open(uri, &wanted, out, said, sizeof said));
  });
}

void evss_source_close(evss_source* source) {
  if (!source) return;
  if (source->close) source->close(source->user);
  std::memset(source, 0, sizeof *source);
}

void evss_video_options_init(evss_video_options* options) {
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

evss_status evss_video_open(const char* path, const evss_video_options* options, evss_video** out) {
  if (!out) return refuse(EVSS_INVALID_ARGUMENT, "out is NULL");
  *out = nullptr;
  return guarded([&] {
    if (!path || !*path || !options || options->struct_size < sizeof *options)
      return refuse(EVSS_INVALID_ARGUMENT, "path or options is missing, or options.struct_size is not set");
    const bool sizes =
        options->width >= 1 && options->height >= 1 && options->width <= kMaxSide && options->height <= kMaxSide;
    if (!sizes || !(options->fps > 0.0 && options->fps <= kMaxFps))
      return refuse(EVSS_INVALID_ARGUMENT, "a video has width and height of 1..16384 and fps in 0..1000");
    return told(evss::capture_library(options->library).video_open(path, options, out, said, sizeof said));
  });
}

evss_status evss_video_write(evss_video* video, const uint8_t* rgb, uint32_t stride, int64_t pts_us) {
  return guarded([&] {
    if (!video || !rgb) return refuse(EVSS_INVALID_ARGUMENT, "video or rgb is NULL");
    return told(evss::capture_library(nullptr).video_write(video, rgb, stride, pts_us, said, sizeof said));
  });
}

const char* evss_video_encoder(const evss_video* video) {
  return video ? evss::capture_library(nullptr).video_encoder(video) : "";
}

evss_status evss_video_close(evss_video** video) {
  if (!video || !*video) return EVSS_OK;
  return guarded([&] { return told(evss::capture_library(nullptr).video_close(video, said, sizeof said)); });
}

void evss_video_discard(evss_video** video) {
  if (!video || !*video) return;
  guarded([&] {
    evss::capture_library(nullptr).video_discard(video);
    return EVSS_OK;
  });
}

}  // extern "C"
