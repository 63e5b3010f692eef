// Interpolation tables of the pre-processing, shared by the kernels' driver and by the plain reference.
#pragma once

#include <cstdint>
#include <vector>

#include "geometry.h"
#include "kernels.h"
#include "pixels.h"

namespace evss {

/// Steps 1 of pixels.h for every output of one axis: samples `low` and `high` and the weight of `high` times 32768.
struct AxisTable {
  std::vector<int32_t> low, high;
  std::vector<int16_t> weight;
};

/// `count` outputs from `begin` on; positions are clamped to samples [first, last]. `half` is the chroma rule.
AxisTable axis_table(AxisMap map, int begin, int count, int first, int last, bool half);

/// Where the samples of one colour component lie.
struct Component {
  int plane;
  int offset;        // bytes of the first sample in its row
  int step;          // bytes from sample to sample
  bool half_width;   // one sample per two columns
  bool half_height;  // one sample per two rows
};

/// R, G, B · Y, U, V · Y: the components of a format, `count` of them.
struct Components {
  int count;
  Component part[3];
};
Components components(PixelFormat format);

bool is_yuv(PixelFormat format);
int32_t quantised_level(double level);  // floor(level * 128 + 0.5)
StoreArgs store_args(const PreprocessConfig& config, int channel);

/// Axis table times byte step, arranged for shuffles of `shuffle_bytes`; owns what `view` points to.
class GatherTable {
 public:
  GatherTable(const AxisTable& axis, int step, int max_offset, int row_bytes, int shuffle_bytes);
  GatherPlan view() const;

 private:
  void plan_windows(int max_offset, int row_bytes, int shuffle_bytes);
  void index_windows(int windows, int max_offset, int row_bytes, int shuffle_bytes);

  int windows_ = 0;
  std::vector<int32_t> first_, left_, right_;
  std::vector<uint8_t> index_;
  std::vector<int16_t> weight_;
};

}  // namespace evss
