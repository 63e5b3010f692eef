#include <algorithm>
#include <cmath>

#include "kernels.h"
#include "pixels.h"

namespace evss {
namespace {

constexpr int kMaxGrid = 8192, kMaxOut = 32768;
constexpr int kRowBlock = 64;  // output rows handed to a kernel call

/// Cell and weights per output of one axis; see "Arithmetic of the scores" in pixels.h.
struct CellTable {
  std::vector<int32_t> cell;   // per output
  std::vector<int32_t> begin;  // per cell and one more: first output
  std::vector<float> weight0, weight1;
};

CellTable cell_table(AxisMap map, int out_size, int grid_size) {
  const int last_cell = std::max(0, grid_size - 2);
  CellTable table;
  for (int i = 0; i < out_size; ++i) {
    const double position = std::clamp(map.at(i), 0.0, static_cast<double>(grid_size - 1));
    const int cell = std::min(static_cast<int>(std::floor(position)), last_cell);
    const float w1 = static_cast<float>(position - cell);
    table.cell.push_back(cell);
    table.weight1.push_back(w1);
    table.weight0.push_back(1.0f - w1);
  }
  for (int cell = 0; cell <= last_cell + 1; ++cell)
    table.begin.push_back(
        static_cast<int32_t>(std::lower_bound(table.cell.begin(), table.cell.end(), cell) - table.cell.begin()));
  table.weight0.resize(out_size + kLanes);
  table.weight1.resize(out_size + kLanes);
  return table;
}

bool is_identity(const CellTable& table, int grid_size) {
  const int size = static_cast<int>(table.cell.size());
  if (size != grid_size) return false;
  for (int i = 0; i < size; ++i)
    if (table.cell[i] + table.weight1[i] != i) return false;
  return true;
}

bool bad_map(AxisMap map) { return !(map.scale >= 0.0) || !std::isfinite(map.scale) || !std::isfinite(map.offset); }

const char* config_error(const ScoreUpsamplerConfig& c) {
  const auto bad = [](int size, int limit) { return size < 1 || size > limit; };
  if (bad(c.channels, 255)) return "channels must be in 1 ... 255";
  if (c.kind == ScoreKind::kBinary && c.channels != 1) return "binary scores have one channel";
  if (bad(c.grid_width, kMaxGrid) || bad(c.grid_height, kMaxGrid)) return "grid size must be in 1 ... 8192";
  if (bad(c.out_width, kMaxOut) || bad(c.out_height, kMaxOut)) return "output size must be in 1 ... 32768";
  if (bad_map(c.x_to_grid) || bad_map(c.y_to_grid)) return "axis maps need a finite offset and a finite scale >= 0";
  for (int channel : c.ignored)
    if (channel < 0 || channel >= c.channels) return "an ignored channel does not exist";
  return std::isfinite(c.threshold) ? nullptr : "threshold must be finite";
}

size_t size_of(ScoreType type) { return type == ScoreType::kFloat32 ? 4 : 1; }

}  // namespace

struct ScoreUpsampler::Impl {
  ScoreUpsamplerConfig config;
  Isa isa = Isa::kBaseline;
  const Kernels* kernels = nullptr;
  CellTable x, y;
  std::vector<uint8_t> channels;
  bool identity_x = false;

  bool label_row(const void* scores, int grid_row, uint8_t* labels) const;
  CellRowArgs cell_args(const void* scores, int cell, ptrdiff_t label_stride) const;
};

bool ScoreUpsampler::Impl::label_row(const void* scores, int grid_row, uint8_t* labels) const {
  const int type = static_cast<int>(config.type);
  const ptrdiff_t offset = static_cast<ptrdiff_t>(grid_row) * config.grid_width * size_of(config.type);
  const void* row = static_cast<const char*>(scores) + offset;
  if (config.kind == ScoreKind::kBinary)
    return kernels->binary_row[type](row, config.threshold, config.grid_width, labels);
  return kernels->argmax_row[type](row, static_cast<ptrdiff_t>(config.grid_width) * config.grid_height, channels.data(),
                                   static_cast<int>(channels.size()), config.grid_width, labels);
}

CellRowArgs ScoreUpsampler::Impl::cell_args(const void* scores, int cell, ptrdiff_t label_stride) const {
  const ptrdiff_t width = config.grid_width;
  CellRowArgs args = {};
  args.scores = scores;
  args.channel_stride = width * config.grid_height;
  args.channels = channels.data(), args.num_channels = static_cast<int>(channels.size());
  args.binary = config.kind == ScoreKind::kBinary, args.threshold = config.threshold;
  args.grid_width = config.grid_width;
  args.upper = cell * width, args.lower = std::min(cell + 1, config.grid_height - 1) * width;
  args.cell_begin = x.begin.data();
  args.weight0 = x.weight0.data(), args.weight1 = x.weight1.data();
  args.label_stride = label_stride;
  args.out_width = config.out_width;
  return args;
}

ScoreUpsampler::ScoreUpsampler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ScoreUpsampler::~ScoreUpsampler() = default;

std::unique_ptr<ScoreUpsampler> ScoreUpsampler::create(const ScoreUpsamplerConfig& config, std::string* error,
                                                       Isa isa) {
  auto impl = std::make_unique<Impl>();
  const char* message = config_error(config);
  for (int channel = 0; message == nullptr && channel < config.channels; ++channel)
    if (std::find(config.ignored.begin(), config.ignored.end(), channel) == config.ignored.end())
      impl->channels.push_back(static_cast<uint8_t>(channel));
  if (message == nullptr && impl->channels.empty()) message = "all channels are ignored";
  if (message != nullptr) {
    *error = message;
    return nullptr;
  }
  impl->config = config;
  impl->isa = isa;
  impl->kernels = &kernels(isa);
  impl->x = cell_table(config.x_to_grid, config.out_width, config.grid_width);
  impl->y = cell_table(config.y_to_grid, config.out_height, config.grid_height);
  impl->identity_x = is_identity(impl->x, config.grid_width);
  return std::unique_ptr<ScoreUpsampler>(new ScoreUpsampler(std::move(impl)));
}

bool ScoreUpsampler::run(const void* scores, uint8_t* labels, ptrdiff_t label_stride, int row_begin,
                         int row_end) const {
  const Impl& p = *impl_;
  uint8_t held[2][kMaxGrid];  // argmax of two grid rows
  uint8_t *upper = held[0], *lower = held[1];
  int held_cell = -1;  // whose rows these are
  bool finite = true;
  for (int begin = row_begin, end; begin < row_end; begin = end) {
    const int cell = p.y.cell[begin], grid_lower = std::min(cell + 1, p.config.grid_height - 1);
    uint8_t* out = labels + begin * label_stride;
    if (p.identity_x && (p.y.weight1[begin] == 0.0f || p.y.weight1[begin] == 1.0f)) {
      end = begin + 1;
      finite &= p.label_row(scores, p.y.weight1[begin] == 0.0f ? cell : grid_lower, out);
      continue;
    }
    end = std::min({p.y.begin[cell + 1], row_end, begin + kRowBlock});
    if (cell != held_cell) {
      if (cell == held_cell + 1 && held_cell >= 0) {
        std::swap(upper, lower);
      } else {
        finite &= p.label_row(scores, cell, upper);
      }
      finite &= p.label_row(scores, grid_lower, lower);
      held_cell = cell;
    }
    CellRowArgs args = p.cell_args(scores, cell, label_stride);
    args.upper_labels = upper, args.lower_labels = lower;
    args.row_weight0 = &p.y.weight0[begin], args.row_weight1 = &p.y.weight1[begin], args.rows = end - begin;
    args.labels = out;
    p.kernels->cell_row[static_cast<int>(p.config.type)](args);
  }
  return finite;
}

const ScoreUpsamplerConfig& ScoreUpsampler::config() const { return impl_->config; }
Isa ScoreUpsampler::isa() const { return impl_->isa; }

AxisMap grid_map_for_network_x(const FitGeometry& fit, int grid_width, CornerRule rule) {
  return network_to_grid(fit.network_width, grid_width, rule);
}
AxisMap grid_map_for_network_y(const FitGeometry& fit, int grid_height, CornerRule rule) {
  return network_to_grid(fit.network_height, grid_height, rule);
}
AxisMap grid_map_for_source_x(const FitGeometry& fit, int grid_width, CornerRule rule) {
  return compose(network_to_grid(fit.network_width, grid_width, rule), fit.source_to_network_x);
}
AxisMap grid_map_for_source_y(const FitGeometry& fit, int grid_height, CornerRule rule) {
  return compose(network_to_grid(fit.network_height, grid_height, rule), fit.source_to_network_y);
}

}  // namespace evss
