// A small persistent thread pool: threads are made once, a call allocates nothing, idle threads sleep.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace evss {

/// Splits work into slices that the calling thread and `threads - 1` workers take in turn.
class ParallelFor {
 public:
  /// `threads` >= 1 counts the caller; 1 makes no worker and `run` is then a plain loop without a lock.
  explicit ParallelFor(int threads);
  ~ParallelFor();
  ParallelFor(const ParallelFor&) = delete;
  ParallelFor& operator=(const ParallelFor&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls work(i) once for each i in [0, slices), from several threads at a time, and returns when all are done.
  /// `work` must not throw and must not call `run` of the same pool. Callers on several threads wait for each other.
  /// The caller never waits for a worker that is still asleep: it does the slices itself.
  template <class Work>
  void run(int slices, const Work& work) {
    run_slices(slices, [](const void* context, int slice) { (*static_cast<const Work*>(context))(slice); }, &work);
  }

  /// Splits rows [0, height) into slices of about the same size, at least `min_rows` each:
  /// work(row_begin, row_end).
  template <class Work>
  void rows(int height, int min_rows, const Work& work) {
    const int slices = slices_for(height, min_rows);
    run(slices, [&](int i) {
      work(static_cast<int>(int64_t{height} * i / slices), static_cast<int>(int64_t{height} * (i + 1) / slices));
    });
  }

 private:
  using Function = void (*)(const void* context, int slice);

  void run_slices(int slices, Function function, const void* context);
  int slices_for(int height, int min_rows) const;
  bool take_and_run_one();
  void wait_until_done();
  void worker();

  std::mutex caller_mutex_;  // one `run` at a time
  std::mutex mutex_;         // guards sleeping and waking only
  std::condition_variable start_, done_;
  std::atomic<uint64_t> state_{0};  // generation << 32 | slices not yet taken
  std::atomic<int> unfinished_{0};
  std::atomic<bool> stop_{false};
  // Written by the caller before it publishes `state_`, read only by whoever took a slice of that generation.
  Function function_ = nullptr;
  const void* context_ = nullptr;
  int slices_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace evss
