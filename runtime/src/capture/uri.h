// The parts of a URI, checked.
#pragma once

#include <map>
#include <string>

namespace evss::capture {

/// "csi://3" -> 3. Throws EVSS_INVALID_ARGUMENT.
unsigned camera_number(const std::string& uri);

/// "v4l2:///dev/video0" and "/dev/video0" -> "/dev/video0"; nothing but a path under /dev of plain characters.
std::string device_path(const std::string& uri);

/// "file:///a%20b.mp4" -> "/a b.mp4".
std::string file_path(const std::string& uri);

/// "rtsp://user:secret@host/x" -> "rtsp://***@host/x".
std::string without_secrets(const std::string& uri);

/// "test:[size=480x640,fps=25]" -> {size: 480x640, fps: 25}; only the keys size, fps, pattern.
std::map<std::string, std::string> test_fields(const std::string& uri);

/// A whole number from `low` to `high`; `what` names it in the message.
unsigned number(const std::string& text, unsigned low, unsigned high, const std::string& what);

}  // namespace evss::capture
