#include "uri.h"

#include <cctype>
#include <cstdlib>

#include "../error.h"

namespace evss::capture {

namespace {

Error wrong(const std::string& message) { return Error(EVSS_INVALID_ARGUMENT, message); }

bool starts_with(const std::string& text, const char* start) { return text.rfind(start, 0) == 0; }

int hex(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const int letter = std::tolower(static_cast<unsigned char>(digit));
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

std::string unquoted(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])) : text[i];
    i += escape ? 2 : 0;
  }
  return out;
}

}  // namespace

unsigned number(const std::string& text, unsigned low, unsigned high, const std::string& what) {
  const bool digits = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
  const unsigned long value = digits ? std::strtoul(text.c_str(), nullptr, 10) : 0;
  if (!digits || value < low || value > high)
    throw wrong(what + " must be " + std::to_string(low) + ".." + std::to_string(high) + ", got '" + text + "'");
  return static_cast<unsigned>(value);
}

unsigned camera_number(const std::string& uri) {
  std::string text = uri.substr(uri.find(':') + 1);
  if (starts_with(text, "//")) text = text.substr(2);
  return number(text, 0, 31, uri + ": the camera, as in csi://0,");
}

std::string device_path(const std::string& uri) {
  std::string path = starts_with(uri, "v4l2:") ? uri.substr(5) : uri;
  if (starts_with(path, "///")) path = path.substr(2);
  bool plain = starts_with(path, "/dev/") && path.find("..") == std::string::npos;
  for (char c : path)
    plain = plain && (std::isalnum(static_cast<unsigned char>(c)) || std::string("/._:-").find(c) != std::string::npos);
  if (!plain) throw wrong("'" + uri + "' is not a camera's device; want /dev/video0 or v4l2:///dev/video0");
  return path;
}

std::string file_path(const std::string& uri) {
  std::string path = starts_with(uri, "file:") ? unquoted(uri.substr(5)) : uri;
  if (starts_with(path, "///")) path = path.substr(2);
  if (path.empty() || starts_with(path, "//"))
    throw wrong("'" + uri + "' is not a file on this machine; want file:///folder/clip.mp4");
  return path;
}

std::string without_secrets(const std::string& uri) {
  const size_t host = uri.find("://");
  if (host == std::string::npos) return uri;
  const size_t end = uri.find('/', host + 3), at = uri.rfind('@', end);
  if (at == std::string::npos || at < host) return uri;
  return uri.substr(0, host + 3) + "***" + uri.substr(at);
}

std::map<std::string, std::string> test_fields(const std::string& uri) {
  std::map<std::string, std::string> fields;
  std::string text = uri.substr(uri.find(':') + 1);
  if (text.empty()) return fields;
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    throw wrong("'" + uri + "': want test: or test:[size=720x1280,fps=30,pattern=smpte]");
  text = text.substr(1, text.size() - 2);
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string item = text.substr(start, end - start);
    const std::string key = item.substr(0, item.find('='));
    if (key.size() == item.size() || (key != "size" && key != "fps" && key != "pattern") ||
        !fields.emplace(key, item.substr(key.size() + 1)).second)
      throw wrong("'" + uri + "': '" + item + "' is not one of size=HxW, fps=F, pattern=NAME");
    start = end + 1;
  }
  return fields;
}

}  // namespace evss::capture
