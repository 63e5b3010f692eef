// TensorRT and the CUDA runtime, opened at run time: one build of this library works with and without them.
//
// Only what TensorRT 10.3 and 11 both have is used. Classes of TensorRT are reached through their virtual functions,
// so a library of the major version that the headers came from is needed, and nothing has to be linked.
#pragma once

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <string>

#include "error.h"

namespace evss {

#define EVSS_CUDA_FUNCTIONS(X)     \
  X(cudaGetDevice)                 \
  X(cudaSetDevice)                 \
  X(cudaDeviceGetAttribute)        \
  X(cudaGetErrorString)            \
  X(cudaGetLastError)              \
  X(cudaMalloc)                    \
  X(cudaFree)                      \
  X(cudaHostAlloc)                 \
  X(cudaHostGetDevicePointer)      \
  X(cudaFreeHost)                  \
  X(cudaMemcpyAsync)               \
  X(cudaMemsetAsync)               \
  X(cudaStreamCreateWithFlags)     \
  X(cudaStreamSynchronize)         \
  X(cudaStreamDestroy)             \
  X(cudaStreamBeginCapture)        \
  X(cudaStreamEndCapture)          \
  X(cudaGraphInstantiateWithFlags) \
  X(cudaGraphDestroy)              \
  X(cudaGraphLaunch)               \
  X(cudaGraphExecDestroy)

/// The functions of libcudart, by their own names.
struct Cuda {
#define EVSS_CUDA_MEMBER(name) decltype(&::name) name = nullptr;
  EVSS_CUDA_FUNCTIONS(EVSS_CUDA_MEMBER)
#undef EVSS_CUDA_MEMBER
};

/// TensorRT accepts one logger per process and keeps it, so this one is never destroyed. It remembers the last error
/// of each thread, for the message of whoever asked.
class TensorRtLogger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* message) noexcept override;
  /// " (what TensorRT said)" of this thread, or nothing; forgets it.
  static std::string said();
};

struct TensorRtLibrary {
  Cuda cuda;
  nvinfer1::IRuntime* (*create_runtime)() = nullptr;
  std::string version;  // three parts
  int build = -1;       // the fourth part of the version; -1 where the library does not tell
};

/// Opens both libraries once per process; they stay open. Throws Error (EVSS_UNAVAILABLE).
const TensorRtLibrary& tensorrt_library();

}  // namespace evss
