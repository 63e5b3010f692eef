#include "frames.h"

#include <memory>
#include <string>

#include "abi.h"
#include "error.h"

namespace evss {

namespace {
constexpr uint32_t kMaxSide = 16384;
}

FrameView view_of(const evss_frame& frame) {
  FrameView view;
  view.format = static_cast<PixelFormat>(frame.format);
  view.width = static_cast<int>(frame.width);
  view.height = static_cast<int>(frame.height);
  for (int i = 0; i < 3; ++i) {
    view.planes[i] = frame.planes[i];
    view.strides[i] = frame.strides[i];
  }
  view.matrix = static_cast<ColourMatrix>(frame.matrix);
  view.range = static_cast<ColourRange>(frame.range);
  return view;
}

const char* frame_problem(const evss_frame& frame) {
  if (frame.struct_size < kOldestFrame) return "frame.struct_size is not set; call evss_frame_init first";
  if (frame.format > EVSS_GREY) return "frame.format is not an evss_format";
  if (frame.matrix > EVSS_BT709 || frame.range > EVSS_FULL) return "frame.matrix or frame.range is not known";
  if (frame.width < 1 || frame.height < 1 || frame.width > kMaxSide || frame.height > kMaxSide)
    return "frame size is not within 1..16384";
  const PixelFormat format = static_cast<PixelFormat>(frame.format);
  for (int i = 0; i < plane_count(format); ++i) {
    if (!frame.planes[i]) return "a plane of the frame is NULL";
    if (frame.strides[i] < static_cast<uint32_t>(plane_row_bytes(format, i, static_cast<int>(frame.width))))
      return "a stride of the frame is shorter than its row";
  }
  return nullptr;
}

void to_rgb(const FrameView& frame, uint8_t* out) {
  thread_local std::unique_ptr<Preprocessor> kept;
  if (!kept || kept->check(frame)) {
    PreprocessConfig config;
    config.format = frame.format;
    config.source_width = config.network_width = frame.width;
    config.source_height = config.network_height = frame.height;
    config.type = InputType::kUint8;
    config.layout = Layout::kNhwc;
    std::string why;
    kept = Preprocessor::create(config, &why);
    if (!kept) throw Error(EVSS_INTERNAL, why);
  }
  kept->run(frame, out, 0, frame.height);
}

}  // namespace evss
