// A stage that is too dear for one frame, on a thread of its own: it works on copies while the stream goes on.
#pragma once

#include <map>
#include <vector>

#include "clocks.h"
#include "crew.h"
#include "stages.h"

namespace evss {

/// The stage with the most work among those that may run in the background under all of these schedules: what it writes
/// survives the frame, is no output and no clock's signal, and whoever reads it reads the newest value.
StageMask background_candidates(const Graph& graph, const std::vector<Schedule>& schedules);

class Background {
 public:
  Background(const Graph& graph, Stages& stages, StageMask candidates);

  StageMask candidates() const { return candidates_; }
  int stage() const { return job_.stage; }  // that is on its way, or -1
  double begun_ms() const { return begun_ms_; }
  /// Copies what the stage reads and starts it; nothing else may be on its way. False: a copy failed.
  bool start(int stage, const Clockwork& clockwork);
  /// Whether it is done; waits for it where asked to.
  bool done(bool wait);
  /// The stage that is done, which is then no longer on its way.
  Job take();
  /// Copies what it wrote to where `clockwork` has the outputs of its stage go. False: a copy failed.
  bool hand_over(int stage, const Clockwork& clockwork);

 private:
  bool copy(void* to, const void* from, size_t bytes);

  const Graph& graph_;
  Stages& stages_;
  StageMask candidates_;
  std::map<int, Stages::Apart> apart_;
  std::vector<char> host_;  // on the way between two places that the host cannot see
  Crew crew_;
  Job job_;
  double begun_ms_ = 0.0;
  bool done_ = false;
};

}  // namespace evss
