// Keeps frames within a deadline: which rung of a ladder of schedules is played, and what runs in the background.
#pragma once

#include <array>
#include <vector>

#include "background.h"
#include "clocks.h"

namespace evss {

/// Quantiles of the newest values; allocates nothing.
class RollingQuantile {
 public:
  explicit RollingQuantile(size_t kept) : kept_(kept) {}
  void add(double value);
  double middle() const { return middle_; }  // 0 of nothing
  double high() const { return high_; }      // about the 99th of 100
  /// Of 100; 0 of nothing.
  double at(size_t percent) const;
  bool empty() const { return count_ == 0; }

 private:
  static constexpr size_t kMost = 128;
  size_t kept_;  // at most kMost
  std::array<double, kMost> values_{};
  size_t count_ = 0, next_ = 0;
  double middle_ = 0.0, high_ = 0.0;
};

struct Deadline {
  double ms = 0.0;          // 0: none
  int64_t max_age = 8;      // frames; no label map becomes older
  std::vector<int> ladder;  // numbers of schedules, richest first
};

class Governor {
 public:
  struct Choice {
    int rung = 0;
    StageMask background = 0;  // starts there in this frame
    StageMask aged = 0;        // fires because of max_age
    StageMask early = 0;       // fires so that max_age does not force it later
    double foreseen_ms = 0.0;
    bool fits = true;
  };

  explicit Governor(const Graph& graph);
  void set(const Deadline& deadline);
  bool on() const { return deadline_.ms > 0.0; }
  const Deadline& deadline() const { return deadline_; }

  /// What to play in the frame that `clockwork` has started. Leaves another plan behind than the one it chose.
  const Choice& choose(Clockwork& clockwork, const std::vector<Schedule>& schedules, const Background& background);
  const Choice& choice() const { return choice_; }
  /// The schedule's number.
  int chosen() const { return deadline_.ladder[static_cast<size_t>(choice_.rung)]; }

  // What was measured, in milliseconds. The first firing of a stage says little and is left out.
  void learn_stage(int stage, double ms, bool in_background);
  /// How many frames a stage was on its way in the background.
  void learn_flight(int64_t frames) { flights_.add(static_cast<double>(frames)); }
  /// At the end of a frame; `labelled`: a label map was made, `fired`: stages that ran in the frame itself.
  void learn_frame(double pre_ms, double post_ms, double latency_ms, bool labelled, StageMask fired);

 private:
  bool weigh(int rung, Clockwork& clockwork, const Background& background);
  double typical(StageMask stages) const;
  double foreseen(StageMask stages) const { return typical(stages) * beyond_; }
  bool search(Clockwork& clockwork, const std::vector<Schedule>& schedules, const Background& background);
  StageMask expiring(const Clockwork& clockwork, StageMask candidates) const;
  bool fits(double foreseen_ms, int level) const;

  const Graph& graph_;
  Deadline deadline_;
  Choice choice_;
  StageMask output_writers_ = 0, warm_ = 0;
  std::vector<RollingQuantile> stages_;
  RollingQuantile pre_, post_, flights_;
  RollingQuantile excess_;  // of a frame's time over the typical times of what it did: 1 = as expected
  double beyond_ = 1.0;     // how far beyond the typical a frame is taken to go
  bool rests_ = false;      // the choice uses the last label maps again
  int level_ = 0;           // of the frame before: twice the rung, and one more with a stage in the background
  StageMask played_ = 0;    // in the frame before, the stage in the background left out
};

}  // namespace evss
