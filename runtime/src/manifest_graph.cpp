// Graph and schedules of a manifest.
#include <algorithm>
#include <cctype>

#include "dry_run.h"
#include "fields.h"
#include "manifest_parts.h"

namespace evss {

void check_name(const std::string& kind, const std::string& name) {
  const auto word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-';
  };
  const bool good = !name.empty() && name.size() <= 128 &&
                    (std::isalpha(static_cast<unsigned char>(name[0])) || name[0] == '_') &&
                    std::all_of(name.begin(), name.end(), word);
  if (!good) throw bad_bundle(kind + " name '" + name + "' is not a letter followed by letters, digits or '_.-'");
}

evss_dtype read_dtype(Fields& fields, const char* key, int otherwise) {
  return static_cast<evss_dtype>(
      fields.choice(key, {"float32", "float16", "uint8", "int8", "int32", "int64"}, otherwise));
}

int tensor_named(const Graph& graph, const std::string& name, const std::string& where) {
  const int index = graph.tensor_index(name);
  if (index < 0) throw bad_bundle(where + " names tensor '" + name + "', which is not declared");
  return index;
}

namespace {

Tensor read_tensor(const Json& json, const std::string& where) {
  Fields fields(json, where);
  Tensor tensor;
  tensor.name = fields.text("name");
  for (const Json& extent : fields.list("shape")) {
    tensor.shape.push_back(Fields::as_whole(extent, -kAnyInt, kAnyInt, where + ".shape"));
  }
  tensor.dtype = read_dtype(fields, "dtype", EVSS_FLOAT32);
  tensor.lives = static_cast<Lives>(fields.choice("lives", {"frame", "state", "ring"}, 0));
  tensor.depth = static_cast<int>(fields.whole("depth", -1024, 1024, 1));
  tensor.reset_to_zero = fields.choice("reset", {"invalid", "zero"}, 0) == 1;
  fields.done();
  return tensor;
}

Stage read_stage(const Json& json, const Graph& graph, const std::string& where) {
  Fields fields(json, where);
  Stage stage;
  stage.name = fields.text("name");
  for (const Json& item : fields.list("inputs")) {
    Fields input(item, where + ".inputs");
    Read read;
    read.tensor = tensor_named(graph, input.text("tensor"), "input of stage '" + stage.name + "'");
    read.version = static_cast<int>(input.whole("version", -1024, 1024, 0));
    input.done();
    stage.inputs.push_back(read);
  }
  for (const Json& item : fields.list("outputs")) {
    stage.outputs.push_back(tensor_named(graph, Fields::as_text(item, where), "output of stage '" + stage.name + "'"));
  }
  stage.macs = static_cast<uint64_t>(fields.whole("macs", 0, kAnyInt, 0));
  stage.params = static_cast<uint64_t>(fields.whole("params", 0, kAnyInt, 0));
  fields.done();
  return stage;
}

Clock read_clock(const Json& json, const Graph& graph, const std::string& where) {
  Fields fields(json, where);
  Clock clock;
  clock.kind = static_cast<ClockKind>(fields.choice("kind", {"always", "never", "every", "cycle", "adaptive"}));
  if (clock.kind == ClockKind::kEvery) {
    clock.period = static_cast<int>(fields.whole("k", -1, 4096));
    clock.offset = static_cast<int>(fields.whole("offset", -1, 4096, 0));
  } else if (clock.kind == ClockKind::kCycle) {
    clock.period = static_cast<int>(fields.whole("count", -1, 4096));
    clock.offset = static_cast<int>(fields.whole("index", -1, 4096));
  } else if (clock.kind == ClockKind::kAdaptive) {
    Fields signal(fields.get("signal"), where + ".signal");
    clock.signal = tensor_named(graph, signal.text("tensor"), where + ".signal");
    clock.relative = signal.choice("kind", {"labels", "relative"}, 0) == 1;
    signal.done();
    clock.threshold = fields.number("threshold");
    clock.max_age = fields.whole("max_age", -1, kAnyInt, 8);
    const Json* pace = fields.find("pace");
    if (pace && !pace->is_null()) {
      Fields inner(*pace, where + ".pace");
      clock.rise = inner.number("rise"), clock.fall = inner.number("fall");
      clock.factor_low = inner.number("low"), clock.factor_high = inner.number("high");
      inner.done();
      const bool moves = clock.rise > 1.0 && clock.rise <= 2.0 && clock.fall >= 0.5 && clock.fall < 1.0;
      const bool bounded =
          clock.factor_low > 0.0 && clock.factor_low <= 1.0 && clock.factor_high >= 1.0 && clock.factor_high <= 100.0;
      if (!moves || !bounded) throw bad_bundle(where + ".pace: a number is out of its range");
    }
    const Json* budget = fields.find("budget");
    if (budget && !budget->is_null()) {
      Fields inner(*budget, where + ".budget");
      clock.budget_fires = static_cast<int>(inner.whole("fires", 1, 63));
      clock.budget_frames = static_cast<int>(inner.whole("frames", 2, 64));
      inner.done();
    }
  }
  const Json* guard = fields.find("guard");
  if (guard && !guard->is_null()) {
    Fields inner(*guard, where + ".guard");
    clock.guard.ring = tensor_named(graph, inner.text("ring"), where + ".guard");
    clock.guard.when_full = inner.choice("when", {"full", "filling"}) == 0;
    inner.done();
  }
  fields.done();
  return clock;
}

}  // namespace

Graph read_graph(const Json& json) {
  Fields fields(json, "graph");
  Graph graph;
  for (const Json& item : fields.list("tensors")) graph.tensors.push_back(read_tensor(item, "graph.tensors"));
  check_names("tensor", graph.tensors);
  graph.image = tensor_named(graph, fields.text("image"), "image");
  for (const Json& item : fields.list("stages")) graph.stages.push_back(read_stage(item, graph, "graph.stages"));
  check_names("stage", graph.stages);
  for (const Json& item : fields.list("outputs")) {
    graph.outputs.push_back(tensor_named(graph, Fields::as_text(item, "graph.outputs"), "output"));
  }
  fields.done();
  finish_graph(graph);
  return graph;
}

Schedule read_schedule(const Json& json, const Graph& graph) {
  Fields fields(json, "schedules");
  Schedule schedule;
  schedule.name = fields.text("name");
  const std::string where = "schedule '" + schedule.name + "'";
  schedule.clocks.resize(graph.stages.size());
  schedule.signal_delayed.resize(graph.stages.size());
  for (const Stage& stage : graph.stages) schedule.delayed.emplace_back(stage.inputs.size(), false);
  for (const auto& item : fields.object_or_empty("clocks").items()) {
    const int stage = graph.stage_index(item.key());
    if (stage < 0) throw bad_bundle(where + " has a clock for stage '" + item.key() + "', which the graph lacks");
    schedule.clocks[stage] = read_clock(item.value(), graph, where + ", stage '" + item.key() + "'");
  }
  for (const Json& item : fields.list_or_empty("delays")) {
    Fields edge(item, where + ".delays");
    const std::string stage_name = edge.text("stage"), tensor_name = edge.text("tensor");
    edge.done();
    const int stage = graph.stage_index(stage_name), tensor = graph.tensor_index(tensor_name);
    bool found = false;
    for (size_t k = 0; stage >= 0 && tensor >= 0 && k < graph.stages[stage].inputs.size(); ++k) {
      const Read& read = graph.stages[stage].inputs[k];
      if (read.tensor != tensor || read.version != 0 || graph.tensors[tensor].lives == Lives::kRing) continue;
      schedule.delayed[stage][k] = schedule.signal_delayed[stage] = schedule.any_delay = found = true;
    }
    if (!found)
      throw bad_bundle(where + " delays '" + tensor_name + "' into '" + stage_name + "', which does not read it 'now'");
  }
  fields.done();
  check_schedule(graph, schedule);
  return schedule;
}

}  // namespace evss
