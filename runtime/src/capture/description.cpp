#include "description.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>

#include "../error.h"
#include "elements.h"
#include "uri.h"

namespace evss::capture {

namespace {

constexpr uint32_t kWidth = 1280, kHeight = 720;
constexpr double kFps = 30.0;

Error wrong(const std::string& message) { return Error(EVSS_INVALID_ARGUMENT, message); }

struct Size {
  uint32_t width, height;
  double fps;

  std::string caps() const { return area() + ",framerate=(fraction)" + fraction(fps); }
  std::string area() const { return "width=(int)" + std::to_string(width) + ",height=(int)" + std::to_string(height); }
};

Size wanted_size(const evss_source_options& options) {
  return {options.width ? options.width : kWidth, options.height ? options.height : kHeight,
          options.fps > 0.0 ? options.fps : kFps};
}

// videoflip counts otherwise than nvvidconv, whose numbers the options use.
std::string flip(uint32_t method) {
  constexpr const char* kDirections[] = {"identity", "90l", "180", "90r", "horiz", "ur-ll", "vert", "ul-lr"};
  return method ? std::string("videoflip video-direction=") + kDirections[method] + " ! " : "";
}

// Whatever a decoder gives, as bytes in host memory. On a Jetson hardware decoders give its own kind of memory.
std::string decoded(const evss_source_options& options) {
  const std::string decode = "decodebin name=decode expose-all-streams=false caps=\"video/x-raw(ANY)\" ! ";
  if (!has_element("nvvidconv")) return decode + "videoconvert ! " + flip(options.flip_method);
  return decode + "nvvidconv flip-method=" + std::to_string(options.flip_method) +
         " ! video/x-raw,format=(string)NV12 ! ";
}

void refuse_size(const evss_source_options& options, const std::string& what) {
  if (options.width || options.fps > 0.0) throw wrong(what + " has a size and rate of its own; those are for cameras");
}

void refuse_mode(const evss_source_options& options, const std::string& uri) {
  if (options.sensor_mode >= 0) throw wrong(uri + ": only csi:// cameras have sensor modes");
}

Description csi(const std::string& uri, const evss_source_options& options) {
  const std::string camera = std::to_string(camera_number(uri));
  require_elements({"nvarguscamerasrc", "nvvidconv"}, "they come with JetPack; apt-get install nvidia-l4t-gstreamer");
  const Size size = wanted_size(options);
  Description found;
  found.kind = Kind::kCsi;
  found.fps = size.fps;
  found.text = "nvarguscamerasrc name=src sensor-id=" + camera;
  if (options.sensor_mode >= 0) found.text += " sensor-mode=" + std::to_string(options.sensor_mode);
  found.text += " ! video/x-raw(memory:NVMM)," + size.caps() +
                ",format=(string)NV12 ! nvvidconv flip-method=" + std::to_string(options.flip_method) +
                " ! video/x-raw,format=(string)NV12 ! ";
  found.advice = "check the ribbon cable, then: sudo systemctl restart nvargus-daemon";
  return found;
}

Description v4l2(const std::string& uri, const evss_source_options& options) {
  const std::string device = device_path(uri);
  require_elements({"v4l2src", "jpegdec"}, "apt-get install gstreamer1.0-plugins-good");
  const Size size = wanted_size(options);
  const std::string raw = "video/x-raw,format=(string){NV12,I420,YUY2}", jpeg = "image/jpeg";
  std::string caps = raw + "," + size.caps() + ";" + jpeg + "," + size.caps();
  if (!(options.fps > 0.0)) caps += ";" + raw + "," + size.area() + ";" + jpeg + "," + size.area();
  if (!options.width) caps += ";" + raw + ";" + jpeg;
  Description found;
  found.kind = Kind::kV4l2;
  found.fps = options.fps;
  found.property = "device";
  found.value = device;
  found.text = "v4l2src name=src ! capsfilter caps=\"" + caps + "\" ! " + decoded(options);
  found.advice = "check that it is plugged in, that no other program uses it, and that you are in group video";
  return found;
}

Description rtsp(const std::string& uri, const evss_source_options& options) {
  require_elements({"rtspsrc", "decodebin"}, "apt-get install gstreamer1.0-plugins-good gstreamer1.0-plugins-base");
  refuse_size(options, "an RTSP stream");
  if (without_secrets(uri).find_first_of(" \t\r\n") != std::string::npos) throw wrong("an RTSP address has no spaces");
  Description found;
  found.kind = Kind::kRtsp;
  found.property = "location";
  found.value = uri;
  found.text =
      "rtspsrc name=src protocols=tcp latency=100 drop-on-latency=true ! application/x-rtp,media=(string)video ! " +
      decoded(options);
  found.advice = "check the address, user and password, and that the camera is on the network";
  return found;
}

// A pipe nobody writes to would be waited for, for ever and deaf to signals.
void refuse_pipe(const std::string& path) {
  struct stat found;
  if (stat(path.c_str(), &found) != 0) return;  // GStreamer says why
  if (S_ISDIR(found.st_mode)) throw wrong(path + ": is a folder, not a video");
  if (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode)) throw wrong(path + ": is a pipe, not a video file");
}

Description file(const std::string& uri, const evss_source_options& options) {
  require_elements({"filesrc", "decodebin"}, "apt-get install gstreamer1.0-plugins-base");
  refuse_size(options, "a file");
  Description found;
  found.kind = Kind::kFile;
  found.property = "location";
  found.value = file_path(uri);
  refuse_pipe(found.value);
  found.text = "filesrc name=src ! " + decoded(options);
  found.advice = "check that it is a video; apt-get install gstreamer1.0-plugins-bad gstreamer1.0-libav adds decoders";
  return found;
}

double rate(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !(value > 0.0 && value <= 1000.0))
    throw wrong("fps must be in 0..1000, got '" + text + "'");
  return value;
}

Description test(const std::string& uri, const evss_source_options& options) {
  require_elements({"videotestsrc"}, "apt-get install gstreamer1.0-plugins-base");
  Size size = wanted_size(options);
  std::string pattern = "smpte";
  for (const auto& [key, value] : test_fields(uri)) {
    if (key == "fps") size.fps = rate(value);
    if (key == "pattern") pattern = value;
    if (key != "size") continue;
    const size_t cross = value.find('x');
    size.height = number(value.substr(0, cross), 1, 16384, "test: the height");
    size.width = number(cross == std::string::npos ? "" : value.substr(cross + 1), 1, 16384, "test: the width");
  }
  if (!has_enum_value("videotestsrc", "pattern", pattern))
    throw wrong("test: knows no pattern '" + pattern + "'; smpte, ball, snow, black and others of videotestsrc");
  Description found;
  found.kind = Kind::kTest;
  found.fps = size.fps;
  found.text = "videotestsrc name=src is-live=true pattern=" + pattern + " ! video/x-raw,format=(string)NV12," +
               size.caps() + " ! " + flip(options.flip_method);
  found.advice = "report this: a test picture needs no camera";
  return found;
}

Description expert(const std::string& uri, const evss_source_options& options) {
  refuse_size(options, "a pipeline of your own");
  if (options.flip_method) throw wrong("a pipeline of your own flips by itself");
  Description found;
  found.kind = Kind::kExpert;
  found.text = options.pipeline;
  found.shown = uri.empty() ? "pipeline" : without_secrets(uri);
  found.advice = "try the text with gst-launch-1.0";
  return found;
}

std::string scheme_of(const std::string& uri) {
  if (uri.rfind("/dev/", 0) == 0) return "v4l2";
  const size_t colon = uri.find(':');
  std::string scheme = colon == std::string::npos ? "" : uri.substr(0, colon);
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](unsigned char c) { return std::tolower(c); });
  return scheme;
}

}  // namespace

Description describe(const std::string& uri, const evss_source_options& options) {
  if (options.pipeline && *options.pipeline) return expert(uri, options);
  const std::string scheme = scheme_of(uri);
  if (scheme != "csi") refuse_mode(options, without_secrets(uri));
  Description found;
  if (scheme == "csi")
    found = csi(uri, options);
  else if (scheme == "v4l2")
    found = v4l2(uri, options);
  else if (scheme == "rtsp" || scheme == "rtsps")
    found = rtsp(uri, options);
  else if (scheme == "file" || (scheme.empty() && !uri.empty()))
    found = file(uri, options);
  else if (scheme == "test")
    found = test(uri, options);
  else
    throw wrong("'" + without_secrets(uri) + "' is no source; want csi://N, /dev/videoN, rtsp://, file:// or test:");
  found.shown = without_secrets(uri);
  found.text += "appsink name=sink sync=false";
  return found;
}

}  // namespace evss::capture
