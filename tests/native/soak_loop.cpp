// The loop over many frames: what it allocates once it runs, whether memory grows, whether times drift.
//
//   soak_loop BUNDLE SCHEDULE FRAMES THREADS HEIGHT WIDTH DEADLINE_MS
//
// Prints one JSON object. Allocations are counted where count_malloc is preloaded (-1 otherwise).
#include <dlfcn.h>
#include <edge_vss.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int kParts = 10;

struct Pictures {
  uint64_t count = 0, limit = 0;
  evss_frame frame{};
  std::vector<uint8_t> pixels;
};

evss_status next_picture(void* user, uint32_t, evss_frame* frame, char*, size_t) {
  Pictures& pictures = *static_cast<Pictures*>(user);
  if (pictures.count == pictures.limit) return EVSS_END_OF_STREAM;
  *frame = pictures.frame;
  frame->sequence = pictures.count;
  frame->pts_us = static_cast<int64_t>(pictures.count++) * 1000;
  return EVSS_OK;
}

// Allocates nothing, as it looks while allocations are counted.
long resident_kib() {
  char text[4096];
  const int file = open("/proc/self/status", O_RDONLY);
  const ssize_t size = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) close(file);
  text[std::max<ssize_t>(size, 0)] = 0;
  const char* line = std::strstr(text, "\nVmRSS:");
  return line ? std::atol(line + 7) : -1;
}

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  Pictures pictures;
  pictures.limit = std::strtoull(argv[3], nullptr, 10);
  evss_options options;
  evss_options_init(&options);
  options.schedule = argv[2];
  options.threads = static_cast<uint32_t>(std::atoi(argv[4]));
  options.deadline_ms = std::atof(argv[7]);
  evss_frame_init(&pictures.frame);
  pictures.frame.format = EVSS_RGB;
  pictures.frame.height = static_cast<uint32_t>(std::atoi(argv[5]));
  pictures.frame.width = static_cast<uint32_t>(std::atoi(argv[6]));
  pictures.frame.strides[0] = pictures.frame.width * 3;
  pictures.pixels.assign(size_t{pictures.frame.height} * pictures.frame.strides[0], 90);
  pictures.frame.planes[0] = pictures.pixels.data();
  evss_source source;
  std::memset(&source, 0, sizeof source);
  source.struct_size = sizeof source;
  source.user = &pictures;
  source.next = next_picture;
  source.release = [](void*, evss_frame*) {};
  source.stats = [](void*, evss_source_stats*) {};
  source.interrupt = [](void*) {};
  source.close = [](void*) {};
  evss_pipeline* pipeline = nullptr;
  evss_loop* loop = nullptr;
  if (evss_pipeline_open(argv[1], &options, &pipeline) != EVSS_OK ||
      evss_loop_open(pipeline, &source, nullptr, &loop) != EVSS_OK) {
    std::fprintf(stderr, "%s\n", evss_last_error());
    return 3;
  }
  using Count = unsigned long long (*)();
  const Count count = reinterpret_cast<Count>(dlsym(RTLD_DEFAULT, "evss_malloc_count"));
  const uint64_t warm_up = std::max<uint64_t>(pictures.limit / 10, 1),
                 part = std::max<uint64_t>(pictures.limit / kParts, 1);
  std::vector<std::vector<double>> latency(kParts);
  for (std::vector<double>& one : latency) one.assign(static_cast<size_t>(part) + 16, 0.0), one.clear();  // touched now
  unsigned long long before = 0, after = 0;
  long resident[kParts] = {0};  // at the end of every part
  for (uint64_t taken = 0;;) {
    evss_labelled labelled;
    labelled.struct_size = sizeof labelled;
    const evss_status status = evss_loop_next(loop, 1000, &labelled);
    if (status == EVSS_AGAIN) continue;
    if (status < 0) std::fprintf(stderr, "%s\n", evss_last_error());
    if (status != EVSS_OK) break;
    latency[std::min<size_t>(static_cast<size_t>(taken / part), kParts - 1)].push_back(labelled.result->latency_ms);
    evss_loop_release(loop, &labelled);
    if (++taken == warm_up) before = count ? count() : 0;
    if (taken % part == 0 && taken / part <= kParts) resident[taken / part - 1] = resident_kib();
    if (taken == pictures.limit - 10) after = count ? count() : 0;
  }
  evss_loop_stats stats;
  stats.struct_size = sizeof stats;
  evss_loop_get_stats(loop, &stats);
  evss_loop_close(&loop);
  evss_pipeline_close(&pipeline);
  std::printf(
      "{\"frames\": %llu, \"allocations\": %lld, \"resident_growth_kib\": %ld, "
      "\"resident_growth_second_half_kib\": %ld, \"p99_ms\": [",
      static_cast<unsigned long long>(stats.frames), count ? static_cast<long long>(after - before) : -1,
      resident[kParts - 1] - resident[0], resident[kParts - 1] - resident[kParts / 2 - 1]);
  for (int i = 0; i < kParts; ++i) std::printf("%s%.6f", i ? ", " : "", percentile(latency[i], 0.99));
  std::printf("], \"p50_ms\": [");
  for (int i = 0; i < kParts; ++i) std::printf("%s%.6f", i ? ", " : "", percentile(latency[i], 0.5));
  std::printf("]}\n");
  return stats.frames == pictures.limit ? 0 : 1;
}
