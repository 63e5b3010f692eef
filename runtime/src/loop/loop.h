// Frames from a source through a pipeline into a bounded queue, on a thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "delivery.h"
#include "notify.h"
#include "pipeline.h"
#include "recorder.h"
#include "scene_cut.h"

namespace evss {

class Loop {
 public:
  /// Both outlive the loop.
  Loop(Pipeline& pipeline, const evss_source& source, const evss_loop_options& options);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  evss_status next(uint32_t timeout_ms, evss_labelled* out, std::string* why);
  bool release(uint32_t slot) { return delivery_.release(slot); }
  void stop();
  /// Stops, waits for the thread, and leaves the source alone from then on.
  void end();
  void stats(evss_loop_stats* stats) const;
  const Recorder& recorder() const { return recorder_; }

 private:
  enum class Outcome : uint8_t { kLabelled, kSkipped, kEnds };

  void work();
  bool fetch_and_label();
  void pace(evss_frame* frame);
  Outcome label(const evss_frame& frame);
  Outcome refused();
  bool fall_back();
  void hand_on(evss_frame* frame);
  bool end_with(evss_status status, const char* why);

  Pipeline& pipeline_;
  const evss_source source_;
  const evss_loop_options options_;
  Delivery delivery_;
  Recorder recorder_;
  SceneCut scene_cut_;
  Notifier notifier_;

  // Of the loop's thread alone.
  std::string why_, end_why_;
  evss_result result_{};
  evss_status end_ = EVSS_END_OF_STREAM;
  int64_t start_ns_ = 0;
  int64_t anchor_ns_ = 0, anchor_pts_us_ = 0;  // when the frame of that time was due
  int64_t frame_waited_ns_ = 0;
  int refused_in_a_row_ = 0;

  std::atomic<bool> stop_{false};
  bool ended_ = false;
  std::atomic<uint64_t> refused_{0}, dropped_{0}, cuts_{0}, fallbacks_{0};
  std::atomic<int64_t> waited_ns_{0}, elapsed_ns_{0};
  std::mutex mutex_;
  std::condition_variable stopped_;
  std::thread thread_;
};

}  // namespace evss
