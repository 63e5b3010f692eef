// Which encoder writes a video on this machine.
#pragma once

#include <string>

namespace evss::capture {

struct Encoder {
  std::string element;  ///< its factory
  std::string text;     ///< from raw I420 to what the container takes; ends without a "!"
};

/// The best one that is there for `suffix` (".mkv" or ".mp4"): hardware H.264, OpenH264, then others. A key frame at
/// least every second, no frame held back. Throws EVSS_UNAVAILABLE.
Encoder choose_encoder(const std::string& suffix, double fps, unsigned bitrate_kbps);

}  // namespace evss::capture
