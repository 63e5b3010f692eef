// The Python face of the C functions: converts arguments, releases the GIL, and turns a negative status into an
// exception. Nothing is decided here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "edge_vss.h"
#include "raise.h"

namespace nb = nanobind;
using namespace nb::literals;

void bind_pixels(nb::module_& module);
void bind_sources(nb::module_& module);

namespace {

using Plane = nb::ndarray<const uint8_t, nb::device::cpu>;
using Bytes = nb::ndarray<nb::numpy, uint8_t>;

// (InvalidArgument, BackendFailed, BadBundle, Unavailable, Internal, SourceLost); never destroyed: the interpreter may
// be gone by then.
nb::object& error_types() {
  static auto* types = new nb::object;
  return *types;
}

}  // namespace

void raise_if_failed(evss_status status, const std::string& message) {
  if (status >= 0) return;
  nb::gil_scoped_acquire hold;
  PyErr_SetString(error_types()[static_cast<size_t>(-status - 1)].ptr(), message.c_str());
  throw nb::python_error();
}

void raise_if_failed(evss_status status) {
  if (status < 0) raise_if_failed(status, evss_last_error());
}

namespace {

Bytes copy_of(const uint8_t* data, size_t rows, size_t columns, size_t stride) {
  auto* owned = new uint8_t[rows * columns];
  nb::capsule owner(owned, [](void* address) noexcept { delete[] static_cast<uint8_t*>(address); });
  for (size_t row = 0; row < rows; ++row) std::memcpy(owned + row * columns, data + row * stride, columns);
  return Bytes(owned, {rows, columns}, owner);
}

class Pipeline {
 public:
  Pipeline(const std::string& bundle, const std::optional<std::string>& schedule, const std::string& backend,
           const std::string& precision, uint32_t threads, bool network_size, const std::string& onnxruntime) {
    evss_options options;
    evss_options_init(&options);
    options.schedule = schedule ? schedule->c_str() : nullptr;
    options.backend = backend.c_str();
    options.precision = precision.c_str();
    options.threads = threads;
    options.label_size = network_size ? EVSS_LABELS_NETWORK : EVSS_LABELS_SOURCE;
    options.onnxruntime = onnxruntime.empty() ? nullptr : onnxruntime.c_str();
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_pipeline_open(bundle.c_str(), &options, &handle_);
    }
    raise_if_failed(status);
  }
  ~Pipeline() { close(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  void close() {
    nb::gil_scoped_release release;
    evss_pipeline_close(&handle_);
  }

  bool try_send(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes, uint32_t matrix,
                uint32_t range, int64_t pts_us, uint64_t sequence) {
    evss_frame frame;
    evss_frame_init(&frame);
    frame.format = format;
    frame.height = height;
    frame.width = width;
    frame.matrix = matrix;
    frame.range = range;
    frame.pts_us = pts_us;
    frame.sequence = sequence;
    for (size_t i = 0; i < planes.size() && i < 3; ++i) {
      frame.planes[i] = planes[i].data();
      frame.strides[i] = static_cast<uint32_t>(planes[i].stride(0));
    }
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_send_frame(handle_, &frame);
    }
    raise_if_failed(status);
    return status == EVSS_OK;
  }

  // None where no frame was sent; a dict of plain values otherwise.
  nb::object receive() {
    evss_result result;
    std::memset(&result, 0, sizeof result);
    result.struct_size = sizeof result;
    const evss_status status = evss_receive(handle_, &result);
    raise_if_failed(status);
    if (status == EVSS_END_OF_STREAM) throw nb::stop_iteration("the stream has ended");
    if (status == EVSS_AGAIN) return nb::none();
    nb::dict found, labels, age_frames, age_ms, changes, stage_age_frames, stage_ms, stage_begin_ms;
    for (uint32_t i = 0; i < result.num_outputs; ++i) {
      const evss_label_map& map = result.outputs[i];
      labels[map.name] = copy_of(map.labels, map.height, map.width, map.stride);
      age_frames[map.name] = map.age_frames;
      age_ms[map.name] = map.age_ms;
    }
    nb::list fired;
    for (uint32_t i = 0; i < result.num_stages; ++i) {
      const evss_stage_result& stage = result.stages[i];
      stage_age_frames[stage.name] = stage.age_frames;
      if (stage.change >= 0.0) changes[stage.name] = stage.change;
      if (!stage.fired) continue;
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
    return found;
  }

  void finish() { raise_if_failed(evss_finish(handle_)); }
  void reset() { raise_if_failed(evss_reset(handle_)); }
  void set_schedule(const std::string& name) { raise_if_failed(evss_set_schedule(handle_, name.c_str())); }

  Bytes read_tensor(const std::string& name, size_t bytes) {
    auto* owned = new uint8_t[bytes ? bytes : 1];
    nb::capsule owner(owned, [](void* address) noexcept { delete[] static_cast<uint8_t*>(address); });
    raise_if_failed(evss_read_tensor(handle_, name.c_str(), owned, bytes));
    return Bytes(owned, {bytes}, owner);
  }

  nb::dict info() const {
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

 private:
  evss_pipeline* handle_ = nullptr;
};

constexpr const char* kDtypes[] = {"float32", "float16", "uint8", "int8", "int32", "int64"};

nb::object array_over(const evss_tensor_desc& tensor, const void* data, bool writable) {
  const nb::object numpy = nb::module_::import_("numpy");
  const nb::object view =
      nb::steal(writable ? PyMemoryView_FromMemory(static_cast<char*>(const_cast<void*>(data)),
                                                   static_cast<Py_ssize_t>(tensor.bytes), PyBUF_WRITE)
                         : PyMemoryView_FromMemory(static_cast<char*>(const_cast<void*>(data)),
                                                   static_cast<Py_ssize_t>(tensor.bytes), PyBUF_READ));
  nb::list shape;
  for (uint32_t i = 0; i < tensor.rank; ++i) shape.append(tensor.shape[i]);
  return numpy.attr("frombuffer")(view, kDtypes[tensor.dtype]).attr("reshape")(nb::tuple(shape));
}

// Calls function(*inputs), which returns one array per output; what it returns is copied into the outputs.
int32_t call_python(void* user, const evss_stage_desc* stage, const void* const* inputs, void* const* outputs,
                    char* error, size_t size) {
  nb::gil_scoped_acquire hold;
  try {
    nb::list arguments;
    for (uint32_t i = 0; i < stage->num_inputs; ++i) arguments.append(array_over(stage->inputs[i], inputs[i], false));
    const nb::object function = nb::borrow(static_cast<PyObject*>(user));
    const nb::object results = function(*nb::tuple(arguments));
    for (uint32_t i = 0; i < stage->num_outputs; ++i) {
      array_over(stage->outputs[i], outputs[i], true).attr("__setitem__")(nb::ellipsis(), results[i]);
    }
    return 0;
  } catch (const nb::python_error& failure) {
    const nb::str message(failure.value());
    std::snprintf(error, size, "%s: %s", nb::type_name(failure.type()).c_str(), message.c_str());
    return 1;
  } catch (const std::exception& failure) {
    std::snprintf(error, size, "%s", failure.what());
    return 1;
  }
}

// Keeps the functions alive; registration happens with the GIL held.
std::map<std::string, nb::object>& operations() {
  static auto* kept = new std::map<std::string, nb::object>;  // never destroyed: the interpreter may be gone by then
  return *kept;
}

void register_operation(const std::string& name, nb::object function) {
  raise_if_failed(evss_register_operation(name.c_str(), call_python, function.ptr()));
  operations()[name] = std::move(function);
}

void unregister_operation(const std::string& name) {
  raise_if_failed(evss_unregister_operation(name.c_str()));
  operations().erase(name);
}

void overlay(nb::ndarray<const uint8_t, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu> image,
             nb::ndarray<const uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu> labels,
             nb::ndarray<const uint8_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu> palette, double alpha,
             nb::ndarray<uint8_t, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu> out) {
  const auto height = static_cast<uint32_t>(image.shape(0)), width = static_cast<uint32_t>(image.shape(1));
  if (labels.shape(0) != height || labels.shape(1) != width || out.shape(0) != height || out.shape(1) != width) {
    throw nb::value_error("image, labels and out differ in size");
  }
  evss_status status;
  {
    nb::gil_scoped_release release;
    status = evss_overlay(image.data(), EVSS_RGB, width * 3, labels.data(), width, height, width, palette.data(),
                          static_cast<uint32_t>(palette.shape(0)), alpha, out.data(), width * 3);
  }
  raise_if_failed(status);
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "The native runtime; use edge_vss.runtime instead.";
  module.def("set_error_types", [](nb::object types) { error_types() = std::move(types); });
  module.def("version", [] { return evss_version(); });
  module.def("backends", [](const std::string& onnxruntime) { return evss_backends(onnxruntime.c_str()); });
  module.def("bundle_check", [](const std::string& path) { raise_if_failed(evss_bundle_check(path.c_str())); });
  module.def("register_operation", &register_operation);
  module.def("unregister_operation", &unregister_operation);
  module.def("overlay", &overlay, "image"_a.noconvert(), "labels"_a.noconvert(), "palette"_a.noconvert(), "alpha"_a,
             "out"_a.noconvert());
  nb::class_<Pipeline>(module, "Pipeline")
      .def(nb::init<const std::string&, const std::optional<std::string>&, const std::string&, const std::string&,
                    uint32_t, bool, const std::string&>())
      .def("close", &Pipeline::close)
      .def("try_send", &Pipeline::try_send)
      .def("receive", &Pipeline::receive)
      .def("finish", &Pipeline::finish)
      .def("reset", &Pipeline::reset)
      .def("set_schedule", &Pipeline::set_schedule)
      .def("read_tensor", &Pipeline::read_tensor)
      .def("info", &Pipeline::info);
  nb::module_ pixels = module.def_submodule("pixels");
  bind_pixels(pixels);
  nb::module_ sources = module.def_submodule("sources");
  bind_sources(sources);
}
