// The command line of edge-vss-run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace evss_run {

struct Options {
  std::string bundle, source, schedule, backend = "auto", precision = "auto", json;
  std::vector<std::string> outputs;
  double deadline_ms = 0.0;
  uint32_t threads = 0, realtime_priority = 0;
  uint64_t frames = 0;
  bool realtime = true, help = false, version = false;
};

extern const char* const kUsage;

/// False: wrong usage; `why` says in one line what.
bool parse(int argc, char** argv, Options* options, std::string* why);
/// False: an output, or the JSON, would replace the source, part of the bundle or another output; `why` says which.
bool keeps_inputs(const Options& options, std::string* why);

}  // namespace evss_run
