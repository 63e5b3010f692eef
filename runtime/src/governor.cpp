#include "governor.h"

#include <algorithm>

namespace evss {

namespace {

// A richer rung than the one before must fit with room to spare, or the two would take turns.
constexpr double kRoomToRise = 0.9;
// What a stage typically takes follows its newest firings; how far frames go beyond is remembered for longer.
constexpr size_t kFirings = 16, kFrames = 128;

constexpr StageMask bit(int stage) { return StageMask{1} << stage; }

}  // namespace

void RollingQuantile::add(double value) {
  values_[next_] = value;
  next_ = (next_ + 1) % kept_;
  count_ = std::min(count_ + 1, kept_);
  middle_ = at(50);
  high_ = at(99);
}

double RollingQuantile::at(size_t percent) const {
  if (count_ == 0) return 0.0;
  std::array<double, kMost> sorted = values_;
  const auto place = sorted.begin() + static_cast<std::ptrdiff_t>((count_ - 1) * percent / 100);
  std::nth_element(sorted.begin(), place, sorted.begin() + static_cast<std::ptrdiff_t>(count_));
  return *place;
}

Governor::Governor(const Graph& graph)
    : graph_(graph),
      stages_(graph.stages.size(), RollingQuantile(kFirings)),
      pre_(kFirings),
      post_(kFirings),
      flights_(kFirings),
      excess_(kFrames) {
  excess_.add(1.0);
  for (int tensor : graph.outputs) {
    for (int writer : graph.writers[tensor]) output_writers_ |= bit(writer);
  }
}

void Governor::set(const Deadline& deadline) {
  deadline_ = deadline;
  choice_ = Choice{};
  level_ = 0;
  played_ = 0;
}

void Governor::learn_stage(int stage, double ms, bool in_background) {
  if (!(warm_ & bit(stage))) {
    warm_ |= bit(stage);
    return;
  }
  // Time in the background is an upper bound of what the stage takes when nothing goes before it.
  RollingQuantile& times = stages_[static_cast<size_t>(stage)];
  times.add(in_background && !times.empty() ? std::min(ms, times.middle()) : ms);
}

void Governor::learn_frame(double pre_ms, double post_ms, double latency_ms, bool labelled, StageMask fired) {
  played_ = fired;
  pre_.add(pre_ms);
  if (labelled) post_.add(post_ms);
  const double expected = typical(fired);
  // A frame without news takes the place of an old one, so that a bad spell is forgotten also where nothing fires. One
  // that could not be in time tells nothing: refreshes that max_age forces come after a rest, when threads sleep and
  // caches are cold, and would keep a governor that rests from ever trying again.
  const bool news = labelled && choice_.fits && expected > 0.0 && (fired & ~warm_) == 0;
  excess_.add(news ? latency_ms / expected : excess_.middle());
}

// Without what goes beyond the typical.
double Governor::typical(StageMask stages) const {
  double ms = pre_.middle() + ((stages & output_writers_) ? post_.middle() : 0.0);
  for (size_t i = 0; i < stages_.size(); ++i) {
    if (stages >> i & 1) ms += stages_[i].middle();
  }
  return ms;
}

// With a stage in the background all rungs cost a frame the same, and the richest needs no more room than the others.
bool Governor::fits(double foreseen_ms, int level) const {
  const bool rises = level < level_ && !(level % 2 == 1 && foreseen_ms <= foreseen(played_));
  return foreseen_ms <= deadline_.ms * (rises ? kRoomToRise : 1.0);
}

// Stages that, were they to start in the next frame only, might land too late for max_age: it would then force them
// into a frame of its own choosing, which has no time for them.
StageMask Governor::expiring(const Clockwork& clockwork, StageMask candidates) const {
  StageMask found = 0;
  if (clockwork.flying()) return found;
  const int64_t flight = 1 + static_cast<int64_t>(flights_.high());  // and one to spare
  for (size_t i = 0; i < stages_.size(); ++i) {
    const int stage = static_cast<int>(i);
    if ((candidates & bit(stage)) && clockwork.stage_age(stage) + flight > deadline_.max_age) found |= bit(stage);
  }
  return found;
}

// Whether this rung is what to play; then it is in `choice_`. A stage that has just come back from the background goes
// there again where it is still too dear.
bool Governor::weigh(int rung, Clockwork& clockwork, const Background& background) {
  const StageMask firing = clockwork.firing(), away = clockwork.flying();
  double ms = foreseen(firing & ~away);
  if (firing & away) {  // has to be waited for
    const double left = stages_[static_cast<size_t>(background.stage())].middle() - (now_ms() - background.begun_ms());
    ms += std::max(0.0, left);
  }
  choice_.rung = rung;
  choice_.background = 0;
  choice_.aged = clockwork.aged();
  choice_.foreseen_ms = ms;
  choice_.fits = true;
  if (fits(ms, 2 * rung + (away ? 1 : 0))) {
    const StageMask again = clockwork.again() & background.candidates();
    if (again && !fits(foreseen(firing | again), 2 * rung)) choice_.background = again;
    return true;
  }
  StageMask candidates = away ? 0 : background.candidates() & firing & ~clockwork.forced();
  while (candidates) {
    int dearest = -1;
    for (size_t i = 0; i < stages_.size(); ++i) {
      const bool dearer = dearest < 0 || stages_[i].middle() > stages_[static_cast<size_t>(dearest)].middle();
      if ((candidates >> i & 1) && dearer) dearest = static_cast<int>(i);
    }
    candidates &= ~bit(dearest);
    if (!clockwork.can_be_late(dearest, deadline_.max_age)) continue;
    const double without = foreseen(firing & ~bit(dearest));
    if (!fits(without, 2 * rung + 1)) continue;
    choice_.background = bit(dearest);
    choice_.foreseen_ms = without;
    return true;
  }
  return false;
}

// The richest rung that fits.
bool Governor::search(Clockwork& clockwork, const std::vector<Schedule>& schedules, const Background& background) {
  const int rungs = static_cast<int>(deadline_.ladder.size());
  for (int rung = 0; rung < rungs; ++rung) {
    const Schedule& schedule = schedules[static_cast<size_t>(deadline_.ladder[static_cast<size_t>(rung)])];
    if (!clockwork.plan(schedule, deadline_.max_age)) continue;
    rests_ = (clockwork.firing() & output_writers_) == 0;
    choice_.early = rests_ ? 0 : expiring(clockwork, background.candidates());
    if (choice_.early && !clockwork.plan(schedule, deadline_.max_age, choice_.early)) continue;
    if (!weigh(rung, clockwork, background)) continue;
    return true;
  }
  return false;
}

const Governor::Choice& Governor::choose(Clockwork& clockwork, const std::vector<Schedule>& schedules,
                                         const Background& background) {
  const int rungs = static_cast<int>(deadline_.ladder.size());
  beyond_ = excess_.high();
  bool found = search(clockwork, schedules, background);
  if (found && rests_ && background.candidates()) {
    // Label maps that rest end in a refresh that is late for certain, one frame in max_age + 1. What goes on beside a
    // stage in the background is the better choice as long as it is late less often than that.
    const Choice resting = choice_;
    beyond_ = excess_.at(static_cast<size_t>(100 * deadline_.max_age / (deadline_.max_age + 1)));
    if (!search(clockwork, schedules, background) || rests_) choice_ = resting;
  }
  if (!found) {
    // A refresh that cannot wait is late in any case: then it is the richest one, which is used for long. Otherwise the
    // cheapest rung comes as near as it can.
    const bool forced = choice_.aged || clockwork.frames() == 0;
    choice_.rung = forced ? 0 : rungs - 1;
    choice_.background = choice_.early = 0;
    choice_.fits = false;
  }
  level_ = 2 * choice_.rung + (choice_.background || clockwork.flying() ? 1 : 0);
  return choice_;
}

}  // namespace evss
