#include "background.h"

#include <algorithm>
#include <cstring>

namespace evss {

StageMask background_candidates(const Graph& graph, const std::vector<Schedule>& schedules) {
  std::vector<bool> good(graph.tensors.size());
  for (size_t i = 0; i < good.size(); ++i) {
    const Tensor& tensor = graph.tensors[i];
    good[i] = tensor.lives == Lives::kState && !tensor.reset_to_zero && graph.writers[i].size() == 1 &&
              !graph.is_output(static_cast<int>(i));
  }
  for (const Stage& stage : graph.stages) {
    for (const Read& read : stage.inputs) good[read.tensor] = good[read.tensor] && read.version == 0;
  }
  for (const Schedule& schedule : schedules) {
    for (const Clock& clock : schedule.clocks) {
      if (clock.signal >= 0) good[clock.signal] = false;
    }
  }
  int best = -1;
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    const Stage& stage = graph.stages[i];
    const bool reads =
        std::all_of(stage.inputs.begin(), stage.inputs.end(), [](const Read& r) { return r.version == 0; });
    const bool writes = std::all_of(stage.outputs.begin(), stage.outputs.end(), [&](int t) { return good[t]; });
    if (reads && writes && (best < 0 || stage.macs > graph.stages[static_cast<size_t>(best)].macs))
      best = static_cast<int>(i);
  }
  return best < 0 ? 0 : StageMask{1} << best;
}

Background::Background(const Graph& graph, Stages& stages, StageMask candidates)
    : graph_(graph), stages_(stages), candidates_(candidates), crew_(candidates ? 1 : 0, true) {
  size_t largest = 0;
  for (size_t i = 0; i < graph.stages.size(); ++i) {
    if (!(candidates >> i & 1)) continue;
    apart_[static_cast<int>(i)] = stages.set_apart(static_cast<int>(i));
    for (const Read& read : graph.stages[i].inputs) largest = std::max(largest, stages.tensor(read.tensor).bytes);
    for (int tensor : graph.stages[i].outputs) largest = std::max(largest, stages.tensor(tensor).bytes);
  }
  if (!stages.backend().host_accessible()) host_.resize(largest);
}

bool Background::copy(void* to, const void* from, size_t bytes) {
  if (!host_.empty())
    return stages_.backend().copy_out(host_.data(), from, bytes) && stages_.backend().copy_in(to, host_.data(), bytes);
  std::memcpy(to, from, bytes);
  return true;
}

bool Background::start(int stage, const Clockwork& clockwork) {
  const Stages::Apart& apart = apart_[stage];
  const std::vector<Read>& inputs = graph_.stages[stage].inputs;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const int slot = clockwork.read_slot(stage, static_cast<int>(k));
    const int tensor = inputs[k].tensor;
    if (slot < 0 || !copy(apart.inputs[k], stages_.memory(tensor, slot), stages_.tensor(tensor).bytes)) return false;
  }
  job_.stage = stage;
  job_.engine = &stages_.engine(stage);
  job_.binding = apart.binding;
  done_ = false;
  begun_ms_ = now_ms();
  crew_.start(&job_);
  return true;
}

bool Background::done(bool wait) {
  if (job_.stage >= 0 && !done_) done_ = crew_.take_done(wait) != nullptr;
  return job_.stage >= 0 && done_;
}

Job Background::take() {
  const Job job = job_;
  job_.stage = -1;
  return job;
}

bool Background::hand_over(int stage, const Clockwork& clockwork) {
  const std::vector<int>& outputs = graph_.stages[stage].outputs;
  for (size_t k = 0; k < outputs.size(); ++k) {
    void* to = stages_.memory(outputs[k], clockwork.write_slot(outputs[k]));
    if (!copy(to, apart_[stage].outputs[k], stages_.tensor(outputs[k]).bytes)) return false;
  }
  return true;
}

}  // namespace evss
