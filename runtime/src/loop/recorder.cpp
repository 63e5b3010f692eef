#include "recorder.h"

#include <algorithm>

namespace evss {

Recorder::Recorder(size_t kept, size_t stages) : num_stages_(stages), records_(kept), stages_(kept * stages) {}

void Recorder::add(const evss_result& result, const evss_frame& frame, double waited_ms) {
  evss_frame_record record{};
  record.sequence = result.sequence;
  record.pts_us = result.pts_us;
  record.captured_ns = result.captured_ns;
  record.done_ns = result.done_ns;
  record.flags = result.flags;
  for (uint32_t i = 0; i < result.num_outputs; ++i) {
    record.age_frames = std::max(record.age_frames, result.outputs[i].age_frames);
    record.age_ms = std::max(record.age_ms, result.outputs[i].age_ms);
  }
  record.latency_ms = result.latency_ms;
  record.pre_ms = result.pre_ms;
  record.engines_ms = result.engines_ms;
  record.post_ms = result.post_ms;
  record.pre_begin_ms = result.pre_begin_ms;
  record.post_begin_ms = result.post_begin_ms;
  record.waited_ms = waited_ms;
  record.schedule_index = result.schedule_index;
  record.restart = frame.restart;
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t at = static_cast<size_t>(totals_.frames % records_.size());
  for (uint32_t i = 0; i < result.num_stages; ++i) {
    const evss_stage_result& stage = result.stages[i];
    const bool fired = (stage.fired & (EVSS_FIRED_NOW | EVSS_FIRED_LANDED)) != 0;
    if (fired) record.fired |= uint64_t{1} << i;
    totals_.fired[i] += fired ? 1 : 0;
    stages_[at * num_stages_ + i] = {static_cast<float>(stage.ms), static_cast<float>(result.stage_begin_ms[i]),
                                     static_cast<float>(stage.change)};
  }
  records_[at] = record;
  for (int bit = 0; bit < 32; ++bit) totals_.flags[bit] += result.flags >> bit & 1;
  for (int bit = 0; bit < 8; ++bit) totals_.suspect[bit] += result.suspect >> bit & 1;
  totals_.age_sum += record.age_frames;
  totals_.age_max = std::max(totals_.age_max, record.age_frames);
  ++totals_.frames;
}

uint64_t Recorder::frames() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return totals_.frames;
}

void Recorder::totals(evss_loop_stats* stats) const {
  std::lock_guard<std::mutex> lock(mutex_);
  *stats = totals_;
  stats->num_stages = static_cast<uint32_t>(num_stages_);
}

size_t Recorder::copy(uint64_t* first, size_t count, evss_frame_record* records, evss_stage_record* stages) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t kept = std::min<uint64_t>(totals_.frames, records_.size());
  *first = std::max(*first, totals_.frames - kept);
  size_t copied = 0;
  for (uint64_t frame = *first; frame < totals_.frames && copied < count; ++frame, ++copied) {
    const size_t at = static_cast<size_t>(frame % records_.size());
    records[copied] = records_[at];
    if (!stages) continue;
    const evss_stage_record* kept_stages = stages_.data() + at * num_stages_;
    std::copy(kept_stages, kept_stages + num_stages_, stages + copied * num_stages_);
  }
  return copied;
}

}  // namespace evss
