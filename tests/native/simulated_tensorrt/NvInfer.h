// A stand-in for TensorRT's header, for tests alone: just the names that the tensorrt engine uses, written for this
// simulation. It shares neither text nor binary layout with the real one; version 0 keeps a build against it from
// ever opening a real libnvinfer.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#define NV_TENSORRT_MAJOR 0
#define NV_TENSORRT_MINOR 9
#define NV_TENSORRT_PATCH 1

namespace nvinfer1 {

enum class DataType : int32_t { kFLOAT, kHALF, kINT8, kINT32, kUINT8, kINT64 };
enum class TensorIOMode : int32_t { kNONE, kINPUT, kOUTPUT };
enum class TensorLocation : int32_t { kDEVICE, kHOST };
enum class TensorFormat : int32_t { kLINEAR, kOTHER };

struct Dims {
  int32_t nbDims = 0;
  int64_t d[8] = {0};
};

class ILogger {
 public:
  enum class Severity : int32_t { kINTERNAL_ERROR, kERROR, kWARNING };
  virtual ~ILogger() = default;
  virtual void log(Severity severity, const char* message) noexcept = 0;
};

class IExecutionContext {
 public:
  virtual ~IExecutionContext() = default;
  virtual bool setTensorAddress(const char* name, void* address) = 0;
  virtual bool enqueueV3(cudaStream_t stream) = 0;
};

class ICudaEngine {
 public:
  virtual ~ICudaEngine() = default;
  virtual int32_t getNbIOTensors() const = 0;
  virtual TensorIOMode getTensorIOMode(const char* name) const = 0;
  virtual DataType getTensorDataType(const char* name) const = 0;
  virtual Dims getTensorShape(const char* name) const = 0;
  virtual TensorFormat getTensorFormat(const char* name) const = 0;
  virtual TensorLocation getTensorLocation(const char* name) const = 0;
  virtual IExecutionContext* createExecutionContext() = 0;
};

class IRuntime {
 public:
  virtual ~IRuntime() = default;
  virtual ICudaEngine* deserializeCudaEngine(const void* data, size_t bytes) = 0;
};

}  // namespace nvinfer1
