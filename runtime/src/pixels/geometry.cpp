#include "geometry.h"

#include <algorithm>

namespace evss {
namespace {

int round_half_up(int64_t numerator, int64_t denominator) {
  return static_cast<int>((2 * numerator + denominator) / (2 * denominator));
}

Rect centred(int width, int height, int inside_width, int inside_height) {
  return {(inside_width - width) / 2, (inside_height - height) / 2, width, height};
}

Rect letterbox_rect(int64_t sw, int64_t sh, int64_t nw, int64_t nh) {
  const bool full_width = sw * nh >= sh * nw;
  const int width = full_width ? static_cast<int>(nw) : std::max(1, round_half_up(sw * nh, sh));
  const int height = full_width ? std::max(1, round_half_up(sh * nw, sw)) : static_cast<int>(nh);
  return centred(width, height, static_cast<int>(nw), static_cast<int>(nh));
}

Rect crop_rect(int64_t sw, int64_t sh, int64_t nw, int64_t nh) {
  const bool full_height = sw * nh >= sh * nw;
  const int width =
      full_height ? std::clamp(round_half_up(nw * sh, nh), 1, static_cast<int>(sw)) : static_cast<int>(sw);
  const int height =
      full_height ? static_cast<int>(sh) : std::clamp(round_half_up(nh * sw, nw), 1, static_cast<int>(sh));
  return centred(width, height, static_cast<int>(sw), static_cast<int>(sh));
}

}  // namespace

// Out of line, so that every caller gets this file's -ffp-contract=off.
double AxisMap::at(double position) const { return position * scale + offset; }

AxisMap compose(AxisMap outer, AxisMap inner) {
  return {outer.scale * inner.scale, inner.offset * outer.scale + outer.offset};
}

AxisMap resize_axis(int from_begin, int from_size, int to_begin, int to_size) {
  const double scale = static_cast<double>(from_size) / to_size;
  return {scale, (0.5 - to_begin) * scale + (from_begin - 0.5)};
}

FitGeometry fit_geometry(int source_height, int source_width, int network_height, int network_width, Fit fit) {
  FitGeometry g;
  g.source_width = source_width, g.source_height = source_height;
  g.network_width = network_width, g.network_height = network_height;
  g.source_rect = {0, 0, source_width, source_height};
  g.network_rect = {0, 0, network_width, network_height};
  if (fit == Fit::kLetterbox)
    g.network_rect = letterbox_rect(source_width, source_height, network_width, network_height);
  if (fit == Fit::kCrop) g.source_rect = crop_rect(source_width, source_height, network_width, network_height);
  const Rect &s = g.source_rect, &n = g.network_rect;
  g.network_to_source_x = resize_axis(s.x, s.width, n.x, n.width);
  g.network_to_source_y = resize_axis(s.y, s.height, n.y, n.height);
  g.source_to_network_x = resize_axis(n.x, n.width, s.x, s.width);
  g.source_to_network_y = resize_axis(n.y, n.height, s.y, s.height);
  return g;
}

AxisMap network_to_grid(int network_size, int grid_size, CornerRule rule) {
  if (rule == CornerRule::kHalfPixel) return resize_axis(0, grid_size, 0, network_size);
  if (network_size == 1) return {0.0, 0.0};
  return {static_cast<double>(grid_size - 1) / (network_size - 1), 0.0};
}

}  // namespace evss
