// Graph, clocks and schedules as the frame loop sees them: names are resolved to indices once, at load.
//
// The meaning of every field is that of edge_vss/graph.py and edge_vss/schedule.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "edge_vss.h"

namespace evss {

enum class Lives : uint8_t { kFrame, kState, kRing };

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  evss_dtype dtype = EVSS_FLOAT32;
  Lives lives = Lives::kFrame;
  int depth = 1;
  bool reset_to_zero = false;
  size_t elements() const;
};

struct Read {
  int tensor = 0;
  int version = 0;  // 0 or -1 ... -depth
};

struct Stage {
  std::string name;
  std::vector<Read> inputs;
  std::vector<int> outputs;
  uint64_t macs = 0, params = 0;
};

struct Graph {
  int image = 0;
  std::vector<Tensor> tensors;
  std::vector<Stage> stages;  // at most kMaxStages
  std::vector<int> outputs;
  std::vector<std::vector<int>> writers;  // tensor -> stages

  int tensor_index(const std::string& name) const;  // -1 where there is none
  int stage_index(const std::string& name) const;
  bool is_output(int tensor) const;
};

constexpr int kMaxStages = 63;  // one bit each, and one for the image
using StageMask = uint64_t;

struct Guard {
  int ring = -1;  // -1: none
  bool when_full = true;
};

enum class ClockKind : uint8_t { kAlways, kNever, kEvery, kCycle, kAdaptive };

struct Clock {
  ClockKind kind = ClockKind::kAlways;
  int period = 1, offset = 0;  // every and cycle
  int signal = -1;             // tensor of an adaptive clock
  bool relative = false;       // kind of that signal
  double threshold = 0.0;
  int64_t max_age = 0;
  double rise = 1.0, fall = 1.0;  // what a firing, and a rest, multiply the threshold by; 1: it stays
  double factor_low = 1.0, factor_high = 1.0;
  int budget_fires = 0, budget_frames = 0;  // at most so many firings in so many frames; 0 frames: no limit
  Guard guard;
};

struct Schedule {
  std::string name;
  std::vector<Clock> clocks;               // by stage
  std::vector<std::vector<bool>> delayed;  // stage -> input -> one frame late
  std::vector<bool> signal_delayed;        // by stage
  bool any_delay = false;
};

size_t dtype_bytes(evss_dtype dtype);
const char* dtype_name(evss_dtype dtype);

/// Checks names, versions and cycles, and fills `writers`. Throws Error.
void finish_graph(Graph& graph);
/// Checks a schedule's numbers against its graph. Throws Error.
void check_clocks(const Graph& graph, const Schedule& schedule);

}  // namespace evss
