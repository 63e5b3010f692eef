// A stand-in for the CUDA runtime's header, for tests alone; see NvInfer.h beside it.
#pragma once

#include <cstddef>

#define CUDART_VERSION 0
#define SIMULATED_API __attribute__((visibility("default")))

enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1, cudaErrorSimulated = 2 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
enum cudaDeviceAttr {
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrIntegrated,
  cudaDevAttrCanMapHostMemory
};
constexpr unsigned cudaStreamNonBlocking = 1, cudaHostAllocMapped = 2;

using cudaStream_t = struct SimulatedStream*;
using cudaGraph_t = struct SimulatedGraph*;
using cudaGraphExec_t = struct SimulatedGraphExec*;

extern "C" {
SIMULATED_API cudaError_t cudaGetDevice(int* device);
SIMULATED_API cudaError_t cudaSetDevice(int device);
SIMULATED_API cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
SIMULATED_API const char* cudaGetErrorString(cudaError_t error);
SIMULATED_API cudaError_t cudaGetLastError();
SIMULATED_API cudaError_t cudaMalloc(void** address, size_t bytes);
SIMULATED_API cudaError_t cudaFree(void* address);
SIMULATED_API cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned flags);
SIMULATED_API cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags);
SIMULATED_API cudaError_t cudaFreeHost(void* address);
SIMULATED_API cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t);
SIMULATED_API cudaError_t cudaMemsetAsync(void* address, int value, size_t bytes, cudaStream_t stream);
SIMULATED_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
SIMULATED_API cudaError_t cudaStreamSynchronize(cudaStream_t stream);
SIMULATED_API cudaError_t cudaStreamDestroy(cudaStream_t stream);
SIMULATED_API cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
SIMULATED_API cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
SIMULATED_API cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                                        unsigned long long flags);
SIMULATED_API cudaError_t cudaGraphDestroy(cudaGraph_t graph);
SIMULATED_API cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
SIMULATED_API cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
}
