// A source that another thread feeds: frames are copied into a few buffers that are made once.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "edge_vss.h"

namespace evss {

class Feed {
 public:
  /// `waiting`: frames that may wait for the reader. Four more may be in its hands.
  explicit Feed(int waiting);

  // The feeding side. Full: EVSS_AGAIN after timeout_ms. EVSS_END_OF_STREAM: nobody reads any more.
  evss_status push(const evss_frame& frame, uint32_t timeout_ms, std::string* why);
  /// No frame will follow; with `error`, because of that.
  void end(const char* error);

  // The reading side, as evss_source has it.
  evss_status next(uint32_t timeout_ms, evss_frame* frame, char* error, size_t error_size);
  void release(const evss_frame& frame);
  void interrupt();
  void close();
  void stats(evss_source_stats* stats);

 private:
  struct Slot {
    std::vector<uint8_t> bytes;
    evss_frame frame{};
    bool free = true, held = false;  // held: in the reader's hands
  };
  static size_t copy(const evss_frame& frame, std::vector<uint8_t>* bytes, evss_frame* out);
  Slot* take_free();

  std::mutex mutex_;
  std::condition_variable room_, frames_;
  std::vector<Slot> slots_;
  std::vector<Slot*> ring_;  // waiting frames, oldest at first_
  size_t first_ = 0, count_ = 0, waiting_ = 0;
  bool ended_ = false, closed_ = false, interrupted_ = false;
  std::string error_;
  uint64_t delivered_ = 0;
};

}  // namespace evss
