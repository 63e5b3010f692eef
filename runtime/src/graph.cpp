#include "graph.h"

#include <algorithm>
#include <functional>

#include "error.h"

namespace evss {

namespace {

constexpr int64_t kMaxTensorBytes = int64_t{1} << 30;
constexpr int kMaxRing = 16;

void check_tensor(const Graph& graph, int index) {
  const Tensor& tensor = graph.tensors[index];
  const std::string where = "tensor '" + tensor.name + "'";
  if (tensor.shape.empty() || tensor.shape.size() > 8) throw bad_bundle(where + " needs 1 to 8 extents");
  int64_t bytes = static_cast<int64_t>(dtype_bytes(tensor.dtype));
  for (int64_t extent : tensor.shape) {
    if (extent < 1 || extent > kMaxTensorBytes || (bytes *= extent) > kMaxTensorBytes) {
      throw bad_bundle(where + " has an absurd shape; want positive extents and at most 1 GiB");
    }
  }
  const int limit = tensor.lives == Lives::kRing ? kMaxRing : 1;
  if (tensor.depth < 1 || tensor.depth > limit) throw bad_bundle(where + " has depth " + std::to_string(tensor.depth));
  if (tensor.reset_to_zero && tensor.lives != Lives::kState)
    throw bad_bundle(where + " resets to zero, which only a state can");
  if (index == graph.image) {
    if (!graph.writers[index].empty() || tensor.lives != Lives::kFrame) {
      throw bad_bundle(where + " is the image: it lives one frame and no stage writes it");
    }
  } else if (graph.writers[index].empty()) {
    throw bad_bundle("no stage writes " + where);
  }
}

void check_reads(const Graph& graph) {
  for (const Stage& stage : graph.stages) {
    for (const Read& read : stage.inputs) {
      const Tensor& tensor = graph.tensors[read.tensor];
      const int oldest = tensor.lives == Lives::kFrame ? 0 : tensor.lives == Lives::kState ? -1 : -tensor.depth;
      if (read.version > 0 || read.version < oldest) {
        throw bad_bundle("stage '" + stage.name + "' reads version " + std::to_string(read.version) + " of '" +
                         tensor.name + "', which keeps " + std::to_string(oldest) + "..0");
      }
    }
  }
}

void check_cycles(const Graph& graph) {
  StageMask done = 0;
  const StageMask all =
      graph.stages.size() == kMaxStages ? ~StageMask{0} >> 1 : (StageMask{1} << graph.stages.size()) - 1;
  for (bool progress = true; progress && done != all;) {
    progress = false;
    for (size_t i = 0; i < graph.stages.size(); ++i) {
      StageMask before = 0;
      for (const Read& read : graph.stages[i].inputs) {
        if (read.version != 0) continue;
        for (int writer : graph.writers[read.tensor]) before |= StageMask{1} << writer;
      }
      const StageMask bit = StageMask{1} << i;
      if (!(done & bit) && !(before & ~done)) {
        done |= bit;
        progress = true;
      }
    }
  }
  if (done != all) throw bad_bundle("stages wait for each other; delay an edge or read an older version");
}

}  // namespace

size_t Tensor::elements() const {
  size_t count = 1;
  for (int64_t extent : shape) count *= static_cast<size_t>(extent);
  return count;
}

int Graph::tensor_index(const std::string& name) const {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

int Graph::stage_index(const std::string& name) const {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

bool Graph::is_output(int tensor) const { return std::find(outputs.begin(), outputs.end(), tensor) != outputs.end(); }

size_t dtype_bytes(evss_dtype dtype) {
  constexpr size_t kBytes[] = {4, 2, 1, 1, 4, 8};
  return kBytes[dtype];
}

const char* dtype_name(evss_dtype dtype) {
  constexpr const char* kNames[] = {"float32", "float16", "uint8", "int8", "int32", "int64"};
  return kNames[dtype];
}

void finish_graph(Graph& graph) {
  if (graph.stages.empty()) throw bad_bundle("a graph needs at least one stage");
  if (graph.stages.size() > kMaxStages)
    throw bad_bundle("a graph has at most " + std::to_string(kMaxStages) + " stages");
  if (graph.outputs.empty()) throw bad_bundle("a graph needs at least one output");
  graph.writers.assign(graph.tensors.size(), {});
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    if (graph.stages[i].outputs.empty()) throw bad_bundle("stage '" + graph.stages[i].name + "' writes nothing");
    for (int tensor : graph.stages[i].outputs) {
      std::vector<int>& writers = graph.writers[tensor];
      if (!writers.empty() && writers.back() == static_cast<int>(i)) {
        throw bad_bundle("stage '" + graph.stages[i].name + "' writes a tensor twice");
      }
      writers.push_back(static_cast<int>(i));
    }
  }
  for (size_t i = 0; i < graph.tensors.size(); ++i) check_tensor(graph, static_cast<int>(i));
  check_reads(graph);
  check_cycles(graph);
}

void check_clocks(const Graph& graph, const Schedule& schedule) {
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    const Clock& clock = schedule.clocks[i];
    const std::string where = "schedule '" + schedule.name + "', stage '" + graph.stages[i].name + "': ";
    if (clock.period < 1 || clock.period > 256 || clock.offset < 0 || clock.offset >= clock.period) {
      throw bad_bundle(where + "period " + std::to_string(clock.period) + " with offset " +
                       std::to_string(clock.offset));
    }
    if (clock.guard.ring >= 0 && graph.tensors[clock.guard.ring].lives != Lives::kRing) {
      throw bad_bundle(where + "guard names '" + graph.tensors[clock.guard.ring].name + "', which is not a ring");
    }
    if (clock.kind != ClockKind::kAdaptive) continue;
    if (!(clock.threshold >= 0.0 && clock.threshold <= 1.0)) throw bad_bundle(where + "threshold is not in [0, 1]");
    if (clock.max_age < 1 || clock.max_age > 1000000) throw bad_bundle(where + "max_age is not in 1..1000000");
    if (clock.budget_frames && clock.budget_fires >= clock.budget_frames) {
      throw bad_bundle(where + "budget " + std::to_string(clock.budget_fires) + " of " +
                       std::to_string(clock.budget_frames) + " is no limit");
    }
    const Tensor& signal = graph.tensors[clock.signal];
    const std::string what = where + "signal '" + signal.name + "' ";
    if (clock.signal == graph.image) throw bad_bundle(what + "is not a tensor that a stage writes");
    const bool labels = signal.dtype == EVSS_UINT8 && signal.shape.size() == 3 && signal.shape[0] == 1;
    if (!clock.relative && !labels) throw bad_bundle(what + "must be uint8 labels of shape (1, H, W)");
    if (clock.relative && signal.dtype != EVSS_FLOAT32) throw bad_bundle(what + "must be float32");
    std::vector<bool> reached(graph.tensors.size(), false);
    for (int tensor : graph.stages[i].outputs) reached[tensor] = true;
    for (size_t round = 0; round < graph.stages.size(); ++round) {
      for (size_t k = 0; k < graph.stages.size(); ++k) {
        for (size_t n = 0; n < graph.stages[k].inputs.size(); ++n) {
          const Read& read = graph.stages[k].inputs[n];
          if (read.version != 0 || schedule.delayed[k][n] || !reached[read.tensor]) continue;
          for (int tensor : graph.stages[k].outputs) reached[tensor] = true;
        }
      }
    }
    if (!schedule.signal_delayed[i] && reached[clock.signal])
      throw bad_bundle(what + "is computed from the stage it is to fire");
  }
}

}  // namespace evss
