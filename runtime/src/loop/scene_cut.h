// Notices that a picture shows another scene than the one before: the histograms of their luma have little in common.
#pragma once

#include <array>
#include <cstdint>

#include "edge_vss.h"

namespace evss {

class SceneCut {
 public:
  /// `threshold`: distance of two histograms, in (0, 1], that is a cut; 0 = never.
  explicit SceneCut(double threshold) : threshold_(threshold) {}

  /// Whether `frame` is the first one of another scene. Looks at a grid of at most 64 x 64 pixels.
  bool look(const evss_frame& frame);
  /// What comes next is compared with nothing.
  void forget() { seen_ = false; }
  /// Distance of the last two frames, in [0, 1]; 0 for the first one.
  double distance() const { return distance_; }

 private:
  static constexpr int kBins = 32;
  using Histogram = std::array<float, kBins>;
  static Histogram histogram(const evss_frame& frame);

  double threshold_;
  double distance_ = 0.0;
  bool seen_ = false;
  Histogram last_{};
};

}  // namespace evss
