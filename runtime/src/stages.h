// The loaded stages of one variant: engines, the memory of every tensor version, and a prepared binding per
// combination of versions that a stage can meet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "clocks.h"
#include "engines/engine.h"
#include "manifest.h"

namespace evss {

class Bundle;

class Stages {
 public:
  /// `slots` as for Clockwork; `for_host` says by tensor whether the host writes or reads it every frame; `threads` is
  /// what one engine may use; threads of `yielding` engines let others go first. Throws Error.
  Stages(const Bundle& bundle, const Variant& variant, std::unique_ptr<Backend> backend, const std::vector<int>& slots,
         const std::vector<bool>& for_host, int threads, StageMask yielding = 0);
  Stages(const Stages&) = delete;
  Stages& operator=(const Stages&) = delete;

  Backend& backend() const { return *backend_; }
  const TensorDesc& tensor(int index) const { return tensors_[index]; }
  void* memory(int tensor, int slot) const { return memory_.versions[tensor][slot]; }

  /// The prepared binding for the versions that `clockwork` has the stage read and write now.
  uint32_t binding(int stage, const Clockwork& clockwork) const;
  Engine& engine(int stage) const { return *engines_[stage]; }

  /// A further binding of a stage, over memory of its own, in graph order.
  struct Apart {
    uint32_t binding = 0;
    std::vector<void*> inputs, outputs;
  };
  Apart set_apart(int stage);  // throws Error

 private:
  // A slot number that varies from frame to frame. Versions of one tensor that a network asks for move together.
  struct Variable {
    int tensor = 0;
    int input = -1;     // read through this input, or
    int output = -1;    // written through this output
    bool base = false;  // the slot that was newest before the frame, else the slot of one `now` input
    int lead = 0;       // slots between what is found there and the base
    int stride = 1;
  };

  // Every version of every tensor; given back after the engines are gone, also where the constructor throws.
  struct Memory {
    explicit Memory(Backend& from) : backend(from) {}
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    Backend& backend;
    std::vector<std::vector<void*>> versions;  // by tensor
    std::vector<void*> apart;
  };

  void describe(const Graph& graph, const Variant& variant);
  void find_variables(const Graph& graph, int stage);
  void prepare_all(const Graph& graph, int stage);
  int slot_for(const Read& read, int input, const std::vector<Variable>& variables,
               const std::vector<int>& values) const;

  const Graph& graph_;
  std::unique_ptr<Backend> backend_;
  std::vector<int> slots_;
  std::vector<TensorDesc> tensors_;
  Memory memory_;
  std::vector<std::unique_ptr<Engine>> engines_;
  std::vector<std::vector<Variable>> variables_;  // by stage
  std::vector<uint32_t> bindings_;                // how many each stage has
};

}  // namespace evss
