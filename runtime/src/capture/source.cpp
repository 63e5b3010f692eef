#include "source.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "../error.h"
#include "picture.h"

namespace evss::capture {

namespace {

constexpr int64_t kStartNs = 5000 * kMs;  // a sensor's or decoder's first frame takes its time
constexpr int64_t kFileNs = 30000 * kMs;  // a decoder may be slow; a disk that is gone is not
constexpr int64_t kClosePatienceNs = 3000 * kMs;
constexpr int64_t kMissingNs = 500 * kMs, kMissingPart = 50;  // less is no damage: as in edge_vss/data/video_file.py
constexpr int64_t kFirstBackoffMs = 100, kMaxBackoffMs = 1000;
constexpr uint64_t kStableFrames = 30;  // a stream that gave so many was a success: attempts count anew
constexpr uint32_t kDefaultTimeoutMs = 2000;
constexpr int kDefaultRebuilds = 10, kRebuildsBeforeFirst = 2;

int64_t length_of(const GstBuffer& buffer, const GstVideoInfo& info) {
  if (GST_BUFFER_DURATION_IS_VALID(&buffer)) return static_cast<int64_t>(GST_BUFFER_DURATION(&buffer));
  return info.fps_n > 0 ? int64_t{1000} * kMs * info.fps_d / info.fps_n : 0;
}

}  // namespace

Source::Source(Description description, const evss_source_options& options)
    : description_(std::move(description)),
      timeout_ns_((options.timeout_ms ? options.timeout_ms : kDefaultTimeoutMs) * kMs),
      max_rebuilds_(options.max_rebuilds < 0 ? kDefaultRebuilds : options.max_rebuilds),
      live_(description_.kind != Kind::kFile) {}

Source::~Source() {
  if (first_.sample) gst_sample_unref(first_.sample);
  gst_caps_replace(&caps_, nullptr);
}

// ---- the supervisor's thread ----------------------------------------------------------------------------------------

void Source::supervise() {
  int failures = 0;
  for (;;) {
    bool stable = false;
    const Ending ending = play(&stable);
    std::unique_lock<std::mutex> lock(mutex_);
    if (stopping_) break;
    ++(ending.late ? stats_.timeouts : stats_.errors);
    const bool opened = good_frames_ > 0;
    const int allowed = opened ? max_rebuilds_ : std::min(max_rebuilds_, kRebuildsBeforeFirst);
    if (ending.what == Ending::kEnd && !live_ && opened) {
      --stats_.errors;
      lock.unlock();
      finish(Phase::kEnded, EVSS_END_OF_STREAM, "");
      break;
    }
    lock.unlock();
    failures = stable ? 1 : failures + 1;
    const std::string last = ending.why + damage_told();
    if (!live_ || (ending.final && !opened) || failures > allowed) {
      const std::string tried = failures > 1 ? " (given up after " + std::to_string(failures) + " attempts)" : "";
      const bool unusable = !live_ && !opened && ending.status == EVSS_SOURCE_LOST;
      finish(Phase::kLost, unusable ? EVSS_INVALID_ARGUMENT : ending.status,
             description_.shown + ": " + last + tried + "; " + description_.advice);
      break;
    }
    if (!pause_before(failures)) break;
  }
  std::lock_guard<std::mutex> lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

// One life of a pipeline. Whether it was a good one goes into *stable.
Ending Source::play(bool* stable) {
  const uint64_t before = good_frames_;
  Ending ending;
  busy_since_ns_ = now_ns();
  try {
    CameraPipeline pipeline(description_, [this](GstSample* sample, int64_t running_ns, int64_t captured_ns) {
      take(sample, running_ns, captured_ns);
    });
    live_ = pipeline.is_live();
    numbering_.restart();
    last_frame_ns_ = 0;
    slot_.shut(false);
    if (pipeline.start(&ending)) ending = watch(pipeline);
    busy_since_ns_ = now_ns();
    slot_.shut(true);
  } catch (const Error& error) {
    ending = {Ending::kError, true, error.what(), false, error.status()};
  }
  busy_since_ns_ = 0;
  *stable = good_frames_ - before >= kStableFrames;
  return ending;
}

Ending Source::watch(CameraPipeline& pipeline) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return {Ending::kWoken, false, "", false, EVSS_OK};
    running_ = &pipeline;
  }
  busy_since_ns_ = 0;
  const int64_t start = now_ns();
  Ending ending;
  for (;;) {
    const int64_t patience = live_ ? timeout_ns_ : std::max(timeout_ns_, kFileNs);
    const int64_t last = last_frame_ns_;
    const int64_t deadline = last ? last + patience : start + std::max(patience, kStartNs);
    const int64_t left = !live_ && slot_.is_full() ? patience : deadline - now_ns();  // a reader that takes its time
    if (left <= 0) {
      const int64_t waited_ms = (now_ns() - (last ? last : start)) / kMs;
      ending = {Ending::kError, false, "no frame for " + std::to_string(waited_ms) + " ms", true, EVSS_SOURCE_LOST};
      break;
    }
    ending = pipeline.wait(std::min(left, patience));  // the first frame may come any time and shortens the deadline
    if (ending.what != Ending::kNothing) break;
  }
  if (ending.what == Ending::kEnd && !live_) note_missing(pipeline.stated_ns());
  std::lock_guard<std::mutex> lock(mutex_);
  running_ = nullptr;
  return ending;
}

void Source::note_missing(int64_t stated_ns) {
  const int64_t missing_ns = stated_ns - played_ns_;
  std::lock_guard<std::mutex> lock(mutex_);
  if (missing_ns > std::max(kMissingNs, stated_ns / kMissingPart))
    stats_.missing_us = static_cast<uint64_t>(missing_ns / 1000);
}

// Waits before another attempt; false where the source is being closed.
bool Source::pause_before(int attempt) {
  const int64_t wait_ms = std::min(kFirstBackoffMs << std::min(attempt - 1, 10), kMaxBackoffMs);
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return stopping_; });
  ++stats_.rebuilds;
  return !stopping_;
}

void Source::finish(Phase phase, evss_status status, const std::string& why) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    phase_ = phase;
    status_ = status;
    why_ = why;
  }
  slot_.wake();
}

// ---- GStreamer's thread ---------------------------------------------------------------------------------------------

void Source::take(GstSample* sample, int64_t running_ns, int64_t captured_ns) {
  if (slot_.is_shut()) return gst_sample_unref(sample);
  GstBuffer* buffer = gst_sample_get_buffer(sample);
  const bool live = live_;
  const int64_t offset =
      live && buffer && GST_BUFFER_OFFSET_IS_VALID(buffer) ? static_cast<int64_t>(GST_BUFFER_OFFSET(buffer)) : -1;
  const bool usable = is_usable(sample);
  const Numbering::Number number = numbering_.next(offset, live || running_ns < 0 ? captured_ns : running_ns);
  if (!usable) {
    gst_sample_unref(sample);
    std::lock_guard<std::mutex> lock(mutex_);
    ++stats_.dropped_damaged;
    stats_.dropped_camera += number.missed;
    return;
  }
  Arrival arrival;
  arrival.sample = sample;
  arrival.info = info_;
  arrival.sequence = number.sequence;
  arrival.pts_us = number.pts_us;
  arrival.captured_ns = live ? captured_ns : 0;
  if (running_ns >= 0) played_ns_ = running_ns + length_of(*buffer, info_);
  ++good_frames_;
  last_frame_ns_ = now_ns();
  const bool dropped = slot_.put(arrival, live);
  last_frame_ns_ = now_ns();
  std::lock_guard<std::mutex> lock(mutex_);
  stats_.dropped_newer += dropped;
  stats_.dropped_camera += number.missed;
}

// Whether a sample holds a whole picture of the size that the stream has.
bool Source::is_usable(GstSample* sample) {
  GstCaps* caps = gst_sample_get_caps(sample);
  if (caps != caps_) {
    gst_caps_replace(&caps_, caps);
    evss_frame probe = {};
    has_info_ = caps && gst_video_info_from_caps(&info_, caps) && picture_format(info_, &probe);
  }
  GstBuffer* buffer = gst_sample_get_buffer(sample);
  if (!has_info_ || !buffer) return false;
  const auto width = static_cast<uint32_t>(GST_VIDEO_INFO_WIDTH(&info_)),
             height = static_cast<uint32_t>(GST_VIDEO_INFO_HEIGHT(&info_));
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!width_) width_ = width, height_ = height;
    const bool fits = width == width_ && height == height_;
    odd_size_ = fits ? "" : std::to_string(height) + "x" + std::to_string(width);
    if (!fits) return false;
  }
  if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED) || GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_GAP))
    return false;
  return gst_buffer_get_video_meta(buffer) || gst_buffer_get_size(buffer) >= GST_VIDEO_INFO_SIZE(&info_);
}

std::string Source::damage_told() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (odd_size_.empty()) return "";
  return ", but pictures of " + odd_size_ + " in the place of " + std::to_string(height_) + "x" +
         std::to_string(width_);
}

// ---- opening and closing --------------------------------------------------------------------------------------------

void Source::open() {
  supervisor_ = std::thread([self = shared_from_this()] { self->supervise(); });
  char error[640] = "";
  while (!slot_.take(200 * kMs, &first_)) {
    const evss_status status = over(error, sizeof error);
    if (status == EVSS_AGAIN) continue;
    close();
    if (status == EVSS_END_OF_STREAM) throw Error(EVSS_INVALID_ARGUMENT, description_.shown + ": holds no picture");
    throw Error(status, error);
  }
}

void Source::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  stopping_ = true;
  if (running_) running_->wake();
  changed_.notify_all();
  lock.unlock();
  slot_.shut(true);
  lock.lock();
  const bool done = changed_.wait_for(lock, std::chrono::nanoseconds(kClosePatienceNs), [&] { return finished_; });
  lock.unlock();
  if (!supervisor_.joinable()) return;
  if (done)
    supervisor_.join();
  else
    supervisor_.detach();  // hangs inside a driver; it keeps itself alive and ends with the process
}

}  // namespace evss::capture
