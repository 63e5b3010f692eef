#include "y4m.h"

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "error.h"

namespace evss {

namespace {

constexpr int kSlots = 6;
constexpr uint32_t kMaxSide = 16384, kLarge = 720;  // untagged pictures of so many lines are taken for BT.709

Error unreadable(const std::string& path, const std::string& why) { return bad_bundle(path + ": " + why); }

}  // namespace

Y4mFile::Y4mFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")), slots_(kSlots) {
  if (!file_) throw unreadable(path, std::strerror(errno));
  try {
    read_header();
  } catch (...) {
    std::fclose(file_);
    throw;
  }
  const size_t luma = size_t{width_} * height_;
  const size_t chroma = grey_ ? 0 : size_t{(width_ + 1) / 2} * ((height_ + 1) / 2);
  for (Slot& slot : slots_) slot.bytes.resize(luma + 2 * chroma);
}

Y4mFile::~Y4mFile() { std::fclose(file_); }

void Y4mFile::read_header() {
  char line[512];
  if (!std::fgets(line, sizeof line, file_) || std::strncmp(line, "YUV4MPEG2 ", 10) != 0 || !std::strchr(line, '\n'))
    throw unreadable(path_, "is not a YUV4MPEG2 file");
  std::istringstream words(line + 10);
  for (std::string word; words >> word;) take(word);
  if (width_ < 1 || height_ < 1 || width_ > kMaxSide || height_ > kMaxSide)
    throw unreadable(path_, "its header has no size within 1..16384");
}

void Y4mFile::take(const std::string& parameter) {
  const std::string value = parameter.substr(1);
  if (parameter[0] == 'W') width_ = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
  if (parameter[0] == 'H') height_ = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
  if (parameter[0] == 'F') {
    char* rest = nullptr;
    rate_ = std::strtol(value.c_str(), &rest, 10);
    scale_ = *rest == ':' ? std::strtol(rest + 1, nullptr, 10) : 0;
    if (rate_ < 1 || scale_ < 1 || rate_ > 1000000000 || scale_ > 1000000000) rate_ = 25, scale_ = 1;
  }
  if (parameter[0] == 'C') {
    grey_ = value == "mono";
    if (!grey_ && value != "420" && value != "420jpeg" && value != "420paldv" && value != "420mpeg2")
      throw unreadable(path_, "holds '" + value + "'; 8-bit 420 or mono can be read");
  }
  if (parameter == "XCOLORRANGE=FULL") range_ = EVSS_FULL;
}

// Every picture begins with a line "FRAME", perhaps with parameters. False: something else is there.
bool Y4mFile::read_marker(bool* end) {
  char line[512];
  *end = !std::fgets(line, sizeof line, file_);
  if (*end) return false;
  const bool whole = std::strchr(line, '\n');
  if (!whole && std::feof(file_)) return *end = torn_ = true, false;
  return whole && std::strncmp(line, "FRAME", 5) == 0;
}

// A file that was cut short is played as far as it goes, one that holds nothing to play is no video.
evss_status Y4mFile::finish(char* error, size_t error_size) const {
  if (count_ > 0) return EVSS_END_OF_STREAM;
  std::snprintf(error, error_size, "%s: holds no whole picture", path_.c_str());
  return EVSS_BAD_BUNDLE;
}

evss_status Y4mFile::next(evss_frame* frame, char* error, size_t error_size) {
  Slot* slot = nullptr;
  for (Slot& one : slots_) {
    if (one.free) slot = &one;
  }
  if (!slot) return EVSS_AGAIN;
  bool end = false;
  const bool good = read_marker(&end);
  if (end) return finish(error, error_size);
  if (!good) {
    std::snprintf(error, error_size, "%s: no picture where number %llu should begin", path_.c_str(),
                  static_cast<unsigned long long>(count_));
    return EVSS_BAD_BUNDLE;
  }
  if (std::fread(slot->bytes.data(), 1, slot->bytes.size(), file_) != slot->bytes.size()) {
    torn_ = true;
    return finish(error, error_size);
  }
  slot->free = false;
  evss_frame_init(frame);
  frame->format = grey_ ? EVSS_GREY : EVSS_I420;
  frame->width = width_;
  frame->height = height_;
  frame->strides[0] = width_;
  frame->strides[1] = frame->strides[2] = (width_ + 1) / 2;
  frame->planes[0] = slot->bytes.data();
  if (!grey_) {
    frame->planes[1] = frame->planes[0] + size_t{width_} * height_;
    frame->planes[2] = frame->planes[1] + size_t{frame->strides[1]} * ((height_ + 1) / 2);
  }
  frame->matrix = height_ >= kLarge ? EVSS_BT709 : EVSS_BT601;
  frame->range = range_;
  frame->sequence = count_;
  frame->pts_us = static_cast<int64_t>(count_) * 1000000 * scale_ / rate_;
  ++count_;
  return EVSS_OK;
}

void Y4mFile::release(const evss_frame& frame) {
  for (Slot& slot : slots_) {
    if (slot.bytes.data() == frame.planes[0]) slot.free = true;
  }
}

}  // namespace evss
