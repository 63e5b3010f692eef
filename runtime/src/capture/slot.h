// The place between GStreamer's thread and whoever takes frames: one frame. From a camera the newest one wins, from a
// file the next one waits. What was taken is mapped and stays as it is until it is given back.
#pragma once

#include <gst/app/gstappsink.h>
#include <gst/video/video.h>

#include <array>
#include <condition_variable>
#include <mutex>

#include "edge_vss.h"

namespace evss::capture {

/// A sample with what is known about it.
struct Arrival {
  GstSample* sample = nullptr;
  GstVideoInfo info;
  uint64_t sequence = 0;
  int64_t pts_us = 0, captured_ns = 0;
};

class Slot {
 public:
  static constexpr size_t kHeld = 8;  ///< frames that may be out at once

  ~Slot();
  /// Takes the sample over. Waits for room where `newest_wins` is false; true where an older frame was dropped for it.
  bool put(const Arrival& arrival, bool newest_wins);
  /// The frame that waits, at most `timeout_ns`; false where there is none, or after wake().
  bool take(int64_t timeout_ns, Arrival* arrival);
  bool is_full();
  /// A pipeline is being torn down: put() waits for nobody.
  void shut(bool shut);
  bool is_shut();
  /// take() returns at once, now or the next time.
  void wake();

  /// Maps a frame; false where its bytes cannot be read or all places are out (`*full`).
  bool hold(const Arrival& arrival, evss_frame* frame, bool* full);
  void give_back(const evss_frame& frame);

 private:
  struct Held {
    bool used = false;
    uint64_t sequence = 0;
    GstVideoFrame mapped;
    GstSample* sample = nullptr;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  Arrival waiting_;
  bool shut_ = false, woken_ = false;
  std::array<Held, kHeld> held_;
};

}  // namespace evss::capture
