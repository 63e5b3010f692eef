#include "labels.h"

#include <atomic>

#include "half.h"

namespace evss {

LabelMaker::LabelMaker(const OutputSpec& spec, const TensorDesc& tensor, Backend& backend)
    : spec_(&spec), tensor_(&tensor), backend_(&backend) {
  const size_t rank = tensor.shape.size();
  grid_height_ = static_cast<int>(tensor.shape[rank - 2]);
  grid_width_ = static_cast<int>(tensor.shape[rank - 1]);
  if (!backend.host_accessible()) host_.resize(tensor.bytes);
  if (tensor.dtype == EVSS_FLOAT16) widened_.resize(tensor.bytes / 2);
}

void LabelMaker::fit_to(const FitGeometry& fit, bool network_size) {
  height_ = network_size ? fit.network_height : fit.source_height;
  width_ = network_size ? fit.network_width : fit.source_width;
  const CornerRule corners = spec_->corners;
  const AxisMap x = (network_size ? grid_map_for_network_x : grid_map_for_source_x)(fit, grid_width_, corners);
  const AxisMap y = (network_size ? grid_map_for_network_y : grid_map_for_source_y)(fit, grid_height_, corners);
  if (spec_->kind == OutputKind::kLabels || spec_->nearest) make_resizer(x, y);
  if (spec_->kind != OutputKind::kLabels) make_upsampler(x, y);
  labels_.assign(static_cast<size_t>(height_) * width_, 0);
}

void LabelMaker::make_resizer(AxisMap x, AxisMap y) {
  LabelResizerConfig config;
  if (spec_->kind == OutputKind::kLabels) {
    config.type = tensor_->dtype == EVSS_UINT8   ? LabelType::kUint8
                  : tensor_->dtype == EVSS_INT32 ? LabelType::kInt32
                                                 : LabelType::kInt64;
  }
  config.grid_width = grid_width_;
  config.grid_height = grid_height_;
  config.out_width = width_;
  config.out_height = height_;
  config.x_to_grid = x;
  config.y_to_grid = y;
  std::string error;
  resizer_ = LabelResizer::create(config, &error);
  if (!resizer_) throw bad_bundle("output '" + spec_->name + "': " + error);
}

void LabelMaker::make_upsampler(AxisMap x, AxisMap y) {
  ScoreUpsamplerConfig config;
  config.kind = spec_->kind == OutputKind::kBinary ? ScoreKind::kBinary : ScoreKind::kScores;
  config.type = tensor_->dtype == EVSS_UINT8  ? ScoreType::kUint8
                : tensor_->dtype == EVSS_INT8 ? ScoreType::kInt8
                                              : ScoreType::kFloat32;
  config.channels = static_cast<int>(tensor_->shape[1]);
  config.grid_width = grid_width_;
  config.grid_height = grid_height_;
  config.out_width = spec_->nearest ? grid_width_ : width_;
  config.out_height = spec_->nearest ? grid_height_ : height_;
  config.x_to_grid = spec_->nearest ? AxisMap{} : x;
  config.y_to_grid = spec_->nearest ? AxisMap{} : y;
  config.ignored = spec_->ignored;
  config.threshold = static_cast<float>(tensor_->zero_point);
  std::string error;
  upsampler_ = ScoreUpsampler::create(config, &error);
  if (!upsampler_) throw bad_bundle("output '" + spec_->name + "': " + error);
  if (spec_->nearest) grid_.resize(static_cast<size_t>(grid_width_) * grid_height_);
}

const void* LabelMaker::host_value(void* memory) {
  const void* address = backend_->host_view(memory);
  if (!address) {
    if (!backend_->copy_out(host_.data(), memory, host_.size())) return nullptr;
    address = host_.data();
  }
  if (widened_.empty()) return address;
  widen(static_cast<const uint16_t*>(address), widened_.data(), widened_.size());
  return widened_.data();
}

bool LabelMaker::run(const void* value, ParallelFor& pool) {
  std::atomic<bool> finite{true};
  if (upsampler_) {
    const ScoreUpsamplerConfig& to = upsampler_->config();
    uint8_t* labels = resizer_ ? grid_.data() : labels_.data();
    pool.rows(to.out_height, 16, [&](int first, int last) {
      if (!upsampler_->run(value, labels, to.out_width, first, last)) finite = false;
    });
    value = labels;
  }
  if (resizer_) {
    pool.rows(height_, 32, [&](int first, int last) { resizer_->run(value, labels_.data(), width_, first, last); });
  }
  return finite;
}

}  // namespace evss
