#include "pixel_stages.h"

#include <cmath>
#include <cstring>

namespace evss {

PixelStages::Memory::Memory(Backend& from, const TensorDesc& tensor)
    : backend(from), bytes(tensor.bytes), address(from.allocate_shared(tensor.bytes)) {
  if (!backend.host_view(address)) staging.resize(bytes);
}

PixelStages::Memory::~Memory() { backend.release(address); }

bool PixelStages::Memory::copy_in(const uint8_t* plane, size_t row_bytes, ptrdiff_t stride, size_t rows) {
  void* const seen = backend.host_view(address);
  const bool packed = stride == static_cast<ptrdiff_t>(row_bytes);
  if (!seen && packed) return backend.copy_in(address, plane, bytes);
  uint8_t* to = seen ? static_cast<uint8_t*>(seen) : staging.data();
  if (packed) {
    std::memcpy(to, plane, bytes);
  } else {
    for (size_t row = 0; row < rows; ++row)
      std::memcpy(to + row * row_bytes, plane + static_cast<ptrdiff_t>(row) * stride, row_bytes);
  }
  return seen || backend.copy_in(address, staging.data(), bytes);
}

const void* PixelStages::Memory::host() {
  if (const void* seen = backend.host_view(address)) return seen;
  return backend.copy_out(staging.data(), address, bytes) ? staging.data() : nullptr;
}

PixelStages::PixelStages(const Bundle& bundle, const Variant& variant, const Stages& stages,
                         const std::vector<int>& slots, int threads)
    : engines_(variant.pixels), input_(bundle.manifest().input), backend_(stages.backend()) {
  const Manifest& manifest = bundle.manifest();
  make_pre(bundle, stages, slots[static_cast<size_t>(manifest.graph.image)], threads);
  for (size_t i = 0; i < manifest.outputs.size(); ++i) {
    const size_t tensor = static_cast<size_t>(manifest.outputs[i].tensor);
    posts_.push_back(make_post(bundle, stages, i, slots[tensor], threads));
  }
}

void PixelStages::make_pre(const Bundle& bundle, const Stages& stages, int slots, int threads) {
  const int image = bundle.manifest().graph.image;
  StageDesc desc;
  desc.name = "pre";
  desc.threads = threads;
  for (int plane = 0; plane < plane_count(engines_.format); ++plane) {
    const int rows = plane_rows(engines_.format, plane, engines_.height);
    const int row_bytes = plane_row_bytes(engines_.format, plane, engines_.width);
    TensorDesc tensor;
    tensor.name = "plane " + std::to_string(plane);
    tensor.dtype = EVSS_UINT8;
    tensor.bytes = static_cast<size_t>(rows) * row_bytes;
    tensor.shape = {rows, row_bytes};
    const int channels = engines_.format != PixelFormat::kNv12 ? 3 : plane == 1 ? 2 : 1;
    if (channels > 1) tensor.shape = {rows, row_bytes / channels, channels};
    planes_.push_back(std::make_unique<Memory>(backend_, tensor));
    desc.inputs.push_back(tensor);
  }
  desc.outputs = {stages.tensor(image)};
  const std::string data = bundle.read(engines_.pre);
  desc.data = &data;
  pre_ = backend_.make_engine(desc);
  std::vector<void*> inputs;
  for (const auto& plane : planes_) inputs.push_back(plane->address);
  for (int slot = 0; slot < slots; ++slot)
    pre_->prepare(static_cast<uint32_t>(slot), inputs, {stages.memory(image, slot)});
}

PixelStages::Post PixelStages::make_post(const Bundle& bundle, const Stages& stages, size_t output, int slots,
                                         int threads) const {
  const OutputSpec& spec = bundle.manifest().outputs[output];
  Post post;
  StageDesc desc;
  desc.name = "post of output '" + spec.name + "'";
  desc.threads = threads;
  desc.inputs = {stages.tensor(spec.tensor)};
  TensorDesc labels;
  labels.name = spec.name + ".labels";
  labels.dtype = EVSS_UINT8;
  labels.shape = {1, engines_.height, engines_.width};
  labels.bytes = static_cast<size_t>(engines_.height) * engines_.width;
  desc.outputs.push_back(labels);
  post.labels = std::make_unique<Memory>(backend_, labels);
  if (spec.kind != OutputKind::kLabels) {
    TensorDesc finite;
    finite.name = spec.name + ".finite";
    finite.shape = {1};
    finite.bytes = sizeof(float);
    desc.outputs.push_back(finite);
    post.finite = std::make_unique<Memory>(backend_, finite);
  }
  const std::string data = bundle.read(engines_.post[output]);
  desc.data = &data;
  post.engine = backend_.make_engine(desc);
  std::vector<void*> outputs = {post.labels->address};
  if (post.finite) outputs.push_back(post.finite->address);
  for (int slot = 0; slot < slots; ++slot)
    post.engine->prepare(static_cast<uint32_t>(slot), {stages.memory(spec.tensor, slot)}, outputs);
  return post;
}

bool PixelStages::take(const FrameView& frame) const {
  const bool coloured =
      frame.format != PixelFormat::kNv12 || (frame.matrix == input_.matrix && frame.range == input_.range);
  return frame.format == engines_.format && frame.height == engines_.height && frame.width == engines_.width &&
         coloured;
}

bool PixelStages::load(const FrameView& frame, int slot, Status* status) {
  for (size_t i = 0; i < planes_.size(); ++i) {
    const int plane = static_cast<int>(i);
    const int row_bytes = plane_row_bytes(frame.format, plane, frame.width);
    const int rows = plane_rows(frame.format, plane, frame.height);
    if (!planes_[i]->copy_in(frame.planes[plane], static_cast<size_t>(row_bytes), frame.strides[plane],
                             static_cast<size_t>(rows)))
      return fail(status, "copying the frame to the device failed");
  }
  return pre_->enqueue(static_cast<uint32_t>(slot), status) && pre_->wait(status);
}

bool PixelStages::label(int output, int slot, uint8_t* labels, bool* finite, Status* status) {
  Post& post = posts_[static_cast<size_t>(output)];
  if (!post.engine->enqueue(static_cast<uint32_t>(slot), status) || !post.engine->wait(status)) return false;
  if (post.finite) {
    const void* value = post.finite->host();
    if (!value) return fail(status, "copying the check of the scores from the device failed");
    float magnitude = 0.0f;
    std::memcpy(&magnitude, value, sizeof magnitude);
    *finite = std::isfinite(magnitude);
  }
  // Where the host sees the memory it still has to be copied: the next frame overwrites it while the caller reads.
  if (void* seen = backend_.host_view(post.labels->address)) {
    std::memcpy(labels, seen, post.labels->bytes);
    return true;
  }
  return backend_.copy_out(labels, post.labels->address, post.labels->bytes) ||
         fail(status, "copying the labels from the device failed");
}

}  // namespace evss
