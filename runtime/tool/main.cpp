// edge-vss-run: the frame loop as a program without Python.
#include <edge_vss.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>

#include "options.h"
#include "sinks.h"
#include "statistics.h"

namespace {

using evss_run::Options;
using evss_run::Sink;

constexpr int kDone = 0, kUnexpected = 1, kUsage = 2, kBadInput = 3, kDevice = 4, kInterrupted = 130;
constexpr uint32_t kKept = 100000, kWaitMs = 100;

volatile sig_atomic_t interrupted = 0;

void interrupt(int) { interrupted = 1; }

int say(int code, const std::string& line) {
  std::fprintf(stderr, "edge-vss-run: %s\n", line.c_str());
  return code;
}

int code_of(evss_status status) {
  if (status == EVSS_BACKEND_FAILED || status == EVSS_UNAVAILABLE || status == EVSS_SOURCE_LOST) return kDevice;
  return status == EVSS_INTERNAL ? kUnexpected : kBadInput;
}

// On stdout, at once. That its reader has left, as `head` does, is no failure.
int print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return kDone;
  return errno == EPIPE ? kDone : say(kBadInput, std::string("stdout: cannot be written: ") + std::strerror(errno));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// .y4m files are read here; everything else by the capture library, where this build has one.
evss_status open_source(const std::string& uri, evss_source* source, std::string* why) {
  const std::string path = uri.rfind("file://", 0) == 0 ? uri.substr(7) : uri;
  *why = "the source is empty; give a video, a camera or test:";
  if (path.empty()) return EVSS_INVALID_ARGUMENT;
  evss_status status = EVSS_UNAVAILABLE;
  if (ends_with(path, ".y4m")) {
    status = evss_y4m_open(path.c_str(), source);
    *why = evss_last_error();
    return status;
  }
  // To the capture library a file is file:// and an absolute path.
  const bool named = uri.find(':') != std::string::npos || uri.rfind("/dev/video", 0) == 0;
  std::error_code failed;
  const std::string full = named ? uri : "file://" + std::filesystem::absolute(uri, failed).string();
  *why = uri + ": " + failed.message();
  if (failed) return EVSS_INVALID_ARGUMENT;
  status = evss_source_open(full.c_str(), nullptr, source);
  *why = evss_last_error();
  return status;
}

// Everything that a run holds, given back in the right order.
struct Run {
  ~Run() {
    evss_loop_close(&loop);
    if (source_open) source.close(source.user);
    sinks.clear();
    evss_pipeline_close(&pipeline);
  }
  evss_pipeline* pipeline = nullptr;
  evss_source source{};
  bool source_open = false;
  evss_loop* loop = nullptr;
  std::vector<std::unique_ptr<Sink>> sinks;
  evss_info info{};
};

int open_all(const Options& options, Run* run) {
  evss_options wanted;
  evss_options_init(&wanted);
  wanted.schedule = options.schedule.empty() ? nullptr : options.schedule.c_str();
  wanted.backend = options.backend.c_str();
  wanted.precision = options.precision.c_str();
  wanted.threads = options.threads;
  wanted.deadline_ms = options.deadline_ms;
  wanted.realtime_priority = options.realtime_priority;
  evss_status status = evss_pipeline_open(options.bundle.c_str(), &wanted, &run->pipeline);
  if (status != EVSS_OK) return say(code_of(status), evss_last_error());
  run->info.struct_size = sizeof run->info;
  evss_pipeline_info(run->pipeline, &run->info);
  std::string why;
  status = open_source(options.source, &run->source, &why);
  if (status != EVSS_OK) return say(code_of(status), why);
  run->source_open = true;
  for (const std::string& target : options.outputs) {
    run->sinks.push_back(evss_run::open_sink(target, run->info, run->source.fps, &why));
    if (!run->sinks.back()) return say(kBadInput, why);
  }
  evss_loop_options loop;
  evss_loop_options_init(&loop);
  loop.limit = options.frames;
  loop.realtime = options.realtime;
  loop.kept = kKept;
  loop.notify = 1;
  loop.queue = run->sinks.empty() ? 0 : loop.queue;
  status = evss_loop_open(run->pipeline, &run->source, &loop, &run->loop);
  return status == EVSS_OK ? kDone : say(code_of(status), evss_last_error());
}

int take_all(Run* run) {
  for (bool stopping = false;;) {
    if (interrupted && !stopping) {
      stopping = true;
      evss_loop_stop(run->loop);
    }
    evss_labelled labelled;
    labelled.struct_size = sizeof labelled;
    const evss_status status = evss_loop_next(run->loop, kWaitMs, &labelled);
    if (status == EVSS_AGAIN) continue;
    if (status == EVSS_END_OF_STREAM) return stopping ? kInterrupted : kDone;
    if (status != EVSS_OK) return say(code_of(status), evss_last_error());
    std::string why;
    bool good = true;
    for (const std::unique_ptr<Sink>& sink : run->sinks) good = good && sink->write(labelled, &why);
    evss_loop_release(run->loop, &labelled);
    if (!good) return say(kBadInput, why);
  }
}

// Also after one that fails the others are finished.
int close_sinks(Run* run) {
  int code = kDone;
  for (const std::unique_ptr<Sink>& sink : run->sinks) {
    std::string why;
    if (!sink->close(&why)) code = say(kBadInput, why);
  }
  return code;
}

// A file whose end is missing was labelled as far as it goes; whoever made it wants to know.
void warn_of_damage(const Options& options, const evss_source& source) {
  evss_source_stats found;
  std::memset(&found, 0, sizeof found);
  found.struct_size = sizeof found;
  source.stats(source.user, &found);
  if (!source.live && found.missing_us)
    std::fprintf(stderr, "edge-vss-run: warning: %s: ends %.1f s before the length that it states\n",
                 options.source.c_str(), static_cast<double>(found.missing_us) / 1e6);
  if (!source.live && found.dropped_damaged)
    std::fprintf(stderr, "edge-vss-run: warning: %s: is cut short; the last picture was left out\n",
                 options.source.c_str());
}

int write_statistics(const Options& options, Run* run) {
  evss_pipeline_info(run->pipeline, &run->info);  // another variant may have taken over
  const std::string text = evss_run::as_json(run->loop, run->source, run->info);
  if (options.json == "-") return print(text);
  struct stat found;
  const bool device = stat(options.json.c_str(), &found) == 0 && !S_ISREG(found.st_mode);
  const std::string place = device ? options.json : options.json + ".part";  // devices and pipes are written to
  std::ofstream file(place);
  file << text;
  file.close();
  if (file && (device || std::rename(place.c_str(), options.json.c_str()) == 0)) return kDone;
  return say(kBadInput, options.json + ": cannot be written");
}

// The first signal ends the run, a second one the process. The command of a Python environment holds signals back until
// this program can take them.
void take_signals() {
  struct sigaction action;
  std::memset(&action, 0, sizeof action);
  action.sa_handler = interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigset_t ends;
  sigemptyset(&ends);
  for (const int number : {SIGINT, SIGTERM}) {
    sigaction(number, &action, nullptr);
    sigaddset(&ends, number);
  }
  sigprocmask(SIG_UNBLOCK, &ends, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int run_program(int argc, char** argv) {
  Options options;
  std::string why;
  if (!evss_run::parse(argc, argv, &options, &why)) return say(kUsage, why + "; see: edge-vss-run --help");
  if (options.help) return print(evss_run::kUsage);
  if (options.version) return print(std::string("edge-vss-run ") + evss_version() + "\n");
  if (!evss_run::keeps_inputs(options, &why)) return say(kBadInput, why);
  Run run;
  int code = open_all(options, &run);
  if (interrupted && code != kDone) return kInterrupted;
  if (code != kDone) return code;
  code = take_all(&run);
  if (code != kDone && code != kInterrupted) return code;
  if (code == kDone) warn_of_damage(options, run.source);
  if (const int failed = close_sinks(&run)) return failed;
  if (!options.json.empty()) {
    if (const int failed = write_statistics(options, &run)) return failed;
  }
  return code == kInterrupted ? say(code, "interrupted") : code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    take_signals();
    return run_program(argc, argv);
  } catch (const std::exception& error) {
    return say(kUnexpected, std::string("unexpected: ") + error.what());
  } catch (...) {
    return say(kUnexpected, "unexpected failure");
  }
}
