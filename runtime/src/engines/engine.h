// What computes a stage, and where its tensors live.
//
// A backend owns the memory of every tensor of a variant and makes one engine per stage. Addresses are opaque to the
// scheduler: contents move through copy_in and copy_out, unless the backend says that the host may touch them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "edge_vss.h"
#include "error.h"

namespace evss {

struct TensorDesc {
  std::string name;
  std::vector<int64_t> shape;
  evss_dtype dtype = EVSS_FLOAT32;  // as stored
  float scale = 1.0f;
  int zero_point = 0;
  size_t bytes = 0;
};

struct StageDesc {
  std::string name;
  std::vector<TensorDesc> inputs, outputs;
  const std::string* data = nullptr;  // the engine file; only during make_engine
  int threads = 1;
};

/// One loaded stage. Used by one thread at a time.
class Engine {
 public:
  virtual ~Engine() = default;
  /// Binds one combination of addresses under `binding` (0, 1, 2, ...), at load. Throws Error.
  virtual void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) = 0;
  /// Starts the stage on a prepared binding; allocates nothing of ours.
  virtual bool enqueue(uint32_t binding, Status* status) = 0;
  /// Returns when what was enqueued is done.
  virtual bool wait(Status* status) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual bool host_accessible() const = 0;
  /// 64-byte aligned, zeroed. Throws Error.
  virtual void* allocate(size_t bytes) = 0;
  /// The same for a tensor that the host writes or reads every frame.
  virtual void* allocate_shared(size_t bytes) { return allocate(bytes); }
  /// Where the host finds the contents of that address; nullptr: they have to be copied.
  virtual void* host_view(void* address) const { return host_accessible() ? address : nullptr; }
  virtual void release(void* address) = 0;
  virtual bool copy_in(void* to, const void* from_host, size_t bytes) = 0;
  virtual bool copy_out(void* to_host, const void* from, size_t bytes) = 0;
  /// Throws Error.
  virtual std::unique_ptr<Engine> make_engine(const StageDesc& stage) = 0;
  virtual std::string version() const = 0;
};

struct BackendOptions {
  std::string onnxruntime;  // path, may be empty
};

/// Makes a backend; throws Error (EVSS_UNAVAILABLE) that says why where there is none of that name here.
std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options);
/// "name available|why not", one per line.
std::string describe_backends(const BackendOptions& options);
void register_backend(const evss_backend& backend);

void register_operation(const std::string& name, evss_operation_fn function, void* user);
void unregister_operation(const std::string& name);
/// An engine that calls a registered host operation, through host copies where the backend's memory is elsewhere.
std::unique_ptr<Engine> make_operation_engine(const std::string& name, const StageDesc& stage, Backend& backend);

/// Memory of backends that compute on the host.
class HostBackend : public Backend {
 public:
  bool host_accessible() const override { return true; }
  void* allocate(size_t bytes) override;
  void release(void* address) override;
  bool copy_in(void* to, const void* from_host, size_t bytes) override;
  bool copy_out(void* to_host, const void* from, size_t bytes) override;
};

std::unique_ptr<Backend> make_onnxruntime_backend(const BackendOptions& options);
std::unique_ptr<Backend> make_plain_backend(bool device);
std::unique_ptr<Backend> make_tensorrt_backend();  // only where EDGE_VSS_TENSORRT is defined
std::unique_ptr<Backend> make_external_backend(const evss_backend& backend);

bool fail(Status* status, const std::string& message);

}  // namespace evss
