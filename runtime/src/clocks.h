// Which stages fire, which version of a tensor each of them reads, and how old everything is: the logic of a schedule
// without any data. It mirrors edge_vss/executor.py line by line; both must agree on every frame.
#pragma once

#include <cstdint>
#include <vector>

#include "graph.h"

namespace evss {

/// The camera frame that a value was computed from.
struct Origin {
  uint64_t sequence = 0;
  int64_t pts_us = 0;
};

/// What a stage does this frame, before its turn has come.
enum class Decision : uint8_t { kRests, kSignalDecides, kFires };

class Clockwork {
 public:
  /// `slots` holds, per tensor, how many versions are kept (see slots_needed). Objects must outlive this.
  Clockwork(const Graph& graph, const std::vector<int>& slots);

  void set_schedule(const Schedule& schedule);
  void reset();

  /// Starts a frame and decides what can be decided. False: a tensor is needed that no stage can write; see problem().
  bool begin(uint64_t sequence, int64_t pts_us) { return start(sequence, pts_us) && plan(*in_force_, -1); }
  /// The two halves of `begin`. Several schedules may be planned, without trace; the one that is played is then set.
  /// No value that reaches an output becomes older than `max_age` frames (-1: no limit); see forced().
  bool start(uint64_t sequence, int64_t pts_us);
  /// `early`: stages that fire although their clocks would let them rest.
  bool plan(const Schedule& schedule, int64_t max_age, StageMask early = 0);
  /// Stages that fire this frame, or may, by the last plan, and those of them that max_age or a missing value forces.
  StageMask firing() const;
  StageMask forced() const { return forced_; }
  StageMask aged() const { return aged_; }  // by max_age alone

  /// Firings in the background, of stages that readers can see late: a stage starts in one frame and is used from a
  /// later one on; what it computes has the age of what it read.
  void put_in_background(StageMask stages);  // after the plan: readers do not wait for these
  /// Everything the stage writes has a value that is not too old.
  bool can_be_late(int stage, int64_t max_age) const;
  bool started(int stage);              // its inputs were taken
  int64_t flight_age(int stage) const;  // of what is on the way
  bool landed(int stage);               // writes its outputs, in this frame
  void give_up(int stage) { flying_ &= ~(StageMask{1} << stage); }
  /// Stages that landed in this frame and that the plan has fire: nothing but another flight can do that.
  StageMask again() const;
  StageMask flying() const { return flying_; }  // started, not yet landed

  Decision decision(int stage) const { return decisions_[stage]; }
  /// Stages that must have run (or rested) before this one, this frame; bit kImageBit: the image.
  StageMask waits_for(int stage) const { return waits_[stage]; }
  static constexpr StageMask kImageBit = StageMask{1} << kMaxStages;

  /// Slot that an input of a firing stage, or its clock's signal, is read from; -1 where there is no value.
  int read_slot(int stage, int input) const;
  int signal_slot(int stage) const;
  /// Slot that the stage's outputs go to; the same before and after `fired`.
  int write_slot(int tensor) const;
  int newest_slot(int tensor) const { return tensors_[tensor].head; }
  bool has_value(int tensor) const { return tensors_[tensor].count > 0; }
  bool is_fresh(int tensor) const { return tensors_[tensor].fresh; }

  bool has_reference(int stage) const { return stages_[stage].reference; }
  /// What the signal of an adaptive clock must reach on this frame: the clock's own threshold, as paced.
  double threshold(int stage) const { return schedule_->clocks[stage].threshold * stages_[stage].factor; }
  /// Records that the image was written, or that a stage ran. False: another stage wrote the tensor this frame.
  bool image_written();
  bool fired(int stage);
  void finish();  // ends the frame

  int64_t stage_age(int stage) const;  // frames; -1 where it has not fired since the reset
  Origin origin(int tensor) const { return tensors_[tensor].origins[tensors_[tensor].head]; }
  Origin now() const { return now_; }
  uint64_t frames() const { return frames_; }
  const char* problem() const { return problem_; }
  int problem_tensor() const { return problem_tensor_; }

 private:
  struct TensorState {
    int slots = 1, head = 0, count = 0;
    bool fresh = false;
    std::vector<Origin> origins;  // by slot
  };
  struct StageState {
    bool fired_once = false, reference = false;
    uint64_t history = 0;  // bit k: fired k + 1 frames ago
    bool fired_now = false;
    double factor = 1.0;  // of the threshold
    Origin origin;
  };

  bool guard_holds(const Clock& clock) const;
  bool input_delayed(int stage, int input) const;
  bool signal_delayed(int stage) const;
  bool has_earlier(int tensor) const;
  int slot_back(int tensor, int back) const;
  int first_missing() const;
  bool missing(int tensor) const;
  bool fill_missing();
  bool refresh(int tensor, int64_t max_age);
  int only_writer(int tensor) const;
  bool origin_of(int stage, Origin* origin);
  Decision decide(int stage) const;
  Decision decide_by_clock(int stage) const;
  bool spent(int stage) const;
  void order();
  bool write(int tensor, Origin origin);
  bool fail(const char* problem, int tensor);

  const Graph& graph_;
  const Schedule* schedule_ = nullptr;  // of the last plan
  const Schedule* in_force_ = nullptr;
  StageMask forced_ = 0, aged_ = 0, early_ = 0, background_ = 0, flying_ = 0, landed_ = 0;
  std::vector<Origin> flights_;  // by stage
  std::vector<TensorState> tensors_;
  std::vector<StageState> stages_;
  std::vector<Decision> decisions_;
  std::vector<StageMask> waits_;
  Origin now_;
  uint64_t frames_ = 0;
  const char* problem_ = "";
  int problem_tensor_ = -1;
};

/// Versions of each tensor that must be kept so that every one of the schedules can be played.
std::vector<int> slots_needed(const Graph& graph, const std::vector<Schedule>& schedules);

}  // namespace evss
