#include "scene_cut.h"

#include <algorithm>
#include <cmath>

namespace evss {

namespace {

constexpr uint32_t kGrid = 64;

// Luma, or what comes near it, of one pixel.
int luma(const evss_frame& frame, uint32_t y, uint32_t x) {
  const uint8_t* row = frame.planes[0] + static_cast<size_t>(y) * frame.strides[0];
  switch (frame.format) {
    case EVSS_RGB:
      return (77 * row[3 * x] + 150 * row[3 * x + 1] + 29 * row[3 * x + 2]) >> 8;
    case EVSS_BGR:
      return (29 * row[3 * x] + 150 * row[3 * x + 1] + 77 * row[3 * x + 2]) >> 8;
    case EVSS_YUYV:
      return row[2 * x];
    default:
      return row[x];
  }
}

}  // namespace

// Each pixel counts in the two bins that its level lies between, so that a small change of exposure is a small
// distance.
SceneCut::Histogram SceneCut::histogram(const evss_frame& frame) {
  Histogram found{};
  const uint32_t rows = std::min(kGrid, frame.height), columns = std::min(kGrid, frame.width);
  const float one = 1.0f / static_cast<float>(rows * columns);
  for (uint32_t i = 0; i < rows; ++i) {
    const uint32_t y = (2 * i + 1) * frame.height / (2 * rows);
    for (uint32_t j = 0; j < columns; ++j) {
      const uint32_t x = (2 * j + 1) * frame.width / (2 * columns);
      const float place = static_cast<float>(luma(frame, y, x)) * (kBins - 1) / 255.0f;
      const int bin = std::min(static_cast<int>(place), kBins - 2);
      const float share = place - static_cast<float>(bin);
      found[static_cast<size_t>(bin)] += one * (1.0f - share);
      found[static_cast<size_t>(bin) + 1] += one * share;
    }
  }
  return found;
}

bool SceneCut::look(const evss_frame& frame) {
  if (threshold_ <= 0.0) return false;
  const Histogram now = histogram(frame);
  double apart = 0.0;
  for (size_t i = 0; i < now.size(); ++i) apart += std::abs(now[i] - last_[i]);
  distance_ = seen_ ? apart / 2.0 : 0.0;
  seen_ = true;
  last_ = now;
  return distance_ >= threshold_;
}

}  // namespace evss
