// YUV4MPEG2 files as a source: what ffmpeg and most tools write as .y4m.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "edge_vss.h"

namespace evss {

class Y4mFile {
 public:
  /// Reads the header. Throws Error.
  explicit Y4mFile(const std::string& path);
  ~Y4mFile();
  Y4mFile(const Y4mFile&) = delete;
  Y4mFile& operator=(const Y4mFile&) = delete;

  evss_status next(evss_frame* frame, char* error, size_t error_size);
  void release(const evss_frame& frame);

  uint32_t width() const { return width_; }
  uint32_t height() const { return height_; }
  double fps() const { return static_cast<double>(rate_) / scale_; }
  uint64_t delivered() const { return count_; }
  /// Whether the last picture was cut short, and left out.
  bool torn() const { return torn_; }

 private:
  struct Slot {
    std::vector<uint8_t> bytes;
    bool free = true;
  };
  void read_header();
  void take(const std::string& parameter);
  bool read_marker(bool* end);
  evss_status finish(char* error, size_t error_size) const;

  std::string path_;
  std::FILE* file_ = nullptr;
  uint32_t width_ = 0, height_ = 0;
  int64_t rate_ = 25, scale_ = 1;
  bool grey_ = false, torn_ = false;
  uint32_t range_ = EVSS_LIMITED;
  uint64_t count_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace evss
