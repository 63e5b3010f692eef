// What the frame loop costs beyond engines and pixels, and what it allocates.
//
//   bench_scheduler BUNDLE SCHEDULE FRAMES THREADS HEIGHT WIDTH
//
// Prints one JSON object. Allocations are counted where count_malloc is preloaded (-1 otherwise).
#include <dlfcn.h>
#include <edge_vss.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atol(line.c_str() + 6);
  }
  return -1;
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  const int frames = std::atoi(argv[3]), height = std::atoi(argv[5]), width = std::atoi(argv[6]);
  const int warm_up = std::min(200, frames / 5);
  evss_options options;
  evss_options_init(&options);
  options.schedule = argv[2];
  options.threads = static_cast<uint32_t>(std::atoi(argv[4]));
  evss_pipeline* pipeline = nullptr;
  if (evss_pipeline_open(argv[1], &options, &pipeline) != EVSS_OK) {
    std::fprintf(stderr, "%s\n", evss_last_error());
    return 3;
  }
  using Count = unsigned long long (*)();
  const Count count = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "evss_malloc_count"));
  std::vector<uint8_t> pixels(static_cast<size_t>(height) * width * 3, 90);
  std::vector<double> beyond(static_cast<size_t>(frames)), latency(beyond.size()), slowest(beyond.size());
  std::vector<unsigned long long> allocations(beyond.size());
  long resident = 0;
  for (int i = 0; i < frames; ++i) {
    if (i == warm_up) resident = resident_kib();
    pixels[static_cast<size_t>(i) * 7919 % pixels.size()] ^= 31;
    evss_frame frame;
    evss_frame_init(&frame);
    frame.format = EVSS_RGB;
    frame.height = static_cast<uint32_t>(height);
    frame.width = static_cast<uint32_t>(width);
    frame.planes[0] = pixels.data();
    frame.strides[0] = frame.width * 3;
    frame.sequence = static_cast<uint64_t>(i);
    frame.pts_us = i * 1000;
    evss_result result;
    result.struct_size = sizeof result;
    const unsigned long long before = count ? count() : 0;
    const double begin = now_us();
    if (evss_send_frame(pipeline, &frame) != EVSS_OK || evss_receive(pipeline, &result) != EVSS_OK) {
      std::fprintf(stderr, "%s\n", evss_last_error());
      return 1;
    }
    const double end = now_us();
    const size_t at = static_cast<size_t>(i);
    allocations[at] = (count ? count() : 0) - before;
    double engines = 0.0;
    for (uint32_t s = 0; s < result.num_stages; ++s) {
      engines += result.stages[s].ms;
      slowest[at] = std::max(slowest[at], result.stages[s].ms);
    }
    latency[at] = (end - begin) / 1000.0;
    beyond[at] = end - begin - 1000.0 * (engines + result.pre_ms + result.post_ms);
  }
  const auto steady = [&](std::vector<double> values) {
    return std::vector<double>(values.begin() + warm_up, values.end());
  };
  const auto most = *std::max_element(allocations.begin() + warm_up, allocations.end());
  const auto least = *std::min_element(allocations.begin() + warm_up, allocations.end());
  std::printf(
      "{\"beyond_us_p50\": %.3f, \"beyond_us_p90\": %.3f, \"beyond_us_p99\": %.3f, \"latency_ms_p50\": %.4f, "
      "\"slowest_stage_ms_p50\": %.4f, "
      "\"allocations_min\": %lld, \"allocations_max\": %lld, \"resident_growth_kib\": %ld}\n",
      percentile(steady(beyond), 0.5), percentile(steady(beyond), 0.9), percentile(steady(beyond), 0.99),
      percentile(steady(latency), 0.5), percentile(steady(slowest), 0.5), count ? static_cast<long long>(least) : -1,
      count ? static_cast<long long>(most) : -1, resident_kib() - resident);
  evss_pipeline_close(&pipeline);
  return 0;
}
