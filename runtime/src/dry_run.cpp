#include "dry_run.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "clocks.h"
#include "error.h"

namespace evss {

namespace {

// Plays one run of frames; adaptive clocks fire by a bit pattern.
void play(const Graph& graph, const Schedule& schedule, int frames, unsigned pattern, unsigned length) {
  const std::vector<int> slots = slots_needed(graph, {schedule});
  Clockwork clockwork(graph, slots);
  clockwork.set_schedule(schedule);
  const auto refuse = [&](const std::string& tensor, const char* problem) {
    throw bad_bundle("schedule '" + schedule.name + "': tensor '" + tensor + "' " + problem + ", on frame " +
                     std::to_string(clockwork.frames()) + " after a reset");
  };
  const int count = static_cast<int>(graph.stages.size());
  for (int frame = 0; frame < frames; ++frame) {
    if (!clockwork.begin(frame, frame)) refuse(graph.tensors[clockwork.problem_tensor()].name, clockwork.problem());
    StageMask left = 0;
    for (int stage = 0; stage < count; ++stage) {
      if (clockwork.decision(stage) != Decision::kRests) left |= StageMask{1} << stage;
    }
    while (left) {
      int next = -1;
      for (int stage = 0; stage < count && next < 0; ++stage) {
        if ((left >> stage & 1) && !(clockwork.waits_for(stage) & left)) next = stage;
      }
      if (next < 0) throw bad_bundle("schedule '" + schedule.name + "': stages wait for each other");
      left &= ~(StageMask{1} << next);
      const bool undecided = clockwork.decision(next) == Decision::kSignalDecides;
      if (undecided && !(pattern >> ((frame + next) % length) & 1)) continue;
      if (!clockwork.fired(next)) refuse(graph.tensors[clockwork.problem_tensor()].name, clockwork.problem());
    }
    clockwork.finish();
  }
}

}  // namespace

void check_schedule(const Graph& graph, const Schedule& schedule) {
  check_clocks(graph, schedule);
  int64_t period = 1;
  int depth = 1;
  for (const Clock& clock : schedule.clocks) period = std::min<int64_t>(std::lcm(period, int64_t{clock.period}), 1024);
  for (const Tensor& tensor : graph.tensors) depth = std::max(depth, tensor.depth);
  const int frames = static_cast<int>(period) + 2 * depth + 4;
  const struct {
    unsigned bits, length;
  } patterns[] = {{0, 1}, {1, 1}, {0b01, 2}, {0b0011, 4}, {0b011, 3}};
  for (const auto& pattern : patterns) play(graph, schedule, frames, pattern.bits, pattern.length);
}

}  // namespace evss
