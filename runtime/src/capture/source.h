// A source that outlives its pipelines: a supervisor thread opens the camera, watches it, tears it down and opens it
// again, while the reader waits for frames at the slot.
#pragma once

#include <atomic>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "camera_pipeline.h"
#include "numbering.h"
#include "slot.h"
#include "suspect.h"

namespace evss::capture {

constexpr int64_t kMs = 1000000;  ///< nanoseconds

inline int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 * kMs + now.tv_nsec;
}

class Source : public std::enable_shared_from_this<Source> {
 public:
  Source(Description description, const evss_source_options& options);
  ~Source();

  /// Starts the supervisor and waits for the first frame. Throws Error.
  void open();
  /// Ends the camera with EOS and the supervisor with it, in bounded time even where the driver hangs.
  void close();

  evss_status next(uint32_t timeout_ms, evss_frame* frame, char* error, size_t error_size);
  void release(evss_frame* frame) { slot_.give_back(*frame); }
  void stats(evss_source_stats* stats);
  void interrupt() { slot_.wake(); }
  /// Live, size and rate, known once open() came back.
  void describe(evss_source* out);

 private:
  enum class Phase { kTrying, kEnded, kLost };

  void supervise();
  Ending play(bool* stable);
  Ending watch(CameraPipeline& pipeline);
  void note_missing(int64_t stated_ns);
  bool pause_before(int attempt);
  void finish(Phase phase, evss_status status, const std::string& why);
  void take(GstSample* sample, int64_t running_ns, int64_t captured_ns);
  bool is_usable(GstSample* sample);
  std::string damage_told();
  bool is_stuck();
  Arrival take_first();
  evss_status wait_for_frame(int64_t deadline_ns, Arrival* arrival, char* error, size_t error_size);
  evss_status over(char* error, size_t error_size);

  const Description description_;
  const int64_t timeout_ns_;
  const int max_rebuilds_;
  Slot slot_;
  Numbering numbering_;  // of GStreamer's thread; one pipeline lives at a time
  Suspicion suspicion_;  // of the reader
  Arrival first_;        // what open() took, handed out by the first next()
  GstCaps* caps_ = nullptr;
  GstVideoInfo info_;
  bool has_info_ = false;

  std::mutex mutex_;  // over what follows
  std::condition_variable changed_;
  Phase phase_ = Phase::kTrying;
  evss_status status_ = EVSS_OK;
  std::string why_;
  CameraPipeline* running_ = nullptr;
  bool stopping_ = false, finished_ = false;
  uint32_t width_ = 0, height_ = 0;  // of the first frame; later ones must have it
  std::string odd_size_;
  evss_source_stats stats_ = {};

  std::atomic<int64_t> last_frame_ns_{0}, busy_since_ns_{0}, played_ns_{0};
  std::atomic<uint64_t> good_frames_{0};
  std::atomic<bool> live_;  // false: a file, or a pipeline of the user's that plays one
  std::thread supervisor_;
};

}  // namespace evss::capture
