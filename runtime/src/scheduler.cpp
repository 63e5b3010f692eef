#include "scheduler.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "pixels/pixels.h"

namespace evss {

namespace {
constexpr StageMask bit(int stage) { return StageMask{1} << stage; }
}  // namespace

Scheduler::Scheduler(const Graph& graph, std::vector<Schedule> schedules, Stages& stages, const std::vector<int>& slots,
                     int workers)
    : graph_(graph),
      schedules_(std::move(schedules)),
      stages_(stages),
      clockwork_(graph, slots),
      crew_(workers),
      governor_(graph),
      runs_(graph.stages.size()),
      jobs_(graph.stages.size()),
      references_(graph.stages.size()) {
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    size_t bytes = 0;
    for (const Schedule& schedule : schedules_) {
      if (schedule.clocks[i].signal >= 0) bytes = std::max(bytes, stages.tensor(schedule.clocks[i].signal).bytes);
    }
    references_[i].value.resize(bytes);
    if (!stages.backend().host_accessible()) references_[i].current.resize(bytes);
    jobs_[i].stage = static_cast<int>(i);
    jobs_[i].engine = &stages.engine(static_cast<int>(i));
  }
  size_t largest = 0;
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    if (graph.tensors[i].reset_to_zero) largest = std::max(largest, stages.tensor(static_cast<int>(i)).bytes);
  }
  zeros_.resize(largest);
  set_schedule(0);
  reset();
}

void Scheduler::set_schedule(int index) {
  current_ = static_cast<size_t>(index);
  clockwork_.set_schedule(schedules_[current_]);
}

void Scheduler::set_deadline(const Deadline& deadline, bool background) {
  give_up_background();
  background_.reset();
  governor_.set(deadline);
  if (!governor_.on()) return;
  background_ =
      std::make_unique<Background>(graph_, stages_, background ? background_candidates(graph_, schedules_) : 0);
}

void Scheduler::reset() {
  give_up_background();
  clockwork_.reset();
  zeroed_ = zero_states();
}

bool Scheduler::zero_states() {
  bool good = true;
  for (size_t i = 0; i < graph_.tensors.size(); ++i) {
    if (!graph_.tensors[i].reset_to_zero) continue;
    const TensorDesc& tensor = stages_.tensor(static_cast<int>(i));
    // A stored zero is the zero point; whole bytes of it are enough for the 8-bit types, 0 for all others.
    const bool quantised = tensor.dtype == EVSS_UINT8 || tensor.dtype == EVSS_INT8;
    std::fill(zeros_.begin(), zeros_.end(), quantised ? static_cast<char>(tensor.zero_point) : 0);
    void* const address = stages_.memory(static_cast<int>(i), clockwork_.newest_slot(static_cast<int>(i)));
    good = stages_.backend().copy_in(address, zeros_.data(), tensor.bytes) && good;
  }
  return good;
}

void Scheduler::set_valid(double top, double left, double bottom, double right) {
  const double valid[4] = {top, left, bottom, right};
  std::copy(valid, valid + 4, valid_);
}

bool Scheduler::run_frame(uint64_t sequence, int64_t pts_us, ImageWriter write_image, const void* context,
                          Status* status) {
  std::fill(runs_.begin(), runs_.end(), StageRun{});
  first_begin_ms_ = last_end_ms_ = 0.0;
  if (!zeroed_) return abandon(status, "copying zeros to the device failed");  // and tries once more
  if (!clockwork_.start(sequence, pts_us)) return abandon(status, clockwork_.problem());
  if (!land(false, status)) return abandon(status, nullptr);
  if (!plan()) return abandon(status, clockwork_.problem());
  pending_ = Clockwork::kImageBit | clockwork_.firing();
  started_ = clockwork_.flying();  // what is on its way and cannot be done without is waited for
  decided_ = 0;
  const bool parallel = schedule().any_delay && crew_.workers() > 0;
  while (pending_) {
    if (!settle_clocks()) return abandon(status, "copying a clock's signal from the device failed");
    if (!start_in_background()) return abandon(status, "copying to a stage in the background failed");
    int stage = next_ready();
    // The dearest ready stage goes to another thread as long as this one has something else to do.
    while (parallel && stage >= 0 && crew_.busy() < crew_.workers()) {
      started_ |= bit(stage);
      const int other = next_ready();
      if (other < 0 && !(pending_ & Clockwork::kImageBit)) {
        started_ &= ~bit(stage);
        break;
      }
      jobs_[stage].binding = stages_.binding(stage, clockwork_);
      crew_.start(&jobs_[stage]);
      stage = other;
    }
    if (pending_ & Clockwork::kImageBit) {
      if (!write_image(context, clockwork_.newest_slot(graph_.image)))
        return abandon(status, nullptr);  // it has said why
      pending_ &= ~Clockwork::kImageBit;
    } else if (stage >= 0) {
      jobs_[stage].binding = stages_.binding(stage, clockwork_);
      started_ |= bit(stage);
      run_job(&jobs_[stage]);
      if (!finish_job(jobs_[stage], status)) return abandon(status, nullptr);
    } else if (crew_.busy() > 0) {
      if (!finish_job(*crew_.take_done(true), status)) return abandon(status, nullptr);
    } else if (pending_ & clockwork_.flying()) {
      if (!land(true, status)) return abandon(status, nullptr);
    } else if (pending_) {
      return abandon(status, "stages wait for each other");
    }
    while (crew_.busy() > 0) {
      Job* done = crew_.take_done(false);
      if (!done) break;
      if (!finish_job(*done, status)) return abandon(status, nullptr);
    }
  }
  clockwork_.finish();
  return true;
}

// Decides what fires: under the schedule in force, or under the one that the governor chooses.
bool Scheduler::plan() {
  later_ = 0;
  if (!governor_.on()) return clockwork_.plan(schedule(), -1);
  const Governor::Choice& choice = governor_.choose(clockwork_, schedules_, *background_);
  if (static_cast<size_t>(governor_.chosen()) != current_) set_schedule(governor_.chosen());
  if (!clockwork_.plan(schedule(), governor_.deadline().max_age, choice.early)) return false;
  later_ = choice.background;
  clockwork_.put_in_background(later_);
  return true;
}

// Starts what the plan has in the background as soon as its inputs are there; the frame does not wait for it.
bool Scheduler::start_in_background() {
  for (size_t i = 0; later_ >> i; ++i) {
    const int stage = static_cast<int>(i);
    if (!(later_ & pending_ & bit(stage)) || (clockwork_.waits_for(stage) & pending_)) continue;
    if (schedule().clocks[i].kind == ClockKind::kAdaptive && !(decided_ & bit(stage))) continue;
    if (!background_->start(stage, clockwork_) || !clockwork_.started(stage)) return false;
    runs_[i].fired |= EVSS_FIRED_STARTED;
    pending_ &= ~bit(stage);
  }
  return true;
}

// Takes over what a stage in the background has computed, where it is done. What has grown too old meanwhile is thrown
// away: the stage is then computed anew where it is needed.
bool Scheduler::land(bool wait, Status* status) {
  if (!background_ || !background_->done(wait)) return true;
  const Job job = background_->take();
  if (!job.status.ok) {
    *status = job.status;
    return false;
  }
  governor_.learn_stage(job.stage, job.ms, true);
  governor_.learn_flight(clockwork_.flight_age(job.stage));
  started_ &= ~bit(job.stage);
  if (clockwork_.flight_age(job.stage) > governor_.deadline().max_age) {
    clockwork_.give_up(job.stage);
    return true;
  }
  if (!background_->hand_over(job.stage, clockwork_))
    return fail(status, "copying from a stage in the background failed");
  if (!clockwork_.landed(job.stage)) return fail(status, clockwork_.problem());
  pending_ &= ~bit(job.stage);
  runs_[job.stage].fired |= EVSS_FIRED_LANDED;
  runs_[job.stage].ms = job.ms;
  runs_[job.stage].begin_ms = job.begin_ms;
  return true;
}

void Scheduler::give_up_background() {
  if (!background_ || !background_->done(true)) return;
  clockwork_.give_up(background_->take().stage);
}

// Lets every adaptive clock speak whose signal is there. False: a signal could not be copied.
bool Scheduler::settle_clocks() {
  for (size_t i = 0; i < runs_.size(); ++i) {
    const int stage = static_cast<int>(i);
    const bool open = (pending_ & bit(stage)) && !(decided_ & bit(stage)) && !(started_ & bit(stage));
    if (!open || schedule().clocks[i].kind != ClockKind::kAdaptive || (clockwork_.waits_for(stage) & pending_))
      continue;
    const void* value = signal_value(stage);
    if (!value) return false;
    decided_ |= bit(stage);
    if (!decide(stage, value)) pending_ &= ~bit(stage);
  }
  return true;
}

bool Scheduler::decide(int stage, const void* value) {
  bool fires = clockwork_.decision(stage) == Decision::kFires;
  if (clockwork_.has_reference(stage)) {
    runs_[stage].change = change(stage, value);
    fires = fires || runs_[stage].change >= clockwork_.threshold(stage);
  }
  // The reference moves only when the stage fires, so that slow change adds up.
  if (fires) std::memcpy(references_[stage].value.data(), value, stages_.tensor(schedule().clocks[stage].signal).bytes);
  return fires;
}

const void* Scheduler::signal_value(int stage) {
  const int signal = schedule().clocks[stage].signal;
  void* address = stages_.memory(signal, clockwork_.signal_slot(stage));
  if (const void* host = stages_.backend().host_view(address)) return host;
  std::vector<char>& current = references_[stage].current;
  return stages_.backend().copy_out(current.data(), address, stages_.tensor(signal).bytes) ? current.data() : nullptr;
}

double Scheduler::change(int stage, const void* value) const {
  const Clock& clock = schedule().clocks[stage];
  const TensorDesc& tensor = stages_.tensor(clock.signal);
  const void* reference = references_[stage].value.data();
  if (clock.relative) {
    const double found = relative_change(static_cast<const float*>(value), static_cast<const float*>(reference),
                                         tensor.bytes / sizeof(float));
    return std::min(1.0, found);
  }
  const int height = static_cast<int>(tensor.shape[1]), width = static_cast<int>(tensor.shape[2]);
  // Labels count whose centres lie inside the picture; the rest is padding.
  const auto first = [](double limit, int size) {
    int i = 0;
    while (i < size && (i + 0.5) / size < limit) ++i;
    return i;
  };
  const Rect inside = {first(valid_[1], width), first(valid_[0], height),
                       first(valid_[3], width) - first(valid_[1], width),
                       first(valid_[2], height) - first(valid_[0], height)};
  const int64_t positions = int64_t{1} * inside.width * inside.height;
  if (positions == 0) return 0.0;
  return static_cast<double>(count_changed(LabelType::kUint8, value, width, reference, width, inside)) /
         static_cast<double>(positions);
}

// The ready stage with the most work; settled clocks only.
int Scheduler::next_ready() const {
  int best = -1;
  for (size_t i = 0; i < runs_.size(); ++i) {
    const int stage = static_cast<int>(i);
    if (!(pending_ & ~started_ & ~later_ & bit(stage)) || (clockwork_.waits_for(stage) & pending_)) continue;
    if (schedule().clocks[i].kind == ClockKind::kAdaptive && !(decided_ & bit(stage))) continue;
    if (best < 0 || graph_.stages[i].macs > graph_.stages[best].macs) best = stage;
  }
  return best;
}

bool Scheduler::finish_job(const Job& job, Status* status) {
  runs_[job.stage].fired |= EVSS_FIRED_NOW;
  runs_[job.stage].ms = job.ms;
  runs_[job.stage].begin_ms = job.begin_ms;
  if (governor_.on()) governor_.learn_stage(job.stage, job.ms, false);
  if (first_begin_ms_ == 0.0 || job.begin_ms < first_begin_ms_) first_begin_ms_ = job.begin_ms;
  last_end_ms_ = std::max(last_end_ms_, job.begin_ms + job.ms);
  pending_ &= ~bit(job.stage);
  if (!job.status.ok) {
    *status = job.status;
    return false;
  }
  if (clockwork_.fired(job.stage)) return true;
  std::snprintf(status->message, sizeof status->message, "tensor '%s' %s",
                graph_.tensors[clockwork_.problem_tensor()].name.c_str(), clockwork_.problem());
  return status->ok = false;
}

bool Scheduler::abandon(Status* status, const char* problem) {
  while (crew_.busy() > 0) crew_.take_done(true);
  if (problem) std::snprintf(status->message, sizeof status->message, "%s", problem);
  reset();
  return status->ok = false;
}

}  // namespace evss
