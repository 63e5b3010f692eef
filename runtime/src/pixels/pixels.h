// Pixel work around the network: camera planes in, network input out; scores in, label map out; overlay; change.
//
// Ownership: every pointer stays the caller's and is read or written only during the call. Objects are immutable after
// `create`, which does all allocation; their `run` allocates nothing, takes no lock and may be called from several
// threads at a time for different rows (see ParallelFor::rows). Rows are half-open [row_begin, row_end).
//
// Every function gives the same bits on every instruction set, for every slicing into rows and any thread count.
//
// ## Arithmetic of the pre-processing
// Levels are integers with 7 fractional bits, 0 ... 255 * 128. `mulhrs(a, b)` is (a * b + 2^14) >> 15 (floor).
//  1. Position of an output pixel, per axis: the double network_to_source.at(pixel), clamped to source_rect;
//     i = floor(position), w = floor((position - i) * 32768 + 0.5); if w == 32768: i + 1 and w = 0.
//     Chroma planes with half resolution are *centred* (JPEG, MPEG-1 siting) on their pixel pairs:
//     the position is p * 0.5 - 0.25, clamped to the samples that overlap source_rect. YUYV chroma: horizontally only.
//  2. Horizontal: h = a * 128 + mulhrs((b - a) * 128, wx), a and b being bytes i and i + 1 (w = 0: a alone).
//  3. Vertical: v = h0 + mulhrs(h1 - h0, wy).
//  4. YUV only: l = mulhrs(y - black, gain) - 8160; cb = (u - 16384) * 2; cr = (v - 16384) * 2;
//     r = l + mulhrs(cr, kr), g = l + mulhrs(cb, kgb) + mulhrs(cr, kgr), b = l + mulhrs(cb, kb);
//     level = (clamp(x, -8160, 8160) + 8160) * 2. Constants: ColourCoefficients.
//  5. float32 output: float(level - round(mean * 128)) * float(1 / (128 * std)), one rounding.
//     Quantised output: the float32 output f, then as ONNX QuantizeLinear: saturate(round_half_even(f / scale) + zp).
// Rounding of parameters is half up: floor(x + 0.5). Against exact arithmetic a level is off by less than 0.1.
//
// ## Arithmetic of the scores
// Position per axis: the double to_grid.at(pixel), clamped to [0, size - 1]; i = min(floor(position), max(0, size -
// 2)), w1 = float(position - i), w0 = 1 - w1 in float. Score = w0x * (w0y * a + w1y * c) + w1x * (w0y * b + w1y * d) in
// float32 with one rounding per operation (a b over c d are the corners). Weights are non-negative and rounding is
// monotone, so a class that leads at all four corners leads everywhere between them: such patches are filled. In
// the others only classes that can win are computed. Labels equal those of the plain computation except where the two
// best scores agree to the last few bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "geometry.h"
#include "isa.h"
#include "parallel.h"

namespace evss {

enum class PixelFormat : uint8_t { kNv12, kI420, kYuyv, kBgr, kRgb, kGrey };
enum class ColourMatrix : uint8_t { kBt601, kBt709 };
enum class ColourRange : uint8_t { kLimited, kFull };
enum class ChannelOrder : uint8_t { kRgb, kBgr };
enum class Layout : uint8_t { kNchw, kNhwc };
enum class InputType : uint8_t { kFloat32, kUint8, kInt8 };

/// Number of planes; bytes in a row of plane `plane`; rows in it. Odd sizes round chroma up.
int plane_count(PixelFormat format);
int plane_row_bytes(PixelFormat format, int plane, int width);
int plane_rows(PixelFormat format, int plane, int height);

/// One camera image. RGB/BGR: (height, width, 3); NV12: Y and interleaved UV; I420: Y, U, V; YUYV: Y0 U Y1 V; grey: Y.
struct FrameView {
  PixelFormat format = PixelFormat::kRgb;
  int width = 0, height = 0;                               // pixels
  const uint8_t* planes[3] = {nullptr, nullptr, nullptr};  // as many as plane_count(format)
  ptrdiff_t strides[3] = {0, 0, 0};                        // bytes from row to row; may be negative
  ColourMatrix matrix = ColourMatrix::kBt601;              // YUV only
  ColourRange range = ColourRange::kLimited;               // YUV only; grey is always full
};

/// Integer constants of step 4: `black` and `gain` in y, the others times 8192.
struct ColourCoefficients {
  int16_t black, gain, kr, kgb, kgr, kb;
};
/// gain = round(8192 * 2 * cy), k = round(8192 * c) with Kr, Kb = 0.299, 0.114 (BT.601) or 0.2126, 0.0722 (BT.709);
/// limited range: black = 16 * 128, cy = 255 / 219, chroma * 255 / 224.
ColourCoefficients colour_coefficients(ColourMatrix matrix, ColourRange range);

struct PreprocessConfig {
  PixelFormat format = PixelFormat::kRgb;     // of every frame that will come
  int source_width = 0, source_height = 0;    // pixels, 1 ... 32768
  int network_width = 0, network_height = 0;  // pixels, 1 ... 32768
  Fit fit = Fit::kStretch;
  double pad = 0.0;                         // level in letterbox borders, all channels, [0, 255]
  ChannelOrder order = ChannelOrder::kRgb;  // of the network's channels
  double mean[3] = {0.0, 0.0, 0.0};         // per network channel in levels, |mean| <= 65535
  double stddev[3] = {1.0, 1.0, 1.0};       // per network channel in levels, > 0
  InputType type = InputType::kFloat32;
  Layout layout = Layout::kNchw;
  float scale = 1.0f;  // quantised types only, > 0
  int zero_point = 0;  // quantised types only, inside the type's range
};

/// Frame planes -> the network's input tensor, in one pass over cached rows.
class Preprocessor {
 public:
  /// nullptr where the configuration is wrong; `*error` then says what was wrong with it.
  static std::unique_ptr<Preprocessor> create(const PreprocessConfig& config, std::string* error,
                                              Isa isa = default_isa());
  ~Preprocessor();

  /// nullptr where `run` may be called with this frame, else what does not fit.
  const char* check(const FrameView& frame) const;

  /// Writes rows [row_begin, row_end) of the network's input. `dst` is the first element of the whole tensor
  /// (1, 3, network_height, network_width) or NHWC, of the configured type, naturally aligned. The frame must pass
  /// `check`.
  void run(const FrameView& frame, void* dst, int row_begin, int row_end) const;

  const PreprocessConfig& config() const;
  const FitGeometry& geometry() const;
  Isa isa() const;

 private:
  struct Impl;
  explicit Preprocessor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

enum class ScoreType : uint8_t { kFloat32, kUint8, kInt8 };
enum class ScoreKind : uint8_t {
  kScores,  // label = class with the highest score, ties to the lowest class id
  kBinary,  // one channel: label = 1 where it is above `threshold`, else 0
};

struct ScoreUpsamplerConfig {
  ScoreKind kind = ScoreKind::kScores;
  ScoreType type = ScoreType::kFloat32;  // quantised: one scale for all classes, raw integers are compared
  int channels = 0;                      // 1 ... 255; 1 for kBinary
  int grid_width = 0, grid_height = 0;   // 1 ... 8192
  int out_width = 0, out_height = 0;     // 1 ... 32768
  AxisMap x_to_grid, y_to_grid;          // output pixel -> grid sample; scale >= 0
  std::vector<int> ignored;              // channels that never win; at least one must be left
  float threshold = 0.0f;                // kBinary, in raw score units: the zero point of quantised logits
};

/// Output pixel -> grid sample for a label map of the network's size, or of the source's with the fit undone
/// (where crop cut the source off, the nearest edge continues).
AxisMap grid_map_for_network_x(const FitGeometry& fit, int grid_width, CornerRule rule);
AxisMap grid_map_for_network_y(const FitGeometry& fit, int grid_height, CornerRule rule);
AxisMap grid_map_for_source_x(const FitGeometry& fit, int grid_width, CornerRule rule);
AxisMap grid_map_for_source_y(const FitGeometry& fit, int grid_height, CornerRule rule);

/// Class scores -> label map, upsampled bilinearly without the full-size score tensor.
class ScoreUpsampler {
 public:
  static std::unique_ptr<ScoreUpsampler> create(const ScoreUpsamplerConfig& config, std::string* error,
                                                Isa isa = default_isa());
  ~ScoreUpsampler();

  /// Writes rows [row_begin, row_end) of the label map. `scores` is (channels, grid_height, grid_width), contiguous;
  /// `labels` the first byte of the whole map, `label_stride` >= out_width bytes from row to row.
  /// False where a score that was read is NaN or infinite (the labels there mean nothing); ignored channels do not
  /// count.
  bool run(const void* scores, uint8_t* labels, ptrdiff_t label_stride, int row_begin, int row_end) const;

  const ScoreUpsamplerConfig& config() const;
  Isa isa() const;

 private:
  struct Impl;
  explicit ScoreUpsampler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

enum class LabelType : uint8_t { kUint8, kInt32, kInt64 };

struct LabelResizerConfig {
  LabelType type = LabelType::kUint8;   // wider labels are cut to their low byte
  int grid_width = 0, grid_height = 0;  // 1 ... 32768
  int out_width = 0, out_height = 0;    // 1 ... 32768
  AxisMap x_to_grid, y_to_grid;         // output pixel -> grid sample
};

/// Label map of a network that ends in ArgMax -> label map of another size: the nearest sample,
/// floor(clamp(to_grid.at(pixel), 0, size - 1) + 0.5).
class LabelResizer {
 public:
  static std::unique_ptr<LabelResizer> create(const LabelResizerConfig& config, std::string* error);
  /// `grid` is (grid_height, grid_width) of the configured type, contiguous; the rest as ScoreUpsampler::run.
  void run(const void* grid, uint8_t* labels, ptrdiff_t label_stride, int row_begin, int row_end) const;
  const LabelResizerConfig& config() const { return config_; }

 private:
  LabelResizerConfig config_;
  std::vector<int32_t> columns_, rows_;
};

/// Colours for an overlay.
class Palette {
 public:
  /// `rgb` is (count, 3), count <= 256; the labels from `count` on leave the image as it is.
  /// `alpha` in [0, 1]: share of the colour, share = floor(alpha * 256 + 0.5).
  Palette(const uint8_t* rgb, int count, double alpha);

 private:
  friend void overlay(const Palette&, const struct OverlayArgs&, int, int, Isa);
  std::vector<uint16_t> tint_;  // (256, 16, 3)
  int count_, share_;           // share of 256
};

/// Blends label colours over an image: out = (image * (256 - share) + colour * share + 128) >> 8.
/// Image is (height, width, 3) RGB or BGR by `image_order`, out is RGB and may be the image itself.
struct OverlayArgs {
  const uint8_t* labels;
  ptrdiff_t label_stride;
  const uint8_t* image;
  ptrdiff_t image_stride;
  ChannelOrder image_order;
  uint8_t* out;
  ptrdiff_t out_stride;
  int width, height;  // of the whole image
};
void overlay(const Palette& palette, const OverlayArgs& args, int row_begin, int row_end, Isa isa = default_isa());

/// Number of positions inside `valid` where two label maps of the same type and width differ. Strides in elements.
int64_t count_changed(LabelType type, const void* a, ptrdiff_t a_stride, const void* b, ptrdiff_t b_stride, Rect valid,
                      Isa isa = default_isa());

/// sum |a - b| / sum |b| in double; 0 where both sums are 0, +inf where only the second is.
/// Order of summation: 16 running sums, element i into sum i % 16, added up as a binary tree (8 + 8, 4 + 4, ...).
double relative_change(const float* a, const float* b, size_t count, Isa isa = default_isa());

}  // namespace evss
