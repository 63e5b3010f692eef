#include "loop.h"

#include <chrono>

#include "crew.h"
#include "frames.h"

namespace evss {

namespace {

constexpr uint32_t kWaitMs = 200;
// A clock that jumped back would have every frame refused for good; so many in a row mean a new start.
constexpr int kRefusedReset = 3;

}  // namespace

Loop::Loop(Pipeline& pipeline, const evss_source& source, const evss_loop_options& options)
    : pipeline_(pipeline),
      source_(source),
      options_(options),
      delivery_(options.queue, source),
      recorder_(options.kept, pipeline.num_stages()),
      scene_cut_(options.scene_cut) {
  thread_ = std::thread([this] { work(); });
}

Loop::~Loop() { end(); }

void Loop::end() {
  if (ended_) return;
  stop();
  thread_.join();
  delivery_.give_back();
  ended_ = true;
}

void Loop::stop() {
  if (ended_) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  delivery_.stop_waiting();
  source_.interrupt(source_.user);
}

void Loop::work() {
  try {
    const Realtime urgent(pipeline_.realtime_priority());
    while (!stop_ && fetch_and_label()) {
    }
  } catch (const std::exception& error) {
    end_with(EVSS_INTERNAL, error.what());
  }
  if (options_.notify) notifier_.stopping();
  delivery_.finish(end_, end_why_.c_str());
}

// False: the loop ends; `end_` and `why_` say how.
bool Loop::fetch_and_label() {
  evss_frame frame;
  evss_frame_init(&frame);
  char error[512] = {0};
  const evss_status status = source_.next(source_.user, kWaitMs, &frame, error, sizeof error);
  if (status == EVSS_AGAIN) return true;
  if (status == EVSS_END_OF_STREAM) return false;
  if (status != EVSS_OK) return end_with(status, error);
  frame_waited_ns_ = 0;
  if (options_.realtime && !source_.live) pace(&frame);
  if (start_ns_ == 0) start_ns_ = now_ns();
  const Outcome outcome = stop_ ? Outcome::kEnds : label(frame);
  if (outcome == Outcome::kLabelled) {
    hand_on(&frame);
  } else {
    source_.release(source_.user, &frame);
  }
  return outcome != Outcome::kEnds && (options_.limit == 0 || recorder_.frames() < options_.limit);
}

// Waits until the frame is due; that is then taken for its time of capture.
void Loop::pace(evss_frame* frame) {
  const int64_t now = now_ns();
  if (start_ns_ == 0) start_ns_ = now;
  if (anchor_ns_ == 0 || frame->restart) {
    anchor_ns_ = now;
    anchor_pts_us_ = frame->pts_us;
  }
  const int64_t due = anchor_ns_ + (frame->pts_us - anchor_pts_us_) * 1000;
  if (frame->captured_ns == 0) frame->captured_ns = due;
  if (due <= now) return;
  std::unique_lock<std::mutex> lock(mutex_);
  stopped_.wait_for(lock, std::chrono::nanoseconds(due - now), [&] { return stop_.load(); });
  frame_waited_ns_ = now_ns() - now;
  waited_ns_ += frame_waited_ns_;
}

Loop::Outcome Loop::label(const evss_frame& frame) {
  if (frame_problem(frame)) {
    ++refused_;
    return Outcome::kSkipped;
  }
  if (frame.restart) scene_cut_.forget();
  if (scene_cut_.look(frame)) {
    ++cuts_;
    pipeline_.reset(EVSS_FLAG_SCENE_CUT);
  }
  evss_status status = pipeline_.send(frame, &why_);
  if (status == EVSS_INVALID_ARGUMENT && refused() == Outcome::kSkipped) return Outcome::kSkipped;
  if (status == EVSS_INVALID_ARGUMENT) status = pipeline_.send(frame, &why_);
  while (status == EVSS_BACKEND_FAILED && fall_back()) status = pipeline_.send(frame, &why_);
  if (status != EVSS_OK) {
    end_with(status, why_.c_str());
    return Outcome::kEnds;
  }
  refused_in_a_row_ = 0;
  result_.struct_size = sizeof result_;
  pipeline_.receive(&result_);
  recorder_.add(result_, frame, static_cast<double>(frame_waited_ns_) / 1e6);
  elapsed_ns_ = result_.done_ns - start_ns_;
  if (options_.notify) notifier_.progress(result_.done_ns);
  return Outcome::kLabelled;
}

// A frame whose time or number does not follow on: skipped, or the first one of a new start.
Loop::Outcome Loop::refused() {
  ++refused_;
  if (++refused_in_a_row_ < kRefusedReset) return Outcome::kSkipped;
  refused_in_a_row_ = 0;
  pipeline_.reset(0);
  return Outcome::kLabelled;
}

bool Loop::fall_back() {
  std::string why_not;
  if (!options_.fall_back || !pipeline_.next_variant(&why_not)) return false;
  ++fallbacks_;
  return true;
}

void Loop::hand_on(evss_frame* frame) {
  if (options_.queue > 0 && delivery_.put(*frame, result_, !source_.live)) return;
  if (options_.queue > 0) ++dropped_;
  source_.release(source_.user, frame);
}

bool Loop::end_with(evss_status status, const char* why) {
  end_ = status;
  end_why_ = why;
  return false;
}

evss_status Loop::next(uint32_t timeout_ms, evss_labelled* out, std::string* why) {
  return delivery_.take(timeout_ms, out, why);
}

void Loop::stats(evss_loop_stats* stats) const {
  recorder_.totals(stats);
  stats->refused = refused_;
  stats->dropped_sink = dropped_;
  stats->scene_cuts = cuts_;
  stats->fallbacks = fallbacks_;
  stats->seconds = static_cast<double>(elapsed_ns_) / 1e9;
  stats->waited_s = static_cast<double>(waited_ns_) / 1e9;
}

}  // namespace evss
