#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels.h"
#include "pixels.h"
#include "tables.h"

namespace evss {
namespace {

constexpr int kMaxSize = 32768;

/// Two interpolated source rows of one component, by number; they are reused from output row to output row.
struct RowPair {
  int16_t* row[2];
  int number[2] = {-1, -1};
  bool missing[2] = {false, false};

  /// Afterwards row[0] is for `low` and, if another, row[1] for `high`; `missing` ones are to be made.
  void turn_to(int low, int high) {
    if (number[0] != low && (number[1] == low || number[0] == high)) {
      std::swap(row[0], row[1]);
      std::swap(number[0], number[1]);
    }
    missing[0] = number[0] != low;
    missing[1] = high != low && number[1] != high;
    if (missing[0]) number[0] = low;
    if (missing[1]) number[1] = high;
  }
};

/// Working memory of one tile.
struct Scratch {
  alignas(64) int16_t held[3][2][kTile];
  alignas(64) int16_t level[3][kChunk];
  RowPair pairs[3];

  Scratch() {
    for (int c = 0; c < 3; ++c) pairs[c].row[0] = held[c][0], pairs[c].row[1] = held[c][1];
  }
};

const char* config_error(const PreprocessConfig& c) {
  const auto bad_size = [](int size) { return size < 1 || size > kMaxSize; };
  if (bad_size(c.source_width) || bad_size(c.source_height)) return "source size must be in 1 ... 32768";
  if (bad_size(c.network_width) || bad_size(c.network_height)) return "network size must be in 1 ... 32768";
  if (!(c.pad >= 0.0 && c.pad <= 255.0)) return "pad must be in [0, 255]";
  for (int i = 0; i < 3; ++i) {
    if (!(std::abs(c.mean[i]) <= 65535.0)) return "mean must be in [-65535, 65535]";
    if (!(c.stddev[i] > 0.0) || !std::isfinite(c.stddev[i])) return "std must be > 0 and finite";
  }
  if (c.type == InputType::kFloat32) return nullptr;
  if (!(c.scale > 0.0f) || !std::isfinite(c.scale)) return "scale must be > 0 and finite";
  const int low = c.type == InputType::kInt8 ? -128 : 0;
  return c.zero_point < low || c.zero_point > low + 255 ? "zero point lies outside the type" : nullptr;
}

void prefetch(const uint8_t* bytes, int count) {
  for (int i = 0; i < count; i += 64) __builtin_prefetch(bytes + i);
}

/// One line per page: it is the address translation that is wanted, the stores need no data.
void prefetch_pages(const void* begin, ptrdiff_t bytes) {
  for (ptrdiff_t i = 0; i < bytes; i += 4096) __builtin_prefetch(static_cast<const char*>(begin) + i, 1, 0);
}

}  // namespace

struct Preprocessor::Impl {
  PreprocessConfig config;
  FitGeometry geometry;
  Isa isa = Isa::kBaseline;
  const Kernels* kernels = nullptr;
  Components parts = {};
  std::vector<GatherTable> columns;  // luma (or all), and chroma where it has its own
  AxisTable rows[2];                 // luma, chroma
  StoreArgs store[3] = {};
  int source_channel[3] = {0, 1, 2};  // component of each network channel

  explicit Impl(const PreprocessConfig& wanted, Isa wanted_isa);
  void build_tables();
  void prefetch_next(const FrameView& frame, int component, int row, int begin, int count) const;
  void prefetch_output(int y, void* dst) const;
  void write_chunk(const FrameView& frame, const YuvConstants& yuv, int row, int begin, int from, int count,
                   Scratch& scratch, void* dst) const;
  void write_tile(const FrameView& frame, const YuvConstants& yuv, int begin, int count, int row_begin, int row_end,
                  void* dst) const;
  void store_row(int channel, const int16_t* level, int x, int y, int count, void* dst) const;
  void fill_padding(int y, int x_begin, int x_end, void* dst) const;
};

Preprocessor::Impl::Impl(const PreprocessConfig& wanted, Isa wanted_isa)
    : config(wanted), isa(wanted_isa), kernels(&evss::kernels(wanted_isa)) {
  geometry =
      fit_geometry(config.source_height, config.source_width, config.network_height, config.network_width, config.fit);
  parts = components(config.format);
  for (int i = 0; i < 3; ++i) {
    store[i] = store_args(config, i);
    source_channel[i] = parts.count == 1 ? 0 : config.order == ChannelOrder::kRgb ? i : 2 - i;
  }
  build_tables();
}

void Preprocessor::Impl::build_tables() {
  const Rect &from = geometry.source_rect, &to = geometry.network_rect;
  for (int half = 0; half < 2; ++half) {
    const Component* part = half == 0 ? &parts.part[0] : &parts.part[1];
    if (half == 1 && !part->half_width) break;
    const auto last = [half](int begin, int size) { return half == 0 ? begin + size - 1 : (begin + size + 1) / 2 - 1; };
    const auto first = [half](int begin) { return half == 0 ? begin : begin / 2; };
    const AxisTable x =
        axis_table(geometry.network_to_source_x, to.x, to.width, first(from.x), last(from.x, from.width), half == 1);
    const int row_bytes = plane_row_bytes(config.format, part->plane, config.source_width);
    const int max_offset = part->step - 1;
    columns.emplace_back(x, part->step, max_offset, row_bytes, kernels->shuffle_bytes);
    if (half == 1 && !part->half_height) {
      rows[1] = rows[0];
    } else {
      rows[half] = axis_table(geometry.network_to_source_y, to.y, to.height, first(from.y), last(from.y, from.height),
                              half == 1);
    }
  }
}

void Preprocessor::Impl::store_row(int channel, const int16_t* level, int x, int y, int count, void* dst) const {
  const ptrdiff_t width = config.network_width, height = config.network_height;
  const ptrdiff_t at =
      config.layout == Layout::kNchw ? (channel * height + y) * width + x : (y * width + x) * 3 + channel;
  switch (config.type) {
    case InputType::kFloat32:
      return kernels->store_float(level, store[channel], count, static_cast<float*>(dst) + at);
    case InputType::kUint8:
      return kernels->store_uint8(level, store[channel], count, static_cast<uint8_t*>(dst) + at);
    case InputType::kInt8:
      return kernels->store_int8(level, store[channel], count, static_cast<int8_t*>(dst) + at);
  }
}

void Preprocessor::Impl::fill_padding(int y, int x_begin, int x_end, void* dst) const {
  if (x_begin >= x_end) return;
  alignas(64) int16_t level[kChunk];
  std::fill(level, level + kChunk, static_cast<int16_t>(quantised_level(config.pad)));
  for (int x = x_begin; x < x_end; x += kChunk)
    for (int channel = 0; channel < 3; ++channel) store_row(channel, level, x, y, std::min(kChunk, x_end - x), dst);
}

// The caller's next row, so that its memory arrives while this one is computed.
void Preprocessor::Impl::prefetch_next(const FrameView& frame, int component, int row, int begin, int count) const {
  const Component& part = parts.part[component];
  const AxisTable& table = rows[part.half_width];
  if (component > 0 && parts.part[component - 1].plane == part.plane) return;
  if (row + 1 >= static_cast<int>(table.low.size())) return;
  const GatherPlan plan = columns[part.half_width].view();
  const int first = plan.left[begin], bytes = plan.right[begin + count - 1] - first + 1;
  for (int next = std::max(table.low[row + 1], table.high[row] + 1); next <= table.high[row + 1]; ++next)
    prefetch(frame.planes[part.plane] + next * frame.strides[part.plane] + first, bytes);
}

// The next row of the output, which often begins a page in every channel.
void Preprocessor::Impl::prefetch_output(int y, void* dst) const {
  if (y >= config.network_height) return;
  const bool planar = config.layout == Layout::kNchw;
  const ptrdiff_t size = config.type == InputType::kFloat32 ? 4 : 1, row_bytes = size * config.network_width;
  for (int c = 0; c < (planar ? 3 : 1); ++c) {
    const ptrdiff_t row = planar ? ptrdiff_t{c} * config.network_height + y : ptrdiff_t{3} * y;
    prefetch_pages(static_cast<char*>(dst) + row * row_bytes, planar ? row_bytes : 3 * row_bytes);
  }
}

// Columns [begin + from, begin + from + count) of the tile at `begin`; from and padded are multiples of kPaddedTo.
void Preprocessor::Impl::write_chunk(const FrameView& frame, const YuvConstants& yuv, int row, int begin, int from,
                                     int count, Scratch& scratch, void* dst) const {
  const int padded = (count + kPaddedTo - 1) / kPaddedTo * kPaddedTo;
  for (int c = 0; c < parts.count; ++c) {
    const Component& part = parts.part[c];
    const AxisTable& table = rows[part.half_width];
    const RowPair& pair = scratch.pairs[c];
    for (int i = 0; i < 2; ++i) {
      if (!pair.missing[i]) continue;
      const uint8_t* bytes = frame.planes[part.plane] + pair.number[i] * frame.strides[part.plane] + part.offset;
      kernels->horizontal(columns[part.half_width].view(), bytes, begin + from, padded, pair.row[i] + from);
    }
    const int16_t* lower = pair.row[table.low[row] == table.high[row] ? 0 : 1];
    kernels->vertical(pair.row[0] + from, lower + from, table.weight[row], padded, scratch.level[c]);
  }
  if (is_yuv(config.format)) kernels->yuv_to_rgb(yuv, padded, scratch.level[0], scratch.level[1], scratch.level[2]);
  const Rect& to = geometry.network_rect;
  for (int c = 0; c < 3; ++c)
    store_row(c, scratch.level[source_channel[c]], to.x + begin + from, to.y + row, count, dst);
}

void Preprocessor::Impl::write_tile(const FrameView& frame, const YuvConstants& yuv, int begin, int count,
                                    int row_begin, int row_end, void* dst) const {
  Scratch scratch;
  for (int row = row_begin; row < row_end; ++row) {
    for (int c = 0; c < parts.count; ++c) {
      const AxisTable& table = rows[parts.part[c].half_width];
      prefetch_next(frame, c, row, begin, count);
      scratch.pairs[c].turn_to(table.low[row], table.high[row]);
    }
    prefetch_output(geometry.network_rect.y + row + 1, dst);
    for (int from = 0; from < count; from += kChunk)
      write_chunk(frame, yuv, row, begin, from, std::min(kChunk, count - from), scratch, dst);
  }
}

Preprocessor::Preprocessor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Preprocessor::~Preprocessor() = default;

std::unique_ptr<Preprocessor> Preprocessor::create(const PreprocessConfig& config, std::string* error, Isa isa) {
  if (const char* message = config_error(config)) {
    *error = message;
    return nullptr;
  }
  return std::unique_ptr<Preprocessor>(new Preprocessor(std::make_unique<Impl>(config, isa)));
}

const char* Preprocessor::check(const FrameView& frame) const {
  const PreprocessConfig& c = impl_->config;
  if (frame.format != c.format) return "frame has another pixel format than the preprocessor";
  if (frame.width != c.source_width || frame.height != c.source_height)
    return "frame has another size than the preprocessor";
  for (int plane = 0; plane < plane_count(c.format); ++plane) {
    if (frame.planes[plane] == nullptr) return "frame lacks a plane";
    const ptrdiff_t stride = frame.strides[plane], bytes = plane_row_bytes(c.format, plane, frame.width);
    if (std::max(stride, -stride) < bytes && plane_rows(c.format, plane, frame.height) > 1)
      return "frame stride is smaller than a row";
  }
  return nullptr;
}

void Preprocessor::run(const FrameView& frame, void* dst, int row_begin, int row_end) const {
  const ColourCoefficients k = colour_coefficients(frame.matrix, frame.range);
  const YuvConstants yuv = {k.black, k.gain, k.kr, k.kgb, k.kgr, k.kb};
  const Rect& to = impl_->geometry.network_rect;
  const int begin = std::clamp(row_begin, to.y, to.y + to.height), end = std::clamp(row_end, begin, to.y + to.height);
  for (int x = 0; x < to.width; x += kTile)
    impl_->write_tile(frame, yuv, x, std::min(kTile, to.width - x), begin - to.y, end - to.y, dst);
  for (int y = row_begin; y < row_end; ++y) {
    const bool inside = y >= begin && y < end;
    impl_->fill_padding(y, 0, inside ? to.x : impl_->config.network_width, dst);
    if (inside) impl_->fill_padding(y, to.x + to.width, impl_->config.network_width, dst);
  }
  fence_streams();
}

const PreprocessConfig& Preprocessor::config() const { return impl_->config; }
const FitGeometry& Preprocessor::geometry() const { return impl_->geometry; }
Isa Preprocessor::isa() const { return impl_->isa; }

}  // namespace evss
