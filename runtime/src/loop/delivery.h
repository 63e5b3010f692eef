// The bounded queue between the loop and whoever takes labelled frames: slots that are made once and used again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "edge_vss.h"

namespace evss {

class Delivery {
 public:
  /// `source` outlives this: a slot keeps its frame until it is released.
  Delivery(size_t slots, const evss_source& source);

  /// Takes a labelled frame. True: it is in the queue, and so is `frame`; false: the queue was full for too long, or
  /// closed, and the frame is still the caller's.
  bool put(const evss_frame& frame, const evss_result& result, bool wait);
  /// Nothing will follow; what is in the queue can still be taken.
  void finish(evss_status status, const char* why);
  /// EVSS_OK, EVSS_AGAIN after timeout_ms, or how it ended, once the queue is empty.
  evss_status take(uint32_t timeout_ms, evss_labelled* out, std::string* why);
  /// False: that slot was not taken.
  bool release(uint32_t slot);
  /// Gives all frames back to the source; nothing can be taken any more, what was taken keeps its label maps.
  void give_back();
  /// Ends every wait for room.
  void stop_waiting();

 private:
  enum class State : uint8_t { kFree, kFilling, kReady, kTaken };
  struct Slot {
    State state = State::kFree;
    uint64_t order = 0;
    evss_frame frame{};
    evss_result result{};
    std::vector<evss_label_map> outputs;
    std::vector<evss_stage_result> stages;
    std::vector<double> stage_begin_ms;
    std::vector<std::vector<uint8_t>> labels;
    char reasons[256] = {0};
  };
  void make_room(const evss_result& result);
  static void fill(Slot* slot, const evss_frame& frame, const evss_result& result);
  Slot* free_slot();
  Slot* oldest_ready();

  std::mutex mutex_;
  std::condition_variable room_, ready_;
  evss_source source_;
  std::vector<Slot> slots_;
  uint64_t count_ = 0;
  bool finished_ = false, stop_waiting_ = false;
  evss_status status_ = EVSS_END_OF_STREAM;
  std::string why_;
};

}  // namespace evss
