// Sequence numbers and times of a stream that go on when its pipeline is built anew.
#pragma once

#include <cstdint>

namespace evss::capture {

class Numbering {
 public:
  struct Number {
    uint64_t sequence;
    int64_t pts_us;
    uint64_t missed;  ///< frames that the camera counted since the last one, but that never came
  };

  /// The next frame. `offset`: the camera's own count, -1 where it has none; `time_ns`: of a clock that goes on.
  Number next(int64_t offset, int64_t time_ns);
  /// A new pipeline: the camera may count from anywhere.
  void restart() { last_offset_ = -1; }

 private:
  // A camera's count that jumps further than this is not a count.
  static constexpr int64_t kMaxJump = 1000;

  bool started_ = false;
  uint64_t sequence_ = 0;
  int64_t first_ns_ = 0, last_us_ = -1, last_offset_ = -1;
};

}  // namespace evss::capture
