// What a loop has seen: totals, and the times of the newest frames in a ring of fixed size.
#pragma once

#include <mutex>
#include <vector>

#include "edge_vss.h"

namespace evss {

class Recorder {
 public:
  Recorder(size_t kept, size_t stages);

  /// Counts the result of a frame; allocates nothing. `waited_ms`: for the time of the frame.
  void add(const evss_result& result, const evss_frame& frame, double waited_ms);
  uint64_t frames() const;
  void totals(evss_loop_stats* stats) const;
  /// Copies up to `count` records from frame number `first` on, the first one that is still kept where that is later;
  /// `first` becomes the number of the first record copied. `stages` has num_stages per record, may be null.
  size_t copy(uint64_t* first, size_t count, evss_frame_record* records, evss_stage_record* stages) const;

 private:
  mutable std::mutex mutex_;
  size_t num_stages_;
  std::vector<evss_frame_record> records_;
  std::vector<evss_stage_record> stages_;
  evss_loop_stats totals_{};
};

}  // namespace evss
