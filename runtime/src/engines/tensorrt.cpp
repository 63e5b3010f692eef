// Stages as TensorRT plans on an NVIDIA GPU. Tensors that pass from stage to stage stay on the device; the image and
// what the host reads lie in memory that both see, where the GPU shares the host's.
#include <cstdlib>
#include <cstring>
#include <map>

#include "tensorrt_engine.h"

namespace evss {

namespace {

class TensorRtBackend : public Backend {
 public:
  TensorRtBackend() : device_{tensorrt_library()} {
    const Cuda& cuda = device_.cuda();
    const cudaError_t found = cuda.cudaGetDevice(&device_.index);
    // A first use creates the context, which is what fails where driver and library do not fit.
    const cudaError_t error = found == cudaSuccess ? cuda.cudaFree(nullptr) : found;
    if (error != cudaSuccess)
      throw Error(EVSS_UNAVAILABLE, "tensorrt is not available: no usable GPU: " + device_.why(error));
    device_.sm = "sm" + std::to_string(attribute(cudaDevAttrComputeCapabilityMajor)) +
                 std::to_string(attribute(cudaDevAttrComputeCapabilityMinor));
    shares_memory_ = attribute(cudaDevAttrIntegrated) && attribute(cudaDevAttrCanMapHostMemory);
    const char* graphs = std::getenv("EDGE_VSS_CUDA_GRAPHS");
    device_.graphs = !graphs || std::string(graphs) != "0";
    device_.check(cuda.cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "tensorrt: ");
  }

  ~TensorRtBackend() override {
    if (copies_) device_.cuda().cudaStreamDestroy(copies_);
  }

  bool host_accessible() const override { return false; }

  void* allocate(size_t bytes) override {
    const Cuda& cuda = device_.cuda();
    void* address = nullptr;
    device_.check(cuda.cudaSetDevice(device_.index), kTensor);
    device_.check(cuda.cudaMalloc(&address, bytes), kTensor);
    cudaError_t error = cuda.cudaMemsetAsync(address, 0, bytes, copies_);
    if (error == cudaSuccess) error = cuda.cudaStreamSynchronize(copies_);
    if (error != cudaSuccess) cuda.cudaFree(address);
    device_.check(error, kTensor);
    return address;
  }

  // Mapped memory for what the host touches alone: the GPU of a Jetson does not cache it, so tensors that only stages
  // read are better off in device memory.
  void* allocate_shared(size_t bytes) override {
    if (!shares_memory_) return allocate(bytes);
    const Cuda& cuda = device_.cuda();
    void *host = nullptr, *address = nullptr;
    device_.check(cuda.cudaSetDevice(device_.index), kTensor);
    device_.check(cuda.cudaHostAlloc(&host, bytes, cudaHostAllocMapped), kTensor);
    const cudaError_t error = cuda.cudaHostGetDevicePointer(&address, host, 0);
    if (error != cudaSuccess) cuda.cudaFreeHost(host);
    device_.check(error, kTensor);
    std::memset(host, 0, bytes);
    mapped_[address] = host;
    return address;
  }

  void* host_view(void* address) const override {
    const auto found = mapped_.find(address);
    return found == mapped_.end() ? nullptr : found->second;
  }

  void release(void* address) override {
    const auto found = mapped_.find(address);
    if (found == mapped_.end()) {
      device_.cuda().cudaFree(address);
    } else {
      device_.cuda().cudaFreeHost(found->second);
      mapped_.erase(found);
    }
  }

  bool copy_in(void* to, const void* from_host, size_t bytes) override {
    if (void* host = host_view(to)) return std::memcpy(host, from_host, bytes) != nullptr;
    return copy(to, from_host, bytes, cudaMemcpyHostToDevice);
  }

  bool copy_out(void* to_host, const void* from, size_t bytes) override {
    if (const void* host = host_view(const_cast<void*>(from))) return std::memcpy(to_host, host, bytes) != nullptr;
    return copy(to_host, from, bytes, cudaMemcpyDeviceToHost);
  }

  std::unique_ptr<Engine> make_engine(const StageDesc& stage) override {
    return std::make_unique<TensorRtEngine>(device_, stage);
  }

  std::string version() const override {
    const TensorRtLibrary& library = device_.library;
    return library.version + (library.build < 0 ? "" : "." + std::to_string(library.build)) + " " + device_.sm;
  }

 private:
  static constexpr const char* kTensor = "memory for a tensor: ";

  int attribute(cudaDeviceAttr wanted) const {
    int value = 0;
    device_.check(device_.cuda().cudaDeviceGetAttribute(&value, wanted, device_.index), "tensorrt: ");
    return value;
  }

  // Stages were waited for, so the copy may start at once, beside those that still run on their own streams.
  bool copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    const Cuda& cuda = device_.cuda();
    cudaError_t error = cuda.cudaSetDevice(device_.index);
    if (error == cudaSuccess) error = cuda.cudaMemcpyAsync(to, from, bytes, kind, copies_);
    if (error == cudaSuccess) error = cuda.cudaStreamSynchronize(copies_);
    if (error != cudaSuccess) cuda.cudaGetLastError();
    return error == cudaSuccess;
  }

  TensorRtDevice device_;
  bool shares_memory_ = false;
  cudaStream_t copies_ = nullptr;
  std::map<void*, void*> mapped_;  // device address -> host address
};

}  // namespace

std::unique_ptr<Backend> make_tensorrt_backend() { return std::make_unique<TensorRtBackend>(); }

}  // namespace evss
