// The pipeline as Python sees it: converts arguments, releases the GIL, and turns a negative status into an exception.
// Nothing is decided here.
#include <cstring>

#include "native.h"

namespace {

Bytes copy_of(const uint8_t* data, size_t rows, size_t columns, size_t stride) {
  auto* owned = new uint8_t[rows * columns];
  nb::capsule owner(owned, [](void* address) noexcept { delete[] static_cast<uint8_t*>(address); });
  for (size_t row = 0; row < rows; ++row) std::memcpy(owned + row * columns, data + row * stride, columns);
  return Bytes(owned, {rows, columns}, owner);
}

// Where there is an owner the array is a view that keeps it alive.
nb::object labels_of(const evss_label_map& map, nb::handle owner) {
  if (!owner.is_valid()) return nb::cast(copy_of(map.labels, map.height, map.width, map.stride));
  const int64_t strides[2] = {map.stride, 1};
  const size_t shape[2] = {map.height, map.width};
  return nb::cast(nb::ndarray<nb::numpy, const uint8_t>(map.labels, 2, shape, owner, strides));
}

}  // namespace

nb::object& error_types() {
  static auto* types = new nb::object;  // never destroyed: the interpreter may be gone by then
  return *types;
}

void raise_if_failed(evss_status status, const std::string& message) {
  if (status >= 0) return;
  nb::gil_scoped_acquire hold;
  PyErr_SetString(error_types()[static_cast<size_t>(-status - 1)].ptr(), message.c_str());
  throw nb::python_error();
}

void raise_if_failed(evss_status status) {
  if (status < 0) raise_if_failed(status, evss_last_error());
}

evss_frame frame_over(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes,
                      uint32_t matrix, uint32_t range, int64_t pts_us, uint64_t sequence, int64_t captured_ns,
                      uint32_t suspect, bool restart) {
  evss_frame frame;
  evss_frame_init(&frame);
  frame.format = format;
  frame.height = height;
  frame.width = width;
  frame.matrix = matrix;
  frame.range = range;
  frame.pts_us = pts_us;
  frame.sequence = sequence;
  frame.captured_ns = captured_ns;
  frame.suspect = suspect;
  frame.restart = restart ? 1 : 0;
  for (size_t i = 0; i < planes.size() && i < 3; ++i) {
    frame.planes[i] = planes[i].data();
    frame.strides[i] = static_cast<uint32_t>(planes[i].stride(0));
  }
  return frame;
}

nb::dict dict_of(const evss_result& result, nb::handle owner) {
  nb::dict found, labels, age_frames, age_ms, changes, stage_age_frames, stage_ms, stage_begin_ms;
  for (uint32_t i = 0; i < result.num_outputs; ++i) {
    const evss_label_map& map = result.outputs[i];
    labels[map.name] = labels_of(map, owner);
    age_frames[map.name] = map.age_frames;
    age_ms[map.name] = map.age_ms;
  }
  nb::list fired, landed, started;
  for (uint32_t i = 0; i < result.num_stages; ++i) {
    const evss_stage_result& stage = result.stages[i];
    stage_age_frames[stage.name] = stage.age_frames;
    if (stage.change >= 0.0) changes[stage.name] = stage.change;
    if (stage.fired & EVSS_FIRED_STARTED) started.append(stage.name);
    if (stage.fired & EVSS_FIRED_LANDED) landed.append(stage.name);
    if (!(stage.fired & (EVSS_FIRED_NOW | EVSS_FIRED_LANDED))) continue;
    fired.append(stage.name);
    stage_ms[stage.name] = stage.ms;
    stage_begin_ms[stage.name] = result.stage_begin_ms[i];
  }
  found["labels"] = labels;
  found["sequence"] = result.sequence;
  found["pts_us"] = result.pts_us;
  found["fired"] = nb::tuple(fired);
  found["changes"] = changes;
  found["age_frames"] = age_frames;
  found["age_ms"] = age_ms;
  found["stage_age_frames"] = stage_age_frames;
  found["stage_ms"] = stage_ms;
  found["stage_begin_ms"] = stage_begin_ms;
  found["pre_begin_ms"] = result.pre_begin_ms;
  found["post_begin_ms"] = result.post_begin_ms;
  found["pre_ms"] = result.pre_ms;
  found["engines_ms"] = result.engines_ms;
  found["post_ms"] = result.post_ms;
  found["latency_ms"] = result.latency_ms;
  found["flags"] = result.flags;
  found["captured_ns"] = result.captured_ns;
  found["done_ns"] = result.done_ns;
  found["suspect"] = result.suspect;
  found["landed"] = nb::tuple(landed);
  found["started"] = nb::tuple(started);
  found["schedule"] = result.schedule;
  found["reasons"] = result.reasons;
  return found;
}

Pipeline::Pipeline(const std::string& bundle, const std::optional<std::string>& schedule, const std::string& backend,
                   const std::string& precision, uint32_t threads, bool network_size, const std::string& onnxruntime,
                   double deadline_ms, uint32_t max_age, bool background, uint32_t realtime_priority) {
  evss_options options;
  evss_options_init(&options);
  options.schedule = schedule ? schedule->c_str() : nullptr;
  options.backend = backend.c_str();
  options.precision = precision.c_str();
  options.threads = threads;
  options.label_size = network_size ? EVSS_LABELS_NETWORK : EVSS_LABELS_SOURCE;
  options.deadline_ms = deadline_ms;
  options.max_age = max_age;
  options.sequential = !background;
  options.realtime_priority = realtime_priority;
  options.onnxruntime = onnxruntime.empty() ? nullptr : onnxruntime.c_str();
  evss_status status;
  {
    nb::gil_scoped_release release;
    status = evss_pipeline_open(bundle.c_str(), &options, &handle_);
  }
  raise_if_failed(status);
}

void Pipeline::close() {
  nb::gil_scoped_release release;
  evss_pipeline_close(&handle_);
}

bool Pipeline::try_send(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes,
                        uint32_t matrix, uint32_t range, int64_t pts_us, uint64_t sequence, int64_t captured_ns,
                        uint32_t suspect, bool restart) {
  const evss_frame frame =
      frame_over(format, height, width, planes, matrix, range, pts_us, sequence, captured_ns, suspect, restart);
  evss_status status;
  {
    nb::gil_scoped_release release;
    status = evss_send_frame(handle_, &frame);
  }
  raise_if_failed(status);
  return status == EVSS_OK;
}

nb::object Pipeline::receive() {
  evss_result result;
  std::memset(&result, 0, sizeof result);
  result.struct_size = sizeof result;
  const evss_status status = evss_receive(handle_, &result);
  raise_if_failed(status);
  if (status == EVSS_END_OF_STREAM) throw nb::stop_iteration("the stream has ended");
  if (status == EVSS_AGAIN) return nb::none();
  return dict_of(result, nb::handle());
}

Bytes Pipeline::read_tensor(const std::string& name, size_t bytes) {
  auto* owned = new uint8_t[bytes ? bytes : 1];
  nb::capsule owner(owned, [](void* address) noexcept { delete[] static_cast<uint8_t*>(address); });
  raise_if_failed(evss_read_tensor(handle_, name.c_str(), owned, bytes));
  return Bytes(owned, {bytes}, owner);
}

nb::dict Pipeline::info() const {
  evss_info info;
  info.struct_size = sizeof info;
  raise_if_failed(evss_pipeline_info(handle_, &info));
  nb::list stages, outputs, schedules;
  for (uint32_t i = 0; i < info.num_stages; ++i)
    stages.append(nb::make_tuple(info.stages[i].name, info.stages[i].macs));
  for (uint32_t i = 0; i < info.num_schedules; ++i) schedules.append(info.schedules[i]);
  for (uint32_t i = 0; i < info.num_outputs; ++i) {
    const evss_output_info& output = info.outputs[i];
    nb::list classes;
    for (uint32_t c = 0; c < output.num_classes; ++c) {
      const uint8_t* rgb = output.colours + 3 * c;
      classes.append(nb::make_tuple(output.class_names[c], nb::make_tuple(rgb[0], rgb[1], rgb[2])));
    }
    outputs.append(nb::make_tuple(output.name, nb::tuple(classes)));
  }
  nb::dict found;
  found["name"] = info.name;
  found["variant"] = info.variant;
  found["backend"] = info.backend;
  found["backend_version"] = info.backend_version;
  found["precision"] = info.precision;
  found["schedule"] = info.schedule;
  found["schedules"] = nb::tuple(schedules);
  found["stages"] = nb::tuple(stages);
  found["outputs"] = nb::tuple(outputs);
  found["input_height"] = info.input_height;
  found["input_width"] = info.input_width;
  found["threads"] = info.threads;
  found["simd"] = info.simd;
  return found;
}

void bind_pipeline(nb::module_& module) {
  nb::class_<Pipeline>(module, "Pipeline")
      .def(nb::init<const std::string&, const std::optional<std::string>&, const std::string&, const std::string&,
                    uint32_t, bool, const std::string&, double, uint32_t, bool, uint32_t>())
      .def("close", &Pipeline::close)
      .def("try_send", &Pipeline::try_send)
      .def("receive", &Pipeline::receive)
      .def("finish", &Pipeline::finish)
      .def("reset", &Pipeline::reset)
      .def("set_schedule", &Pipeline::set_schedule)
      .def("set_deadline", &Pipeline::set_deadline)
      .def("read_tensor", &Pipeline::read_tensor)
      .def("info", &Pipeline::info);
}
