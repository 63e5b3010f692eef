// A CUDA runtime without a GPU. Device addresses trap when the host touches them: the pages are mapped twice, once
// without any access for the outside and once for copies and kernels. Work in a stream runs no sooner than somebody
// waits for the stream, so results that were not waited for are not there.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "simulated.h"

using Work = std::function<bool()>;

struct SimulatedStream {
  std::vector<Work> waiting, captured;
  bool capturing = false;
};
struct SimulatedGraph {
  std::vector<Work> work;
};
struct SimulatedGraphExec {
  std::vector<Work> work;
};

namespace {

struct Pages {
  char* host = nullptr;
  size_t bytes = 0, size = 0;
};

std::recursive_mutex mutex;
std::map<std::string, int> calls;
std::string failing;
int failing_call = 0, live = 0, integrated = 0;
std::map<char*, Pages> pages;  // by device address
thread_local cudaError_t last = cudaSuccess;

using Lock = std::lock_guard<std::recursive_mutex>;

cudaError_t done(bool good) { return good ? cudaSuccess : last = cudaErrorSimulated; }

char* map_pages(size_t bytes) {
  const size_t size = (bytes + 4095) / 4096 * 4096;
  const int file = memfd_create("simulated-device", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0) return nullptr;
  void* device = mmap(nullptr, size, PROT_NONE, MAP_SHARED, file, 0);
  void* host = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  std::memset(host, 0xA5, size);  // fresh memory holds nothing useful
  pages[static_cast<char*>(device)] = {static_cast<char*>(host), bytes, size};
  ++live;
  return static_cast<char*>(device);
}

bool unmap_pages(char* device) {
  const auto found = pages.find(device);
  if (found == pages.end()) return false;
  munmap(found->second.host, found->second.size);
  munmap(device, found->second.size);
  pages.erase(found);
  --live;
  return true;
}

char* device_of(const void* host) {
  for (const auto& item : pages) {
    if (item.second.host == host) return item.first;
  }
  return nullptr;
}

}  // namespace

namespace simulated {

bool fails(const char* function) {
  const Lock lock(mutex);
  return ++calls[function] == failing_call && failing == function;
}

void made(int change) {
  const Lock lock(mutex);
  live += change;
}

void* inside(const void* device, size_t bytes) {
  const Lock lock(mutex);
  char* const address = static_cast<char*>(const_cast<void*>(device));
  auto found = pages.upper_bound(address);
  if (found == pages.begin()) return nullptr;
  --found;
  const size_t offset = static_cast<size_t>(address - found->first);
  return offset + bytes <= found->second.bytes ? found->second.host + offset : nullptr;
}

bool submit(cudaStream_t stream, Work work) {
  const Lock lock(mutex);
  (stream->capturing ? stream->captured : stream->waiting).push_back(std::move(work));
  return true;
}

}  // namespace simulated

using simulated::fails;

extern "C" {

void simulated_fail(const char* function, int nth) {
  const Lock lock(mutex);
  calls.clear();
  failing = function ? function : "";
  failing_call = function ? nth : 0;
}

int simulated_calls(const char* function) {
  const Lock lock(mutex);
  return calls[function];
}

int simulated_live() {
  const Lock lock(mutex);
  return live;
}

void simulated_integrated(int yes) { integrated = yes; }

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return done(!fails("cudaGetDevice"));
}

cudaError_t cudaSetDevice(int device) { return done(!fails("cudaSetDevice") && device == 0); }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const int values[] = {8, 7, integrated, integrated};
  *value = values[attribute];
  return done(!fails("cudaDeviceGetAttribute"));
}

const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "simulated failure"; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = last;
  last = cudaSuccess;
  return error;
}

cudaError_t cudaMalloc(void** address, size_t bytes) {
  const Lock lock(mutex);
  *address = fails("cudaMalloc") ? nullptr : map_pages(bytes);
  return done(*address != nullptr);
}

// What gives something back fails only in what it answers, as a real one does after an earlier error.
cudaError_t cudaFree(void* address) {
  const Lock lock(mutex);
  const bool good = !address || unmap_pages(static_cast<char*>(address));
  return done(!fails("cudaFree") && good);
}

cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned flags) {
  const Lock lock(mutex);
  if (fails("cudaHostAlloc") || flags != cudaHostAllocMapped || !integrated) return done(false);
  *address = pages[map_pages(bytes)].host;
  return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  const Lock lock(mutex);
  *device = fails("cudaHostGetDevicePointer") ? nullptr : device_of(host);
  return done(*device != nullptr);
}

cudaError_t cudaFreeHost(void* address) {
  const Lock lock(mutex);
  const bool good = unmap_pages(device_of(address));
  return done(!fails("cudaFreeHost") && good);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const bool in = kind == cudaMemcpyHostToDevice;
  void* const inner = simulated::inside(in ? to : from, bytes);
  if (fails("cudaMemcpyAsync") || !inner) return done(false);
  return done(simulated::submit(stream, [=] {
    std::memcpy(in ? inner : to, in ? from : inner, bytes);
    return true;
  }));
}

cudaError_t cudaMemsetAsync(void* address, int value, size_t bytes, cudaStream_t stream) {
  void* const inner = simulated::inside(address, bytes);
  if (fails("cudaMemsetAsync") || !inner) return done(false);
  return done(simulated::submit(stream, [=] { return std::memset(inner, value, bytes) != nullptr; }));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (fails("cudaStreamCreateWithFlags") || flags != cudaStreamNonBlocking) return done(false);
  *stream = new SimulatedStream;
  simulated::made(1);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  bool good = !fails("cudaStreamSynchronize");
  std::vector<Work> work;
  {
    const Lock lock(mutex);
    if (stream->capturing) return done(false);
    work.swap(stream->waiting);
  }
  for (const Work& step : work) good = step() && good;
  return done(good);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  simulated::made(-1);
  return done(!fails("cudaStreamDestroy"));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  if (fails("cudaStreamBeginCapture") || stream->capturing) return done(false);
  stream->capturing = true;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->capturing) return done(false);
  stream->capturing = false;
  std::vector<Work> work;
  work.swap(stream->captured);
  *graph = nullptr;
  if (fails("cudaStreamEndCapture")) return done(false);
  *graph = new SimulatedGraph{std::move(work)};
  simulated::made(1);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (fails("cudaGraphInstantiateWithFlags") || graph->work.empty()) return done(false);
  *exec = new SimulatedGraphExec{graph->work};
  simulated::made(1);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  simulated::made(-1);
  return done(!fails("cudaGraphDestroy"));
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (fails("cudaGraphLaunch")) return done(false);
  for (const Work& step : exec->work) simulated::submit(stream, step);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  simulated::made(-1);
  return done(!fails("cudaGraphExecDestroy"));
}
}
