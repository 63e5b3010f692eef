#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace evss {
namespace {

int mulhrs(int a, int b) { return (a * b + (1 << 14)) >> 15; }
int round_half_up(double x) { return static_cast<int>(std::floor(x + 0.5)); }

struct Position {
  int index, weight;
};

Position position(double at, int first, int last) {
  at = std::min(std::max(at, static_cast<double>(first)), static_cast<double>(last));
  Position p = {static_cast<int>(std::floor(at)), 0};
  p.weight = round_half_up((at - p.index) * 32768.0);
  if (p.weight == 32768) p = {p.index + 1, 0};
  return p;
}

int lerp(int a, int b, int weight) { return a + mulhrs(b - a, weight); }

/// Level of one component at an output pixel; sample(row, column) reads a byte.
template <class Sample>
int level_at(Position y, Position x, const Sample& sample) {
  const auto horizontal = [&](int row) {
    const int a = sample(row, x.index), b = x.weight == 0 ? a : sample(row, x.index + 1);
    return lerp(a * 128, b * 128, x.weight);
  };
  const int upper = horizontal(y.index);
  return y.weight == 0 ? upper : lerp(upper, horizontal(y.index + 1), y.weight);
}

Position luma(double at, int begin, int size) { return position(at, begin, begin + size - 1); }
Position chroma(double at, int begin, int size) {
  return position(at * 0.5 - 0.25, begin / 2, (begin + size + 1) / 2 - 1);
}

struct Rgb {
  int level[3];
};

Rgb from_yuv(int y, int u, int v, const FrameView& frame) {
  const ColourCoefficients k = colour_coefficients(frame.matrix, frame.range);
  const int l = mulhrs(y - k.black, k.gain) - 8160, cb = (u - 16384) * 2, cr = (v - 16384) * 2;
  Rgb rgb = {{l + mulhrs(cr, k.kr), l + mulhrs(cb, k.kgb) + mulhrs(cr, k.kgr), l + mulhrs(cb, k.kb)}};
  for (int& level : rgb.level) level = (std::min(std::max(level, -8160), 8160) + 8160) * 2;
  return rgb;
}

Rgb rgb_at(const FrameView& f, const FitGeometry& g, int row, int column) {
  const double at_y = g.network_to_source_y.at(row), at_x = g.network_to_source_x.at(column);
  const Rect& r = g.source_rect;
  const Position y = luma(at_y, r.y, r.height), x = luma(at_x, r.x, r.width);
  const Position cy = chroma(at_y, r.y, r.height), cx = chroma(at_x, r.x, r.width);
  const auto part = [&](Position py, Position px, int plane, int step, int offset) {
    return level_at(py, px, [&](int i, int j) { return f.planes[plane][i * f.strides[plane] + j * step + offset]; });
  };
  switch (f.format) {
    case PixelFormat::kNv12:
      return from_yuv(part(y, x, 0, 1, 0), part(cy, cx, 1, 2, 0), part(cy, cx, 1, 2, 1), f);
    case PixelFormat::kI420:
      return from_yuv(part(y, x, 0, 1, 0), part(cy, cx, 1, 1, 0), part(cy, cx, 2, 1, 0), f);
    case PixelFormat::kYuyv:
      return from_yuv(part(y, x, 0, 2, 0), part(y, cx, 0, 4, 1), part(y, cx, 0, 4, 3), f);
    case PixelFormat::kRgb:
      return {{part(y, x, 0, 3, 0), part(y, x, 0, 3, 1), part(y, x, 0, 3, 2)}};
    case PixelFormat::kBgr:
      return {{part(y, x, 0, 3, 2), part(y, x, 0, 3, 1), part(y, x, 0, 3, 0)}};
    default: {
      const int grey = part(y, x, 0, 1, 0);
      return {{grey, grey, grey}};
    }
  }
}

float normalised(const PreprocessConfig& c, int channel, int level) {
  const float factor = static_cast<float>(1.0 / (128.0 * c.stddev[channel]));
  return static_cast<float>(level - round_half_up(c.mean[channel] * 128.0)) * factor;
}

int quantised(const PreprocessConfig& c, float value) {
  const double rounded = std::nearbyint(static_cast<double>(value / c.scale)) + c.zero_point;
  const double low = c.type == InputType::kInt8 ? -128.0 : 0.0;
  return static_cast<int>(std::min(std::max(rounded, low), low + 255.0));
}

void put(const PreprocessConfig& c, int channel, int y, int x, int level, void* dst) {
  const size_t w = c.network_width, h = c.network_height;
  const size_t at = c.layout == Layout::kNchw ? (channel * h + y) * w + x : (y * w + x) * 3 + channel;
  const float value = normalised(c, channel, level);
  if (c.type == InputType::kFloat32) static_cast<float*>(dst)[at] = value;
  if (c.type == InputType::kUint8) static_cast<uint8_t*>(dst)[at] = static_cast<uint8_t>(quantised(c, value));
  if (c.type == InputType::kInt8) static_cast<int8_t*>(dst)[at] = static_cast<int8_t>(quantised(c, value));
}

bool inside(const Rect& r, int y, int x) { return y >= r.y && y < r.y + r.height && x >= r.x && x < r.x + r.width; }

float score_at(const ScoreUpsamplerConfig& c, const void* scores, int channel, int y, int x) {
  const size_t at = (static_cast<size_t>(channel) * c.grid_height + y) * c.grid_width + x;
  if (c.type == ScoreType::kFloat32) return static_cast<const float*>(scores)[at];
  if (c.type == ScoreType::kUint8) return static_cast<const uint8_t*>(scores)[at];
  return static_cast<const int8_t*>(scores)[at];
}

struct Cell {
  int low, high;
  float w0, w1;
};

Cell cell(AxisMap map, int pixel, int grid_size) {
  const double at = std::min(std::max(map.at(pixel), 0.0), grid_size - 1.0);
  const int low = std::min(static_cast<int>(std::floor(at)), std::max(0, grid_size - 2));
  const float w1 = static_cast<float>(at - low);
  return {low, std::min(low + 1, grid_size - 1), 1.0f - w1, w1};
}

float interpolated(const ScoreUpsamplerConfig& c, const void* scores, int channel, Cell y, Cell x) {
  const float left =
      y.w0 * score_at(c, scores, channel, y.low, x.low) + y.w1 * score_at(c, scores, channel, y.high, x.low);
  const float right =
      y.w0 * score_at(c, scores, channel, y.low, x.high) + y.w1 * score_at(c, scores, channel, y.high, x.high);
  return x.w0 * left + x.w1 * right;
}

float ulps_between(float best, float second) {
  const float larger = std::max(std::fabs(best), std::fabs(second));
  const float ulp = std::nextafter(larger, std::numeric_limits<float>::infinity()) - larger;
  return (best - second) / ulp;
}

}  // namespace

void reference_preprocess(const PreprocessConfig& c, const FrameView& frame, void* dst) {
  const FitGeometry g = fit_geometry(c.source_height, c.source_width, c.network_height, c.network_width, c.fit);
  const int pad = round_half_up(c.pad * 128.0);
  for (int y = 0; y < c.network_height; ++y) {
    for (int x = 0; x < c.network_width; ++x) {
      const Rgb rgb = inside(g.network_rect, y, x) ? rgb_at(frame, g, y, x) : Rgb{{pad, pad, pad}};
      for (int i = 0; i < 3; ++i) put(c, i, y, x, rgb.level[c.order == ChannelOrder::kRgb ? i : 2 - i], dst);
    }
  }
}

void reference_upsample(const ScoreUpsamplerConfig& c, const void* scores, uint8_t* labels, float* gap) {
  for (int y = 0; y < c.out_height; ++y) {
    for (int x = 0; x < c.out_width; ++x) {
      const bool binary = c.kind == ScoreKind::kBinary;
      float best = binary ? c.threshold : -std::numeric_limits<float>::infinity(), second = best;
      int label = 0;
      for (int k = 0; k < c.channels; ++k) {
        if (std::find(c.ignored.begin(), c.ignored.end(), k) != c.ignored.end()) continue;
        const float score =
            interpolated(c, scores, k, cell(c.y_to_grid, y, c.grid_height), cell(c.x_to_grid, x, c.grid_width));
        second = std::max(second, std::min(score, best));
        if (score > best) best = score, label = binary ? 1 : k;
        if (binary) second = std::min(score, c.threshold);
      }
      const size_t at = static_cast<size_t>(y) * c.out_width + x;
      labels[at] = static_cast<uint8_t>(label);
      if (gap != nullptr) gap[at] = ulps_between(best, second);
    }
  }
}

void reference_overlay(const uint8_t* palette_rgb, int count, double alpha, const OverlayArgs& a) {
  const int share = round_half_up(alpha * 256.0);
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      const int label = a.labels[y * a.label_stride + x];
      const uint8_t* pixel = a.image + y * a.image_stride + 3 * x;
      uint8_t* out = a.out + y * a.out_stride + 3 * x;
      for (int i = 0; i < 3; ++i) {
        const int value = pixel[a.image_order == ChannelOrder::kRgb ? i : 2 - i];
        const int colour = label < count ? palette_rgb[3 * label + i] : value;
        out[i] = static_cast<uint8_t>((value * (256 - share) + colour * share + 128) >> 8);
      }
    }
  }
}

}  // namespace evss
