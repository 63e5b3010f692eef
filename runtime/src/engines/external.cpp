// Backends that live outside this library, behind the function table of edge_vss.h.
#include "engine.h"

namespace evss {

namespace {

class ExternalEngine : public Engine {
 public:
  ExternalEngine(const evss_backend& table, void* engine, std::string stage)
      : table_(table), engine_(engine), stage_(std::move(stage)) {}
  ~ExternalEngine() override { table_.engine_destroy(engine_); }

  void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) override {
    char message[200] = {0};
    if (table_.prepare(engine_, binding, inputs.data(), outputs.data(), message, sizeof message) != 0) {
      throw Error(EVSS_BACKEND_FAILED, std::string(table_.name) + ": stage '" + stage_ + "': " + message);
    }
  }
  bool enqueue(uint32_t binding, Status* status) override {
    char message[200] = {0};
    return table_.enqueue(engine_, binding, message, sizeof message) == 0 ||
           fail(status, "stage '" + stage_ + "': " + message);
  }
  bool wait(Status* status) override {
    char message[200] = {0};
    return table_.wait(engine_, message, sizeof message) == 0 || fail(status, "stage '" + stage_ + "': " + message);
  }

 private:
  evss_backend table_;
  void* engine_;
  std::string stage_;
};

std::vector<evss_tensor_desc> views_of(const std::vector<TensorDesc>& tensors) {
  std::vector<evss_tensor_desc> views;
  for (const TensorDesc& t : tensors) {
    views.push_back({t.name.c_str(), t.shape.data(), static_cast<uint32_t>(t.shape.size()),
                     static_cast<uint32_t>(t.dtype), t.scale, t.zero_point, t.bytes});
  }
  return views;
}

class ExternalBackend : public Backend {
 public:
  explicit ExternalBackend(const evss_backend& table) : table_(table) {
    char why_not[200] = {0};
    if (!table_.available(table_.user, why_not, sizeof why_not)) {
      throw Error(EVSS_UNAVAILABLE, std::string("backend '") + table_.name + "' is not available: " + why_not);
    }
  }
  bool host_accessible() const override { return table_.host_accessible != 0; }
  void* allocate(size_t bytes) override {
    void* address = table_.allocate(table_.user, bytes);
    if (!address)
      throw Error(EVSS_INTERNAL, std::string(table_.name) + ": out of memory: " + std::to_string(bytes) + " bytes");
    return address;
  }
  void release(void* address) override { table_.release(table_.user, address); }
  bool copy_in(void* to, const void* from, size_t bytes) override {
    return table_.copy_in(table_.user, to, from, bytes) == 0;
  }
  bool copy_out(void* to, const void* from, size_t bytes) override {
    return table_.copy_out(table_.user, to, from, bytes) == 0;
  }

  std::unique_ptr<Engine> make_engine(const StageDesc& stage) override {
    const std::vector<evss_tensor_desc> inputs = views_of(stage.inputs), outputs = views_of(stage.outputs);
    const evss_stage_desc view = {stage.name.c_str(),
                                  stage.data->data(),
                                  stage.data->size(),
                                  static_cast<uint32_t>(inputs.size()),
                                  static_cast<uint32_t>(outputs.size()),
                                  inputs.data(),
                                  outputs.data(),
                                  static_cast<uint32_t>(stage.threads)};
    void* engine = nullptr;
    char message[200] = {0};
    if (table_.engine_create(table_.user, &view, &engine, message, sizeof message) != 0) {
      throw Error(EVSS_BACKEND_FAILED, std::string(table_.name) + ": stage '" + stage.name + "': " + message);
    }
    return std::make_unique<ExternalEngine>(table_, engine, stage.name);
  }
  std::string version() const override { return "external"; }

 private:
  evss_backend table_;
};

}  // namespace

std::unique_ptr<Backend> make_external_backend(const evss_backend& backend) {
  return std::make_unique<ExternalBackend>(backend);
}

}  // namespace evss
