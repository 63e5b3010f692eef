#include "delivery.h"

#include <cstdio>
#include <cstring>

namespace evss {

Delivery::Delivery(size_t slots, const evss_source& source) : source_(source), slots_(slots) {}

void Delivery::give_back() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Slot& slot : slots_) {
    if (slot.state == State::kReady || slot.state == State::kTaken) source_.release(source_.user, &slot.frame);
    slot.state = State::kFree;
  }
}

Delivery::Slot* Delivery::free_slot() {
  for (Slot& slot : slots_) {
    if (slot.state == State::kFree) return &slot;
  }
  return nullptr;
}

Delivery::Slot* Delivery::oldest_ready() {
  Slot* found = nullptr;
  for (Slot& slot : slots_) {
    if (slot.state == State::kReady && (!found || slot.order < found->order)) found = &slot;
  }
  return found;
}

// Room in every slot, before the first one is filled: which of them is used when depends on how fast they come back.
void Delivery::make_room(const evss_result& result) {
  for (Slot& slot : slots_) {
    slot.outputs.resize(result.num_outputs);
    slot.stages.resize(result.num_stages);
    slot.stage_begin_ms.resize(result.num_stages);
    slot.labels.resize(result.num_outputs);
    for (uint32_t i = 0; i < result.num_outputs; ++i)
      slot.labels[i].resize(static_cast<size_t>(result.outputs[i].stride) * result.outputs[i].height);
  }
}

// Allocates only for label maps that are larger than any before.
void Delivery::fill(Slot* slot, const evss_frame& frame, const evss_result& result) {
  slot->frame = frame;
  slot->result = result;
  slot->outputs.assign(result.outputs, result.outputs + result.num_outputs);
  slot->stages.assign(result.stages, result.stages + result.num_stages);
  slot->stage_begin_ms.assign(result.stage_begin_ms, result.stage_begin_ms + result.num_stages);
  slot->result.stage_begin_ms = slot->stage_begin_ms.data();
  slot->labels.resize(result.num_outputs);
  for (uint32_t i = 0; i < result.num_outputs; ++i) {
    evss_label_map& map = slot->outputs[i];
    std::vector<uint8_t>& labels = slot->labels[i];
    const size_t bytes = static_cast<size_t>(map.stride) * map.height;
    if (labels.size() < bytes) labels.resize(bytes);
    std::memcpy(labels.data(), map.labels, bytes);
    map.labels = labels.data();
  }
  std::snprintf(slot->reasons, sizeof slot->reasons, "%s", result.reasons);
  slot->result.reasons = slot->reasons;
  slot->result.outputs = slot->outputs.data();
  slot->result.stages = slot->stages.data();
}

bool Delivery::put(const evss_frame& frame, const evss_result& result, bool wait) {
  Slot* slot = nullptr;
  if (count_ == 0) make_room(result);  // nobody else has a slot yet
  {
    std::unique_lock<std::mutex> lock(mutex_);
    slot = free_slot();
    if (!slot && wait) room_.wait(lock, [&] { return stop_waiting_ || (slot = free_slot()) != nullptr; });
    if (!slot) return false;
    slot->state = State::kFilling;
  }
  fill(slot, frame, result);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    slot->order = count_++;
    slot->state = State::kReady;
  }
  ready_.notify_one();
  return true;
}

void Delivery::finish(evss_status status, const char* why) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    status_ = status;
    why_ = why;
  }
  ready_.notify_all();
}

evss_status Delivery::take(uint32_t timeout_ms, evss_labelled* out, std::string* why) {
  std::unique_lock<std::mutex> lock(mutex_);
  Slot* slot = nullptr;
  ready_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                  [&] { return (slot = oldest_ready()) != nullptr || finished_; });
  if (!slot) {
    if (!finished_) return EVSS_AGAIN;
    *why = why_;
    return status_;
  }
  slot->state = State::kTaken;
  out->frame = &slot->frame;
  out->result = &slot->result;
  out->slot = static_cast<uint32_t>(slot - slots_.data());
  return EVSS_OK;
}

bool Delivery::release(uint32_t index) {
  evss_frame frame;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (index >= slots_.size() || slots_[index].state != State::kTaken) return false;
    frame = slots_[index].frame;
    slots_[index].state = State::kFree;
  }
  source_.release(source_.user, &frame);
  room_.notify_one();
  return true;
}

void Delivery::stop_waiting() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_waiting_ = true;
  }
  room_.notify_all();
}

}  // namespace evss
