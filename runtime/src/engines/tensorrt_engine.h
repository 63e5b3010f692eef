// One stage as a TensorRT execution context with a stream of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine.h"
#include "tensorrt_library.h"
#include "tensorrt_plans.h"

namespace evss {

/// What the engines of one backend share.
struct TensorRtDevice {
  const TensorRtLibrary& library;
  int index = 0;               // of the CUDA device
  std::string sm = "";         // "sm87"
  bool graphs = true;          // replay a CUDA graph per binding
  bool said_no_graph = false;  // noted once, while loading

  const Cuda& cuda() const { return library.cuda; }
  /// "CUDA: out of memory"; clears the error.
  std::string why(cudaError_t error) const;
  void check(cudaError_t error, const std::string& where) const;  // throws Error
};

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(TensorRtDevice& device, const StageDesc& stage);
  ~TensorRtEngine() override;

  /// Also runs the binding once, and captures it as a CUDA graph where graphs are on.
  void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) override;
  bool enqueue(uint32_t binding, Status* status) override;
  bool wait(Status* status) override;

 private:
  struct Binding {
    std::vector<void*> addresses;  // inputs, then outputs
    cudaGraphExec_t graph = nullptr;
  };

  void load(const std::string& onnx);
  void check_interface(const std::vector<TensorDesc>& tensors, const std::vector<std::string>& names, bool input);
  bool bind(uint32_t binding);
  void capture(Binding* bound);
  bool report(const std::string& why, Status* status) const;

  TensorRtDevice& device_;
  StageDesc stage_;
  std::string where_;
  std::vector<std::string> names_;               // inputs, then outputs
  std::unique_ptr<nvinfer1::IRuntime> runtime_;  // outlives the engine, which outlives the context
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  cudaStream_t stream_ = nullptr;
  std::vector<Binding> bindings_;
  int bound_ = -1;  // whose addresses the context holds
};

}  // namespace evss
