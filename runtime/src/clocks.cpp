#include "clocks.h"

#include <algorithm>

#include "error.h"

namespace evss {

Clockwork::Clockwork(const Graph& graph, const std::vector<int>& slots)
    : graph_(graph),
      flights_(graph.stages.size()),
      tensors_(graph.tensors.size()),
      stages_(graph.stages.size()),
      decisions_(graph.stages.size()),
      waits_(graph.stages.size()) {
  for (size_t i = 0; i < slots.size(); ++i) {
    tensors_[i].slots = slots[i];
    tensors_[i].origins.resize(slots[i]);
  }
  reset();
}

void Clockwork::set_schedule(const Schedule& schedule) {
  schedule_ = in_force_ = &schedule;
  // A reference belongs to the clock that took it.
  for (StageState& stage : stages_) stage.reference = false, stage.factor = 1.0;
}

void Clockwork::reset() {
  frames_ = 0;
  forced_ = aged_ = early_ = background_ = flying_ = landed_ = 0;
  for (TensorState& tensor : tensors_) {
    tensor.head = 0;
    tensor.count = 0;
    tensor.fresh = false;
  }
  for (StageState& stage : stages_) stage = StageState{};
}

bool Clockwork::start(uint64_t sequence, int64_t pts_us) {
  now_ = {sequence, pts_us};
  background_ = landed_ = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    TensorState& tensor = tensors_[i];
    tensor.fresh = false;
    if (graph_.tensors[i].reset_to_zero && tensor.count == 0) {  // its memory was cleared by the reset
      tensor.count = 1;
      tensor.origins[tensor.head] = now_;
    }
  }
  return image_written();
}

bool Clockwork::plan(const Schedule& schedule, int64_t max_age, StageMask early) {
  schedule_ = &schedule;
  early_ = early;
  forced_ = aged_ = background_ = 0;
  for (size_t i = 0; i < stages_.size(); ++i) {
    const bool away = (flying_ | landed_) >> i & 1;  // one firing at a time, and one value per frame
    decisions_[i] = away ? Decision::kRests : decide(static_cast<int>(i));
  }
  if (!fill_missing()) return false;
  for (bool more = max_age >= 0; more;) {
    more = false;
    for (int tensor : graph_.outputs) more = refresh(tensor, max_age) || more;
    if (more && !fill_missing()) return false;
  }
  order();
  return true;
}

// Every tensor that is needed and has no value has its writer fire.
bool Clockwork::fill_missing() {
  for (int tensor = first_missing(); tensor >= 0; tensor = first_missing()) {
    const int writer = only_writer(tensor);
    if (writer < 0) return fail("is needed, has no value, and no clock lets a stage write it", tensor);
    decisions_[writer] = Decision::kFires;
    forced_ |= StageMask{1} << writer;
  }
  return true;
}

// The one stage that may write a tensor this frame, or -1.
int Clockwork::only_writer(int tensor) const {
  int writer = -1, candidates = 0;
  for (int stage : graph_.writers[tensor]) {
    if (!guard_holds(schedule_->clocks[stage])) continue;
    writer = stage;
    ++candidates;
  }
  return candidates == 1 ? writer : -1;
}

// Has stages fire until the value of `tensor` in this frame is no older than `max_age`. True: another one fires now.
bool Clockwork::refresh(int tensor, int64_t max_age) {
  int writer = -1;
  for (int stage : graph_.writers[tensor]) {
    if (decisions_[stage] == Decision::kFires) writer = stage;
  }
  bool more = false;
  if (writer < 0) {
    const TensorState& state = tensors_[tensor];
    const bool young = static_cast<int64_t>(now_.sequence - state.origins[state.head].sequence) <= max_age;
    if (state.count == 0 || young) return false;
    writer = only_writer(tensor);
    if (writer < 0 || (landed_ >> writer & 1)) return false;
    decisions_[writer] = Decision::kFires;
    forced_ |= StageMask{1} << writer;
    aged_ |= StageMask{1} << writer;
    more = true;
  }
  const std::vector<Read>& inputs = graph_.stages[writer].inputs;
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k].version != 0 || input_delayed(writer, static_cast<int>(k))) continue;
    more = refresh(inputs[k].tensor, max_age) || more;
  }
  return more;
}

StageMask Clockwork::firing() const {
  StageMask mask = 0;
  for (size_t i = 0; i < decisions_.size(); ++i) {
    if (decisions_[i] != Decision::kRests) mask |= StageMask{1} << i;
  }
  return mask;
}

bool Clockwork::can_be_late(int stage, int64_t max_age) const {
  for (int tensor : graph_.stages[stage].outputs) {
    const TensorState& state = tensors_[tensor];
    if (state.count == 0 || static_cast<int64_t>(now_.sequence - state.origins[state.head].sequence) > max_age)
      return false;
  }
  return true;
}

void Clockwork::put_in_background(StageMask stages) {
  background_ = stages;
  for (size_t i = 0; i < decisions_.size(); ++i) {
    if (stages & landed_ & StageMask{1} << i) decisions_[i] = decide(static_cast<int>(i));
  }
  order();
}

StageMask Clockwork::again() const {
  StageMask mask = 0;
  for (size_t i = 0; i < decisions_.size(); ++i) {
    if ((landed_ >> i & 1) && decide(static_cast<int>(i)) != Decision::kRests) mask |= StageMask{1} << i;
  }
  return mask;
}

bool Clockwork::started(int stage) {
  if (!origin_of(stage, &flights_[stage])) return false;
  flying_ |= StageMask{1} << stage;
  if (schedule_->clocks[stage].kind == ClockKind::kAdaptive) stages_[stage].reference = true;
  stages_[stage].fired_now = true;
  return true;
}

int64_t Clockwork::flight_age(int stage) const {
  return static_cast<int64_t>(now_.sequence - flights_[stage].sequence);
}

bool Clockwork::landed(int stage) {
  give_up(stage);
  landed_ |= StageMask{1} << stage;
  for (int tensor : graph_.stages[stage].outputs) {
    if (!write(tensor, flights_[stage])) return false;
  }
  stages_[stage].fired_once = true;
  stages_[stage].origin = flights_[stage];
  return true;
}

Decision Clockwork::decide(int stage) const {
  if (!guard_holds(schedule_->clocks[stage])) return Decision::kRests;
  return early_ >> stage & 1 ? Decision::kFires : decide_by_clock(stage);
}

Decision Clockwork::decide_by_clock(int stage) const {
  const Clock& clock = schedule_->clocks[stage];
  const auto fires_if = [](bool yes) { return yes ? Decision::kFires : Decision::kRests; };
  switch (clock.kind) {
    case ClockKind::kAlways:
      return Decision::kFires;
    case ClockKind::kNever:
      return Decision::kRests;
    case ClockKind::kEvery:
    case ClockKind::kCycle:
      return fires_if(frames_ % clock.period == static_cast<uint64_t>(clock.offset));
    case ClockKind::kAdaptive:
      break;
  }
  const StageState& state = stages_[stage];
  const bool reference = state.reference && schedule_ == in_force_;
  if (!reference || !state.fired_once) return Decision::kFires;
  const bool too_old = static_cast<int64_t>(now_.sequence - state.origin.sequence) > clock.max_age;
  if (too_old) return Decision::kFires;
  return spent(stage) ? Decision::kRests : Decision::kSignalDecides;
}

bool Clockwork::spent(int stage) const {
  const Clock& clock = schedule_->clocks[stage];
  if (!clock.budget_frames) return false;
  const uint64_t window = (uint64_t{1} << (clock.budget_frames - 1)) - 1;  // this frame is the last of them
  return __builtin_popcountll(stages_[stage].history & window) >= clock.budget_fires;
}

int Clockwork::first_missing() const {
  for (int tensor : graph_.outputs) {
    if (missing(tensor)) return tensor;
  }
  for (size_t i = 0; i < stages_.size(); ++i) {
    if (decisions_[i] == Decision::kRests) continue;
    const int stage = static_cast<int>(i);
    const std::vector<Read>& inputs = graph_.stages[i].inputs;
    for (size_t k = 0; k < inputs.size(); ++k) {
      const bool reads_now = inputs[k].version == 0 && !input_delayed(stage, static_cast<int>(k));
      if (reads_now && missing(inputs[k].tensor)) return inputs[k].tensor;
    }
    const int signal = schedule_->clocks[i].signal;
    if (signal >= 0 && !signal_delayed(stage) && missing(signal)) return signal;
  }
  return -1;
}

bool Clockwork::missing(int tensor) const {
  for (int stage : graph_.writers[tensor]) {
    if (decisions_[stage] == Decision::kFires) return false;
  }
  const bool survives = graph_.tensors[tensor].lives != Lives::kFrame || graph_.is_output(tensor);
  return tensors_[tensor].count == 0 || !(tensors_[tensor].fresh || survives);
}

void Clockwork::order() {
  for (size_t i = 0; i < stages_.size(); ++i) {
    const int stage = static_cast<int>(i);
    StageMask mask = 0;
    const auto wait_for = [&](int tensor) {
      if (tensor == graph_.image) mask |= kImageBit;
      for (int writer : graph_.writers[tensor]) {
        if (decisions_[writer] != Decision::kRests && !(background_ >> writer & 1)) mask |= StageMask{1} << writer;
      }
    };
    if (decisions_[i] != Decision::kRests) {
      const std::vector<Read>& inputs = graph_.stages[i].inputs;
      for (size_t k = 0; k < inputs.size(); ++k) {
        if (inputs[k].version == 0 && !input_delayed(stage, static_cast<int>(k))) wait_for(inputs[k].tensor);
      }
      const int signal = schedule_->clocks[i].signal;
      if (signal >= 0 && !signal_delayed(stage)) wait_for(signal);
    }
    waits_[i] = mask;
  }
}

bool Clockwork::guard_holds(const Clock& clock) const {
  if (clock.guard.ring < 0) return true;
  const bool full = tensors_[clock.guard.ring].count >= graph_.tensors[clock.guard.ring].depth;
  return full == clock.guard.when_full;
}

bool Clockwork::has_earlier(int tensor) const {
  const TensorState& state = tensors_[tensor];
  return state.count > (state.fresh ? 1 : 0);
}

bool Clockwork::input_delayed(int stage, int input) const {
  return schedule_->delayed[stage][input] && has_earlier(graph_.stages[stage].inputs[input].tensor);
}

bool Clockwork::signal_delayed(int stage) const {
  return schedule_->signal_delayed[stage] && has_earlier(schedule_->clocks[stage].signal);
}

int Clockwork::slot_back(int tensor, int back) const {
  const TensorState& state = tensors_[tensor];
  if (back >= state.count) return -1;
  return (state.head - back + state.slots) % state.slots;
}

int Clockwork::read_slot(int stage, int input) const {
  const Read& read = graph_.stages[stage].inputs[input];
  int back = read.version == 0 ? 0 : -read.version - 1;
  // Versions from before this frame: skip what this frame wrote.
  if (tensors_[read.tensor].fresh && (read.version != 0 || input_delayed(stage, input))) ++back;
  return slot_back(read.tensor, back);
}

int Clockwork::signal_slot(int stage) const {
  const int signal = schedule_->clocks[stage].signal;
  return slot_back(signal, tensors_[signal].fresh && signal_delayed(stage) ? 1 : 0);
}

int Clockwork::write_slot(int tensor) const {
  const TensorState& state = tensors_[tensor];
  return state.fresh ? state.head : (state.head + 1) % state.slots;
}

bool Clockwork::write(int tensor, Origin origin) {
  TensorState& state = tensors_[tensor];
  if (state.fresh) return fail("is written twice in one frame", tensor);
  state.head = (state.head + 1) % state.slots;
  state.count = std::min(state.count + 1, state.slots);
  state.origins[state.head] = origin;
  state.fresh = true;
  return true;
}

bool Clockwork::image_written() { return write(graph_.image, now_); }

// The oldest camera frame among what the stage reads now.
bool Clockwork::origin_of(int stage, Origin* origin) {
  const Stage& what = graph_.stages[stage];
  *origin = now_;
  bool first = true;
  for (size_t k = 0; k < what.inputs.size(); ++k) {
    const int slot = read_slot(stage, static_cast<int>(k));
    if (slot < 0) return fail("is read in a version that does not exist", what.inputs[k].tensor);
    // Older versions that the network itself asks for (a ring, a recurrent state) are not lateness.
    if (what.inputs[k].version != 0) continue;
    const Origin found = tensors_[what.inputs[k].tensor].origins[slot];
    if (first || found.sequence < origin->sequence) *origin = found;
    first = false;
  }
  return true;
}

bool Clockwork::fired(int stage) {
  Origin origin;
  if (!origin_of(stage, &origin)) return false;
  if (schedule_->clocks[stage].kind == ClockKind::kAdaptive) stages_[stage].reference = true;
  for (int tensor : graph_.stages[stage].outputs) {
    if (!write(tensor, origin)) return false;
  }
  stages_[stage].fired_once = true;
  stages_[stage].fired_now = true;
  stages_[stage].origin = origin;
  return true;
}

void Clockwork::finish() {
  ++frames_;
  for (size_t i = 0; i < stages_.size(); ++i) {
    StageState& stage = stages_[i];
    const Clock& clock = schedule_->clocks[i];
    const double factor = stage.factor * (stage.fired_now ? clock.rise : clock.fall);
    stage.factor = std::min(clock.factor_high, std::max(clock.factor_low, factor));
    stage.history = stage.history << 1 | (stage.fired_now ? 1 : 0);
    stage.fired_now = false;
  }
}

int64_t Clockwork::stage_age(int stage) const {
  return stages_[stage].fired_once ? static_cast<int64_t>(now_.sequence - stages_[stage].origin.sequence) : -1;
}

bool Clockwork::fail(const char* problem, int tensor) {
  problem_ = problem;
  problem_tensor_ = tensor;
  return false;
}

std::vector<int> slots_needed(const Graph& graph, const std::vector<Schedule>& schedules) {
  std::vector<int> slots(graph.tensors.size(), 1);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (graph.tensors[i].lives == Lives::kRing) slots[i] = graph.tensors[i].depth + 1;
  }
  const auto keep_two = [&](int tensor) { slots[tensor] = std::max(slots[tensor], 2); };
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    for (size_t k = 0; k < graph.stages[i].inputs.size(); ++k) {
      const Read& read = graph.stages[i].inputs[k];
      if (read.version < 0) keep_two(read.tensor);
      for (const Schedule& schedule : schedules) {
        if (schedule.delayed[i][k]) keep_two(read.tensor);
        if (schedule.clocks[i].signal >= 0 && schedule.signal_delayed[i]) keep_two(schedule.clocks[i].signal);
      }
    }
  }
  return slots;
}

}  // namespace evss
