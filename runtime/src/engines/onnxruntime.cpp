// Stages as ONNX Runtime sessions on the CPU, through the C API of a library opened at run time.
#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "denormals.h"
#include "engine.h"
#include "ort_api.h"

namespace evss {

namespace {

constexpr uint32_t kApiVersion = 14;

struct Library {
  std::unique_ptr<ort::Api> api;
  std::string version, path;
  ort::Env* env = nullptr;
};

// Opened once per process and never closed: ONNX Runtime keeps threads and an environment of its own.
const Library& library(const std::string& wanted) {
  static std::mutex mutex;
  static Library opened;
  std::lock_guard<std::mutex> lock(mutex);
  if (opened.api) return opened;
  const char* from_environment = std::getenv("EDGE_VSS_ONNXRUNTIME");
  std::vector<std::string> candidates = {"libonnxruntime.so.1", "libonnxruntime.so"};
  if (from_environment && *from_environment) candidates = {from_environment};
  if (!wanted.empty()) candidates = {wanted};
  void* handle = nullptr;
  std::string why;
  for (const std::string& path : candidates) {
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) {
      opened.path = path;
      break;
    }
    why = dlerror();
  }
  if (!handle)
    throw Error(EVSS_UNAVAILABLE, "onnxruntime is not available: " + why +
                                      "; pip install onnxruntime, or name libonnxruntime.so in EDGE_VSS_ONNXRUNTIME");
  const auto get_base = reinterpret_cast<const ort::ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  const void* const* table = get_base ? get_base()->get_api(kApiVersion) : nullptr;
  if (!table) throw Error(EVSS_UNAVAILABLE, opened.path + " is not an ONNX Runtime of version 1.14 or newer");
  auto api = std::make_unique<ort::Api>(table);
  if (api->create_env(ort::kError, "edge-vss", &opened.env))
    throw Error(EVSS_UNAVAILABLE, "ONNX Runtime does not start");
  // A robot's frame loop reports to nobody; the batches of statistics would also allocate on some frames.
  if (ort::Status* refused = api->disable_telemetry_events(opened.env)) api->release_status(refused);
  opened.version = get_base()->version_string();
  opened.api = std::move(api);
  return opened;
}

int element_of(evss_dtype dtype) {
  constexpr int kElements[] = {ort::kFloat, ort::kFloat16, ort::kUint8, ort::kInt8, ort::kInt32, ort::kInt64};
  return kElements[dtype];
}

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

class OrtEngine : public Engine {
 public:
  OrtEngine(const ort::Api& api, const ort::Env* env, const StageDesc& stage)
      : api_(api),
        stage_(stage),
        session_(nullptr, api.release_session),
        run_options_(nullptr, api.release_run_options),
        memory_(nullptr, api.release_memory_info) {
    open(env);
    check_interface(stage_.inputs, true, &input_names_);
    check_interface(stage_.outputs, false, &output_names_);
    ort::RunOptions* run_options = nullptr;
    check(api_.create_run_options(&run_options));
    run_options_.reset(run_options);
    ort::MemoryInfo* memory = nullptr;
    check(api_.create_cpu_memory_info(ort::kDeviceAllocator, ort::kMemTypeDefault, &memory));
    memory_.reset(memory);
  }

  void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) override {
    while (bindings_.size() <= binding) bindings_.emplace_back(nullptr, api_.release_io_binding);
    ort::IoBinding* bound = nullptr;
    check(api_.create_io_binding(session_.get(), &bound));
    bindings_[binding].reset(bound);
    for (size_t i = 0; i < inputs.size(); ++i) {
      check(api_.bind_input(bound, input_names_[i].c_str(), value(stage_.inputs[i], inputs[i])));
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      check(api_.bind_output(bound, output_names_[i].c_str(), value(stage_.outputs[i], outputs[i])));
    }
    if (binding == 0) check(api_.run_with_binding(session_.get(), run_options_.get(), bound));  // the slow first run
  }

  bool enqueue(uint32_t binding, Status* status) override {
    const DenormalsAsZero guard;  // the pool's own threads have ONNX Runtime's switch
    ort::Status* failed = api_.run_with_binding(session_.get(), run_options_.get(), bindings_[binding].get());
    if (!failed) return true;
    const std::string message = api_.get_error_message(failed);
    api_.release_status(failed);
    return fail(status, "stage '" + stage_.name + "': " + message);
  }
  bool wait(Status*) override { return true; }

 private:
  void check(ort::Status* failed) const {
    if (!failed) return;
    const std::string message = api_.get_error_message(failed);
    api_.release_status(failed);
    throw bad_bundle("stage '" + stage_.name + "': ONNX Runtime: " + message.substr(0, message.find('\n')));
  }

  void open(const ort::Env* env) {
    ort::SessionOptions* made = nullptr;
    check(api_.create_session_options(&made));
    const Owned<ort::SessionOptions> options(made, api_.release_session_options);
    // A thread set per stage lets stages run side by side; without spinning an idle set costs nothing.
    check(api_.set_intra_op_num_threads(made, stage_.threads));
    check(api_.set_inter_op_num_threads(made, 1));
    check(api_.set_session_execution_mode(made, ort::kSequential));
    check(api_.set_session_graph_optimization_level(made, ort::kEnableAll));
    check(api_.set_session_log_severity_level(made, ort::kError));
    for (const char* key : {"session.intra_op.allow_spinning", "session.inter_op.allow_spinning"}) {
      check(api_.add_session_config_entry(made, key, "0"));
    }
    check(api_.add_session_config_entry(made, "session.set_denormal_as_zero", "1"));
    const DenormalsAsZero guard;  // puts the calling thread back as it was
    ort::Session* session = nullptr;
    check(api_.create_session_from_array(env, stage_.data->data(), stage_.data->size(), made, &session));
    session_.reset(session);
    stage_.data = nullptr;
  }

  // Inputs and outputs are matched by place; types and shapes must be the manifest's.
  void check_interface(const std::vector<TensorDesc>& tensors, bool input, std::vector<std::string>* names) {
    size_t count = 0;
    check(input ? api_.session_get_input_count(session_.get(), &count)
                : api_.session_get_output_count(session_.get(), &count));
    const std::string where = "stage '" + stage_.name + "': its engine file ";
    if (count != tensors.size()) {
      throw bad_bundle(where + "has " + std::to_string(count) + (input ? " inputs" : " outputs") +
                       ", the manifest says " + std::to_string(tensors.size()));
    }
    ort::Allocator* allocator = nullptr;
    check(api_.get_allocator_with_default_options(&allocator));
    for (size_t i = 0; i < count; ++i) {
      char* name = nullptr;
      check((input ? api_.session_get_input_name : api_.session_get_output_name)(session_.get(), i, allocator, &name));
      names->emplace_back(name);
      check(api_.allocator_free(allocator, name));
      ort::TypeInfo* type = nullptr;
      check((input ? api_.session_get_input_type_info : api_.session_get_output_type_info)(session_.get(), i, &type));
      const Owned<ort::TypeInfo> owner(type, api_.release_type_info);
      const ort::TensorInfo* info = nullptr;
      check(api_.cast_type_info_to_tensor_info(type, &info));
      int element = 0;
      size_t rank = 0;
      if (info) check(api_.get_tensor_element_type(info, &element));
      if (info) check(api_.get_dimensions_count(info, &rank));
      std::vector<int64_t> shape(rank);
      if (info) check(api_.get_dimensions(info, shape.data(), rank));
      if (element != element_of(tensors[i].dtype) || shape != tensors[i].shape) {
        throw bad_bundle(where + "stores '" + tensors[i].name + "' in another type or shape than the manifest says");
      }
    }
  }

  ort::Value* value(const TensorDesc& tensor, void* address) {
    ort::Value* made = nullptr;
    check(api_.create_tensor_with_data(memory_.get(), address, tensor.bytes, tensor.shape.data(), tensor.shape.size(),
                                       element_of(tensor.dtype), &made));
    values_.emplace_back(made, api_.release_value);
    return made;
  }

  const ort::Api& api_;
  StageDesc stage_;
  Owned<ort::Session> session_;
  Owned<ort::RunOptions> run_options_;
  Owned<ort::MemoryInfo> memory_;
  std::vector<std::string> input_names_, output_names_;
  std::vector<Owned<ort::Value>> values_;
  std::vector<Owned<ort::IoBinding>> bindings_;  // released before the values that they name
};

class OrtBackend : public HostBackend {
 public:
  explicit OrtBackend(const BackendOptions& options) : library_(library(options.onnxruntime)) {}
  std::unique_ptr<Engine> make_engine(const StageDesc& stage) override {
    return std::make_unique<OrtEngine>(*library_.api, library_.env, stage);
  }
  std::string version() const override { return library_.version; }

 private:
  const Library& library_;
};

}  // namespace

std::unique_ptr<Backend> make_onnxruntime_backend(const BackendOptions& options) {
  return std::make_unique<OrtBackend>(options);
}

}  // namespace evss
