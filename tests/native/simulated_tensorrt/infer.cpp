// TensorRT without TensorRT: a plan is "simulated plan\n" and the ONNX file, which ONNX Runtime computes.
#include <NvInfer.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "engines/ort_api.h"
#include "simulated.h"

namespace {

namespace ort = evss::ort;
using simulated::fails;

constexpr char kPlanStart[] = "simulated plan\n";
nvinfer1::ILogger* logger = nullptr;

struct Library {
  std::unique_ptr<ort::Api> api;
  ort::Env* env = nullptr;
  Library() {
    void* handle = dlopen(std::getenv("EDGE_VSS_ONNXRUNTIME"), RTLD_NOW | RTLD_LOCAL);
    if (!handle) std::abort();
    const auto base = reinterpret_cast<const ort::ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
    api = std::make_unique<ort::Api>(base()->get_api(14));
    api->create_env(ort::kError, "simulated", &env);
  }
};

const Library& library() {
  static const Library* const opened = new Library;
  return *opened;
}

// A reported failure of ONNX Runtime is one of the simulated kernel.
bool good(ort::Status* status) {
  if (!status) return true;
  logger->log(nvinfer1::ILogger::Severity::kERROR, library().api->get_error_message(status));
  library().api->release_status(status);
  return false;
}

struct Tensor {
  std::string name;
  bool input = false;
  int element = 0;
  std::vector<int64_t> shape;
  size_t bytes = 0;
};

class Session {
 public:
  Session(const void* data, size_t bytes) {
    const ort::Api& api = *library().api;
    ort::SessionOptions* options = nullptr;
    good(api.create_session_options(&options));
    good(api.set_intra_op_num_threads(options, 1));
    good(api.set_inter_op_num_threads(options, 1));
    good(api.set_session_graph_optimization_level(options, ort::kEnableAll));
    good(api.add_session_config_entry(options, "session.set_denormal_as_zero", "1"));
    if (good(api.create_session_from_array(library().env, data, bytes, options, &session_))) describe();
    api.release_session_options(options);
    good(api.create_cpu_memory_info(ort::kDeviceAllocator, ort::kMemTypeDefault, &memory_));
    good(api.create_run_options(&run_options_));
  }
  ~Session() {
    const ort::Api& api = *library().api;
    api.release_run_options(run_options_);
    api.release_memory_info(memory_);
    if (session_) api.release_session(session_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  bool ok() const { return session_ != nullptr; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

  bool run(const std::map<std::string, void*>& addresses) const {
    const ort::Api& api = *library().api;
    ort::IoBinding* binding = nullptr;
    std::vector<ort::Value*> values;
    bool fine = good(api.create_io_binding(session_, &binding));
    for (const Tensor& tensor : tensors_) {
      ort::Value* value = nullptr;
      void* const host = simulated::inside(addresses.at(tensor.name), tensor.bytes);
      fine = fine && host &&
             good(api.create_tensor_with_data(memory_, host, tensor.bytes, tensor.shape.data(), tensor.shape.size(),
                                              tensor.element, &value));
      values.push_back(value);
      fine = fine && good((tensor.input ? api.bind_input : api.bind_output)(binding, tensor.name.c_str(), value));
    }
    fine = fine && good(api.run_with_binding(session_, run_options_, binding));
    api.release_io_binding(binding);
    for (ort::Value* value : values) api.release_value(value);
    return fine;
  }

 private:
  void describe() {
    const ort::Api& api = *library().api;
    size_t inputs = 0, outputs = 0;
    good(api.session_get_input_count(session_, &inputs));
    good(api.session_get_output_count(session_, &outputs));
    for (size_t i = 0; i < inputs + outputs; ++i) describe(i < inputs, i < inputs ? i : i - inputs);
  }

  void describe(bool input, size_t index) {
    const ort::Api& api = *library().api;
    ort::Allocator* allocator = nullptr;
    char* name = nullptr;
    ort::TypeInfo* type = nullptr;
    const ort::TensorInfo* info = nullptr;
    size_t rank = 0;
    Tensor tensor;
    good(api.get_allocator_with_default_options(&allocator));
    good((input ? api.session_get_input_name : api.session_get_output_name)(session_, index, allocator, &name));
    good((input ? api.session_get_input_type_info : api.session_get_output_type_info)(session_, index, &type));
    good(api.cast_type_info_to_tensor_info(type, &info));
    good(api.get_tensor_element_type(info, &tensor.element));
    good(api.get_dimensions_count(info, &rank));
    tensor.shape.resize(rank);
    good(api.get_dimensions(info, tensor.shape.data(), rank));
    tensor.name = name;
    tensor.input = input;
    const std::map<int, size_t> sizes = {{ort::kFloat, 4}, {ort::kFloat16, 2}, {ort::kUint8, 1},
                                         {ort::kInt8, 1},  {ort::kInt32, 4},   {ort::kInt64, 8}};
    tensor.bytes = sizes.at(tensor.element);
    for (int64_t extent : tensor.shape) tensor.bytes *= static_cast<size_t>(extent);
    good(api.allocator_free(allocator, name));
    api.release_type_info(type);
    tensors_.push_back(tensor);
  }

  ort::Session* session_ = nullptr;
  ort::MemoryInfo* memory_ = nullptr;
  ort::RunOptions* run_options_ = nullptr;
  std::vector<Tensor> tensors_;
};

class Context : public nvinfer1::IExecutionContext {
 public:
  explicit Context(const Session& session) : session_(session) { simulated::made(1); }
  ~Context() override { simulated::made(-1); }

  bool setTensorAddress(const char* name, void* address) override {
    if (fails("setTensorAddress")) return false;
    addresses_[name] = address;
    return true;
  }

  bool enqueueV3(cudaStream_t stream) override {
    if (fails("enqueueV3") || addresses_.size() != session_.tensors().size()) return false;
    return simulated::submit(stream, [this, addresses = addresses_] { return session_.run(addresses); });
  }

 private:
  const Session& session_;
  std::map<std::string, void*> addresses_;
};

class Engine : public nvinfer1::ICudaEngine {
 public:
  Engine(const void* data, size_t bytes) : session_(data, bytes) { simulated::made(1); }
  ~Engine() override { simulated::made(-1); }
  bool ok() const { return session_.ok(); }

  int32_t getNbIOTensors() const override {
    return fails("getNbIOTensors") ? 0 : static_cast<int32_t>(session_.tensors().size());
  }
  nvinfer1::TensorIOMode getTensorIOMode(const char* name) const override {
    const Tensor* tensor = fails("getTensorIOMode") ? nullptr : find(name);
    if (!tensor) return nvinfer1::TensorIOMode::kNONE;
    return tensor->input ? nvinfer1::TensorIOMode::kINPUT : nvinfer1::TensorIOMode::kOUTPUT;
  }
  nvinfer1::DataType getTensorDataType(const char* name) const override {
    using Type = nvinfer1::DataType;
    const std::map<int, Type> types = {{ort::kFloat, Type::kFLOAT}, {ort::kFloat16, Type::kHALF},
                                       {ort::kUint8, Type::kUINT8}, {ort::kInt8, Type::kINT8},
                                       {ort::kInt32, Type::kINT32}, {ort::kInt64, Type::kINT64}};
    const Type type = types.at(find(name)->element);
    if (!fails("getTensorDataType")) return type;
    return type == Type::kFLOAT ? Type::kHALF : Type::kFLOAT;
  }
  nvinfer1::Dims getTensorShape(const char* name) const override {
    nvinfer1::Dims dims;
    const std::vector<int64_t>& shape = find(name)->shape;
    dims.nbDims = fails("getTensorShape") ? -1 : static_cast<int32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), dims.d);
    return dims;
  }
  nvinfer1::TensorFormat getTensorFormat(const char*) const override {
    return fails("getTensorFormat") ? nvinfer1::TensorFormat::kOTHER : nvinfer1::TensorFormat::kLINEAR;
  }
  nvinfer1::TensorLocation getTensorLocation(const char*) const override {
    return fails("getTensorLocation") ? nvinfer1::TensorLocation::kHOST : nvinfer1::TensorLocation::kDEVICE;
  }
  nvinfer1::IExecutionContext* createExecutionContext() override {
    return fails("createExecutionContext") ? nullptr : new Context(session_);
  }

 private:
  const Tensor* find(const std::string& name) const {
    for (const Tensor& tensor : session_.tensors()) {
      if (tensor.name == name) return &tensor;
    }
    return nullptr;
  }
  Session session_;
};

class Runtime : public nvinfer1::IRuntime {
 public:
  Runtime() { simulated::made(1); }
  ~Runtime() override { simulated::made(-1); }
  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* data, size_t bytes) override {
    const std::string start = kPlanStart;
    const char* const text = static_cast<const char*>(data);
    if (fails("deserializeCudaEngine") || bytes < start.size() || std::string(text, start.size()) != start) {
      logger->log(nvinfer1::ILogger::Severity::kERROR, "serialization tag mismatch\nsecond line");
      return nullptr;
    }
    auto engine = std::make_unique<Engine>(text + start.size(), bytes - start.size());
    return engine->ok() ? engine.release() : nullptr;
  }
};

}  // namespace

extern "C" {
SIMULATED_API void* createInferRuntime_INTERNAL(void* given, int32_t version) {
  logger = static_cast<nvinfer1::ILogger*>(given);
  if (fails("createInferRuntime_INTERNAL") || version != 901) return nullptr;
  return static_cast<nvinfer1::IRuntime*>(new Runtime);
}
SIMULATED_API int32_t getInferLibVersion() { return 901; }
SIMULATED_API int32_t getInferLibBuildVersion() { return 7; }
}
