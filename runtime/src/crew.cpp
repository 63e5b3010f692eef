#include "crew.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <cstring>
#include <string>

#include "error.h"

namespace evss {

double now_ms() {
  using std::chrono::duration;
  return duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t now_ns() {
  using std::chrono::nanoseconds;
  return std::chrono::duration_cast<nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run_job(Job* job) {
  job->begin_ms = now_ms();
  job->status.ok = true;
  if (job->engine->enqueue(job->binding, &job->status)) job->engine->wait(&job->status);
  job->ms = now_ms() - job->begin_ms;
}

void yield_to_others() {
  sched_param none{};
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
}

Realtime::Realtime(int priority) {
  if (priority == 0) return;
  sched_param before{}, wanted{};
  wanted.sched_priority = priority;
  pthread_getschedparam(pthread_self(), &policy_, &before);
  priority_ = before.sched_priority;
  if (const int failed = pthread_setschedparam(pthread_self(), SCHED_RR, &wanted))
    throw Error(EVSS_UNAVAILABLE, "real-time priority " + std::to_string(priority) + ": " + std::strerror(failed) +
                                      "; run as root, or allow it with LimitRTPRIO= of systemd or rtprio in "
                                      "/etc/security/limits.conf");
  changed_ = true;
}

Realtime::~Realtime() {
  sched_param before{};
  before.sched_priority = priority_;
  if (changed_) pthread_setschedparam(pthread_self(), policy_, &before);
}

Crew::Crew(int workers, bool yielding) : workers_(static_cast<size_t>(workers)) {
  for (size_t i = 0; i < workers_.size(); ++i)
    workers_[i].thread = std::thread([this, i, yielding] { work(i, yielding); });
}

Crew::~Crew() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (Worker& worker : workers_) worker.thread.join();
}

void Crew::start(Job* job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Worker& worker : workers_) {
      if (worker.job) continue;
      worker.job = job;
      worker.done = false;
      break;
    }
  }
  ++busy_;
  start_.notify_all();
}

Job* Crew::take_done(bool wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    for (Worker& worker : workers_) {
      if (!worker.job || !worker.done) continue;
      Job* job = worker.job;
      worker.job = nullptr;
      --busy_;
      return job;
    }
    if (!wait) return nullptr;
    done_.wait(lock);
  }
}

void Crew::work(size_t index, bool yielding) {
  if (yielding) yield_to_others();
  std::unique_lock<std::mutex> lock(mutex_);
  Worker& self = workers_[index];
  for (;;) {
    start_.wait(lock, [&] { return stop_ || (self.job && !self.done); });
    if (stop_) return;
    Job* job = self.job;
    lock.unlock();
    run_job(job);
    lock.lock();
    self.done = true;
    done_.notify_one();
  }
}

}  // namespace evss
