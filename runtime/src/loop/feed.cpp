#include "feed.h"

#include <chrono>
#include <cstdio>
#include <cstring>

#include "abi.h"
#include "frames.h"

namespace evss {

namespace {
constexpr int kHeld = 4;  // what a source must be able to have handed out at a time
}

Feed::Feed(int waiting)
    : slots_(static_cast<size_t>(waiting + kHeld)),
      ring_(static_cast<size_t>(waiting)),
      waiting_(static_cast<size_t>(waiting)) {}

Feed::Slot* Feed::take_free() {
  for (Slot& slot : slots_) {
    if (!slot.free) continue;
    slot.free = false;
    return &slot;
  }
  return nullptr;
}

// Planes one after the other, rows without padding. Allocates only for a frame that is larger than any before.
size_t Feed::copy(const evss_frame& frame, std::vector<uint8_t>* bytes, evss_frame* out) {
  const PixelFormat format = static_cast<PixelFormat>(frame.format);
  size_t total = 0, offsets[3] = {0, 0, 0};
  for (int i = 0; i < plane_count(format); ++i) {
    offsets[i] = total;
    const size_t row = static_cast<size_t>(plane_row_bytes(format, i, static_cast<int>(frame.width)));
    total += (row * static_cast<size_t>(plane_rows(format, i, static_cast<int>(frame.height))) + 63) / 64 * 64;
  }
  if (bytes->size() < total) bytes->resize(total);
  *out = frame;
  for (int i = 0; i < plane_count(format); ++i) {
    const size_t row = static_cast<size_t>(plane_row_bytes(format, i, static_cast<int>(frame.width)));
    const int rows = plane_rows(format, i, static_cast<int>(frame.height));
    uint8_t* to = bytes->data() + offsets[i];
    out->planes[i] = to;
    out->strides[i] = static_cast<uint32_t>(row);
    for (int y = 0; y < rows; ++y)
      std::memcpy(to + static_cast<size_t>(y) * row, frame.planes[i] + static_cast<size_t>(y) * frame.strides[i], row);
  }
  return total;
}

evss_status Feed::push(const evss_frame& given, uint32_t timeout_ms, std::string* why) {
  if (const char* problem = frame_problem(given)) {
    *why = problem;
    return EVSS_INVALID_ARGUMENT;
  }
  Slot* slot = nullptr;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    room_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                   [&] { return closed_ || ended_ || (count_ < waiting_ && (slot = take_free())); });
    if (closed_ || ended_) {
      if (slot) slot->free = true;
      return EVSS_END_OF_STREAM;
    }
    if (!slot) return EVSS_AGAIN;
  }
  copy(completed(given), &slot->bytes, &slot->frame);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ring_[(first_ + count_++) % waiting_] = slot;
  }
  frames_.notify_one();
  return EVSS_OK;
}

void Feed::end(const char* error) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_) return;
    ended_ = true;
    error_ = error ? error : "";
  }
  frames_.notify_all();
  room_.notify_all();
}

evss_status Feed::next(uint32_t timeout_ms, evss_frame* frame, char* error, size_t error_size) {
  Slot* slot = nullptr;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    frames_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                     [&] { return count_ > 0 || ended_ || closed_ || interrupted_; });
    interrupted_ = false;
    if (count_ == 0) {
      if (closed_) return EVSS_END_OF_STREAM;
      if (!ended_) return EVSS_AGAIN;
      if (error_.empty()) return EVSS_END_OF_STREAM;
      std::snprintf(error, error_size, "%s", error_.c_str());
      return EVSS_SOURCE_LOST;
    }
    slot = ring_[first_];
    first_ = (first_ + 1) % waiting_;
    slot->held = true;
    --count_;
    ++delivered_;
  }
  room_.notify_one();
  *frame = slot->frame;
  return EVSS_OK;
}

void Feed::release(const evss_frame& frame) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Slot& slot : slots_) {
      if (!slot.held || slot.frame.planes[0] != frame.planes[0]) continue;
      slot.held = false;
      slot.free = true;
    }
  }
  room_.notify_one();
}

void Feed::interrupt() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    interrupted_ = true;
  }
  frames_.notify_all();
}

void Feed::close() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  frames_.notify_all();
  room_.notify_all();
}

void Feed::stats(evss_source_stats* stats) {
  std::lock_guard<std::mutex> lock(mutex_);
  stats->delivered = delivered_;
}

}  // namespace evss
