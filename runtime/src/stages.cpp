#include "stages.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "bundle.h"
#include "crew.h"
#include "error.h"

namespace evss {

namespace {

constexpr int kMaxBindings = 4096;

// Makes an engine on a thread whose lack of urgency the engine's own threads inherit.
std::unique_ptr<Engine> make_yielding(Backend& backend, const StageDesc& desc) {
  std::unique_ptr<Engine> engine;
  std::exception_ptr failure;
  std::thread maker([&] {
    yield_to_others();
    try {
      engine = backend.make_engine(desc);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  maker.join();
  if (failure) std::rethrow_exception(failure);
  return engine;
}

}  // namespace

Stages::Stages(const Bundle& bundle, const Variant& variant, std::unique_ptr<Backend> backend,
               const std::vector<int>& slots, const std::vector<bool>& for_host, int threads, StageMask yielding)
    : graph_(bundle.manifest().graph), backend_(std::move(backend)), slots_(slots), memory_(*backend_) {
  describe(graph_, variant);
  memory_.versions.resize(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const size_t bytes = tensors_[i].bytes;
    for (int slot = 0; slot < slots_[i]; ++slot)
      memory_.versions[i].push_back(for_host[i] ? backend_->allocate_shared(bytes) : backend_->allocate(bytes));
  }
  variables_.resize(graph_.stages.size());
  for (size_t i = 0; i < graph_.stages.size(); ++i) {
    const Stage& stage = graph_.stages[i];
    StageDesc desc;
    desc.name = stage.name;
    desc.threads = threads;
    for (const Read& read : stage.inputs) desc.inputs.push_back(tensors_[read.tensor]);
    for (int tensor : stage.outputs) desc.outputs.push_back(tensors_[tensor]);
    const EngineRef& ref = variant.engines[i];
    if (ref.operation.empty()) {
      const std::string data = bundle.read(ref.file);
      desc.data = &data;
      engines_.push_back((yielding >> i & 1) ? make_yielding(*backend_, desc) : backend_->make_engine(desc));
    } else {
      engines_.push_back(make_operation_engine(ref.operation, desc, *backend_));
    }
    find_variables(graph_, static_cast<int>(i));
    prepare_all(graph_, static_cast<int>(i));
  }
}

Stages::Memory::~Memory() {
  for (const std::vector<void*>& slots : versions) {
    for (void* address : slots) backend.release(address);
  }
  for (void* address : apart) backend.release(address);
}

void Stages::describe(const Graph& graph, const Variant& variant) {
  for (size_t i = 0; i < graph.tensors.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    const Storage& storage = variant.storage[i];
    std::vector<int64_t> shape = tensor.shape;
    if (storage.channels_last) std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
    tensors_.push_back({tensor.name, std::move(shape), storage.dtype, storage.scale, storage.zero_point,
                        tensor.elements() * dtype_bytes(storage.dtype)});
  }
}

void Stages::find_variables(const Graph& graph, int index) {
  const Stage& stage = graph.stages[index];
  std::vector<Variable>& variables = variables_[index];
  // The base of a tensor is the slot that was newest before the frame; older reads and the write follow from it.
  const auto add_base = [&](int tensor, int input, int output, int lead) {
    for (const Variable& known : variables) {
      if (known.tensor == tensor && known.base) return;
    }
    variables.push_back({tensor, input, output, true, lead, 1});
  };
  for (size_t k = 0; k < stage.outputs.size(); ++k) {
    if (slots_[stage.outputs[k]] > 1) add_base(stage.outputs[k], -1, static_cast<int>(k), -1);
  }
  for (size_t k = 0; k < stage.inputs.size(); ++k) {
    const Read& read = stage.inputs[k];
    if (slots_[read.tensor] == 1) continue;
    if (read.version == 0) {
      variables.push_back({read.tensor, static_cast<int>(k), -1, false, 0, 1});
    } else {
      add_base(read.tensor, static_cast<int>(k), -1, -read.version - 1);
    }
  }
  int stride = 1;
  for (Variable& variable : variables) {
    variable.stride = stride;
    stride *= slots_[variable.tensor];
    if (stride > kMaxBindings)
      throw bad_bundle("stage '" + stage.name + "' can meet too many combinations of versions");
  }
}

int Stages::slot_for(const Read& read, int input, const std::vector<Variable>& variables,
                     const std::vector<int>& values) const {
  const int slots = slots_[read.tensor];
  for (size_t v = 0; v < variables.size(); ++v) {
    const Variable& variable = variables[v];
    if (variable.tensor != read.tensor) continue;
    if (read.version == 0 && !variable.base && variable.input == input) return values[v];
    if (read.version != 0 && variable.base) return (values[v] + read.version + 1 + slots) % slots;
  }
  return 0;  // a single slot
}

void Stages::prepare_all(const Graph& graph, int index) {
  const Stage& stage = graph.stages[index];
  const std::vector<Variable>& variables = variables_[index];
  int count = 1;
  for (const Variable& variable : variables) count *= slots_[variable.tensor];
  std::vector<int> values(variables.size());
  for (int binding = 0; binding < count; ++binding) {
    for (size_t v = 0; v < variables.size(); ++v)
      values[v] = binding / variables[v].stride % slots_[variables[v].tensor];
    std::vector<void*> inputs, outputs;
    for (size_t k = 0; k < stage.inputs.size(); ++k) {
      const int slot = slot_for(stage.inputs[k], static_cast<int>(k), variables, values);
      inputs.push_back(memory(stage.inputs[k].tensor, slot));
    }
    for (int tensor : stage.outputs) {
      int slot = 0;
      for (size_t v = 0; v < variables.size(); ++v) {
        if (variables[v].tensor == tensor && variables[v].base) slot = (values[v] + 1) % slots_[tensor];
      }
      outputs.push_back(memory(tensor, slot));
    }
    engines_[index]->prepare(static_cast<uint32_t>(binding), inputs, outputs);
  }
  bindings_.push_back(static_cast<uint32_t>(count));
}

Stages::Apart Stages::set_apart(int stage) {
  const auto room = [&](int tensor) {
    memory_.apart.push_back(backend_->allocate(tensors_[tensor].bytes));
    return memory_.apart.back();
  };
  Apart apart;
  apart.binding = bindings_[stage]++;
  for (const Read& read : graph_.stages[stage].inputs) apart.inputs.push_back(room(read.tensor));
  for (int tensor : graph_.stages[stage].outputs) apart.outputs.push_back(room(tensor));
  engines_[stage]->prepare(apart.binding, apart.inputs, apart.outputs);
  return apart;
}

uint32_t Stages::binding(int stage, const Clockwork& clockwork) const {
  int binding = 0;
  for (const Variable& variable : variables_[stage]) {
    const int slots = slots_[variable.tensor];
    const int found =
        variable.output >= 0 ? clockwork.write_slot(variable.tensor) : clockwork.read_slot(stage, variable.input);
    binding += (found + variable.lead + slots) % slots * variable.stride;
  }
  return static_cast<uint32_t>(binding);
}

}  // namespace evss
