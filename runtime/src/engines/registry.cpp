// The backends and host operations that this process knows.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "engine.h"

namespace evss {

namespace {

struct Operation {
  evss_operation_fn function = nullptr;
  void* user = nullptr;
};

struct Registry {
  std::mutex mutex;  // taken while loading only
  std::map<std::string, evss_backend> backends;
  std::map<std::string, std::string> names;  // keeps the copies that evss_backend::name points to
  std::map<std::string, Operation> operations;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

constexpr const char* kBuiltIn[] = {"onnxruntime", "plain", "plain-device", "tensorrt"};

std::unique_ptr<Backend> make_built_in(const std::string& name, const BackendOptions& options) {
  if (name == "onnxruntime") return make_onnxruntime_backend(options);
  if (name == "plain") return make_plain_backend(false);
  if (name == "plain-device") return make_plain_backend(true);
  if (name == "tensorrt") {
#ifdef EDGE_VSS_TENSORRT
    return make_tensorrt_backend();
#else
    throw Error(EVSS_UNAVAILABLE,
                "tensorrt is not available: this build was made without NvInfer.h; apt-get install libnvinfer-dev and "
                "the CUDA headers, then build edge-vss from source (or name them: -DTENSORRT_INCLUDE_DIR=, "
                "-DCUDA_INCLUDE_DIR=)");
#endif
  }
  return nullptr;
}

std::string known_names() {
  std::string text;
  for (const char* name : kBuiltIn) text += std::string(text.empty() ? "" : ", ") + name;
  for (const auto& item : registry().backends) text += ", " + item.first;
  return text;
}

// Calls a host operation; memory that the host cannot touch is copied through buffers made at load.
class OperationEngine : public Engine {
 public:
  OperationEngine(Operation operation, const StageDesc& stage, Backend& backend)
      : operation_(operation), stage_(stage), backend_(backend) {
    for (std::vector<TensorDesc>* list : {&stage_.inputs, &stage_.outputs}) {
      std::vector<evss_tensor_desc>& views = list == &stage_.inputs ? input_views_ : output_views_;
      for (const TensorDesc& t : *list) {
        views.push_back({t.name.c_str(), t.shape.data(), static_cast<uint32_t>(t.shape.size()),
                         static_cast<uint32_t>(t.dtype), t.scale, t.zero_point, t.bytes});
        if (!backend.host_accessible()) staging_.emplace_back(t.bytes);
      }
    }
    view_ = {stage_.name.c_str(),
             nullptr,
             0,
             static_cast<uint32_t>(stage_.inputs.size()),
             static_cast<uint32_t>(stage_.outputs.size()),
             input_views_.data(),
             output_views_.data(),
             static_cast<uint32_t>(stage_.threads)};
  }

  void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) override {
    if (bindings_.size() <= binding) bindings_.resize(binding + 1);
    Binding& bound = bindings_[binding];
    bound.device_inputs = inputs;
    bound.device_outputs = outputs;
    bound.inputs.assign(inputs.begin(), inputs.end());
    bound.outputs = outputs;
    if (backend_.host_accessible()) return;
    for (size_t i = 0; i < inputs.size(); ++i) bound.inputs[i] = staging_[i].data();
    for (size_t i = 0; i < outputs.size(); ++i) bound.outputs[i] = staging_[inputs.size() + i].data();
  }

  bool enqueue(uint32_t binding, Status* status) override {
    const Binding& bound = bindings_[binding];
    const bool copies = !backend_.host_accessible();
    for (size_t i = 0; copies && i < bound.inputs.size(); ++i) {
      if (!backend_.copy_out(staging_[i].data(), bound.device_inputs[i], stage_.inputs[i].bytes))
        return fail(status, stage_.name + ": copy failed");
    }
    char message[200] = {0};
    if (operation_.function(operation_.user, &view_, bound.inputs.data(), bound.outputs.data(), message,
                            sizeof message) != 0) {
      return fail(status, "stage '" + stage_.name + "': " + message);
    }
    for (size_t i = 0; copies && i < bound.outputs.size(); ++i) {
      if (!backend_.copy_in(bound.device_outputs[i], bound.outputs[i], stage_.outputs[i].bytes))
        return fail(status, stage_.name + ": copy failed");
    }
    return true;
  }

  bool wait(Status*) override { return true; }

 private:
  struct Binding {
    std::vector<const void*> inputs;
    std::vector<void*> outputs, device_inputs, device_outputs;
  };
  Operation operation_;
  StageDesc stage_;
  Backend& backend_;
  std::vector<evss_tensor_desc> input_views_, output_views_;
  evss_stage_desc view_{};
  std::vector<std::vector<char>> staging_;
  std::vector<Binding> bindings_;
};

// The best class per position: scores (1, C, H, W) float32 -> labels (1, H, W) uint8, ties to the lowest class.
int32_t argmax_operation(void*, const evss_stage_desc* stage, const void* const* inputs, void* const* outputs,
                         char* error, size_t size) {
  const evss_tensor_desc& scores = stage->inputs[0];
  if (stage->num_inputs != 1 || stage->num_outputs != 1 || scores.rank != 4 || scores.dtype != EVSS_FLOAT32 ||
      stage->outputs[0].dtype != EVSS_UINT8 ||
      stage->outputs[0].bytes != static_cast<size_t>(scores.shape[2] * scores.shape[3])) {
    std::snprintf(error, size, "argmax takes float32 (1, C, H, W) to uint8 (1, H, W)");
    return 1;
  }
  const float* in = static_cast<const float*>(inputs[0]);
  uint8_t* out = static_cast<uint8_t*>(outputs[0]);
  const int64_t area = scores.shape[2] * scores.shape[3];
  for (int64_t i = 0; i < area; ++i) {
    int best = 0;
    for (int c = 1; c < scores.shape[1]; ++c) best = in[c * area + i] > in[best * area + i] ? c : best;
    out[i] = static_cast<uint8_t>(best);
  }
  return 0;
}

}  // namespace

bool fail(Status* status, const std::string& message) {
  status->ok = false;
  std::snprintf(status->message, sizeof status->message, "%s", message.c_str());
  return false;
}

void* HostBackend::allocate(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  void* address = std::aligned_alloc(64, rounded ? rounded : 64);
  if (!address) throw Error(EVSS_INTERNAL, "out of memory: " + std::to_string(bytes) + " bytes for a tensor");
  std::memset(address, 0, rounded ? rounded : 64);
  return address;
}

void HostBackend::release(void* address) { std::free(address); }

bool HostBackend::copy_in(void* to, const void* from_host, size_t bytes) {
  std::memcpy(to, from_host, bytes);
  return true;
}

bool HostBackend::copy_out(void* to_host, const void* from, size_t bytes) {
  std::memcpy(to_host, from, bytes);
  return true;
}

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  if (std::unique_ptr<Backend> made = make_built_in(name, options)) return made;
  const auto found = registry().backends.find(name);
  if (found == registry().backends.end()) {
    throw Error(EVSS_UNAVAILABLE, "unknown backend '" + name + "'; this build has: " + known_names());
  }
  return make_external_backend(found->second);
}

std::string describe_backends(const BackendOptions& options) {
  std::string text;
  const auto describe = [&](const std::string& name) {
    try {
      text += name + " available " + make_backend(name, options)->version() + "\n";
    } catch (const Error& error) {
      text += name + " " + error.what() + "\n";
    }
  };
  for (const char* name : kBuiltIn) describe(name);
  std::vector<std::string> others;
  {
    std::lock_guard<std::mutex> lock(registry().mutex);
    for (const auto& item : registry().backends) others.push_back(item.first);
  }
  for (const std::string& name : others) describe(name);
  return text;
}

void register_backend(const evss_backend& backend) {
  if (backend.struct_size < sizeof(evss_backend) || !backend.name || !backend.available || !backend.allocate ||
      !backend.release || !backend.copy_in || !backend.copy_out || !backend.engine_create || !backend.prepare ||
      !backend.enqueue || !backend.wait || !backend.engine_destroy) {
    throw Error(EVSS_INVALID_ARGUMENT, "a backend needs a name and every function; set struct_size");
  }
  for (const char* name : kBuiltIn) {
    if (std::string(name) == backend.name)
      throw Error(EVSS_INVALID_ARGUMENT, std::string("backend '") + name + "' is built in");
  }
  std::lock_guard<std::mutex> lock(registry().mutex);
  const std::string& kept = registry().names.emplace(backend.name, backend.name).first->second;
  registry().backends[kept] = backend;
  registry().backends[kept].name = kept.c_str();
}

void register_operation(const std::string& name, evss_operation_fn function, void* user) {
  if (name.empty() || !function) throw Error(EVSS_INVALID_ARGUMENT, "an operation needs a name and a function");
  std::lock_guard<std::mutex> lock(registry().mutex);
  registry().operations[name] = {function, user};
}

void unregister_operation(const std::string& name) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  if (!registry().operations.erase(name)) throw Error(EVSS_INVALID_ARGUMENT, "no operation is called '" + name + "'");
}

std::unique_ptr<Engine> make_operation_engine(const std::string& name, const StageDesc& stage, Backend& backend) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  const auto found = registry().operations.find(name);
  if (found != registry().operations.end()) return std::make_unique<OperationEngine>(found->second, stage, backend);
  if (name == "argmax") return std::make_unique<OperationEngine>(Operation{argmax_operation, nullptr}, stage, backend);
  throw Error(EVSS_UNAVAILABLE,
              "stage '" + stage.name + "' needs the host operation '" + name + "', which nobody registered");
}

}  // namespace evss
