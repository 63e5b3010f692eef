#include "parallel.h"

#include <algorithm>

namespace evss {
namespace {

constexpr uint64_t kRemaining = 0xffffffffu;
constexpr int kSlicesPerThread = 4;  // small enough that a late worker costs little, large enough to amortise set-up
constexpr int kSpins = 1000;         // some 20 us: the last slice of another thread is usually done by then

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ParallelFor::ParallelFor(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker(); });
}

ParallelFor::~ParallelFor() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_.store(true);
  }
  start_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

int ParallelFor::slices_for(int height, int min_rows) const {
  const int wanted = workers_.empty() ? 1 : threads() * kSlicesPerThread;
  return std::max(1, std::min(wanted, height / std::max(1, min_rows)));
}

void ParallelFor::run_slices(int slices, Function function, const void* context) {
  if (workers_.empty() || slices <= 1) {
    for (int i = 0; i < slices; ++i) function(context, i);
    return;
  }
  std::lock_guard<std::mutex> caller(caller_mutex_);
  function_ = function, context_ = context, slices_ = slices;
  unfinished_.store(slices, std::memory_order_relaxed);
  {
    std::lock_guard<std::mutex> lock(mutex_);  // or a worker between its test and its sleep would miss the call
    const uint64_t generation = (state_.load(std::memory_order_relaxed) >> 32) + 1;
    state_.store(generation << 32 | static_cast<uint32_t>(slices), std::memory_order_release);
  }
  start_.notify_all();
  while (take_and_run_one()) {
  }
  wait_until_done();
}

bool ParallelFor::take_and_run_one() {
  uint64_t state = state_.load(std::memory_order_acquire);
  do {
    if ((state & kRemaining) == 0) return false;
  } while (!state_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire));
  function_(context_, slices_ - static_cast<int>(state & kRemaining));
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }  // the caller is either before its test or asleep
    done_.notify_one();
  }
  return true;
}

void ParallelFor::wait_until_done() {
  for (int i = 0; i < kSpins; ++i) {
    if (unfinished_.load(std::memory_order_acquire) == 0) return;
    pause();
  }
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return unfinished_.load(std::memory_order_acquire) == 0; });
}

void ParallelFor::worker() {
  while (true) {
    while (take_and_run_one()) {
    }
    // Work often follows at once (the next output, the overlay), and waking a sleeping core takes longer than a slice.
    for (int i = 0; i < kSpins && (state_.load(std::memory_order_acquire) & kRemaining) == 0; ++i) pause();
    std::unique_lock<std::mutex> lock(mutex_);
    start_.wait(lock, [this] { return stop_.load() || (state_.load(std::memory_order_acquire) & kRemaining) != 0; });
    if (stop_.load()) return;
  }
}

}  // namespace evss
