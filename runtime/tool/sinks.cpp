#include "sinks.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace evss_run {

namespace {

namespace fs = std::filesystem;

constexpr double kOverlayAlpha = 0.55;  // as in edge_vss/sinks.py

// One grey level per class id, named NNNNNN.pgm; a folder per output where there are several.
class LabelFolder : public Sink {
 public:
  LabelFolder(std::string folder, bool several) : folder_(std::move(folder)), several_(several) {}

  bool write(const evss_labelled& labelled, std::string* why) override {
    for (uint32_t i = 0; i < labelled.result->num_outputs; ++i) {
      const evss_label_map& map = labelled.result->outputs[i];
      char name[32];
      std::snprintf(name, sizeof name, "/%06llu.pgm", static_cast<unsigned long long>(labelled.frame->sequence));
      std::string place = folder_;
      if (several_) place += std::string("/") + map.name;
      std::error_code none;
      if (several_) fs::create_directories(place, none);
      if (!write_map(place + name, map)) {
        *why = place + name + ": cannot be written: " + std::strerror(errno);
        return false;
      }
    }
    return true;
  }

 private:
  // Under another name first: whoever looks sees whole files.
  static bool write_map(const std::string& path, const evss_label_map& map) {
    const std::string part = path + ".part";
    std::FILE* file = std::fopen(part.c_str(), "wb");
    if (!file) return false;
    bool good = std::fprintf(file, "P5\n%u %u\n255\n", map.width, map.height) > 0;
    for (uint32_t row = 0; row < map.height && good; ++row)
      good = std::fwrite(map.labels + static_cast<size_t>(row) * map.stride, 1, map.width, file) == map.width;
    good = std::fclose(file) == 0 && good;
    return good && std::rename(part.c_str(), path.c_str()) == 0;
  }

  std::string folder_;
  bool several_;
};

// The segment is made with the first label map, whose size it has.
class LabelMemory : public Sink {
 public:
  LabelMemory(std::string name, const evss_output_info& output) : name_(std::move(name)), output_(output) {}
  ~LabelMemory() override { evss_shm_close(&shm_); }

  bool write(const evss_labelled& labelled, std::string* why) override {
    const evss_label_map& map = labelled.result->outputs[0];
    const bool open = shm_ || evss_shm_open(name_.c_str(), &output_, map.height, map.width, &shm_) == EVSS_OK;
    if (open && evss_shm_write(shm_, labelled.result, &map) == EVSS_OK) return true;
    *why = evss_last_error();
    return false;
  }

 private:
  std::string name_;
  evss_output_info output_;
  evss_shm* shm_ = nullptr;
};

// The pictures with the class colours of the first output over them, opened with the first one.
class OverlayVideo : public Sink {
 public:
  OverlayVideo(std::string path, const evss_output_info& output, double fps)
      : path_(std::move(path)), output_(output), fps_(fps > 0.0 ? fps : 25.0) {}
  ~OverlayVideo() override { evss_video_discard(&video_); }

  bool write(const evss_labelled& labelled, std::string* why) override {
    const evss_label_map& map = labelled.result->outputs[0];
    const uint32_t stride = map.width * 3;
    if (!video_ && !open(map, why)) return false;
    if (evss_to_rgb(labelled.frame, picture_.data(), picture_.size()) == EVSS_OK &&
        evss_overlay(picture_.data(), EVSS_RGB, stride, map.labels, map.stride, map.height, map.width, output_.colours,
                     output_.num_classes, kOverlayAlpha, picture_.data(), stride) == EVSS_OK &&
        evss_video_write(video_, picture_.data(), stride, labelled.frame->pts_us) == EVSS_OK)
      return true;
    *why = evss_last_error();
    return false;
  }

  bool close(std::string* why) override {
    if (evss_video_close(&video_) == EVSS_OK) return true;
    *why = evss_last_error();
    return false;
  }

 private:
  bool open(const evss_label_map& map, std::string* why) {
    evss_video_options options;
    evss_video_options_init(&options);
    options.height = map.height;
    options.width = map.width;
    options.fps = fps_;
    picture_.assign(size_t{map.height} * map.width * 3, 0);
    if (evss_video_open(path_.c_str(), &options, &video_) == EVSS_OK) return true;
    *why = evss_last_error();
    return false;
  }

  std::string path_;
  evss_output_info output_;
  double fps_;
  evss_video* video_ = nullptr;
  std::vector<uint8_t> picture_;
};

// Those of this program, or of Python's, which are numbered.
bool holds_label_maps(const fs::path& folder) {
  std::error_code failed;
  fs::recursive_directory_iterator entry(folder, failed);
  for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    const fs::path kind = entry->path().extension();
    const bool numbered = entry->path().stem().string().find_first_not_of("0123456789") == std::string::npos;
    if (kind == ".pgm" || (kind == ".png" && numbered)) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Sink> open_sink(const std::string& target, const evss_info& info, double fps, std::string* why) {
  if (target.rfind("shm:", 0) == 0) return std::make_unique<LabelMemory>(target.substr(4), info.outputs[0]);
  const fs::path folder(target);
  if (folder.extension() == ".mkv" || folder.extension() == ".mp4")
    return std::make_unique<OverlayVideo>(target, info.outputs[0], fps);
  std::error_code failed;
  if (folder.has_extension() && !fs::is_directory(folder, failed)) {
    *why = target + ": unknown kind of output; want a folder, .mkv, .mp4 or shm:NAME; a new folder ends with /";
    return nullptr;
  }
  fs::create_directories(folder, failed);
  if (!fs::is_directory(folder, failed)) {
    *why = target + ": is not a folder and cannot become one";
    return nullptr;
  }
  if (holds_label_maps(folder)) {
    *why = target + ": holds label maps already; remove them or choose another folder";
    return nullptr;
  }
  return std::make_unique<LabelFolder>(target, info.num_outputs > 1);
}

}  // namespace evss_run
