// The C functions: arguments are checked, exceptions become statuses and one line of text.
#include <cstring>

#include "abi.h"
#include "bundle.h"
#include "c_guard.h"
#include "edge_vss.h"
#include "frames.h"
#include "pipeline.h"

using evss::guarded;
using evss::refuse;

namespace {

thread_local std::string backends_text;

std::string or_empty(const char* text) {
  const std::string value = text ? text : "";
  return value == "auto" ? "" : value;
}

const char* deadline_problem(double deadline_ms, uint32_t max_age) {
  if (!(deadline_ms >= 0.0 && deadline_ms <= 1e6)) return "deadline_ms must be in 0..1000000";
  return max_age > 1000000 ? "max_age must be in 0..1000000" : nullptr;
}

evss::PipelineOptions wanted_from(const evss_options& given) {
  evss::PipelineOptions wanted;
  wanted.threads = static_cast<int>(given.threads);
  wanted.realtime_priority = static_cast<int>(given.realtime_priority);
  wanted.network_size = given.label_size == EVSS_LABELS_NETWORK;
  wanted.schedule = given.schedule ? given.schedule : "";
  wanted.backend = or_empty(given.backend);
  wanted.precision = or_empty(given.precision);
  wanted.deadline_ms = given.deadline_ms;
  wanted.max_age = static_cast<int64_t>(given.max_age);
  wanted.background = given.sequential == 0;
  wanted.backend_options.onnxruntime = given.onnxruntime ? given.onnxruntime : "";
  return wanted;
}

}  // namespace

extern "C" {

uint32_t evss_abi_version(void) { return EVSS_ABI_VERSION; }
const char* evss_version(void) { return EDGE_VSS_VERSION; }
const char* evss_last_error(void) { return evss::last_error().c_str(); }

void evss_frame_init(evss_frame* frame) {
  std::memset(frame, 0, sizeof *frame);
  frame->struct_size = sizeof *frame;
}

void evss_options_init(evss_options* options) {
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
}

evss_status evss_pipeline_open(const char* bundle, const evss_options* options, evss_pipeline** out) {
  if (!out) return refuse(EVSS_INVALID_ARGUMENT, "out is NULL");
  *out = nullptr;
  return guarded([&] {
    if (!bundle) return refuse(EVSS_INVALID_ARGUMENT, "bundle is NULL");
    evss::PipelineOptions wanted;
    if (options) {
      if (options->struct_size < evss::kOldestOptions)
        return refuse(EVSS_INVALID_ARGUMENT, "options.struct_size is not set; call evss_options_init first");
      const evss_options given = evss::completed(*options);
      if (given.threads > 256)
        return refuse(EVSS_INVALID_ARGUMENT, "threads must be 0..256, got " + std::to_string(given.threads));
      if (given.label_size > EVSS_LABELS_NETWORK)
        return refuse(EVSS_INVALID_ARGUMENT, "label_size is not an evss_label_size");
      if (given.realtime_priority > 99) return refuse(EVSS_INVALID_ARGUMENT, "realtime_priority must be in 0..99");
      if (const char* problem = deadline_problem(given.deadline_ms, given.max_age))
        return refuse(EVSS_INVALID_ARGUMENT, problem);
      wanted = wanted_from(given);
    }
    *out = new evss_pipeline{evss::Pipeline(bundle, wanted)};
    return EVSS_OK;
  });
}

void evss_pipeline_close(evss_pipeline** pipeline) {
  if (!pipeline) return;
  delete *pipeline;
  *pipeline = nullptr;
}

evss_status evss_bundle_check(const char* bundle) {
  return guarded([&] {
    if (!bundle) return refuse(EVSS_INVALID_ARGUMENT, "bundle is NULL");
    evss::Bundle(bundle).check_files();
    return EVSS_OK;
  });
}

evss_status evss_pipeline_info(const evss_pipeline* pipeline, evss_info* info) {
  return guarded([&] {
    if (!pipeline || !info || info->struct_size == 0)
      return refuse(EVSS_INVALID_ARGUMENT, "pipeline or info is NULL, or info.struct_size is not set");
    evss_info found;
    pipeline->pipeline.info(&found);
    evss::hand_over(found, info);
    return EVSS_OK;
  });
}

evss_status evss_send_frame(evss_pipeline* pipeline, const evss_frame* frame) {
  return guarded([&] {
    if (!pipeline || !frame) return refuse(EVSS_INVALID_ARGUMENT, "pipeline or frame is NULL");
    return pipeline->pipeline.send(*frame, &evss::last_error());
  });
}

evss_status evss_receive(evss_pipeline* pipeline, evss_result* result) {
  return guarded([&] {
    if (!pipeline || !result || result->struct_size == 0)
      return refuse(EVSS_INVALID_ARGUMENT, "pipeline or result is NULL, or result.struct_size is not set");
    return pipeline->pipeline.receive(result);
  });
}

evss_status evss_finish(evss_pipeline* pipeline) {
  return guarded([&] {
    if (!pipeline) return refuse(EVSS_INVALID_ARGUMENT, "pipeline is NULL");
    pipeline->pipeline.finish();
    return EVSS_OK;
  });
}

evss_status evss_reset(evss_pipeline* pipeline) {
  return guarded([&] {
    if (!pipeline) return refuse(EVSS_INVALID_ARGUMENT, "pipeline is NULL");
    pipeline->pipeline.reset();
    return EVSS_OK;
  });
}

evss_status evss_next_variant(evss_pipeline* pipeline) {
  return guarded([&] {
    if (!pipeline) return refuse(EVSS_INVALID_ARGUMENT, "pipeline is NULL");
    std::string why_not;
    return pipeline->pipeline.next_variant(&why_not) ? EVSS_OK : refuse(EVSS_UNAVAILABLE, why_not);
  });
}

evss_status evss_set_schedule(evss_pipeline* pipeline, const char* schedule) {
  return guarded([&] {
    if (!pipeline || !schedule) return refuse(EVSS_INVALID_ARGUMENT, "pipeline or schedule is NULL");
    pipeline->pipeline.set_schedule(schedule);
    return EVSS_OK;
  });
}

evss_status evss_set_deadline(evss_pipeline* pipeline, double deadline_ms, uint32_t max_age) {
  return guarded([&] {
    if (!pipeline) return refuse(EVSS_INVALID_ARGUMENT, "pipeline is NULL");
    if (const char* problem = deadline_problem(deadline_ms, max_age)) return refuse(EVSS_INVALID_ARGUMENT, problem);
    pipeline->pipeline.set_deadline(deadline_ms, max_age);
    return EVSS_OK;
  });
}

evss_status evss_read_tensor(evss_pipeline* pipeline, const char* tensor, void* out, size_t bytes) {
  return guarded([&] {
    if (!pipeline || !tensor || !out) return refuse(EVSS_INVALID_ARGUMENT, "pipeline, tensor or out is NULL");
    pipeline->pipeline.read_tensor(tensor, out, bytes);
    return EVSS_OK;
  });
}

evss_status evss_to_rgb(const evss_frame* frame, uint8_t* out, size_t bytes) {
  return guarded([&] {
    if (!frame || !out) return refuse(EVSS_INVALID_ARGUMENT, "frame or out is NULL");
    if (const char* problem = evss::frame_problem(*frame)) return refuse(EVSS_INVALID_ARGUMENT, problem);
    if (bytes != size_t{frame->height} * frame->width * 3)
      return refuse(EVSS_INVALID_ARGUMENT, "out has another size than the frame's height * width * 3");
    evss::to_rgb(evss::view_of(*frame), out);
    return EVSS_OK;
  });
}

evss_status evss_overlay(const uint8_t* image, uint32_t format, uint32_t image_stride, const uint8_t* labels,
                         uint32_t label_stride, uint32_t height, uint32_t width, const uint8_t* palette,
                         uint32_t num_classes, double alpha, uint8_t* out, uint32_t out_stride) {
  return guarded([&] {
    const bool sizes = width >= 1 && height >= 1 && width <= 16384 && height <= 16384 && image_stride >= width * 3 &&
                       out_stride >= width * 3 && label_stride >= width;
    if (!image || !labels || !palette || !out || (format != EVSS_RGB && format != EVSS_BGR))
      return refuse(EVSS_INVALID_ARGUMENT, "overlay takes RGB or BGR images, labels and a palette");
    if (!sizes || num_classes > 256 || !(alpha >= 0.0 && alpha <= 1.0))
      return refuse(EVSS_INVALID_ARGUMENT, "overlay: a size, stride, class count or alpha is out of range");
    const evss::OverlayArgs args = {labels,
                                    label_stride,
                                    image,
                                    image_stride,
                                    format == EVSS_RGB ? evss::ChannelOrder::kRgb : evss::ChannelOrder::kBgr,
                                    out,
                                    out_stride,
                                    static_cast<int>(width),
                                    static_cast<int>(height)};
    evss::overlay(evss::Palette(palette, static_cast<int>(num_classes), alpha), args, 0, static_cast<int>(height));
    return EVSS_OK;
  });
}

evss_status evss_register_backend(const evss_backend* backend) {
  return guarded([&] {
    if (!backend) return refuse(EVSS_INVALID_ARGUMENT, "backend is NULL");
    evss::register_backend(*backend);
    return EVSS_OK;
  });
}

evss_status evss_register_operation(const char* name, evss_operation_fn function, void* user) {
  return guarded([&] {
    evss::register_operation(name ? name : "", function, user);
    return EVSS_OK;
  });
}

evss_status evss_unregister_operation(const char* name) {
  return guarded([&] {
    evss::unregister_operation(name ? name : "");
    return EVSS_OK;
  });
}

const char* evss_backends(const char* onnxruntime) {
  guarded([&] {
    backends_text = evss::describe_backends({onnxruntime ? onnxruntime : ""});
    return EVSS_OK;
  });
  return backends_text.c_str();
}

}  // extern "C"
