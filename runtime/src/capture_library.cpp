#include "capture_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <vector>

#include "error.h"

namespace evss {

namespace {

constexpr char kName[] = "libedge_vss_capture.so";
constexpr char kBuild[] =
    "apt-get install libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad, then install edge-vss again";
constexpr char kRun[] =
    "apt-get install libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad";

// The Python extension keeps C libraries in lib/ beside itself.
std::vector<std::string> places(const char* path) {
  if (path && *path) return {path};
  const char* from_environment = std::getenv("EDGE_VSS_CAPTURE");
  if (from_environment && *from_environment) return {from_environment};
  std::vector<std::string> found;
  Dl_info here;
  if (dladdr(reinterpret_cast<const void*>(&capture_library), &here) && here.dli_fname) {
    const std::string file = here.dli_fname;
    const size_t slash = file.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : file.substr(0, slash);
    found = {folder + "/" + kName, folder + "/lib/" + kName};
  }
  found.push_back(kName);
  return found;
}

const evss_capture_table* open(const std::vector<std::string>& candidates) {
  std::string why;
  bool is_there = false;
  for (const std::string& candidate : candidates) {
    void* handle = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
      const char* said = dlerror();
      if (!is_there) why = said ? said : candidate;
      is_there = is_there || access(candidate.c_str(), R_OK) == 0;
      continue;
    }
    const auto table = reinterpret_cast<const evss_capture_table* (*)()>(dlsym(handle, "evss_capture"));
    if (!table || table()->version != EVSS_CAPTURE_TABLE)
      throw Error(EVSS_UNAVAILABLE, candidate + " does not belong to this edge-vss; install edge-vss again");
    return table();
  }
  throw Error(EVSS_UNAVAILABLE, "capture through GStreamer is not available: " + why + "; " +
                                    std::string(is_there ? kRun : kBuild) + ", or name " + kName +
                                    " in EDGE_VSS_CAPTURE");
}

}  // namespace

const evss_capture_table& capture_library(const char* path) {
  static std::mutex mutex;
  static const evss_capture_table* opened = nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  if (!opened) opened = open(places(path));
  return *opened;
}

}  // namespace evss
