// Threads that run stages beside the calling one. Made once; idle ones sleep.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "engines/engine.h"

namespace evss {

/// One firing of one stage.
struct Job {
  int stage = -1;
  Engine* engine = nullptr;
  uint32_t binding = 0;
  double begin_ms = 0.0, ms = 0.0;  // on the clock of now_ms()
  Status status;
};

/// CLOCK_MONOTONIC in milliseconds, and in nanoseconds.
double now_ms();
int64_t now_ns();
/// Runs a job on the calling thread.
void run_job(Job* job);

/// Lets everything else on this thread's processor go first, for as long as the thread lives; so do threads it starts.
void yield_to_others();

/// The opposite, until this goes: the calling thread, and threads that it starts meanwhile, go before all that is not
/// real-time. 0: nothing changes.
class Realtime {
 public:
  /// `priority`: of SCHED_RR, 1..99. Throws Error where the system does not permit it.
  explicit Realtime(int priority);
  ~Realtime();
  Realtime(const Realtime&) = delete;
  Realtime& operator=(const Realtime&) = delete;

 private:
  bool changed_ = false;
  int policy_ = 0, priority_ = 0;  // before
};

class Crew {
 public:
  /// `yielding`: the workers have no urgency.
  explicit Crew(int workers, bool yielding = false);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int workers() const { return static_cast<int>(workers_.size()); }
  int busy() const { return busy_; }  // of interest to the calling thread only
  /// Hands a job to an idle worker; there must be one. The job stays the caller's.
  void start(Job* job);
  /// A job that is done, or nullptr where none is and `wait` is false. With `wait`, some job must be running.
  Job* take_done(bool wait);

 private:
  struct Worker {
    std::thread thread;
    Job* job = nullptr;
    bool done = false;
  };
  void work(size_t index, bool yielding);

  std::mutex mutex_;
  std::condition_variable start_, done_;
  std::vector<Worker> workers_;
  int busy_ = 0;
  bool stop_ = false;
};

}  // namespace evss
