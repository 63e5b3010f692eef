// One frame after the other: which stages fire is Clockwork's say, this runs them, side by side where delays allow it.
#pragma once

#include <memory>
#include <vector>

#include "clocks.h"
#include "crew.h"
#include "governor.h"
#include "stages.h"

namespace evss {

class Scheduler {
 public:
  struct StageRun {
    int fired = 0;                    // bits of evss_fired
    double ms = 0.0, begin_ms = 0.0;  // begin on the clock of now_ms()
    double change = -1.0;             // signal of its adaptive clock, -1 where there is none
  };

  /// `workers`: threads beside the calling one that may run stages.
  Scheduler(const Graph& graph, std::vector<Schedule> schedules, Stages& stages, const std::vector<int>& slots,
            int workers);

  void set_schedule(int index);
  /// Has a governor choose the schedule from the next frame on; `background`: stages may run there. May allocate.
  void set_deadline(const Deadline& deadline, bool background);
  Governor& governor() { return governor_; }
  const Schedule& schedule() const { return schedules_[current_]; }
  size_t current() const { return current_; }
  void reset();
  /// Where the picture lies in the network's input, as (top, left, bottom, right) shares in [0, 1].
  void set_valid(double top, double left, double bottom, double right);

  /// Runs one frame. `write_image(slot)` fills the image tensor; it runs on this thread, beside stages that do not wait
  /// for the image. False: `status` says what failed; the state has been reset.
  template <class WriteImage>
  bool run(uint64_t sequence, int64_t pts_us, const WriteImage& write_image, Status* status) {
    return run_frame(
        sequence, pts_us,
        [](const void* context, int slot) { return (*static_cast<const WriteImage*>(context))(slot); }, &write_image,
        status);
  }

  const Clockwork& clockwork() const { return clockwork_; }
  const std::vector<StageRun>& runs() const { return runs_; }
  double engines_ms() const { return last_end_ms_ > first_begin_ms_ ? last_end_ms_ - first_begin_ms_ : 0.0; }

 private:
  using ImageWriter = bool (*)(const void* context, int slot);
  struct Reference {
    std::vector<char> value, current;  // host copies; `current` only where the backend's memory is elsewhere
  };

  bool run_frame(uint64_t sequence, int64_t pts_us, ImageWriter write_image, const void* context, Status* status);
  bool zero_states();
  bool plan();
  bool settle_clocks();
  bool land(bool wait, Status* status);
  bool start_in_background();
  void give_up_background();
  bool decide(int stage, const void* value);
  const void* signal_value(int stage);
  double change(int stage, const void* value) const;
  int next_ready() const;
  bool finish_job(const Job& job, Status* status);
  bool abandon(Status* status, const char* problem);

  const Graph& graph_;
  std::vector<Schedule> schedules_;
  Stages& stages_;
  Clockwork clockwork_;
  Crew crew_;
  Governor governor_;
  std::unique_ptr<Background> background_;  // where there is a deadline
  size_t current_ = 0;
  std::vector<StageRun> runs_;
  std::vector<Job> jobs_;
  std::vector<Reference> references_;
  std::vector<char> zeros_;
  bool zeroed_ = false;  // states that reset to zero hold zeros, or what came after
  double valid_[4] = {0.0, 0.0, 1.0, 1.0};
  StageMask pending_ = 0;  // not yet run or rested; with Clockwork::kImageBit
  StageMask started_ = 0;
  StageMask decided_ = 0;  // adaptive clocks that have spoken
  StageMask later_ = 0;    // to be started in the background
  double first_begin_ms_ = 0.0, last_end_ms_ = 0.0;
};

}  // namespace evss
