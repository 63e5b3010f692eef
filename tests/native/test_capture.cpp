// Capture through the C functions, from a camera that fails as told. EVSS_FAULT_PLUGIN names the plug-in's file.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <dirent.h>
#include <dlfcn.h>
#include <doctest.h>
#include <edge_vss.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fault_camera.h"

namespace {

int64_t now_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000 + now.tv_nsec;
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

size_t entries(const char* folder) {
  size_t count = 0;
  DIR* opened = opendir(folder);
  while (readdir(opened)) ++count;
  closedir(opened);
  return count;
}

size_t resident_kb() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4;
}

// The plug-in that GStreamer loads: the same file opened again is the same copy.
void* plugin() {
  static void* const handle = dlopen(std::getenv("EVSS_FAULT_PLUGIN"), RTLD_NOW);
  REQUIRE(handle);
  return handle;
}
void play(fault_kind kind, uint32_t ms) {
  reinterpret_cast<decltype(&fault_camera_play)>(dlsym(plugin(), "fault_camera_play"))(kind, ms);
}
// Threads of this process; more than `wanted` get two seconds to go. GLib keeps those of its pool that have nothing to
// do for a while: they are no leak.
size_t threads_within(size_t wanted) {
  const auto stop_unused = reinterpret_cast<void (*)()>(dlsym(plugin(), "g_thread_pool_stop_unused_threads"));
  REQUIRE((stop_unused != nullptr));
  const int64_t begun = now_ns();
  for (;;) {
    stop_unused();
    sleep_ms(20);
    const size_t found = entries("/proc/self/task");
    if (found <= wanted || now_ns() - begun > 2000000000) return found;
  }
}
fault_camera_state camera() {
  fault_camera_state state;
  reinterpret_cast<decltype(&fault_camera_look)>(dlsym(plugin(), "fault_camera_look"))(&state);
  return state;
}

uint64_t picture_count(const evss_frame& frame) {
  uint64_t count;
  std::memcpy(&count, frame.planes[0], sizeof count);
  return count;
}

struct Camera {
  evss_source source;
  evss_status status;
  char error[640] = "";

  explicit Camera(const char* uri, uint32_t timeout_ms = 300, int max_rebuilds = -1, const char* pipeline = nullptr) {
    evss_source_options options;
    evss_source_options_init(&options);
    options.timeout_ms = timeout_ms;
    options.max_rebuilds = max_rebuilds;
    options.pipeline = pipeline;
    if (std::strncmp(uri, "csi", 3) == 0) options.width = 320, options.height = 240, options.fps = 60.0;
    status = evss_source_open(uri, &options, &source);
    if (status != EVSS_OK) std::snprintf(error, sizeof error, "%s", evss_last_error());
  }
  ~Camera() { evss_source_close(&source); }
  evss_status next(evss_frame* frame, uint32_t timeout_ms = 5000) {
    return source.next(source.user, timeout_ms, frame, error, sizeof error);
  }
  evss_source_stats stats() {
    evss_source_stats found;
    found.struct_size = sizeof found;
    source.stats(source.user, &found);
    return found;
  }
};

uint64_t numbered(const evss_source_stats& stats) {
  return stats.delivered + stats.dropped_newer + stats.dropped_damaged + stats.dropped_camera;
}

}  // namespace

TEST_CASE("a camera's frames carry time, sequence, colour and their planes") {
  Camera camera_("csi://0");
  REQUIRE_MESSAGE(camera_.status == EVSS_OK, camera_.error);
  CHECK(camera_.source.live == 1);
  CHECK(camera_.source.width == 320);
  CHECK(camera_.source.height == 240);
  CHECK(camera_.source.fps == 60.0);
  evss_frame frame;
  int64_t last_us = -1;
  uint64_t first = 0;
  for (int i = 0; i < 30; ++i) {
    REQUIRE(camera_.next(&frame) == EVSS_OK);
    CHECK(frame.format == EVSS_NV12);
    CHECK(frame.strides[0] >= 320);
    CHECK(frame.pts_us > last_us);
    CHECK(frame.suspect == 0);
    const int64_t age_ns = now_ns() - frame.captured_ns;
    CHECK(age_ns >= 0);
    if (i > 2) CHECK(age_ns < 200000000);
    if (i == 0) first = picture_count(frame) - frame.sequence;
    CHECK(picture_count(frame) == first + frame.sequence);
    last_us = frame.pts_us;
    camera_.source.release(camera_.source.user, &frame);
  }
  CHECK(numbered(camera_.stats()) - frame.sequence - 1 <= 1);
}

TEST_CASE("the newest frame wins and every other one is counted") {
  Camera camera_("csi://0");
  REQUIRE(camera_.status == EVSS_OK);
  evss_frame frame;
  for (int i = 0; i < 5; ++i) {
    sleep_ms(120);
    REQUIRE(camera_.next(&frame) == EVSS_OK);
    CHECK(now_ns() - frame.captured_ns < 60000000);  // 60 frames a second: not an old one
    camera_.source.release(camera_.source.user, &frame);
  }
  const evss_source_stats stats = camera_.stats();
  CHECK(stats.delivered == 5);
  CHECK(stats.dropped_newer >= 15);
  CHECK(numbered(stats) - frame.sequence - 1 <= 1);
}

TEST_CASE("frames that are held stay as they are; too many are refused, not overwritten") {
  Camera camera_("csi://0");
  REQUIRE(camera_.status == EVSS_OK);
  std::vector<evss_frame> held(8);
  std::vector<uint64_t> counts;
  for (evss_frame& frame : held) {
    REQUIRE(camera_.next(&frame) == EVSS_OK);
    counts.push_back(picture_count(frame));
  }
  sleep_ms(200);
  for (size_t i = 0; i < held.size(); ++i) CHECK(picture_count(held[i]) == counts[i]);
  evss_frame another;
  CHECK(camera_.next(&another) == EVSS_INVALID_ARGUMENT);
  camera_.source.release(camera_.source.user, &held[3]);
  CHECK(camera_.next(&another) == EVSS_OK);
  held[3] = another;
  for (evss_frame& frame : held) camera_.source.release(camera_.source.user, &frame);
}

TEST_CASE("ten faults in one run: frames come back within two seconds, nothing is left behind, counts add up") {
  Camera camera_("csi://0", 300);
  REQUIRE(camera_.status == EVSS_OK);
  const fault_kind faults[] = {FAULT_STALL, FAULT_ERROR, FAULT_EOS,   FAULT_HANG,  FAULT_REPEAT,
                               FAULT_GREEN, FAULT_BLACK, FAULT_SHORT, FAULT_ERROR, FAULT_STALL};
  const uint64_t opened_before = camera().opened;
  evss_frame frame;
  uint64_t handed = 0, last_sequence = 0;
  int64_t last_us = -1;
  size_t threads = 0, files = 0, memory = 0;
  for (int i = 0; i < 10; ++i) {
    CAPTURE(i);
    play(faults[i], 800);
    const int64_t begun = now_ns();
    int64_t recovered_ns = -1;
    for (int good = 0; good < 40 && now_ns() - begun < 6000000000;) {
      const evss_status status = camera_.next(&frame, 100);
      REQUIRE_MESSAGE(status >= 0, camera_.error);
      if (status == EVSS_AGAIN) continue;
      ++handed;
      CHECK(frame.pts_us > last_us);
      if (handed > 1) CHECK(frame.sequence > last_sequence);
      last_us = frame.pts_us;
      last_sequence = frame.sequence;
      const int64_t back_ns = camera().back_ns;
      const bool is_good = back_ns && frame.captured_ns > back_ns && frame.suspect == 0;
      if (is_good && recovered_ns < 0) recovered_ns = now_ns() - back_ns;
      good += is_good;
      camera_.source.release(camera_.source.user, &frame);
    }
    MESSAGE("fault " << faults[i] << ": frames again " << recovered_ns / 1000000 << " ms after the camera was back");
    CHECK(recovered_ns >= 0);
    CHECK(recovered_ns < 2000000000);
    if (i == 4) threads = threads_within(SIZE_MAX), files = entries("/proc/self/fd"), memory = resident_kb();
  }
  CHECK(threads_within(threads) == threads);
  CHECK(entries("/proc/self/fd") == files);
  if (!std::getenv("EVSS_SANITIZED")) CHECK(resident_kb() < memory + 3000);  // a leaked pipeline or picture would show
  const evss_source_stats stats = camera_.stats();
  MESSAGE("timeouts " << stats.timeouts << ", errors " << stats.errors << ", rebuilds " << stats.rebuilds);
  CHECK(stats.delivered == handed);
  CHECK(numbered(stats) - last_sequence - 1 <= 1);
  CHECK(stats.timeouts >= 3);  // two stalls and a driver that hangs
  CHECK(stats.errors >= 3);    // two errors and an end
  CHECK(stats.rebuilds == stats.timeouts + stats.errors);
  CHECK(stats.frozen >= 20);
  CHECK(stats.green >= 20);
  CHECK(stats.black >= 20);
  CHECK(stats.dropped_damaged >= 10);
  CHECK(camera().opened - opened_before <= stats.rebuilds);
  CHECK(camera().stale == 0);
}

TEST_CASE("a camera that stays away is lost after bounded attempts, and the message says what to do") {
  Camera camera_("csi://0", 300, 2);
  REQUIRE(camera_.status == EVSS_OK);
  play(FAULT_ERROR, 60000);
  evss_frame frame;
  evss_status status = EVSS_AGAIN;
  const int64_t begun = now_ns();
  while (status >= 0 && now_ns() - begun < 10000000000) {
    status = camera_.next(&frame, 100);
    if (status == EVSS_OK) camera_.source.release(camera_.source.user, &frame);
  }
  CHECK(status == EVSS_SOURCE_LOST);
  CHECK(std::string(camera_.error).find("sudo systemctl restart nvargus-daemon") != std::string::npos);
  CHECK(camera_.next(&frame, 100) == EVSS_SOURCE_LOST);  // and stays so
  play(FAULT_NONE, 0);
}

TEST_CASE("a camera that refuses to open is an error with advice, not a wait without end") {
  Camera second("csi://1");
  CHECK(second.status == EVSS_SOURCE_LOST);
  CHECK(std::string(second.error).find("csi://1: ") == 0);
  CHECK(std::string(second.error).find("nvargus-daemon") != std::string::npos);
}

TEST_CASE("a camera opens again at once after it was closed, again and again") {
  size_t threads = 0, files = 0;
  for (int i = 0; i < 12; ++i) {
    Camera camera_("csi://0");
    REQUIRE_MESSAGE(camera_.status == EVSS_OK, camera_.error);
    evss_frame frame;
    REQUIRE(camera_.next(&frame) == EVSS_OK);
    camera_.source.release(camera_.source.user, &frame);
    if (i == 2) threads = threads_within(SIZE_MAX), files = entries("/proc/self/fd");
    if (i == 11) CHECK(threads_within(threads) <= threads);
    if (i == 11) CHECK(entries("/proc/self/fd") == files);
  }
  CHECK(camera().in_use == 0);
  CHECK(camera().stale == 0);
}

TEST_CASE("pictures of another size are dropped and counted until the right ones return") {
  Camera camera_("mine", 2000, -1, "nvarguscamerasrc ! nvvidconv ! video/x-raw,format=NV12 ! appsink");
  REQUIRE_MESSAGE(camera_.status == EVSS_OK, camera_.error);
  evss_frame frame;
  play(FAULT_SIZE, 400);
  const int64_t begun = now_ns();
  while (now_ns() - begun < 1000000000) {
    if (camera_.next(&frame, 100) != EVSS_OK) continue;
    CHECK(frame.width == camera_.source.width);
    camera_.source.release(camera_.source.user, &frame);
  }
  CHECK(camera_.stats().dropped_damaged >= 8);
  CHECK(camera_.stats().rebuilds == 0);
}

TEST_CASE("interrupt ends a wait from another thread") {
  Camera camera_("csi://0", 5000);
  REQUIRE(camera_.status == EVSS_OK);
  evss_frame frame;
  play(FAULT_STALL, 1500);
  sleep_ms(50);
  while (camera_.next(&frame, 0) == EVSS_OK) camera_.source.release(camera_.source.user, &frame);
  const int64_t begun = now_ns();
  std::thread other([&] {
    sleep_ms(100);
    camera_.source.interrupt(camera_.source.user);
  });
  CHECK(camera_.next(&frame, 3000) == EVSS_AGAIN);
  CHECK(now_ns() - begun < 1000000000);
  other.join();
  play(FAULT_NONE, 0);
}

TEST_CASE("closing does not wait for a driver that hangs") {
  play(FAULT_NONE, 0);
  {
    Camera camera_("csi://0", 5000);
    REQUIRE(camera_.status == EVSS_OK);
    play(FAULT_HANG, 6000);
    sleep_ms(50);
    const int64_t begun = now_ns();
    evss_source_close(&camera_.source);
    CHECK(now_ns() - begun < 4000000000);
  }
  sleep_ms(4000);  // the driver comes back and the rest of the pipeline goes
  CHECK(camera().in_use == 0);
}

TEST_CASE("the test picture has the size, rate and flip that were asked for, and is not suspect") {
  evss_source_options options;
  evss_source_options_init(&options);
  options.flip_method = 1;
  evss_source source;
  REQUIRE_MESSAGE(evss_source_open("test:[size=240x320,fps=50]", &options, &source) == EVSS_OK, evss_last_error());
  CHECK(source.height == 320);
  CHECK(source.width == 240);
  CHECK(source.fps == 50.0);
  evss_frame frame;
  char error[640];
  for (int i = 0; i < 20; ++i) {
    REQUIRE(source.next(source.user, 2000, &frame, error, sizeof error) == EVSS_OK);
    CHECK(frame.suspect == 0);
    source.release(source.user, &frame);
  }
  evss_source_close(&source);
  CHECK(source.user == nullptr);
}

TEST_CASE("what cannot be opened is refused in one line") {
  const char* wrong[] = {"csi://x",
                         "csi://99",
                         "/dev/../etc/passwd",
                         "v4l2:///etc/passwd",
                         "ftp://camera/x",
                         "",
                         "test:[size=0x4]",
                         "test:[pattern=nonsense]",
                         "test:[speed=3]",
                         "test:[fps=x]",
                         "test:x",
                         "file://host/clip.mp4",
                         "/dev/video0 ! fakesink",
                         "csi://0 ! fakesink",
                         "rtsp://a b"};
  for (const char* uri : wrong) {
    CAPTURE(uri);
    evss_source source;
    CHECK(evss_source_open(uri, nullptr, &source) == EVSS_INVALID_ARGUMENT);
    CHECK(std::string(evss_last_error()).size() > 10);
    CHECK(std::string(evss_last_error()).find('\n') == std::string::npos);
  }
  const char* texts[] = {"videotestsrc ! fakesink", "videotestsrc ! nosuchelement ! appsink", "videotestsrc ! !",
                         "videotestsrc ! tee name=t ! appsink t. ! appsink"};
  for (const char* text : texts) {
    CAPTURE(text);
    Camera camera_("mine", 500, 0, text);
    CHECK((camera_.status == EVSS_INVALID_ARGUMENT || camera_.status == EVSS_UNAVAILABLE));
  }
  Camera secret("rtsp://me:hunter2@127.0.0.1:9/x", 500, 0);
  CHECK(secret.status == EVSS_SOURCE_LOST);
  CHECK(std::string(secret.error).find("hunter2") == std::string::npos);
  Camera absent("/dev/video77", 500, 3);
  CHECK(absent.status == EVSS_SOURCE_LOST);
}

TEST_CASE("a pipeline that plays a file waits for its reader and ends") {
  Camera clip("mine", 500, 0,
              "videotestsrc num-buffers=25 ! video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! appsink");
  REQUIRE_MESSAGE(clip.status == EVSS_OK, clip.error);
  CHECK(clip.source.live == 0);
  evss_frame frame;
  for (uint64_t i = 0; i < 25; ++i) {
    if (i == 5) sleep_ms(200);
    REQUIRE(clip.next(&frame) == EVSS_OK);
    CHECK(frame.sequence == i);
    CHECK(frame.pts_us == static_cast<int64_t>(i) * 40000);
    CHECK(frame.captured_ns == 0);
    CHECK(frame.format == EVSS_RGB);
    clip.source.release(clip.source.user, &frame);
  }
  CHECK(clip.next(&frame) == EVSS_END_OF_STREAM);
  CHECK(clip.next(&frame) == EVSS_END_OF_STREAM);
}
