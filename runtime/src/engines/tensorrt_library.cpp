#include "tensorrt_library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

namespace evss {

namespace {

thread_local char last_error[160] = {0};

// What NvInferRuntime.h's createInferRuntime() calls.
using CreateRuntime = void* (*)(void* logger, int32_t version);
CreateRuntime create_runtime_entry = nullptr;

TensorRtLogger& logger() {
  static TensorRtLogger* const instance = new TensorRtLogger;  // outlives every user, see the header
  return *instance;
}

nvinfer1::IRuntime* create_runtime() {
  constexpr int32_t kVersion = NV_TENSORRT_MAJOR * 10000 + NV_TENSORRT_MINOR * 100 + NV_TENSORRT_PATCH;
  return static_cast<nvinfer1::IRuntime*>(create_runtime_entry(&logger(), kVersion));
}

void* open(const char* variable, const std::string& soname, const std::string& how) {
  const char* from_environment = std::getenv(variable);
  std::string path = from_environment && *from_environment ? from_environment : soname;
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
#ifdef EDGE_VSS_TENSORRT_LIBRARY_DIR
  if (!handle && path == soname) {
    path = EDGE_VSS_TENSORRT_LIBRARY_DIR "/" + soname;
    handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
#endif
  if (!handle) {
    const char* why = dlerror();
    throw Error(EVSS_UNAVAILABLE, "tensorrt is not available: " + std::string(why ? why : path) + "; " + how +
                                      ", or name the library in " + variable);
  }
  return handle;
}

void* entry(void* handle, const char* name) {
  void* found = dlsym(handle, name);
  if (!found) throw Error(EVSS_UNAVAILABLE, std::string("tensorrt is not available: no function ") + name);
  return found;
}

// 100300 is 10.3.0. The fourth part has a function of its own, in the headers since 10.0 but looked up all the same.
void read_version(void* handle, TensorRtLibrary* library) {
  const int version = reinterpret_cast<int32_t (*)()>(entry(handle, "getInferLibVersion"))();
  const int major = version / 10000;
  library->version =
      std::to_string(major) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
  if (void* build = dlsym(handle, "getInferLibBuildVersion")) {
    library->build = reinterpret_cast<int32_t (*)()>(build)();
  }
  if (major != NV_TENSORRT_MAJOR) {
    throw Error(EVSS_UNAVAILABLE, "tensorrt is not available: libnvinfer is " + library->version +
                                      ", this build is for TensorRT " + std::to_string(NV_TENSORRT_MAJOR) +
                                      "; build edge-vss again on this machine");
  }
}

}  // namespace

void TensorRtLogger::log(Severity severity, const char* message) noexcept {
  if (severity > Severity::kERROR) return;
  std::snprintf(last_error, sizeof last_error, "%s", message);
  for (char* c = last_error; *c; ++c) *c = *c == '\n' ? ' ' : *c;
}

std::string TensorRtLogger::said() {
  const std::string text = *last_error ? " (" + std::string(last_error) + ")" : "";
  last_error[0] = 0;
  return text;
}

const TensorRtLibrary& tensorrt_library() {
  static std::mutex mutex;
  static TensorRtLibrary opened;
  static bool complete = false;
  std::lock_guard<std::mutex> lock(mutex);
  if (complete) return opened;
  void* cudart = open("EDGE_VSS_CUDART", "libcudart.so." + std::to_string(CUDART_VERSION / 1000),
                      "install the CUDA runtime (cuda-cudart)");
  void* nvinfer = open("EDGE_VSS_TENSORRT", "libnvinfer.so." + std::to_string(NV_TENSORRT_MAJOR),
                       "install TensorRT (apt-get install libnvinfer-bin on a Jetson)");
  // Headers may rename a function by macro (one per default stream mode): the expanded name is the exported one.
#define EVSS_NAME_OF(name) #name
#define EVSS_CUDA_LOAD(name) \
  opened.cuda.name = reinterpret_cast<decltype(opened.cuda.name)>(entry(cudart, EVSS_NAME_OF(name)));
  EVSS_CUDA_FUNCTIONS(EVSS_CUDA_LOAD)
#undef EVSS_CUDA_LOAD
#undef EVSS_NAME_OF
  create_runtime_entry = reinterpret_cast<CreateRuntime>(entry(nvinfer, "createInferRuntime_INTERNAL"));
  read_version(nvinfer, &opened);
  opened.create_runtime = create_runtime;
  complete = true;
  return opened;
}

}  // namespace evss
