// From a URI and options to the text of a GStreamer pipeline. Only checked numbers and words enter the text; whatever
// else a URI holds is set as a property of the element `src` when the pipeline is built.
#pragma once

#include <string>

#include "edge_vss.h"

namespace evss::capture {

enum class Kind { kCsi, kV4l2, kRtsp, kFile, kTest, kExpert };

struct Description {
  Kind kind = Kind::kTest;
  std::string text;             ///< for gst_parse_launch; ends in an appsink
  std::string property, value;  ///< of the element "src": device or location; "" = none
  std::string shown;            ///< the URI as people may see it: without user and password
  std::string advice;           ///< what to do when the source fails
  double fps = 0.0;             ///< asked for; 0 = not known
};

/// Throws EVSS_INVALID_ARGUMENT: no such URI, or an option that its kind does not have; EVSS_UNAVAILABLE: a plug-in is
/// missing.
Description describe(const std::string& uri, const evss_source_options& options);

}  // namespace evss::capture
