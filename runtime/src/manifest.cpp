#include "manifest.h"

#include <algorithm>
#include <cctype>

#include "fields.h"
#include "manifest_parts.h"

namespace evss {

namespace {

constexpr int kSchema = 1;
constexpr int kMaxSide = 16384;

// Plain relative paths only: letters, digits, '_', '-' and inner dots, parts separated by '/'.
void check_path(const std::string& path) {
  bool start = true, good = !path.empty() && path.size() <= 240 && path.back() != '/' && path != "manifest.json";
  for (char c : path) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
    good = good && (plain || (!start && (c == '.' || c == '/')));
    start = c == '/';
  }
  if (!good) throw bad_bundle("file path '" + path + "' is not a plain relative path");
}

void read_three(const Json& json, const std::string& where, double* out) {
  if (!json.is_array() || json.size() != 3) throw bad_bundle(where + ": expected three numbers");
  for (int i = 0; i < 3; ++i) out[i] = Fields::as_number(json[i], where);
}

InputSpec read_input(const Json& json, const Graph& graph) {
  Fields fields(json, "input");
  InputSpec input;
  input.height = static_cast<int>(fields.whole("height", 1, kMaxSide));
  input.width = static_cast<int>(fields.whole("width", 1, kMaxSide));
  input.fit = static_cast<Fit>(fields.choice("fit", {"stretch", "letterbox", "crop"}, 0));
  input.pad = fields.number("pad", 0.0);
  fields.choice("resampling", {"bilinear"}, 0);
  input.order = static_cast<ChannelOrder>(fields.choice("order", {"rgb", "bgr"}, 0));
  input.matrix = static_cast<ColourMatrix>(fields.choice("matrix", {"bt601", "bt709"}, 0));
  input.range = static_cast<ColourRange>(fields.choice("range", {"limited", "full"}, 0));
  if (const Json* mean = fields.find("mean")) read_three(*mean, "input.mean", input.mean);
  if (const Json* std = fields.find("std")) read_three(*std, "input.std", input.std);
  fields.done();
  for (int i = 0; i < 3; ++i) {
    if (!(input.std[i] > 0.0 && input.std[i] < 1e6) || !(std::abs(input.mean[i]) < 1e6)) {
      throw bad_bundle("mean or std is out of range (0..255 units, std > 0)");
    }
  }
  if (!(input.pad >= 0.0 && input.pad <= 255.0)) throw bad_bundle("pad is not within 0..255");
  if (graph.tensors[graph.image].shape != std::vector<int64_t>{1, 3, input.height, input.width}) {
    throw bad_bundle("the image tensor's shape is not (1, 3, H, W) of the input's size");
  }
  return input;
}

void check_output(const Graph& graph, const OutputSpec& output) {
  const std::string where = "output '" + output.name + "': ";
  if (!graph.is_output(output.tensor)) throw bad_bundle(where + "its tensor is not an output of the graph");
  const Tensor& tensor = graph.tensors[output.tensor];
  const bool labels = output.kind == OutputKind::kLabels;
  if (tensor.shape.size() != (labels ? 3u : 4u) || tensor.shape[0] != 1)
    throw bad_bundle(where + "its tensor has another rank");
  const int64_t count = static_cast<int64_t>(output.classes.size());
  const int64_t channels = labels ? count : output.kind == OutputKind::kBinary ? 2 : tensor.shape[1];
  if (output.kind == OutputKind::kBinary && tensor.shape[1] != 1)
    throw bad_bundle(where + "a binary output has one channel");
  if (count < 1 || count > 255 || count != channels) {
    throw bad_bundle(where + std::to_string(count) + " classes for " + std::to_string(channels) + " score channels");
  }
  const bool integer = tensor.dtype == EVSS_UINT8 || tensor.dtype == EVSS_INT32 || tensor.dtype == EVSS_INT64;
  const bool floating = tensor.dtype == EVSS_FLOAT32 || tensor.dtype == EVSS_FLOAT16;
  if (labels ? !integer : !floating) throw bad_bundle(where + "its tensor is " + dtype_name(tensor.dtype));
  const std::set<int> ignored(output.ignored.begin(), output.ignored.end());
  if (static_cast<int64_t>(ignored.size()) >= count) throw bad_bundle(where + "every channel is ignored");
}

OutputSpec read_output(const Json& json, const Graph& graph) {
  Fields fields(json, "outputs");
  OutputSpec output;
  output.name = fields.text("name");
  output.tensor = tensor_named(graph, fields.text("tensor"), "output '" + output.name + "'");
  output.kind = static_cast<OutputKind>(fields.choice("kind", {"scores", "labels", "binary"}, 0));
  for (const Json& item : fields.list("classes")) {
    Fields info(item, "outputs.classes");
    ClassInfo found;
    found.name = info.text("name");
    double colour[3];
    read_three(info.get("colour"), "outputs.classes.colour", colour);
    for (int i = 0; i < 3; ++i) {
      found.colour[i] = static_cast<uint8_t>(Fields::as_whole(info.get("colour")[i], 0, 255, "outputs.classes.colour"));
    }
    info.done();
    for (const ClassInfo& other : output.classes) {
      if (other.name == found.name) throw bad_bundle("output '" + output.name + "': has two classes " + found.name);
    }
    output.classes.push_back(found);
  }
  const int64_t last = static_cast<int64_t>(output.classes.size()) - 1;
  for (const Json& item : fields.list_or_empty("ignored")) {
    output.ignored.push_back(static_cast<int>(Fields::as_whole(item, 0, last, "outputs.ignored")));
  }
  output.nearest = fields.choice("upsampling", {"bilinear", "nearest"}, 0) == 1;
  output.corners = static_cast<CornerRule>(fields.choice("corners", {"half_pixel", "align_corners"}, 0));
  fields.done();
  check_output(graph, output);
  return output;
}

void read_thresholds(Fields& fields, const Manifest& manifest, const std::string& where, Variant* variant) {
  for (const auto& item : fields.object_or_empty("thresholds").items()) {
    if (!item.value().is_object()) throw bad_bundle(where + ".thresholds: expected an object");
    const auto schedule = std::find_if(manifest.schedules.begin(), manifest.schedules.end(),
                                       [&](const Schedule& one) { return one.name == item.key(); });
    for (const auto& inner : item.value().items()) {
      const double threshold = Fields::as_number(inner.value(), where + ".thresholds");
      const int stage = manifest.graph.stage_index(inner.key());
      const bool fits = schedule != manifest.schedules.end() && stage >= 0 &&
                        schedule->clocks[stage].kind == ClockKind::kAdaptive && threshold >= 0.0 && threshold <= 1.0;
      if (!fits)
        throw bad_bundle(where + ": a threshold of schedule '" + item.key() + "', stage '" + inner.key() +
                         "' fits no clock");
      variant->thresholds[item.key()][inner.key()] = threshold;
    }
  }
}

PixelEngines read_pixels(const Json& json, const Manifest& manifest, const std::string& where) {
  Fields fields(json, where + ".pixels");
  PixelEngines engines;
  constexpr PixelFormat kFormats[] = {PixelFormat::kRgb, PixelFormat::kBgr, PixelFormat::kNv12};
  engines.format = kFormats[fields.choice("format", {"rgb", "bgr", "nv12"})];
  engines.height = static_cast<int>(fields.whole("height", 1, kMaxSide));
  engines.width = static_cast<int>(fields.whole("width", 1, kMaxSide));
  const auto file = [&](const std::string& name) {
    if (!manifest.files.count(name)) throw bad_bundle(where + ": pixel engine '" + name + "' is not among the files");
    return name;
  };
  engines.pre = file(fields.text("pre"));
  const Json& post = fields.get("post");
  if (!post.is_object() || post.size() != manifest.outputs.size())
    throw bad_bundle(where + ": pixel engines want one post engine per output");
  for (const OutputSpec& output : manifest.outputs) {
    if (!post.contains(output.name))
      throw bad_bundle(where + ": pixel engines have no post engine for output '" + output.name + "'");
    engines.post.push_back(file(Fields::as_text(post[output.name], where + ".pixels.post")));
  }
  fields.done();
  return engines;
}

// Whether something else than an engine writes or reads the tensor.
bool seen_by_host(const Manifest& manifest, int tensor) {
  if (tensor == manifest.graph.image || manifest.graph.is_output(tensor)) return true;
  for (const Schedule& schedule : manifest.schedules) {
    for (const Clock& clock : schedule.clocks) {
      if (clock.signal == tensor) return true;
    }
  }
  return false;
}

Variant read_variant(const Json& json, const Manifest& manifest) {
  Fields fields(json, "variants");
  const Graph& graph = manifest.graph;
  Variant variant;
  variant.name = fields.text("name");
  const std::string where = "variant '" + variant.name + "'";
  variant.backend = fields.text("backend");
  variant.precision = fields.text("precision");
  variant.engines.resize(graph.stages.size());
  const Json& engines = fields.object_or_empty("engines");
  if (engines.size() != graph.stages.size()) throw bad_bundle(where + ": engines and stages differ");
  for (const auto& item : engines.items()) {
    const int stage = graph.stage_index(item.key());
    if (stage < 0) throw bad_bundle(where + ": engines and stages differ: '" + item.key() + "'");
    Fields inner(item.value(), where + ".engines");
    EngineRef& engine = variant.engines[stage];
    engine.file = inner.text("file", "");
    engine.operation = inner.text("operation", "");
    inner.done();
    if (engine.file.empty() == engine.operation.empty()) {
      throw bad_bundle(where + ", stage '" + item.key() + "': want either a file or an operation");
    }
    if (!engine.file.empty() && !manifest.files.count(engine.file)) {
      throw bad_bundle(where + ", stage '" + item.key() + "': '" + engine.file + "' is not among the files");
    }
  }
  for (const Tensor& tensor : graph.tensors) variant.storage.push_back({tensor.dtype, 1.0f, 0, false});
  for (const auto& item : fields.object_or_empty("tensors").items()) {
    Fields inner(item.value(), where + ".tensors");
    const int tensor = tensor_named(graph, item.key(), where);
    Storage& storage = variant.storage[tensor];
    storage.dtype = read_dtype(inner, "dtype");
    const double scale = inner.number("scale", 1.0);
    const bool is_unsigned = storage.dtype == EVSS_UINT8, is_signed = storage.dtype == EVSS_INT8;
    const int64_t low = is_signed ? -128 : 0, high = is_unsigned ? 255 : is_signed ? 127 : 0;
    storage.zero_point = static_cast<int>(inner.whole("zero_point", low, high, 0));
    storage.scale = static_cast<float>(scale);
    storage.channels_last = inner.flag("channels_last", false);
    inner.done();
    if (!(scale > 0.0 && scale < 1e12)) throw bad_bundle(where + ": tensor '" + item.key() + "' has an absurd scale");
    if (storage.channels_last && (graph.tensors[tensor].shape.size() != 4 || seen_by_host(manifest, tensor)))
      throw bad_bundle(where + ": tensor '" + item.key() +
                       "' cannot be channels_last; only (1, C, H, W) between engines can");
  }
  if (const Json* pixels = fields.find("pixels"); pixels && !pixels->is_null())
    variant.pixels = read_pixels(*pixels, manifest, where);
  read_thresholds(fields, manifest, where, &variant);
  for (const auto& item : fields.object_or_empty("golden").items()) {
    Fields inner(item.value(), where + ".golden");
    for (const char* key : {"labels", "tolerance", "fired", "changes", "age_frames"}) inner.get(key);
    if (!manifest.files.count(inner.text("labels")))
      throw bad_bundle(where + ": golden of schedule '" + item.key() + "' has no file");
    inner.done();
  }
  fields.done();
  return variant;
}

void read_files(Fields& fields, Manifest* manifest) {
  for (const auto& item : fields.object_or_empty("files").items()) {
    check_path(item.key());
    Fields inner(item.value(), "files");
    FileRecord record;
    record.bytes = static_cast<uint64_t>(inner.whole("bytes", 0, int64_t{1} << 32));
    record.sha256 = inner.text("sha256");
    inner.done();
    const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (record.sha256.size() != 64 || !std::all_of(record.sha256.begin(), record.sha256.end(), hex)) {
      throw bad_bundle("file '" + item.key() + "' has no proper size and sha256");
    }
    manifest->files[item.key()] = record;
  }
}

void read_ladder(const Json& list, Manifest* manifest) {
  for (const Json& item : list) {
    const std::string name = Fields::as_text(item, "ladder");
    int found = -1;
    for (size_t i = 0; i < manifest->schedules.size(); ++i) {
      if (manifest->schedules[i].name == name) found = static_cast<int>(i);
    }
    if (found < 0) throw bad_bundle("the ladder names schedule '" + name + "', which does not exist");
    const std::vector<int>& before = manifest->ladder;
    if (std::find(before.begin(), before.end(), found) != before.end())
      throw bad_bundle("the ladder names schedule '" + name + "' twice");
    manifest->ladder.push_back(found);
  }
  if (manifest->ladder.empty()) return;
  const Schedule& last = manifest->schedules[static_cast<size_t>(manifest->ladder.back())];
  const auto rests = [](const Clock& clock) { return clock.kind == ClockKind::kNever; };
  if (!std::all_of(last.clocks.begin(), last.clocks.end(), rests))
    throw bad_bundle("the ladder ends with schedule '" + last.name + "', whose stages do not all rest");
}

Manifest read_manifest(const Json& json) {
  Fields fields(json, "manifest");
  Manifest manifest;
  const int64_t schema = fields.whole("schema", -kAnyInt, kAnyInt);
  if (schema != kSchema) {
    throw bad_bundle("schema version " + std::to_string(schema) + " is not known, this build reads " +
                     std::to_string(kSchema));
  }
  manifest.name = fields.text("name");
  manifest.graph = read_graph(fields.get("graph"));
  manifest.input = read_input(fields.get("input"), manifest.graph);
  read_files(fields, &manifest);
  for (const Json& item : fields.list("schedules")) manifest.schedules.push_back(read_schedule(item, manifest.graph));
  check_names("schedule", manifest.schedules);
  for (const Json& item : fields.list("outputs")) manifest.outputs.push_back(read_output(item, manifest.graph));
  check_names("output", manifest.outputs);
  for (const Json& item : fields.list("variants")) manifest.variants.push_back(read_variant(item, manifest));
  check_names("variant", manifest.variants);
  read_ladder(fields.list_or_empty("ladder"), &manifest);
  const std::string golden = fields.text("golden_frames", "");
  if (!golden.empty() && !manifest.files.count(golden))
    throw bad_bundle("golden frames '" + golden + "' are not among the files");
  fields.object_or_empty("calibration");
  fields.object_or_empty("provenance");
  fields.done();
  return manifest;
}

}  // namespace

Manifest parse_manifest(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw bad_bundle("manifest.json: not valid JSON");
  try {
    return read_manifest(json);
  } catch (const Error& error) {
    throw bad_bundle(std::string("manifest.json: ") + error.what());
  } catch (const Json::exception& error) {
    throw bad_bundle(std::string("manifest.json: ") + error.what());
  }
}

std::vector<Schedule> schedules_of(const Manifest& manifest, const Variant& variant) {
  std::vector<Schedule> schedules = manifest.schedules;
  for (Schedule& schedule : schedules) {
    const auto found = variant.thresholds.find(schedule.name);
    if (found == variant.thresholds.end()) continue;
    for (const auto& item : found->second)
      schedule.clocks[manifest.graph.stage_index(item.first)].threshold = item.second;
  }
  return schedules;
}

}  // namespace evss
