#include "options.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

namespace evss_run {

const char* const kUsage =
    "edge-vss-run BUNDLE SOURCE [options]\n"
    "\n"
    "Labels the frames of a source: a .y4m file, or through GStreamer csi://0, /dev/video0, rtsp://, a video file or\n"
    "test:.\n"
    "\n"
    "  --schedule NAME          when stages fire; default: the bundle's first\n"
    "  --backend NAME           auto, or one that the bundle holds\n"
    "  --precision NAME         auto, or one that the bundle holds\n"
    "  --threads N              0..256; 0 = one per core\n"
    "  --deadline-ms MS         take cheaper schedules of the ladder to keep within this; 0: none\n"
    "  --realtime-priority N    0..99, SCHED_RR of the threads that label; 0: as other programs\n"
    "  --output PATH            x.mkv, x.mp4: overlay video; a folder: label maps as PGM; shm:NAME: shared memory;\n"
    "                           repeatable\n"
    "  --frames N               stop after this many\n"
    "  --as-fast-as-possible    do not wait for the times of the frames\n"
    "  --json FILE|-            statistics, with the keys of `edge-vss run --json`\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 done, 1 unexpected failure, 2 wrong usage, 3 bad input, 4 camera or device, 130 interrupted.\n"
    "Example: edge-vss-run street.bundle drive.y4m --schedule adaptive --output labels --json -\n";

namespace {

bool whole(const std::string& text, uint64_t low, uint64_t high, uint64_t* out) {
  char* rest = nullptr;
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos || text.size() > 18) return false;
  *out = std::strtoull(text.c_str(), &rest, 10);
  return *out >= low && *out <= high;
}

// An option with a value; the names are those of the struct's fields.
bool take(const std::string& name, const std::string& value, Options* options, std::string* why) {
  uint64_t number = 0;
  *why = name + ": " + value + " is not ";
  if (name == "--threads") {
    *why += "a whole number in 0..256";
    if (!whole(value, 0, 256, &number)) return false;
    options->threads = static_cast<uint32_t>(number);
  } else if (name == "--realtime-priority") {
    *why += "a whole number in 0..99";
    if (!whole(value, 0, 99, &number)) return false;
    options->realtime_priority = static_cast<uint32_t>(number);
  } else if (name == "--frames") {
    *why += "a whole number from 1 on";
    if (!whole(value, 1, 1ull << 50, &options->frames)) return false;
  } else if (name == "--deadline-ms") {
    *why += "a number in 0..1000000";
    char* rest = nullptr;
    options->deadline_ms = std::strtod(value.c_str(), &rest);
    if (value.empty() || *rest || !(options->deadline_ms >= 0.0 && options->deadline_ms <= 1e6)) return false;
  } else if (name == "--output" && !value.empty()) {
    options->outputs.push_back(value);
  } else {
    std::string none;
    std::string* text = name == "--schedule"    ? &options->schedule
                        : name == "--backend"   ? &options->backend
                        : name == "--precision" ? &options->precision
                        : name == "--json"      ? &options->json
                        : name == "--output"    ? &none
                                                : nullptr;
    *why = "no such option: " + name;
    if (!text) return false;
    *why = name + " is empty";
    if (value.empty()) return false;
    *text = value;
  }
  return true;
}

}  // namespace

bool parse(int argc, char** argv, Options* options, std::string* why) {
  std::vector<std::string> places;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--help" || word == "-h") return options->help = true;
    if (word == "--version") return options->version = true;
    if (word == "--as-fast-as-possible") {
      options->realtime = false;
    } else if (word.rfind("--", 0) == 0) {
      const size_t equals = word.find('=');
      std::string value;
      if (equals != std::string::npos) {
        value = word.substr(equals + 1);
        word.resize(equals);
      } else if (++i < argc) {
        value = argv[i];
      } else {
        *why = word + " wants a value";
        return false;
      }
      if (!take(word, value, options, why)) return false;
    } else {
      places.push_back(word);
    }
  }
  *why = "want BUNDLE and SOURCE";
  if (places.size() != 2) return false;
  options->bundle = places[0];
  options->source = places[1];
  return true;
}

bool keeps_inputs(const Options& options, std::string* why) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto place = [&](const std::string& path) { return fs::weakly_canonical(path, ignored); };
  const std::string source = options.source.rfind("file://", 0) == 0 ? options.source.substr(7) : options.source;
  const fs::path bundle = place(options.bundle);
  std::vector<std::string> targets = options.outputs;
  if (!options.json.empty() && options.json != "-") targets.push_back(options.json);
  std::set<fs::path> seen;
  for (const std::string& target : targets) {
    if (target.rfind("shm:", 0) == 0) continue;
    const fs::path found = place(target);
    *why = target + ": ";
    if (!seen.insert(found).second) return *why += "is given twice", false;
    if (found == place(source)) return *why += "is the source itself; choose another output", false;
    for (fs::path folder = found; folder.has_relative_path(); folder = folder.parent_path()) {
      if (folder == bundle) return *why += "lies inside the bundle; choose another output", false;
    }
  }
  return true;
}

}  // namespace evss_run
