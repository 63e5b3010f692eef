// How a camera frame is fitted into the network's input, and the way back.
//
// All coordinates are pixel centres: pixel 0 lies at 0.0 and covers [-0.5, 0.5). Every rule below is stated in
// integers or in doubles with one rounding per written operation (no fused multiply-add), so Python gets the same bits.
#pragma once

#include <cstdint>

namespace evss {

/// How a source of another aspect ratio goes into the network's input.
enum class Fit : uint8_t {
  kStretch,    // each axis by its own factor
  kLetterbox,  // all of the source, aspect ratio kept, centred, the rest padded
  kCrop,       // the largest centred part of the source that has the network's aspect ratio
};

/// Half-open rectangle [x, x + width) x [y, y + height) in pixels.
struct Rect {
  int x = 0, y = 0, width = 0, height = 0;
};

/// position -> position * scale + offset, along one axis.
struct AxisMap {
  double scale = 1.0, offset = 0.0;
  double at(double position) const;
};

/// outer(inner(x)): scale = outer.scale * inner.scale, offset = inner.offset * outer.scale + outer.offset.
AxisMap compose(AxisMap outer, AxisMap inner);

/// Maps one rectangle's axis [to_begin, to_begin + to_size) onto another's with aligned edges (half-pixel centres):
/// scale = from_size / to_size, offset = (0.5 - to_begin) * scale + (from_begin - 0.5).
AxisMap resize_axis(int from_begin, int from_size, int to_begin, int to_size);

/// `source_rect` of the frame fills `network_rect` of the network's input; both lie inside their images.
///
/// stretch: both are everything.
/// letterbox: source_rect is everything; the tighter axis of network_rect is full, the other is
///   max(1, round_half_up(source_other * network_tight / source_tight)), centred (floor of half the rest before it).
/// crop: network_rect is everything; one axis of source_rect is full, the other is
///   clamp(round_half_up(network_other * source_full / network_full), 1, source_other), centred in the same way.
/// The interpolation never reads outside source_rect (chroma: outside the chroma samples that overlap it).
struct FitGeometry {
  int source_width = 0, source_height = 0;
  int network_width = 0, network_height = 0;
  Rect source_rect, network_rect;
  AxisMap network_to_source_x, network_to_source_y;
  AxisMap source_to_network_x, source_to_network_y;
};

/// Sizes in pixels, all > 0 and at most 32768.
FitGeometry fit_geometry(int source_height, int source_width, int network_height, int network_width, Fit fit);

/// Where the samples of a score grid lie on the network's input.
enum class CornerRule : uint8_t {
  kHalfPixel,     // edges aligned: grid = (x + 0.5) * grid_size / network_size - 0.5
  kAlignCorners,  // first and last sample on the first and last pixel: grid = x * (grid_size - 1) / (network_size - 1)
};

/// Network pixel -> score grid sample along one axis. Half pixel: resize_axis(0, grid_size, 0, network_size);
/// aligned corners: scale = (grid_size - 1) / (network_size - 1), or 0 for one pixel, offset = 0.
AxisMap network_to_grid(int network_size, int grid_size, CornerRule rule);

}  // namespace evss
