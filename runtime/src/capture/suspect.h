// Notices pictures that do not show a scene: the same bytes again and again, black, the green of an unwritten buffer.
#pragma once

#include <cstdint>

#include "edge_vss.h"

namespace evss::capture {

/// Looks at some 4000 bytes of a frame, spread over all of it: microseconds, whatever its size. One per stream.
class Suspicion {
 public:
  /// Identical frames in a row before the stream counts as frozen: the sixth one is flagged. A real sensor is never
  /// that quiet, and neither are the colour bars of `test:`, which hold a field of noise.
  static constexpr uint32_t kFrozenAfter = 5;

  /// Bits of evss_suspect.
  uint32_t look(const evss_frame& frame);

 private:
  uint64_t sum_ = 0;
  uint32_t repeats_ = 0;
};

}  // namespace evss::capture
