#include "tensorrt_engine.h"

#include <algorithm>
#include <cstdio>

#include "../bundle.h"
#include "onnx_names.h"

namespace evss {

namespace {

nvinfer1::DataType type_of(evss_dtype dtype) {
  using Type = nvinfer1::DataType;
  constexpr Type kTypes[] = {Type::kFLOAT, Type::kHALF, Type::kUINT8, Type::kINT8, Type::kINT32, Type::kINT64};
  return kTypes[dtype];
}

bool same_shape(const nvinfer1::Dims& dims, const std::vector<int64_t>& shape) {
  return dims.nbDims == static_cast<int32_t>(shape.size()) && std::equal(shape.begin(), shape.end(), dims.d);
}

}  // namespace

std::string TensorRtDevice::why(cudaError_t error) const {
  cuda().cudaGetLastError();  // or a later call would report it again
  const char* text = cuda().cudaGetErrorString(error);
  return "CUDA: " + std::string(text ? text : "unknown error");
}

void TensorRtDevice::check(cudaError_t error, const std::string& where) const {
  if (error != cudaSuccess) throw Error(EVSS_BACKEND_FAILED, where + why(error));
}

TensorRtEngine::TensorRtEngine(TensorRtDevice& device, const StageDesc& stage)
    : device_(device), stage_(stage), where_("stage '" + stage.name + "': ") {
  device_.check(device_.cuda().cudaSetDevice(device_.index), where_);
  load(*stage.data);
  stage_.data = nullptr;
  // Non-blocking: work on the default stream, ours or a stranger's, must not make stages wait for each other.
  device_.check(device_.cuda().cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), where_);
}

TensorRtEngine::~TensorRtEngine() {
  for (const Binding& bound : bindings_) {
    if (bound.graph) device_.cuda().cudaGraphExecDestroy(bound.graph);
  }
  context_.reset();
  if (stream_) device_.cuda().cudaStreamDestroy(stream_);
}

void TensorRtEngine::load(const std::string& onnx) {
  const TensorRtLibrary& library = device_.library;
  OnnxNames names;
  if (!read_onnx_names(onnx, &names)) throw bad_bundle(where_ + "its engine file is not an ONNX model");
  const PlanKey key = {sha256_hex(onnx.data(), onnx.size()), library.version, library.build, device_.sm};
  const std::string plan = read_plan(stage_.name, key);
  TensorRtLogger::said();
  runtime_.reset(library.create_runtime());
  if (!runtime_) throw Error(EVSS_BACKEND_FAILED, where_ + "TensorRT does not start" + TensorRtLogger::said());
  engine_.reset(runtime_->deserializeCudaEngine(plan.data(), plan.size()));
  if (!engine_) {
    throw Error(EVSS_UNAVAILABLE, where_ + "its plan was built by another TensorRT or for another GPU" +
                                      TensorRtLogger::said() + "; run edge-vss build BUNDLE again on this machine");
  }
  if (engine_->getNbIOTensors() != static_cast<int32_t>(names.inputs.size() + names.outputs.size()))
    throw bad_bundle(where_ + "its plan has other inputs and outputs than its engine file");
  check_interface(stage_.inputs, names.inputs, true);
  check_interface(stage_.outputs, names.outputs, false);
  context_.reset(engine_->createExecutionContext());
  if (!context_) throw Error(EVSS_BACKEND_FAILED, where_ + "TensorRT makes no context" + TensorRtLogger::said());
}

// The manifest's tensors and the ONNX file's are matched by place; TensorRT promises no order, so the ONNX file's names
// find the plan's tensors. Types and shapes must be the manifest's.
void TensorRtEngine::check_interface(const std::vector<TensorDesc>& tensors, const std::vector<std::string>& names,
                                     bool input) {
  using nvinfer1::TensorIOMode;
  if (names.size() != tensors.size()) {
    throw bad_bundle(where_ + "its engine file has " + std::to_string(names.size()) + (input ? " inputs" : " outputs") +
                     ", the manifest says " + std::to_string(tensors.size()));
  }
  const TensorIOMode mode = input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  for (size_t i = 0; i < names.size(); ++i) {
    const char* name = names[i].c_str();
    if (engine_->getTensorIOMode(name) != mode)
      throw bad_bundle(where_ + "its plan lacks the " + (input ? "input '" : "output '") + names[i] + "'");
    if (engine_->getTensorDataType(name) != type_of(tensors[i].dtype) ||
        !same_shape(engine_->getTensorShape(name), tensors[i].shape)) {
      throw bad_bundle(where_ + "its plan stores '" + tensors[i].name +
                       "' in another type or shape than the manifest says");
    }
    // Other stages and the host read rows of plain elements in device memory.
    if (engine_->getTensorFormat(name) != nvinfer1::TensorFormat::kLINEAR ||
        engine_->getTensorLocation(name) != nvinfer1::TensorLocation::kDEVICE) {
      throw bad_bundle(where_ + "its plan wants '" + tensors[i].name + "' in another layout than a linear device one");
    }
    names_.push_back(names[i]);
  }
}

void TensorRtEngine::prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) {
  if (bindings_.size() <= binding) bindings_.resize(binding + 1);
  Binding& bound = bindings_[binding];
  bound.addresses = inputs;
  bound.addresses.insert(bound.addresses.end(), outputs.begin(), outputs.end());
  bound_ = -1;
  // The first run is slow, and TensorRT finishes its own set-up in it, which a capture would refuse.
  Status status;
  if (!bind(binding) || !context_->enqueueV3(stream_))
    throw Error(EVSS_BACKEND_FAILED, where_ + "TensorRT cannot run its plan" + TensorRtLogger::said());
  if (!wait(&status)) throw Error(EVSS_BACKEND_FAILED, status.message);
  if (device_.graphs) capture(&bound);
}

bool TensorRtEngine::bind(uint32_t binding) {
  if (bound_ == static_cast<int>(binding)) return true;
  bound_ = -1;
  const std::vector<void*>& addresses = bindings_[binding].addresses;
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!context_->setTensorAddress(names_[i].c_str(), addresses[i])) return false;
  }
  bound_ = static_cast<int>(binding);
  return true;
}

// A graph keeps the addresses that it was captured with. Without one the binding is enqueued call by call, as with
// EDGE_VSS_CUDA_GRAPHS=0: the same labels, somewhat later.
void TensorRtEngine::capture(Binding* bound) {
  const Cuda& cuda = device_.cuda();
  cudaGraph_t graph = nullptr;
  // Thread-local: another pipeline may allocate memory on its own thread meanwhile.
  cudaError_t error = cuda.cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
  bool enqueued = false;
  if (error == cudaSuccess) {
    enqueued = context_->enqueueV3(stream_);
    error = cuda.cudaStreamEndCapture(stream_, &graph);
  }
  if (error == cudaSuccess && enqueued) error = cuda.cudaGraphInstantiateWithFlags(&bound->graph, graph, 0);
  if (graph) cuda.cudaGraphDestroy(graph);
  if (error == cudaSuccess && enqueued) return;
  bound->graph = nullptr;
  const std::string why = error != cudaSuccess ? device_.why(error) : "TensorRT refuses" + TensorRtLogger::said();
  if (device_.said_no_graph) return;
  device_.said_no_graph = true;
  std::fprintf(stderr, "edge-vss: %sruns without a CUDA graph: %s\n", where_.c_str(), why.c_str());
}

bool TensorRtEngine::report(const std::string& why, Status* status) const {
  device_.cuda().cudaStreamSynchronize(stream_);  // nothing may still write when the caller starts anew
  return fail(status, where_ + why);
}

bool TensorRtEngine::enqueue(uint32_t binding, Status* status) {
  const Cuda& cuda = device_.cuda();
  // The device is a property of the thread, and stages run on several.
  cudaError_t error = cuda.cudaSetDevice(device_.index);
  const cudaGraphExec_t graph = bindings_[binding].graph;
  if (error == cudaSuccess && graph) error = cuda.cudaGraphLaunch(graph, stream_);
  if (error != cudaSuccess) return report(device_.why(error), status);
  if (graph) return true;
  if (bind(binding) && context_->enqueueV3(stream_)) return true;
  return report("TensorRT failed" + TensorRtLogger::said(), status);
}

bool TensorRtEngine::wait(Status* status) {
  const cudaError_t error = device_.cuda().cudaStreamSynchronize(stream_);
  return error == cudaSuccess || fail(status, where_ + device_.why(error));
}

}  // namespace evss
