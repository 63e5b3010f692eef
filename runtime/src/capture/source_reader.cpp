// What the reader of a source calls: frames, counts, and what there is to say where no frame comes.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "picture.h"
#include "source.h"

namespace evss::capture {

namespace {

constexpr int64_t kStuckNs = 20000 * kMs;  // opening or closing that takes longer never comes back

}  // namespace

void Source::describe(evss_source* out) {
  std::lock_guard<std::mutex> lock(mutex_);
  out->live = live_;
  out->width = width_;
  out->height = height_;
  const GstVideoInfo& info = first_.info;
  out->fps = info.fps_n > 0 && info.fps_d > 0 ? static_cast<double>(info.fps_n) / info.fps_d : description_.fps;
}

// What there is to say where no frame waits.
evss_status Source::over(char* error, size_t error_size) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (phase_ == Phase::kTrying && !is_stuck()) return EVSS_AGAIN;
  if (phase_ == Phase::kTrying) {
    phase_ = Phase::kLost;
    status_ = EVSS_SOURCE_LOST;
    why_ = description_.shown + ": the driver does not answer; " + description_.advice;
  }
  std::snprintf(error, error_size, "%s", why_.c_str());
  return status_;
}

bool Source::is_stuck() {
  const int64_t since = busy_since_ns_;
  return since && now_ns() - since > kStuckNs;
}

// Also once the stream is over the frame that still waits comes first.
evss_status Source::wait_for_frame(int64_t deadline_ns, Arrival* arrival, char* error, size_t error_size) {
  for (;;) {
    const evss_status before = over(error, error_size);
    const int64_t left = before == EVSS_AGAIN ? std::max<int64_t>(deadline_ns - now_ns(), 0) : 0;
    if (slot_.take(left, arrival)) return EVSS_OK;
    if (before != EVSS_AGAIN || over(error, error_size) == EVSS_AGAIN) return before;
  }
}

// The frame that open() waited for, unless a newer one came while the caller was busy with something else.
Arrival Source::take_first() {
  Arrival arrival = first_;
  first_.sample = nullptr;
  if (!arrival.sample || !live_ || !slot_.is_full()) return arrival;
  gst_sample_unref(arrival.sample);
  arrival.sample = nullptr;
  std::lock_guard<std::mutex> lock(mutex_);
  ++stats_.dropped_newer;
  return arrival;
}

evss_status Source::next(uint32_t timeout_ms, evss_frame* frame, char* error, size_t error_size) {
  const int64_t deadline_ns = now_ns() + timeout_ms * kMs;
  for (;;) {
    Arrival arrival = take_first();
    if (!arrival.sample) {
      if (const evss_status status = wait_for_frame(deadline_ns, &arrival, error, error_size)) return status;
    }
    std::memset(frame, 0, sizeof *frame);
    frame->struct_size = sizeof *frame;
    bool full = false;
    if (slot_.hold(arrival, frame, &full)) break;
    if (full) {
      std::snprintf(error, error_size, "%zu frames are held; release one before asking for another", Slot::kHeld);
      return EVSS_INVALID_ARGUMENT;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    ++stats_.dropped_damaged;
  }
  if (live_) frame->suspect = suspicion_.look(*frame);
  std::lock_guard<std::mutex> lock(mutex_);
  ++stats_.delivered;
  stats_.frozen += (frame->suspect & EVSS_SUSPECT_FROZEN) != 0;
  stats_.black += (frame->suspect & EVSS_SUSPECT_BLACK) != 0;
  stats_.green += (frame->suspect & EVSS_SUSPECT_GREEN) != 0;
  return EVSS_OK;
}

void Source::stats(evss_source_stats* out) {
  std::lock_guard<std::mutex> lock(mutex_);
  const uint32_t size = out->struct_size && out->struct_size < sizeof stats_ ? out->struct_size : sizeof stats_;
  std::memcpy(out, &stats_, size);
  out->struct_size = size;
}

}  // namespace evss::capture
