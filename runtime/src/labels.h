// An output tensor -> a label map of the size that the caller wants.
#pragma once

#include <memory>
#include <vector>

#include "engines/engine.h"
#include "manifest.h"
#include "pixels/pixels.h"

namespace evss {

class LabelMaker {
 public:
  /// `tensor` is the output tensor as the variant stores it; all three must outlive this.
  LabelMaker(const OutputSpec& spec, const TensorDesc& tensor, Backend& backend);

  /// Tables and buffers for a size of frame; the only place that allocates. Throws Error.
  void fit_to(const FitGeometry& fit, bool network_size);
  /// The tensor at `memory` as the host can read it; nullptr: it could not be copied from the device.
  const void* host_value(void* memory);
  /// Makes the label map from a host value. False: scores that decide a label are not finite.
  bool run(const void* value, ParallelFor& pool);

  const OutputSpec& spec() const { return *spec_; }
  const uint8_t* labels() const { return labels_.data(); }
  uint8_t* labels() { return labels_.data(); }
  int height() const { return height_; }
  int width() const { return width_; }

 private:
  void make_resizer(AxisMap x, AxisMap y);
  void make_upsampler(AxisMap x, AxisMap y);

  const OutputSpec* spec_;
  const TensorDesc* tensor_;
  Backend* backend_;
  int grid_height_ = 0, grid_width_ = 0;
  std::unique_ptr<ScoreUpsampler> upsampler_;
  std::unique_ptr<LabelResizer> resizer_;
  std::vector<uint8_t> labels_, grid_;  // the label map; labels of the score grid, for nearest upsampling
  std::vector<char> host_;              // copy of the tensor, where the backend's memory is elsewhere
  std::vector<float> widened_;          // float16 scores as float32
  int height_ = 0, width_ = 0;
};

}  // namespace evss
