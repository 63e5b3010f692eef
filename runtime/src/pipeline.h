// A loaded bundle that takes frames: pre-processing, the scheduler, and the label maps.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bundle.h"
#include "labels.h"
#include "pixel_stages.h"
#include "scheduler.h"
#include "stages.h"

namespace evss {

struct PipelineOptions {
  int threads = 0;            // 0 = one per core
  int realtime_priority = 0;  // SCHED_RR of its threads and of the loop's; 0 = as the caller
  bool network_size = false;
  double deadline_ms = 0.0;                  // 0 = none
  int64_t max_age = 0;                       // frames; 0 = the bundle's
  bool background = true;                    // a stage may run there for the deadline
  std::string schedule, backend, precision;  // empty = automatic
  BackendOptions backend_options;
};

class Pipeline {
 public:
  /// Throws Error.
  Pipeline(const std::string& path, const PipelineOptions& options);

  evss_status send(const evss_frame& frame, std::string* why);
  evss_status receive(evss_result* result);
  void finish() { finished_ = true; }
  /// `flags` are those of the next result, beside EVSS_FLAG_RESET.
  void reset(uint32_t flags = 0);
  /// Loads the next variant that fits what was asked for. False: there is none that works, and nothing changed.
  bool next_variant(std::string* why_not);
  size_t num_stages() const { return result_stages_.size(); }
  int realtime_priority() const { return options_.realtime_priority; }
  void set_schedule(const std::string& name);  // throws Error
  void set_deadline(double ms, int64_t max_age);
  void read_tensor(const std::string& name, void* out, size_t bytes);  // throws Error
  void info(evss_info* info) const;

 private:
  struct Names {
    std::vector<const char*> classes;
    std::vector<uint8_t> colours;
  };

  void load(size_t first_variant);
  void describe();
  Deadline deadline() const;
  void fit_to(const FrameView& view);
  bool compute(const FrameView& view, const evss_frame& frame, Status* status);
  bool load_image(const FrameView& view, int slot, bool alone, Status* status);
  bool make_labels(bool* good, Status* status);
  bool make_label(size_t output, bool* finite, Status* status);
  void fill_result(const evss_frame& frame, double begin_ms);
  void judge();

  Bundle bundle_;
  PipelineOptions options_;
  const Variant* variant_ = nullptr;
  bool network_size_ = false;
  int threads_ = 1;
  std::unique_ptr<Stages> stages_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<ParallelFor> pool_;
  std::unique_ptr<Preprocessor> preprocessor_;
  std::unique_ptr<PixelStages> pixel_stages_;  // where the variant has them
  bool staged_ = false;                        // whether this frame goes through them
  InputType image_type_ = InputType::kFloat32;
  std::vector<char> image_;  // where the backend's memory is elsewhere
  std::vector<LabelMaker> outputs_;

  bool pending_ = false, finished_ = false, after_reset_ = true, seen_ = false;
  uint32_t reset_flags_ = 0;
  uint64_t last_sequence_ = 0, refused_ = 0;
  int64_t last_pts_us_ = 0;
  double pre_ms_ = 0.0, pre_begin_ms_ = 0.0;
  int asked_ = 0;  // number of the schedule that was asked for
  evss_result result_{};
  char reasons_[256] = {0};
  std::vector<evss_label_map> result_outputs_;
  std::vector<evss_stage_result> result_stages_;
  std::vector<double> stage_begin_ms_;

  std::vector<evss_stage_info> stage_infos_;
  std::vector<evss_output_info> output_infos_;
  std::vector<Names> names_;
  std::vector<const char*> schedule_names_;
  std::deque<std::string> backend_versions_;  // of every variant so far: what evss_info points to stays
};

}  // namespace evss
