#include "tables.h"

#include <algorithm>
#include <cmath>

namespace evss {
namespace {

int16_t q13(double coefficient) { return static_cast<int16_t>(std::floor(coefficient * 8192.0 + 0.5)); }

}  // namespace

int plane_count(PixelFormat format) { return format == PixelFormat::kI420 ? 3 : format == PixelFormat::kNv12 ? 2 : 1; }

int plane_row_bytes(PixelFormat format, int plane, int width) {
  const int half = (width + 1) / 2;
  switch (format) {
    case PixelFormat::kNv12:
      return plane == 0 ? width : 2 * half;
    case PixelFormat::kI420:
      return plane == 0 ? width : half;
    case PixelFormat::kYuyv:
      return 4 * half;
    case PixelFormat::kGrey:
      return width;
    default:
      return 3 * width;
  }
}

int plane_rows(PixelFormat format, int plane, int height) {
  (void)format;
  return plane == 0 ? height : (height + 1) / 2;
}

bool is_yuv(PixelFormat format) {
  return format == PixelFormat::kNv12 || format == PixelFormat::kI420 || format == PixelFormat::kYuyv;
}

Components components(PixelFormat format) {
  switch (format) {
    case PixelFormat::kNv12:
      return {3, {{0, 0, 1, false, false}, {1, 0, 2, true, true}, {1, 1, 2, true, true}}};
    case PixelFormat::kI420:
      return {3, {{0, 0, 1, false, false}, {1, 0, 1, true, true}, {2, 0, 1, true, true}}};
    case PixelFormat::kYuyv:
      return {3, {{0, 0, 2, false, false}, {0, 1, 4, true, false}, {0, 3, 4, true, false}}};
    case PixelFormat::kRgb:
      return {3, {{0, 0, 3, false, false}, {0, 1, 3, false, false}, {0, 2, 3, false, false}}};
    case PixelFormat::kBgr:
      return {3, {{0, 2, 3, false, false}, {0, 1, 3, false, false}, {0, 0, 3, false, false}}};
    default:
      return {1, {{0, 0, 1, false, false}}};
  }
}

ColourCoefficients colour_coefficients(ColourMatrix matrix, ColourRange range) {
  const double kr = matrix == ColourMatrix::kBt601 ? 0.299 : 0.2126;
  const double kb = matrix == ColourMatrix::kBt601 ? 0.114 : 0.0722;
  const double kg = 1.0 - kr - kb;
  const bool limited = range == ColourRange::kLimited;
  const double luma = limited ? 255.0 / 219.0 : 1.0;
  const double chroma = limited ? 255.0 / 224.0 : 1.0;
  ColourCoefficients k;
  k.black = limited ? 16 << kFraction : 0;
  k.gain = q13(2.0 * luma);
  k.kr = q13(2.0 * (1.0 - kr) * chroma);
  k.kgb = q13(-2.0 * (1.0 - kb) * kb / kg * chroma);
  k.kgr = q13(-2.0 * (1.0 - kr) * kr / kg * chroma);
  k.kb = q13(2.0 * (1.0 - kb) * chroma);
  return k;
}

int32_t quantised_level(double level) { return static_cast<int32_t>(std::floor(level * 128.0 + 0.5)); }

StoreArgs store_args(const PreprocessConfig& config, int channel) {
  StoreArgs args;
  args.mean = quantised_level(config.mean[channel]);
  args.factor = static_cast<float>(1.0 / (128.0 * config.stddev[channel]));
  args.scale = config.scale;
  args.zero_point = config.zero_point;
  args.step = config.layout == Layout::kNchw ? 1 : 3;
  args.stream = sizeof(float) * 3 * config.network_width * config.network_height >= kStreamBytes;
  return args;
}

AxisTable axis_table(AxisMap map, int begin, int count, int first, int last, bool half) {
  AxisTable table;
  for (int i = 0; i < count; ++i) {
    double position = map.at(begin + i);
    if (half) position = position * 0.5 - 0.25;
    position = std::clamp(position, static_cast<double>(first), static_cast<double>(last));
    int low = static_cast<int>(std::floor(position));
    int weight = static_cast<int>(std::floor((position - low) * 32768.0 + 0.5));
    if (weight == 32768) ++low, weight = 0;
    table.low.push_back(low);
    table.high.push_back(weight == 0 ? low : low + 1);
    table.weight.push_back(static_cast<int16_t>(weight));
  }
  return table;
}

GatherTable::GatherTable(const AxisTable& axis, int step, int max_offset, int row_bytes, int shuffle_bytes) {
  const size_t count = axis.low.size(), padded = (count + kPaddedTo - 1) / kPaddedTo * kPaddedTo;
  for (size_t i = 0; i < padded; ++i) {
    const size_t from = std::min(i, count - 1);
    left_.push_back(axis.low[from] * step);
    right_.push_back(axis.high[from] * step);
    weight_.push_back(axis.weight[from]);
  }
  if (shuffle_bytes > 0) plan_windows(max_offset, row_bytes, shuffle_bytes);
}

void GatherTable::plan_windows(int max_offset, int row_bytes, int shuffle_bytes) {
  const int group = shuffle_bytes / 2;
  int span = 0;
  for (size_t i = 0; i < left_.size(); i += group)
    span = std::max(span, *std::max_element(&right_[i], &right_[i] + group) - left_[i] + 1);
  const int windows = (span + shuffle_bytes - 1) / shuffle_bytes;
  if (windows > kMaxWindows || windows * shuffle_bytes + max_offset > row_bytes) return;
  index_windows(windows, max_offset, row_bytes, shuffle_bytes);
}

// Windows that would reach past the row's end start earlier, so that no byte outside the row is ever read.
void GatherTable::index_windows(int windows, int max_offset, int row_bytes, int shuffle_bytes) {
  const int group = shuffle_bytes / 2, last_first = row_bytes - max_offset - windows * shuffle_bytes;
  windows_ = windows;
  for (size_t i = 0; i < left_.size(); ++i) {
    if (i % group == 0) first_.push_back(std::min(left_[i], last_first));
    index_.push_back(static_cast<uint8_t>(left_[i] - first_.back()));
    index_.push_back(static_cast<uint8_t>(right_[i] - first_.back()));
  }
}

GatherPlan GatherTable::view() const {
  return {windows_, first_.data(), index_.data(), left_.data(), right_.data(), weight_.data()};
}

}  // namespace evss
