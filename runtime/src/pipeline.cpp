#include "pipeline.h"

#include <algorithm>

#include "abi.h"
#include "frames.h"
#include "variant_choice.h"

namespace evss {

evss_status Pipeline::send(const evss_frame& given, std::string* why) {
  if (finished_) {
    *why = "no frame can follow evss_finish";
    return EVSS_INVALID_ARGUMENT;
  }
  if (pending_) return EVSS_AGAIN;
  const double begin = now_ms();
  const evss_frame frame = completed(given);
  const char* reason = frame_problem(given);
  if (!reason && frame.restart) reset();
  if (!reason && seen_ && frame.pts_us <= last_pts_us_) reason = "pts_us must increase";
  if (!reason && seen_ && frame.sequence <= last_sequence_) reason = "sequence must increase";
  if (reason) {
    ++refused_;
    *why = reason;
    if (seen_ && frame.pts_us <= last_pts_us_)
      *why += ": got " + std::to_string(frame.pts_us) + " after " + std::to_string(last_pts_us_);
    return EVSS_INVALID_ARGUMENT;
  }
  const FrameView view = view_of(frame);
  fit_to(view);
  Status status;
  staged_ = pixel_stages_ && pixel_stages_->take(view);
  result_.flags = after_reset_ ? uint32_t{EVSS_FLAG_RESET} | reset_flags_ : 0u;
  if (pixel_stages_ && !staged_) result_.flags |= EVSS_FLAG_HOST_PIXELS;
  bool good = compute(view, frame, &status);
  const double labelled = now_ms();
  bool finite = good && make_labels(&good, &status);
  if (good && !finite) {
    // A network that diverged may have poisoned its state: once more, from scratch.
    result_.flags |= EVSS_FLAG_RECOMPUTED;
    scheduler_->reset();
    good = compute(view, frame, &status);
    finite = good && make_labels(&good, &status);
    if (good && !finite) {
      std::snprintf(status.message, sizeof status.message, "the scores hold NaN or infinity");
      good = false;
    }
  }
  if (!good) {
    reset();
    *why = status.message;
    return EVSS_BACKEND_FAILED;
  }
  const double end = now_ms();
  result_.done_ns = now_ns();
  result_.post_ms = end - labelled;
  result_.latency_ms = end - begin;
  result_.pre_begin_ms = pre_begin_ms_ - begin;
  result_.post_begin_ms = labelled - begin;
  fill_result(frame, begin);
  judge();
  seen_ = pending_ = true;
  after_reset_ = false;
  reset_flags_ = 0;
  last_pts_us_ = frame.pts_us;
  last_sequence_ = frame.sequence;
  return EVSS_OK;
}

// Tables for this size of frame; allocates only when the size changes.
void Pipeline::fit_to(const FrameView& view) {
  if (preprocessor_) {
    const PreprocessConfig& now = preprocessor_->config();
    if (now.format == view.format && now.source_width == view.width && now.source_height == view.height) return;
  }
  const InputSpec& input = bundle_.manifest().input;
  const TensorDesc& image = stages_->tensor(bundle_.manifest().graph.image);
  PreprocessConfig config;
  config.format = view.format;
  config.source_width = view.width;
  config.source_height = view.height;
  config.network_width = input.width;
  config.network_height = input.height;
  config.fit = input.fit;
  config.pad = input.pad;
  config.order = input.order;
  std::copy(input.mean, input.mean + 3, config.mean);
  std::copy(input.std, input.std + 3, config.stddev);
  config.type = image_type_;
  config.scale = image.scale;
  config.zero_point = image.zero_point;
  std::string error;
  preprocessor_ = Preprocessor::create(config, &error);
  if (!preprocessor_) throw bad_bundle(error);
  const FitGeometry& fit = preprocessor_->geometry();
  const Rect& inside = fit.network_rect;
  scheduler_->set_valid(static_cast<double>(inside.y) / input.height, static_cast<double>(inside.x) / input.width,
                        static_cast<double>(inside.y + inside.height) / input.height,
                        static_cast<double>(inside.x + inside.width) / input.width);
  for (LabelMaker& output : outputs_) output.fit_to(fit, network_size_);
}

bool Pipeline::compute(const FrameView& view, const evss_frame& frame, Status* status) {
  // Beside stages that already run on other threads, the pixels have this one.
  const bool alone = !scheduler_->schedule().any_delay;
  return scheduler_->run(
      frame.sequence, frame.pts_us,
      [&](int slot) {
        const double begin = now_ms();
        const bool good = load_image(view, slot, alone, status);
        pre_ms_ = now_ms() - begin;
        pre_begin_ms_ = begin;
        return good;
      },
      status);
}

bool Pipeline::load_image(const FrameView& view, int slot, bool alone, Status* status) {
  if (staged_) return pixel_stages_->load(view, slot, status);
  Backend& backend = stages_->backend();
  void* const memory = stages_->memory(bundle_.manifest().graph.image, slot);
  void* const host = backend.host_view(memory);
  void* target = host ? host : image_.data();
  const int height = bundle_.manifest().input.height;
  if (alone) {
    pool_->rows(height, 16, [&](int first, int last) { preprocessor_->run(view, target, first, last); });
  } else {
    preprocessor_->run(view, target, 0, height);
  }
  return host || backend.copy_in(memory, image_.data(), image_.size()) ||
         fail(status, "copying the image to the device failed");
}

// Writes the label maps whose tensors are new. False: scores that decide a label are not finite, or `good` was cleared
// because the device failed.
bool Pipeline::make_labels(bool* good, Status* status) {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!scheduler_->clockwork().is_fresh(outputs_[i].spec().tensor)) {
      result_.flags |= EVSS_FLAG_REUSED;
      continue;
    }
    bool finite = true;
    *good = make_label(i, &finite, status);
    if (!*good || !finite) return false;
  }
  return true;
}

bool Pipeline::make_label(size_t index, bool* finite, Status* status) {
  LabelMaker& output = outputs_[index];
  const int tensor = output.spec().tensor;
  const int slot = scheduler_->clockwork().newest_slot(tensor);
  // The engines make label maps of the frame's size.
  if (staged_ && !network_size_)
    return pixel_stages_->label(static_cast<int>(index), slot, output.labels(), finite, status);
  const void* value = output.host_value(stages_->memory(tensor, slot));
  if (!value) return fail(status, "copying output '" + output.spec().name + "' from the device failed");
  *finite = output.run(value, *pool_);
  return true;
}

void Pipeline::fill_result(const evss_frame& frame, double begin_ms) {
  const Clockwork& clockwork = scheduler_->clockwork();
  const Manifest& manifest = bundle_.manifest();
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Origin origin = clockwork.origin(outputs_[i].spec().tensor);
    const uint32_t width = static_cast<uint32_t>(outputs_[i].width());
    result_outputs_[i] = {outputs_[i].spec().name.c_str(),
                          outputs_[i].labels(),
                          static_cast<uint32_t>(outputs_[i].height()),
                          width,
                          width,
                          static_cast<uint32_t>(frame.sequence - origin.sequence),
                          static_cast<double>(frame.pts_us - origin.pts_us) / 1000.0};
  }
  for (size_t i = 0; i < result_stages_.size(); ++i) {
    const Scheduler::StageRun& run = scheduler_->runs()[i];
    result_stages_[i] = {manifest.graph.stages[i].name.c_str(), run.fired,
                         static_cast<int32_t>(clockwork.stage_age(static_cast<int>(i))), run.change, run.ms};
    stage_begin_ms_[i] = run.begin_ms > 0.0 ? run.begin_ms - begin_ms : 0.0;
  }
  result_.captured_ns = frame.captured_ns;
  result_.suspect = frame.suspect;
  if (frame.suspect) result_.flags |= EVSS_FLAG_SUSPECT;
  result_.sequence = frame.sequence;
  result_.pts_us = frame.pts_us;
  result_.num_outputs = static_cast<uint32_t>(result_outputs_.size());
  result_.num_stages = static_cast<uint32_t>(result_stages_.size());
  result_.outputs = result_outputs_.data();
  result_.stages = result_stages_.data();
  result_.stage_begin_ms = stage_begin_ms_.data();
  result_.pre_ms = pre_ms_;
  result_.engines_ms = scheduler_->engines_ms();
  result_.refused = refused_;
}

// What a deadline made of this frame, and why.
void Pipeline::judge() {
  reasons_[0] = 0;
  result_.schedule = scheduler_->schedule().name.c_str();
  result_.schedule_index = static_cast<uint32_t>(scheduler_->current());
  result_.reasons = reasons_;
  Governor& governor = scheduler_->governor();
  if (!governor.on()) return;
  const Manifest& manifest = bundle_.manifest();
  const Governor::Choice& choice = governor.choice();
  StageMask fired = 0;
  for (size_t i = 0; i < result_stages_.size(); ++i) {
    if (result_stages_[i].fired & EVSS_FIRED_NOW) fired |= StageMask{1} << i;
  }
  governor.learn_frame(pre_ms_, result_.post_ms, result_.latency_ms, !(result_.flags & EVSS_FLAG_REUSED), fired);
  const StageMask away = scheduler_->clockwork().flying();
  int used = 0;
  const auto say = [&](const char* format, auto... values) {
    const size_t room = sizeof reasons_ - static_cast<size_t>(used);
    used = std::min<int>(used + std::snprintf(reasons_ + used, room, format, values...), sizeof reasons_ - 1);
  };
  if (choice.rung > 0 || away) {
    result_.flags |= EVSS_FLAG_DEGRADED;
    const char* stage = away ? manifest.graph.stages[static_cast<size_t>(__builtin_ctzll(away))].name.c_str() : "";
    if (away) {
      say("degraded: schedule %s, stage %s in the background", result_.schedule, stage);
    } else {
      say("degraded: schedule %s", result_.schedule);
    }
  }
  if (result_.latency_ms <= governor.deadline().ms) return;
  result_.flags |= EVSS_FLAG_LATE;
  const char* between = used ? "; " : "";
  if (choice.aged && !choice.fits) {
    const int stage = 63 - __builtin_clzll(choice.aged);
    say("%slate: max_age %lld forces stage %s", between, static_cast<long long>(governor.deadline().max_age),
        manifest.graph.stages[static_cast<size_t>(stage)].name.c_str());
  } else if (result_.flags & EVSS_FLAG_RESET) {
    say("%slate: every stage had to fire after a reset", between);
  } else {
    say("%slate: slower than the %.2f ms foreseen", between, choice.foreseen_ms);
  }
}

evss_status Pipeline::receive(evss_result* result) {
  if (!pending_) return finished_ ? EVSS_END_OF_STREAM : EVSS_AGAIN;
  hand_over(result_, result);
  pending_ = false;
  return EVSS_OK;
}

void Pipeline::reset(uint32_t flags) {
  scheduler_->reset();
  after_reset_ = true;
  reset_flags_ |= flags;
  seen_ = pending_ = finished_ = false;
}

void Pipeline::set_schedule(const std::string& name) {
  asked_ = schedule_named(bundle_.manifest().schedules, name);
  options_.schedule = name;
  scheduler_->set_schedule(asked_);
  if (scheduler_->governor().on()) scheduler_->governor().set(deadline());
}

void Pipeline::read_tensor(const std::string& name, void* out, size_t bytes) {
  const int index = bundle_.manifest().graph.tensor_index(name);
  if (index < 0) throw Error(EVSS_INVALID_ARGUMENT, "the graph has no tensor '" + name + "'");
  const TensorDesc& tensor = stages_->tensor(index);
  if (bytes != tensor.bytes)
    throw Error(EVSS_INVALID_ARGUMENT, "tensor '" + name + "' has " + std::to_string(tensor.bytes) +
                                           " bytes, got room for " + std::to_string(bytes));
  if (!scheduler_->clockwork().has_value(index))
    throw Error(EVSS_INVALID_ARGUMENT, "tensor '" + name + "' has no value yet");
  if (!stages_->backend().copy_out(out, stages_->memory(index, scheduler_->clockwork().newest_slot(index)), bytes)) {
    throw Error(EVSS_BACKEND_FAILED, "copying tensor '" + name + "' failed");
  }
}

}  // namespace evss
