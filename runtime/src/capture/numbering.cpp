#include "numbering.h"

#include <algorithm>

namespace evss::capture {

Numbering::Number Numbering::next(int64_t offset, int64_t time_ns) {
  const int64_t jump = offset >= 0 && last_offset_ >= 0 ? offset - last_offset_ : 1;
  const int64_t step = jump >= 1 && jump <= kMaxJump ? jump : 1;
  last_offset_ = offset;
  if (!started_) first_ns_ = time_ns;
  sequence_ += started_ ? static_cast<uint64_t>(step) : 0;
  const uint64_t missed = started_ ? static_cast<uint64_t>(step - 1) : 0;
  started_ = true;
  last_us_ = std::max((time_ns - first_ns_ + 500) / 1000, last_us_ + 1);
  return {sequence_, last_us_, missed};
}

}  // namespace evss::capture
