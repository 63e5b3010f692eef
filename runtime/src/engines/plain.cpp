// Engines without a library: exact whole-number arithmetic that tests can repeat in Python, bit for bit.
//
// An engine file is JSON: {"operation": "mix", "salt": [s0, s1, ...], "sleep_us": 0} with one salt per output, where
//   out[i] = (salt + sum over inputs j of (j + 1) * in_j[(i * 7 + salt) mod n_j]) mod m,  m = 11 for uint8, else
//   1048573;
// or {"operation": "none"}, which leaves its outputs as they are. "fail_after": n fails the n-th firing; "sleep_us" may
// be a list, one number per firing in turn.
//
// The device flavour gives out addresses that trap when the host touches them: the same pages are mapped twice, once
// without any access for the outside and once for the engines.
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <thread>

#include "../fields.h"
#include "engine.h"

namespace evss {

namespace {

// What the host-side address of a tensor is, for engines of either flavour.
class Window {
 public:
  virtual ~Window() = default;
  virtual void* inside(void* address) const = 0;
};

double load(const TensorDesc& tensor, const void* data, size_t i) {
  switch (tensor.dtype) {
    case EVSS_FLOAT32:
      return static_cast<const float*>(data)[i];
    case EVSS_UINT8:
      return static_cast<const uint8_t*>(data)[i];
    case EVSS_INT8:
      return static_cast<const int8_t*>(data)[i];
    case EVSS_INT32:
      return static_cast<const int32_t*>(data)[i];
    case EVSS_INT64:
      return static_cast<double>(static_cast<const int64_t*>(data)[i]);
    default:
      return 0.0;
  }
}

void store(const TensorDesc& tensor, void* data, size_t i, int64_t value) {
  switch (tensor.dtype) {
    case EVSS_FLOAT32:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      break;
    case EVSS_UINT8:
      static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(value);
      break;
    case EVSS_INT8:
      static_cast<int8_t*>(data)[i] = static_cast<int8_t>(value);
      break;
    case EVSS_INT32:
      static_cast<int32_t*>(data)[i] = static_cast<int32_t>(value);
      break;
    case EVSS_INT64:
      static_cast<int64_t*>(data)[i] = value;
      break;
    default:
      break;
  }
}

size_t elements(const TensorDesc& tensor) {
  size_t count = 1;
  for (int64_t extent : tensor.shape) count *= static_cast<size_t>(extent);
  return count;
}

class PlainEngine : public Engine {
 public:
  PlainEngine(const StageDesc& stage, const Window& window) : stage_(stage), window_(window) {
    const std::string where = "stage '" + stage.name + "': plain engine";
    const Json json = Json::parse(*stage.data, nullptr, false);
    Fields fields(json, where);
    mixes_ = fields.choice("operation", {"none", "mix"}) == 1;
    for (const Json& salt : fields.list_or_empty("salt")) salts_.push_back(Fields::as_whole(salt, 0, 1 << 20, where));
    const Json* sleep = fields.find("sleep_us");
    if (sleep && !sleep->is_array()) sleeps_us_ = {fields.whole("sleep_us", 0, 1000000)};
    if (sleep && sleep->is_array()) {
      for (const Json& one : *sleep) sleeps_us_.push_back(Fields::as_whole(one, 0, 1000000, where));
    }
    fail_after_ = fields.whole("fail_after", 0, 1 << 30, 0);
    fields.done();
    if (mixes_ && salts_.size() != stage.outputs.size()) throw bad_bundle(where + ": want one salt per output");
  }

  void prepare(uint32_t binding, const std::vector<void*>& inputs, const std::vector<void*>& outputs) override {
    if (bindings_.size() <= binding) bindings_.resize(binding + 1);
    bindings_[binding] = {inputs, outputs};
    for (void*& address : bindings_[binding].inputs) address = window_.inside(address);
    for (void*& address : bindings_[binding].outputs) address = window_.inside(address);
  }

  bool enqueue(uint32_t binding, Status* status) override {
    const int64_t sleep_us = sleeps_us_.empty() ? 0 : sleeps_us_[static_cast<size_t>(firings_) % sleeps_us_.size()];
    ++firings_;
    if (sleep_us) std::this_thread::sleep_for(std::chrono::microseconds(sleep_us));
    if (fail_after_ && firings_ == fail_after_)
      return fail(status, "stage '" + stage_.name + "': failed as its file asks for");
    const Binding& bound = bindings_[binding];
    for (size_t k = 0; mixes_ && k < stage_.outputs.size(); ++k) mix(bound, k);
    return true;
  }
  bool wait(Status*) override { return true; }

 private:
  struct Binding {
    std::vector<void*> inputs, outputs;
  };

  void mix(const Binding& bound, size_t k) {
    const TensorDesc& out = stage_.outputs[k];
    const int64_t modulus = out.dtype == EVSS_UINT8 ? 11 : out.dtype == EVSS_INT8 ? 127 : 1048573;
    const size_t count = elements(out), salt = static_cast<size_t>(salts_[k]);
    for (size_t i = 0; i < count; ++i) {
      int64_t total = static_cast<int64_t>(salt);
      for (size_t j = 0; j < stage_.inputs.size(); ++j) {
        const TensorDesc& in = stage_.inputs[j];
        total += static_cast<int64_t>(j + 1) *
                 static_cast<int64_t>(load(in, bound.inputs[j], (i * 7 + salt) % elements(in)));
      }
      const int64_t rest = total % modulus;
      store(out, bound.outputs[k], i, rest < 0 ? rest + modulus : rest);
    }
  }

  StageDesc stage_;
  const Window& window_;
  bool mixes_ = false;
  std::vector<int64_t> salts_;
  std::vector<int64_t> sleeps_us_;
  int64_t fail_after_ = 0, firings_ = 0;
  std::vector<Binding> bindings_;
};

class PlainBackend : public HostBackend, public Window {
 public:
  void* inside(void* address) const override { return address; }
  std::unique_ptr<Engine> make_engine(const StageDesc& stage) override {
    return std::make_unique<PlainEngine>(stage, *this);
  }
  std::string version() const override { return "1"; }
};

class PlainDeviceBackend : public Backend, public Window {
 public:
  ~PlainDeviceBackend() override {
    for (const auto& item : mappings_) unmap(item.first, item.second);
  }
  bool host_accessible() const override { return false; }
  void* inside(void* address) const override { return mappings_.at(address).inside; }

  void* allocate(size_t bytes) override {
    const int file = memfd_create("edge-vss-plain", MFD_CLOEXEC);
    const size_t size = (bytes + 4095) / 4096 * 4096;
    if (file < 0 || ftruncate(file, static_cast<off_t>(size)) != 0)
      throw Error(EVSS_INTERNAL, "no memory for a plain device");
    void* outside = mmap(nullptr, size, PROT_NONE, MAP_SHARED, file, 0);
    void* within = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (outside == MAP_FAILED || within == MAP_FAILED) throw Error(EVSS_INTERNAL, "no memory for a plain device");
    mappings_[outside] = {within, size};
    return outside;
  }
  void release(void* address) override {
    const auto found = mappings_.find(address);
    if (found == mappings_.end()) return;
    unmap(found->first, found->second);
    mappings_.erase(found);
  }
  bool copy_in(void* to, const void* from_host, size_t bytes) override {
    std::memcpy(inside(to), from_host, bytes);
    return true;
  }
  bool copy_out(void* to_host, const void* from, size_t bytes) override {
    std::memcpy(to_host, inside(const_cast<void*>(from)), bytes);
    return true;
  }
  std::unique_ptr<Engine> make_engine(const StageDesc& stage) override {
    return std::make_unique<PlainEngine>(stage, *this);
  }
  std::string version() const override { return "1"; }

 private:
  struct Mapping {
    void* inside = nullptr;
    size_t size = 0;
  };
  static void unmap(void* outside, const Mapping& mapping) {
    munmap(outside, mapping.size);
    munmap(mapping.inside, mapping.size);
  }
  std::map<void*, Mapping> mappings_;
};

}  // namespace

std::unique_ptr<Backend> make_plain_backend(bool device) {
  if (device) return std::make_unique<PlainDeviceBackend>();
  return std::make_unique<PlainBackend>();
}

}  // namespace evss
