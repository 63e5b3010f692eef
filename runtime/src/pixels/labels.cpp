#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels.h"
#include "pixels.h"

namespace evss {
namespace {

std::vector<int32_t> nearest_table(AxisMap map, int out_size, int grid_size) {
  std::vector<int32_t> table;
  for (int i = 0; i < out_size; ++i)
    table.push_back(static_cast<int32_t>(std::floor(std::clamp(map.at(i), 0.0, grid_size - 1.0) + 0.5)));
  return table;
}

template <class T>
void resize_rows(const LabelResizerConfig& c, const std::vector<int32_t>& rows, const std::vector<int32_t>& columns,
                 const void* grid, uint8_t* labels, ptrdiff_t stride, int row_begin, int row_end) {
  for (int y = row_begin; y < row_end; ++y) {
    const T* from = static_cast<const T*>(grid) + static_cast<ptrdiff_t>(rows[y]) * c.grid_width;
    uint8_t* to = labels + y * stride;
    if (y > row_begin && rows[y] == rows[y - 1]) {
      std::memcpy(to, to - stride, c.out_width);
    } else {
      for (int x = 0; x < c.out_width; ++x) to[x] = static_cast<uint8_t>(from[columns[x]]);
    }
  }
}

double tree_sum(double* sums) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

size_t size_of(LabelType type) { return type == LabelType::kUint8 ? 1 : type == LabelType::kInt32 ? 4 : 8; }

}  // namespace

std::unique_ptr<LabelResizer> LabelResizer::create(const LabelResizerConfig& config, std::string* error) {
  const auto bad = [](int size) { return size < 1 || size > 32768; };
  if (bad(config.grid_width) || bad(config.grid_height) || bad(config.out_width) || bad(config.out_height)) {
    *error = "sizes must be in 1 ... 32768";
    return nullptr;
  }
  for (double value :
       {config.x_to_grid.scale, config.x_to_grid.offset, config.y_to_grid.scale, config.y_to_grid.offset})
    if (!std::isfinite(value)) {
      *error = "axis maps must be finite";
      return nullptr;
    }
  auto resizer = std::make_unique<LabelResizer>();
  resizer->config_ = config;
  resizer->columns_ = nearest_table(config.x_to_grid, config.out_width, config.grid_width);
  resizer->rows_ = nearest_table(config.y_to_grid, config.out_height, config.grid_height);
  return resizer;
}

void LabelResizer::run(const void* grid, uint8_t* labels, ptrdiff_t label_stride, int row_begin, int row_end) const {
  const auto resize = config_.type == LabelType::kUint8   ? resize_rows<uint8_t>
                      : config_.type == LabelType::kInt32 ? resize_rows<int32_t>
                                                          : resize_rows<int64_t>;
  resize(config_, rows_, columns_, grid, labels, label_stride, row_begin, row_end);
}

Palette::Palette(const uint8_t* rgb, int count, double alpha)
    : tint_(256 * kOverlayBlock * 3, 128),
      count_(std::clamp(count, 0, 256)),
      share_(static_cast<int>(std::floor(std::clamp(alpha, 0.0, 1.0) * 256 + 0.5))) {
  uint16_t* tint = tint_.data();
  for (int label = 0; label < count_; ++label)
    for (int pixel = 0; pixel < kOverlayBlock; ++pixel)
      for (int c = 0; c < 3; ++c) *tint++ = static_cast<uint16_t>(rgb[3 * label + c] * share_ + 128);
}

void overlay(const Palette& palette, const OverlayArgs& args, int row_begin, int row_end, Isa isa) {
  const OverlayTable table = {palette.tint_.data(), palette.count_, palette.share_};
  const Kernels& k = kernels(isa);
  for (int y = row_begin; y < row_end; ++y)
    k.overlay_row(table, args.labels + y * args.label_stride, args.image + y * args.image_stride,
                  args.image_order == ChannelOrder::kBgr, args.out + y * args.out_stride, args.width);
}

int64_t count_changed(LabelType type, const void* a, ptrdiff_t a_stride, const void* b, ptrdiff_t b_stride, Rect valid,
                      Isa isa) {
  const auto count = kernels(isa).count_changed[static_cast<int>(type)];
  const ptrdiff_t size = size_of(type);
  int64_t total = 0;
  for (int y = valid.y; y < valid.y + valid.height; ++y)
    total += count(static_cast<const char*>(a) + (y * a_stride + valid.x) * size,
                   static_cast<const char*>(b) + (y * b_stride + valid.x) * size, valid.width);
  return total;
}

double relative_change(const float* a, const float* b, size_t count, Isa isa) {
  double difference[16] = {}, magnitude[16] = {};
  const size_t whole = count / 16 * 16;
  kernels(isa).absolute_sums(a, b, whole, difference, magnitude);
  for (size_t i = whole; i < count; ++i) {
    difference[i - whole] += std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    magnitude[i - whole] += std::fabs(static_cast<double>(b[i]));
  }
  const double changed = tree_sum(difference), size = tree_sum(magnitude);
  if (size == 0.0) return changed == 0.0 ? 0.0 : std::numeric_limits<double>::infinity();
  return changed / size;
}

}  // namespace evss
