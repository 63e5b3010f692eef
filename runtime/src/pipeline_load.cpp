// What a pipeline is made of: loaded, described, and taken again from another variant.
#include <algorithm>
#include <thread>

#include "abi.h"
#include "pipeline.h"
#include "variant_choice.h"

namespace evss {

namespace {

InputType input_type(evss_dtype dtype) {
  if (dtype == EVSS_FLOAT32) return InputType::kFloat32;
  if (dtype == EVSS_UINT8) return InputType::kUint8;
  if (dtype == EVSS_INT8) return InputType::kInt8;
  throw bad_bundle(std::string("the image tensor is stored as ") + dtype_name(dtype) + "; want float32, uint8 or int8");
}

// By tensor: whether the host writes it (the image) or reads it (outputs, and what adaptive clocks look at).
std::vector<bool> tensors_for_host(const Manifest& manifest, const std::vector<Schedule>& schedules) {
  std::vector<bool> found(manifest.graph.tensors.size());
  found[static_cast<size_t>(manifest.graph.image)] = true;
  for (const OutputSpec& output : manifest.outputs) found[static_cast<size_t>(output.tensor)] = true;
  for (const Schedule& schedule : schedules) {
    for (const Clock& clock : schedule.clocks) {
      if (clock.signal >= 0) found[static_cast<size_t>(clock.signal)] = true;
    }
  }
  return found;
}

// Uses the last label map again: the end of a ladder where the bundle has none.
Schedule resting(const Graph& graph) {
  Schedule schedule;
  schedule.name = "reuse";
  for (const Stage& stage : graph.stages) {
    Clock clock;
    clock.kind = ClockKind::kNever;
    schedule.clocks.push_back(clock);
    schedule.delayed.emplace_back(stage.inputs.size(), false);
  }
  schedule.signal_delayed.resize(graph.stages.size());
  return schedule;
}

// The stage that a deadline may have run late: its threads let those of the others go first.
StageMask yielding_stages(const Graph& graph, const std::vector<Schedule>& schedules, const PipelineOptions& options,
                          int threads) {
  const bool wanted = options.deadline_ms > 0.0 && options.background && threads > 1;
  return wanted ? background_candidates(graph, schedules) : 0;
}

}  // namespace

Pipeline::Pipeline(const std::string& path, const PipelineOptions& options)
    : bundle_(path), options_(options), network_size_(options.network_size) {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  threads_ = options.threads > 0 ? options.threads : std::max(1, cores);
  load(0);
  const Realtime inherited(options_.realtime_priority);
  pool_ = std::make_unique<ParallelFor>(threads_);
  describe();
}

// Everything that belongs to one variant; where this throws, what was loaded before stays.
void Pipeline::load(size_t first_variant) {
  const Realtime inherited(options_.realtime_priority);  // by the threads of engines and crews
  const Manifest& manifest = bundle_.manifest();
  ChosenVariant chosen =
      choose_variant(manifest, first_variant, options_.backend, options_.precision, options_.backend_options);
  std::vector<Schedule> schedules = schedules_of(manifest, *chosen.variant);
  const int first = options_.schedule.empty() ? 0 : schedule_named(schedules, options_.schedule);
  int lanes = 1;
  // Stages that read late values can run side by side: they share the threads out.
  if (schedules[first].any_delay) {
    lanes += static_cast<int>(
        std::count(schedules[first].signal_delayed.begin(), schedules[first].signal_delayed.end(), true));
  }
  // One in the background does not: its threads take the time that the others leave over.
  const StageMask yielding = yielding_stages(manifest.graph, schedules, options_, threads_);
  const std::vector<int> slots = slots_needed(manifest.graph, schedules);
  schedules.push_back(resting(manifest.graph));
  auto stages =
      std::make_unique<Stages>(bundle_, *chosen.variant, std::move(chosen.backend), slots,
                               tensors_for_host(manifest, schedules), std::max(1, threads_ / lanes), yielding);
  const int workers = std::min(threads_, static_cast<int>(manifest.graph.stages.size())) - 1;
  auto scheduler = std::make_unique<Scheduler>(manifest.graph, std::move(schedules), *stages, slots, workers);
  scheduler->set_schedule(first);
  const InputType image_type = input_type(stages->tensor(manifest.graph.image).dtype);
  std::unique_ptr<PixelStages> pixel_stages;
  if (!chosen.variant->pixels.pre.empty())
    pixel_stages = std::make_unique<PixelStages>(bundle_, *chosen.variant, *stages, slots, threads_);
  std::vector<LabelMaker> outputs;
  for (const OutputSpec& spec : manifest.outputs)
    outputs.emplace_back(spec, stages->tensor(spec.tensor), stages->backend());
  asked_ = first;
  // What refers to the stages goes before them.
  outputs_ = std::move(outputs);
  pixel_stages_ = std::move(pixel_stages);
  scheduler_ = std::move(scheduler);
  stages_ = std::move(stages);
  variant_ = chosen.variant;
  image_type_ = image_type;
  preprocessor_.reset();
  image_.resize(stages_->backend().host_view(stages_->memory(manifest.graph.image, 0))
                    ? 0
                    : stages_->tensor(manifest.graph.image).bytes);
  backend_versions_.push_back(stages_->backend().version());
  scheduler_->set_deadline(deadline(), options_.background && threads_ > 1);
}

// The ladder from the schedule asked for down; one that is not on it goes before the last rung.
Deadline Pipeline::deadline() const {
  const Manifest& manifest = bundle_.manifest();
  Deadline found;
  found.ms = options_.deadline_ms;
  found.ladder = manifest.ladder;
  if (found.ladder.empty()) found.ladder = {asked_, static_cast<int>(manifest.schedules.size())};
  const auto rung = std::find(found.ladder.begin(), found.ladder.end(), asked_);
  if (rung != found.ladder.end()) {
    found.ladder.erase(found.ladder.begin(), rung);
  } else if (!options_.schedule.empty()) {
    found.ladder = {asked_, found.ladder.back()};
  }
  if (options_.max_age > 0) {
    found.max_age = options_.max_age;
    return found;
  }
  int64_t smallest = 0;
  for (int index : manifest.ladder) {
    for (const Clock& clock : manifest.schedules[static_cast<size_t>(index)].clocks) {
      if (clock.kind == ClockKind::kAdaptive && (smallest == 0 || clock.max_age < smallest)) smallest = clock.max_age;
    }
  }
  if (smallest > 0) found.max_age = smallest;
  return found;
}

void Pipeline::set_deadline(double ms, int64_t max_age) {
  options_.deadline_ms = ms;
  options_.max_age = max_age;
  scheduler_->set_schedule(asked_);
  scheduler_->set_deadline(deadline(), options_.background && threads_ > 1);
}

bool Pipeline::next_variant(std::string* why_not) {
  const std::vector<Variant>& variants = bundle_.manifest().variants;
  *why_not = "the bundle has no other variant that fits";
  for (size_t next = static_cast<size_t>(variant_ - variants.data()) + 1; next < variants.size(); ++next) {
    try {
      load(next);
      reset(EVSS_FLAG_FELL_BACK);
      return true;
    } catch (const Error& error) {
      *why_not = error.what();
    }
  }
  return false;
}

void Pipeline::describe() {
  const Manifest& manifest = bundle_.manifest();
  for (const Stage& stage : manifest.graph.stages) stage_infos_.push_back({stage.name.c_str(), stage.macs});
  names_.resize(manifest.outputs.size());
  for (size_t i = 0; i < manifest.outputs.size(); ++i) {
    for (const ClassInfo& info : manifest.outputs[i].classes) {
      names_[i].classes.push_back(info.name.c_str());
      names_[i].colours.insert(names_[i].colours.end(), info.colour, info.colour + 3);
    }
    output_infos_.push_back({manifest.outputs[i].name.c_str(), static_cast<uint32_t>(names_[i].classes.size()),
                             names_[i].classes.data(), names_[i].colours.data()});
  }
  for (const Schedule& schedule : manifest.schedules) schedule_names_.push_back(schedule.name.c_str());
  result_outputs_.resize(outputs_.size());
  result_stages_.resize(manifest.graph.stages.size());
  stage_begin_ms_.resize(manifest.graph.stages.size());
}

void Pipeline::info(evss_info* info) const {
  const Manifest& manifest = bundle_.manifest();
  info->input_height = static_cast<uint32_t>(manifest.input.height);
  info->input_width = static_cast<uint32_t>(manifest.input.width);
  info->threads = static_cast<uint32_t>(threads_);
  info->name = manifest.name.c_str();
  info->variant = variant_->name.c_str();
  info->backend = variant_->backend.c_str();
  info->precision = variant_->precision.c_str();
  info->schedule = manifest.schedules[static_cast<size_t>(asked_)].name.c_str();
  info->num_stages = static_cast<uint32_t>(stage_infos_.size());
  info->num_outputs = static_cast<uint32_t>(output_infos_.size());
  info->num_schedules = static_cast<uint32_t>(schedule_names_.size());
  info->stages = stage_infos_.data();
  info->outputs = output_infos_.data();
  info->schedules = schedule_names_.data();
  info->simd = isa_name(default_isa());
  info->backend_version = backend_versions_.back().c_str();
}

}  // namespace evss
