#include "tensorrt_plans.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace evss {

namespace {

constexpr int64_t kMaxPlanBytes = int64_t{4} << 30;

bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

bool newer(const struct stat& a, const struct stat& b) {
  if (a.st_mtim.tv_sec != b.st_mtim.tv_sec) return a.st_mtim.tv_sec > b.st_mtim.tv_sec;
  return a.st_mtim.tv_nsec > b.st_mtim.tv_nsec;
}

// Regular files of the folder itself only: a link could lead out of it.
std::string newest_fitting(DIR* folder, const PlanKey& key) {
  std::string best;
  struct stat best_info = {};
  while (const dirent* entry = readdir(folder)) {
    struct stat info = {};
    if (!plan_name_fits(entry->d_name, key)) continue;
    if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode)) continue;
    if (!best.empty() && !newer(info, best_info)) continue;
    best = entry->d_name;
    best_info = info;
  }
  return best;
}

bool read_whole(int file, std::string* data) {
  struct stat info = {};
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > kMaxPlanBytes) return false;
  data->resize(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < data->size()) {
    const ssize_t got = read(file, &(*data)[done], data->size() - done);
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

std::string plan_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (!variable("EDGE_VSS_PLANS").empty()) return variable("EDGE_VSS_PLANS");
  const std::string cache = variable("XDG_CACHE_HOME");
  return (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/edge-vss/plans";
}

bool plan_name_fits(const std::string& name, const PlanKey& key) {
  const std::string start = key.sha256 + ".trt-" + key.version + ".", end = ".plan", sm = key.sm + ".";
  if (!starts_with(name, start) || name.size() < start.size() + end.size()) return false;
  if (name.compare(name.size() - end.size(), end.size(), end) != 0) return false;
  std::string rest = name.substr(start.size());
  const size_t digits = rest.find_first_not_of("0123456789");
  if (digits > 0 && digits != std::string::npos && rest[digits] == '.') {
    if (key.build >= 0 && rest.substr(0, digits) != std::to_string(key.build)) return false;
    rest = rest.substr(digits + 1);
  }
  return starts_with(rest, sm);
}

std::string read_plan(const std::string& stage, const PlanKey& key) {
  const std::string path = plan_folder(), where = "stage '" + stage + "': ";
  DIR* folder = opendir(path.c_str());
  const std::string name = folder ? newest_fitting(folder, key) : "";
  const int file = name.empty() ? -1 : openat(dirfd(folder), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (folder) closedir(folder);
  if (name.empty()) {
    throw Error(EVSS_UNAVAILABLE, where + "no plan of TensorRT " + key.version +
                                      (key.build >= 0 ? "." + std::to_string(key.build) : "") + " and " + key.sm +
                                      " in " + path + "; run edge-vss build BUNDLE on this machine");
  }
  std::string data;
  const bool good = file >= 0 && read_whole(file, &data);
  if (file >= 0) close(file);
  if (!good) {
    throw Error(EVSS_UNAVAILABLE, where + "plan " + path + "/" + name +
                                      " cannot be read or is over 4 GiB; run edge-vss build BUNDLE on this machine");
  }
  return data;
}

}  // namespace evss
