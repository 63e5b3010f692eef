// The tensorrt engine over the simulated libraries, through the C functions: `play_tensorrt PART FOLDER`.
//   labels    every bundle under every schedule gives what the onnxruntime variant gives, with one graph per binding
//   failures  every call that can fail does once: one clean line, nothing left behind, and the next stream works
//   plans     no plan, and a plan of another TensorRT
//   missing   no libnvinfer
#include <edge_vss.h>
#include <simulated.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr int kFrames = 24, kResetAt = 15;
int failed = 0;

#define CHECK(condition, about)                                                                           \
  do {                                                                                                    \
    if (!(condition)) {                                                                                   \
      std::fprintf(stderr, "%d: %s: %s: %s\n", __LINE__, (about).c_str(), #condition, evss_last_error()); \
      ++failed;                                                                                           \
    }                                                                                                     \
  } while (0)

struct Run {
  bool opened = false, complete = false;
  std::string error;
  std::vector<std::string> lines;  // per frame: what fired, ages, flags, hash of the labels
  int fired = 0;                   // stages, over all frames
  int labelled = 0;                // frames whose label maps are new
  int captures = 0, enqueues_at_load = 0;
};

std::string describe(const evss_result& result, int* fired) {
  std::string line;
  for (uint32_t i = 0; i < result.num_stages; ++i) {
    line += result.stages[i].fired ? "1" : "0";
    line += std::to_string(result.stages[i].age_frames) + " ";
    *fired += result.stages[i].fired;
  }
  for (uint32_t i = 0; i < result.num_outputs; ++i) {
    uint64_t hash = 0xcbf29ce484222325;
    const auto& output = result.outputs[i];
    for (uint32_t k = 0; k < output.height * output.width; ++k) hash = (hash ^ output.labels[k]) * 0x100000001b3;
    line += std::to_string(output.age_frames) + ":" + std::to_string(hash) + " ";
  }
  return line + std::to_string(result.flags);
}

// A picture in which a few rows change from frame to frame.
void paint(int index, std::vector<uint8_t>* pixels) {
  uint32_t state = 1;
  for (uint8_t& pixel : *pixels) pixel = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 30);
  const size_t part = pixels->size() / kFrames;
  for (size_t i = 0; i < part * static_cast<size_t>(index); ++i) (*pixels)[i] = static_cast<uint8_t>(3 - (*pixels)[i]);
}

void play_frames(evss_pipeline* pipeline, const evss_info& info, int frames, Run* run) {
  std::vector<uint8_t> pixels(size_t{3} * info.input_height * info.input_width);
  for (int index = 0; index < frames; ++index) {
    evss_frame frame;
    evss_frame_init(&frame);
    if (index == kResetAt) evss_reset(pipeline);
    paint(index, &pixels);
    frame.format = EVSS_RGB;
    frame.height = info.input_height;
    frame.width = info.input_width;
    frame.planes[0] = pixels.data();
    frame.strides[0] = frame.width * 3;
    frame.sequence = static_cast<uint64_t>(index + index / 5);
    frame.pts_us = static_cast<int64_t>(frame.sequence) * 40000;
    evss_result result;
    result.struct_size = sizeof result;
    if (evss_send_frame(pipeline, &frame) != EVSS_OK || evss_receive(pipeline, &result) != EVSS_OK) {
      run->error = evss_last_error();
      return;
    }
    run->lines.push_back(describe(result, &run->fired));
    run->labelled += !(result.flags & EVSS_FLAG_REUSED);
  }
  run->complete = true;
}

Run play(const std::string& bundle, const char* backend, const std::string& schedule, uint32_t threads,
         int frames = kFrames) {
  Run run;
  evss_options options;
  evss_options_init(&options);
  options.backend = backend;
  options.schedule = schedule.empty() ? nullptr : schedule.c_str();
  options.threads = threads;
  evss_pipeline* pipeline = nullptr;
  if (evss_pipeline_open(bundle.c_str(), &options, &pipeline) != EVSS_OK) {
    run.error = evss_last_error();
    return run;
  }
  run.opened = true;
  run.captures = simulated_calls("cudaStreamBeginCapture");
  run.enqueues_at_load = simulated_calls("enqueueV3");
  evss_info info;
  info.struct_size = sizeof info;
  evss_pipeline_info(pipeline, &info);
  play_frames(pipeline, info, frames, &run);
  if (!run.complete) {
    // A failed frame leaves a stream that starts anew.
    Run again;
    evss_reset(pipeline);
    play_frames(pipeline, info, 3, &again);
    CHECK(again.complete, run.error);
  }
  evss_pipeline_close(&pipeline);
  return run;
}

std::vector<std::string> schedules_of(const std::string& bundle) {
  std::vector<std::string> names;
  evss_options options;
  evss_options_init(&options);
  options.threads = 1;
  evss_pipeline* pipeline = nullptr;
  if (evss_pipeline_open(bundle.c_str(), &options, &pipeline) != EVSS_OK) return names;
  evss_info info;
  info.struct_size = sizeof info;
  evss_pipeline_info(pipeline, &info);
  names.assign(info.schedules, info.schedules + info.num_schedules);
  evss_pipeline_close(&pipeline);
  return names;
}

void compare(const std::string& bundle, const std::string& schedule, const Run& want, bool graphs, uint32_t threads) {
  const std::string about = bundle + " " + schedule + (graphs ? " graphs " : " plain ") + std::to_string(threads);
  setenv("EDGE_VSS_CUDA_GRAPHS", graphs ? "1" : "0", 1);
  simulated_fail(nullptr, 0);
  const Run got = play(bundle, "tensorrt", schedule, threads);
  CHECK(got.complete && got.error.empty(), about + " " + got.error);
  CHECK(got.lines == want.lines, about);
  CHECK(simulated_live() == 0, about);
  const int launches = simulated_calls("cudaGraphLaunch"), enqueues = simulated_calls("enqueueV3");
  // A frame that goes through pixel engines runs one more before the stages, and one after them for a new label map.
  const bool staged = bundle.find("/pixels") != std::string::npos;
  const int ran = got.fired + (staged ? kFrames + got.labelled : 0);
  if (graphs) {
    // One run and one capture per binding, all at load; a frame launches what was captured.
    CHECK(got.captures > 0 && simulated_calls("cudaStreamBeginCapture") == got.captures, about);
    CHECK(simulated_calls("cudaGraphInstantiateWithFlags") == got.captures, about);
    CHECK(enqueues == 2 * got.captures && launches == ran, about);
  } else {
    CHECK(got.captures == 0 && launches == 0 && enqueues - got.enqueues_at_load == ran, about);
  }
  // Three sub-networks: each encodes and propagates in the three phases of the ring, and has one cold head.
  if (graphs && bundle.find("/ring") != std::string::npos) CHECK(got.captures == 3 * (3 + 3 + 1), about);
}

void check_labels(const std::vector<std::string>& bundles) {
  for (const std::string& bundle : bundles) {
    const std::vector<std::string> schedules = schedules_of(bundle);
    CHECK(!schedules.empty(), bundle);
    for (const std::string& schedule : schedules) {
      const Run want = play(bundle, "onnxruntime", schedule, 1);
      CHECK(want.complete, bundle + " " + schedule);
      for (int integrated : {0, 1}) {
        simulated_integrated(integrated);
        for (bool graphs : {false, true}) {
          for (uint32_t threads : {1u, 3u}) compare(bundle, schedule, want, graphs, threads);
        }
      }
    }
  }
}

bool one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

// Fails one call after the other, until the function is not called that often.
int fail_each(const std::string& bundle, const std::string& schedule, const char* function, const Run& want) {
  const bool builds_graph = std::strstr(function, "Capture") || std::strstr(function, "GraphInstantiate");
  const bool gives_back = std::strstr(function, "Free") || std::strstr(function, "Destroy");
  int nth = 1;
  for (; nth < 2000; ++nth) {
    simulated_fail(function, nth);
    const Run got = play(bundle, "tensorrt", schedule, 1, 6);
    const bool reached = simulated_calls(function) >= nth;
    const std::string about = bundle + " " + function + " " + std::to_string(nth) + " " + got.error;
    CHECK(simulated_live() == 0, about);
    if (!reached) break;
    // Without a graph the labels are the same, and what cannot be given back harms nobody; all else is an error.
    if (got.complete) {
      const bool captured = std::strcmp(function, "enqueueV3") == 0 && simulated_calls("cudaStreamEndCapture") > 0;
      CHECK(builds_graph || gives_back || captured, about);
      CHECK(std::equal(got.lines.begin(), got.lines.end(), want.lines.begin()), about);
    } else {
      CHECK(one_line(got.error), about);
      CHECK(!builds_graph, about);
    }
  }
  simulated_fail(nullptr, 0);
  return nth - 1;
}

void check_failures(const std::string& bundle, const std::string& schedule) {
  const std::vector<const char*> functions = {"cudaGetDevice",
                                              "cudaSetDevice",
                                              "cudaDeviceGetAttribute",
                                              "cudaMalloc",
                                              "cudaFree",
                                              "cudaHostAlloc",
                                              "cudaHostGetDevicePointer",
                                              "cudaFreeHost",
                                              "cudaMemcpyAsync",
                                              "cudaMemsetAsync",
                                              "cudaStreamCreateWithFlags",
                                              "cudaStreamSynchronize",
                                              "cudaStreamDestroy",
                                              "cudaStreamBeginCapture",
                                              "cudaStreamEndCapture",
                                              "cudaGraphInstantiateWithFlags",
                                              "cudaGraphDestroy",
                                              "cudaGraphLaunch",
                                              "cudaGraphExecDestroy",
                                              "createInferRuntime_INTERNAL",
                                              "deserializeCudaEngine",
                                              "getNbIOTensors",
                                              "getTensorIOMode",
                                              "getTensorDataType",
                                              "getTensorShape",
                                              "getTensorFormat",
                                              "getTensorLocation",
                                              "createExecutionContext",
                                              "setTensorAddress",
                                              "enqueueV3"};
  const Run want = play(bundle, "onnxruntime", schedule, 1, 6);
  std::vector<int> injected(functions.size());
  for (int integrated : {0, 1}) {
    simulated_integrated(integrated);
    for (const char* graphs : {"0", "1"}) {
      if (integrated && *graphs == '0') continue;  // memory and graphs have nothing to do with each other
      setenv("EDGE_VSS_CUDA_GRAPHS", graphs, 1);
      for (size_t i = 0; i < functions.size(); ++i) injected[i] += fail_each(bundle, schedule, functions[i], want);
    }
  }
  int total = 0;
  for (size_t i = 0; i < functions.size(); ++i) {
    CHECK(injected[i] > 0, std::string(functions[i]));
    total += injected[i];
  }
  std::printf("%s: %d failures injected into %zu functions\n", bundle.c_str(), total, functions.size());
}

void check_plans(const std::string& bundle, const std::string& folder) {
  const auto expect = [&](const char* plans, const char* words) {
    setenv("EDGE_VSS_PLANS", (folder + plans).c_str(), 1);
    const Run got = play(bundle, "tensorrt", "", 1);
    CHECK(!got.opened && one_line(got.error), std::string(plans));
    CHECK(got.error.find(words) != std::string::npos, got.error);
    CHECK(simulated_live() == 0, std::string(plans));
  };
  expect("/no-plans", "run edge-vss build BUNDLE on this machine");
  expect("/nowhere", "run edge-vss build BUNDLE on this machine");
  expect("/foreign-plans", "built by another TensorRT or for another GPU (serialization tag mismatch second line)");
  unsetenv("EDGE_VSS_PLANS");
  setenv("XDG_CACHE_HOME", "/nowhere/cache", 1);
  const Run got = play(bundle, "tensorrt", "", 1);
  CHECK(got.error.find("/nowhere/cache/edge-vss/plans;") != std::string::npos, got.error);
}

void check_missing(const std::string& bundle) {
  const Run got = play(bundle, "tensorrt", "", 1);
  CHECK(!got.opened && one_line(got.error), got.error);
  CHECK(got.error.find("EDGE_VSS_TENSORRT") != std::string::npos, got.error);
  CHECK(play(bundle, "auto", "", 1).complete, bundle);  // the other variant
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const std::string part = argv[1], folder = argv[2], chain = folder + "/chain", ring = folder + "/ring";
  setenv("EDGE_VSS_PLANS", (folder + "/plans").c_str(), 1);
  if (part == "labels") check_labels({chain, ring, folder + "/two-headed", folder + "/pixels"});
  if (part == "failures") {
    check_failures(chain, "adaptive");
    check_failures(folder + "/pixels", "alternate");
    check_failures(folder + "/two-headed", "");
  }
  if (part == "plans") check_plans(ring, folder);
  if (part == "missing") check_missing(chain);
  std::printf("%s: %s\n", part.c_str(), failed ? "failed" : "passed");
  return failed != 0;
}
