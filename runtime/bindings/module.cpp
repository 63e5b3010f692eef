// The Python face of the C functions: the module, host operations in Python, and drawing.
#include <cstring>
#include <map>

#include "native.h"

namespace {

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
  bind_pipeline(module);
  bind_loop(module);
  nb::module_ pixels = module.def_submodule("pixels");
  bind_pixels(pixels);
  nb::module_ sources = module.def_submodule("sources");
  bind_sources(sources);
}
