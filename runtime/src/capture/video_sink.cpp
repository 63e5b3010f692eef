#include "video_sink.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "../error.h"
#include "elements.h"
#include "encoders.h"

namespace evss::capture {

namespace {

constexpr guint kQueued = 4;  // pictures between the caller and the encoder
constexpr GstClockTime kFinishWait = 10 * GST_SECOND;
constexpr int64_t kWriteWaitUs = 5000000, kLookUs = 2000;

std::string suffix_of(const std::string& path) {
  const size_t dot = path.rfind('.'), slash = path.rfind('/');
  return dot == std::string::npos || (slash != std::string::npos && dot < slash) ? "" : path.substr(dot);
}

std::string part_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, name) + "." + path.substr(name) + "." + std::to_string(getpid()) + ".part";
}

std::string error_of(GstMessage* message) {
  GError* error = nullptr;
  gst_message_parse_error(message, &error, nullptr);
  std::string text = error ? error->message : "no reason given";
  g_clear_error(&error);
  return text;
}

// 0.07 bits per pixel show overlays well: 1.9 Mbit/s for 1280x720 at 30.
unsigned bitrate_for(const evss_video_options& options) {
  if (options.bitrate_kbps) return options.bitrate_kbps;
  return std::max(500u, static_cast<unsigned>(0.07 * options.width * options.height * options.fps / 1000.0));
}

}  // namespace

VideoSink::VideoSink(const std::string& path, const evss_video_options& options)
    : path_(path),
      part_(part_of(path)),
      width_(options.width),
      height_(options.height),
      step_ns_(static_cast<GstClockTime>(GST_SECOND / options.fps)) {
  const std::string suffix = suffix_of(path);
  if (suffix != ".mkv" && suffix != ".mp4")
    throw Error(EVSS_INVALID_ARGUMENT, path + ": cannot write '" + suffix + "'; known: .mkv, .mp4");
  start_gstreamer();
  require_elements({"appsrc", "videoconvert", suffix == ".mkv" ? "matroskamux" : "mp4mux", "filesink"},
                   "apt-get install gstreamer1.0-plugins-base gstreamer1.0-plugins-good");
  build(options);
}

void VideoSink::build(const evss_video_options& options) {
  const std::string suffix = suffix_of(path_);
  const Encoder encoder = choose_encoder(suffix, options.fps, bitrate_for(options));
  encoder_ = encoder.element;
  const std::string colour = height_ >= 720 ? "bt709" : "bt601";
  // Fragments of half a second, and a file that takes every write at once: that much a killed process can lose.
  const std::string mux = suffix == ".mkv"
                              ? "matroskamux offset-to-zero=true min-cluster-duration=0 max-cluster-duration=500000000"
                              : "mp4mux fragment-duration=500";
  const std::string text = "appsrc name=src ! videoconvert ! video/x-raw,format=(string)I420,colorimetry=(string)" +
                           colour + " ! " + encoder.text + " ! " + mux +
                           " ! filesink name=sink async=false buffer-mode=unbuffered";
  GError* why = nullptr;
  GstElement* made = gst_parse_launch_full(text.c_str(), nullptr, GST_PARSE_FLAG_FATAL_ERRORS, &why);
  const std::string message = why ? why->message : "";
  g_clear_error(&why);
  if (!made) throw Error(EVSS_UNAVAILABLE, path_ + ": GStreamer refuses the pipeline: " + message);
  pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(made)));
  bus_.reset(gst_element_get_bus(made));
  source_.reset(gst_bin_get_by_name(GST_BIN(made), "src"));
  GstElement* sink = gst_bin_get_by_name(GST_BIN(made), "sink");
  g_object_set(sink, "location", part_.c_str(), nullptr);
  gst_object_unref(sink);

  // 4:2:0 asks for even sizes; a last column or row is shown twice.
  gst_video_info_set_format(&info_, GST_VIDEO_FORMAT_RGB, (width_ + 1) & ~1u, (height_ + 1) & ~1u);
  gst_util_double_to_fraction(options.fps, &info_.fps_n, &info_.fps_d);
  GstCaps* caps = gst_video_info_to_caps(&info_);
  g_object_set(source_.get(), "caps", caps, "format", GST_FORMAT_TIME, "max-bytes",
               static_cast<guint64>(kQueued * info_.size), nullptr);
  pool_.reset(gst_buffer_pool_new());
  GstStructure* config = gst_buffer_pool_get_config(pool_.get());
  gst_buffer_pool_config_set_params(config, caps, static_cast<guint>(info_.size), kQueued + 2, 0);
  gst_caps_unref(caps);
  gst_buffer_pool_set_config(pool_.get(), config);
  gst_buffer_pool_set_active(pool_.get(), TRUE);
  open_ = true;
  if (gst_element_set_state(made, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) fail_if_broken();
}

VideoSink::~VideoSink() {
  if (open_) discard();
  if (pool_) gst_buffer_pool_set_active(pool_.get(), FALSE);
}

void VideoSink::fail_if_broken() {
  GstMessage* message = gst_bus_timed_pop_filtered(bus_.get(), 0, GST_MESSAGE_ERROR);
  if (!message) return;
  const std::string why = error_of(message);
  gst_message_unref(message);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  open_ = false;
  if (!written_) unlink(part_.c_str());
  throw Error(EVSS_INVALID_ARGUMENT, path_ + ": cannot be written (" + why + ")");
}

// appsrc itself would wait for ever behind an encoder or a disk that failed.
void VideoSink::wait_for_room() {
  for (int64_t waited_us = 0; waited_us < kWriteWaitUs; waited_us += kLookUs) {
    fail_if_broken();
    if (gst_app_src_get_current_level_bytes(GST_APP_SRC(source_.get())) < kQueued * info_.size) return;
    g_usleep(kLookUs);
  }
  throw Error(EVSS_INTERNAL, path_ + ": the encoder or the disk has been stuck for 5 s");
}

void VideoSink::write(const uint8_t* rgb, uint32_t stride, int64_t pts_us) {
  if (stride < width_ * 3) throw Error(EVSS_INVALID_ARGUMENT, path_ + ": stride is less than a row");
  if (!open_) throw Error(EVSS_INVALID_ARGUMENT, path_ + ": is closed");
  if (written_ && pts_us <= last_us_)
    throw Error(EVSS_INVALID_ARGUMENT,
                path_ + ": pts_us must increase: got " + std::to_string(pts_us) + " after " + std::to_string(last_us_));
  wait_for_room();
  GstBuffer* buffer = nullptr;
  if (gst_buffer_pool_acquire_buffer(pool_.get(), &buffer, nullptr) != GST_FLOW_OK)
    throw Error(EVSS_INTERNAL, "out of memory");
  GstMapInfo map;
  if (!gst_buffer_map(buffer, &map, GST_MAP_WRITE)) throw Error(EVSS_INTERNAL, "out of memory");
  const size_t row_bytes = static_cast<size_t>(GST_VIDEO_INFO_PLANE_STRIDE(&info_, 0));
  const auto rows = static_cast<uint32_t>(GST_VIDEO_INFO_HEIGHT(&info_));
  for (uint32_t row = 0; row < rows; ++row) {
    uint8_t* to = map.data + row * row_bytes;
    std::memcpy(to, rgb + static_cast<size_t>(std::min(row, height_ - 1)) * stride, width_ * 3);
    if (width_ & 1) std::memcpy(to + width_ * 3, to + (width_ - 1) * 3, 3);
  }
  gst_buffer_unmap(buffer, &map);
  if (!written_) first_us_ = pts_us;
  GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(pts_us - first_us_) * GST_USECOND;
  GST_BUFFER_DURATION(buffer) = step_ns_;
  last_us_ = pts_us;
  ++written_;
  if (gst_app_src_push_buffer(GST_APP_SRC(source_.get()), buffer) != GST_FLOW_OK) {
    fail_if_broken();
    throw Error(EVSS_INTERNAL, path_ + ": the encoder takes no pictures any more");
  }
}

void VideoSink::close() {
  if (!open_) return;
  open_ = false;
  gst_app_src_end_of_stream(GST_APP_SRC(source_.get()));
  constexpr auto kKinds = static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
  GstMessage* message = written_ ? gst_bus_timed_pop_filtered(bus_.get(), kFinishWait, kKinds) : nullptr;
  const bool whole = !written_ || (message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS);
  const std::string why = message && !whole ? error_of(message) : "the encoder does not finish";
  if (message) gst_message_unref(message);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  if (!written_ || !whole) {
    unlink(part_.c_str());
    if (!whole) throw Error(EVSS_INVALID_ARGUMENT, path_ + ": cannot be written (" + why + ")");
  } else if (std::rename(part_.c_str(), path_.c_str()) != 0) {
    const std::string error = std::strerror(errno);
    unlink(part_.c_str());
    throw Error(EVSS_INVALID_ARGUMENT, path_ + ": cannot be written (" + error + ")");
  }
}

void VideoSink::discard() {
  open_ = false;
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  unlink(part_.c_str());
}

}  // namespace evss::capture
