#include "slot.h"

#include <chrono>

#include "picture.h"

namespace evss::capture {

Slot::~Slot() {
  if (waiting_.sample) gst_sample_unref(waiting_.sample);
  for (Held& held : held_) {
    if (!held.used) continue;
    gst_video_frame_unmap(&held.mapped);
    gst_sample_unref(held.sample);
  }
}

bool Slot::put(const Arrival& arrival, bool newest_wins) {
  GstSample* replaced = nullptr;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (!newest_wins) changed_.wait(lock, [&] { return !waiting_.sample || shut_; });
    replaced = waiting_.sample;
    waiting_ = arrival;
  }
  changed_.notify_all();
  if (replaced) gst_sample_unref(replaced);
  return replaced;
}

bool Slot::take(int64_t timeout_ns, Arrival* arrival) {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [&] { return waiting_.sample || woken_; });
    woken_ = false;
    if (!waiting_.sample) return false;
    *arrival = waiting_;
    waiting_.sample = nullptr;
  }
  changed_.notify_all();
  return true;
}

bool Slot::is_full() {
  std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.sample != nullptr;
}

void Slot::shut(bool shut) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    shut_ = shut;
  }
  changed_.notify_all();
}

bool Slot::is_shut() {
  std::lock_guard<std::mutex> lock(mutex_);
  return shut_;
}

void Slot::wake() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

bool Slot::hold(const Arrival& arrival, evss_frame* frame, bool* full) {
  std::lock_guard<std::mutex> lock(mutex_);
  Held* place = nullptr;
  for (Held& held : held_) place = !place && !held.used ? &held : place;
  *full = !place;
  GstVideoInfo info = arrival.info;
  if (!place || !gst_video_frame_map(&place->mapped, &info, gst_sample_get_buffer(arrival.sample), GST_MAP_READ)) {
    gst_sample_unref(arrival.sample);
    return false;
  }
  place->used = true;
  place->sample = arrival.sample;
  place->sequence = frame->sequence = arrival.sequence;
  frame->pts_us = arrival.pts_us;
  frame->captured_ns = arrival.captured_ns;
  picture_format(arrival.info, frame);
  picture_planes(place->mapped, frame);
  return true;
}

void Slot::give_back(const evss_frame& frame) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Held& held : held_) {
    if (!held.used || held.sequence != frame.sequence) continue;
    gst_video_frame_unmap(&held.mapped);
    gst_sample_unref(held.sample);
    held.used = false;
  }
}

}  // namespace evss::capture
