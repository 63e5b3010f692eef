#include "encoders.h"

#include <cmath>
#include <vector>

#include "../error.h"
#include "elements.h"

namespace evss::capture {

namespace {

struct Choice {
  const char* element;
  const char* before;  // between I420 and the encoder
  std::string options;
  const char* after;  // parser, where the container wants one
  bool in_mp4;
};

std::vector<Choice> choices(const std::string& key, const std::string& kbps, const std::string& bps) {
  constexpr const char* kParse = " ! h264parse";
  return {
      {"nvv4l2h264enc", "nvvidconv ! video/x-raw(memory:NVMM),format=(string)NV12 ! ",
       "bitrate=" + bps + " iframeinterval=" + key + " idrinterval=" + key + " insert-sps-pps=true", kParse, true},
      {"openh264enc", "", "bitrate=" + bps + " gop-size=" + key + " complexity=low", kParse, true},
      // A plug-in of the user's, never a part of this library.
      {"x264enc", "", "bitrate=" + kbps + " key-int-max=" + key + " tune=zerolatency speed-preset=veryfast bframes=0",
       kParse, true},
      {"avenc_mpeg4", "", "bitrate=" + bps + " gop-size=" + key + " max-bframes=0", " ! mpeg4videoparse", true},
      {"vp8enc", "", "target-bitrate=" + bps + " keyframe-max-dist=" + key + " deadline=1 cpu-used=8 lag-in-frames=0",
       "", false},
      {"jpegenc", "", "quality=90", "", false},
  };
}

}  // namespace

Encoder choose_encoder(const std::string& suffix, double fps, unsigned bitrate_kbps) {
  const std::string key = std::to_string(std::max(1L, std::lround(fps)));
  const std::string kbps = std::to_string(bitrate_kbps), bps = std::to_string(bitrate_kbps * 1000UL);
  for (const Choice& choice : choices(key, kbps, bps)) {
    if (!has_element(choice.element) || (suffix == ".mp4" && !choice.in_mp4)) continue;
    const std::string after = choice.after;
    if (!after.empty() && !has_element(after.substr(3).c_str())) continue;
    if (*choice.before && !has_element("nvvidconv")) continue;
    return {choice.element, choice.before + std::string(choice.element) + " name=encoder " + choice.options + after};
  }
  throw Error(EVSS_UNAVAILABLE,
              "GStreamer has no encoder for a " + suffix + " file; apt-get install gstreamer1.0-plugins-bad");
}

}  // namespace evss::capture
