// The loop through the C functions alone, under the sanitizers: order, back-pressure, drops, bad frames, a variant that
// fails, an end in mid-stream, a deadline. BUNDLE and FAILING are bundles of plain engines for 32 x 48 pictures; the
// first variant of FAILING fails with its 5th frame, the second does not.
#include <edge_vss.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr uint32_t kHeight = 32, kWidth = 48;
int failures = 0;

void check(bool good, const char* what, int line) {
  if (good) return;
  std::fprintf(stderr, "line %d: %s: %s\n", line, what, evss_last_error());
  ++failures;
}
#define CHECK(what) check(what, #what, __LINE__)

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Hands out `count` frames; some can be made bad, and it can be a camera, which never waits.
struct Scripted {
  int count = 0, live = 0;
  int bad_at = -1, jump_at = -1, lost_at = -1;
  std::vector<uint8_t> pixels = std::vector<uint8_t>(kHeight * kWidth * 3, 90);
  int next_index = 0;
  std::atomic<int> out{0}, most_out{0};

  evss_source table() {
    evss_source source;
    std::memset(&source, 0, sizeof source);
    source.struct_size = sizeof source;
    source.live = live;
    source.user = this;
    source.next = [](void* user, uint32_t, evss_frame* frame, char* error, size_t size) {
      return static_cast<Scripted*>(user)->next(frame, error, size);
    };
    source.release = [](void* user, evss_frame*) { --static_cast<Scripted*>(user)->out; };
    source.stats = [](void*, evss_source_stats*) {};
    source.interrupt = [](void*) {};
    source.close = [](void*) {};
    return source;
  }

  evss_status next(evss_frame* frame, char* error, size_t size) {
    if (next_index == lost_at) {
      std::snprintf(error, size, "the camera is gone");
      return EVSS_SOURCE_LOST;
    }
    if (next_index == count) return EVSS_END_OF_STREAM;
    if (live) sleep_ms(1);
    const int index = next_index++;
    evss_frame_init(frame);
    frame->format = EVSS_RGB;
    frame->height = kHeight;
    frame->width = kWidth;
    frame->strides[0] = kWidth * 3;
    frame->planes[0] = index == bad_at ? nullptr : pixels.data();
    frame->sequence = static_cast<uint64_t>(index);
    frame->pts_us = jump_at >= 0 && index >= jump_at ? index - jump_at : 1000000 + index * 1000;
    most_out = std::max(most_out.load(), ++out);
    return EVSS_OK;
  }
};

evss_pipeline* open_bundle(const char* path, double deadline_ms = 0.0) {
  evss_options options;
  evss_options_init(&options);
  options.threads = 2;
  options.deadline_ms = deadline_ms;
  options.max_age = deadline_ms > 0.0 ? 9 : 0;
  evss_pipeline* pipeline = nullptr;
  CHECK(evss_pipeline_open(path, &options, &pipeline) == EVSS_OK);
  return pipeline;
}

struct Seen {
  std::vector<uint64_t> sequences;
  uint32_t flags = 0;
  evss_status end = EVSS_OK;
  std::string why;
};

// Takes everything; `slow_ms` between taking and giving back.
Seen drain(evss_loop* loop, int slow_ms) {
  Seen seen;
  for (;;) {
    evss_labelled labelled;
    labelled.struct_size = sizeof labelled;
    const evss_status status = evss_loop_next(loop, 50, &labelled);
    if (status == EVSS_AGAIN) continue;
    if (status != EVSS_OK) {
      seen.end = status;
      seen.why = evss_last_error();
      return seen;
    }
    if (slow_ms) sleep_ms(slow_ms);
    CHECK(labelled.frame->sequence == labelled.result->sequence);
    seen.sequences.push_back(labelled.result->sequence);
    seen.flags |= labelled.result->flags;
    CHECK(evss_loop_release(loop, &labelled) == EVSS_OK);
    CHECK(evss_loop_release(loop, &labelled) == EVSS_INVALID_ARGUMENT);
  }
}

evss_loop_stats stats_of(evss_loop* loop) {
  evss_loop_stats stats;
  stats.struct_size = sizeof stats;
  CHECK(evss_loop_get_stats(loop, &stats) == EVSS_OK);
  return stats;
}

struct Played {
  Seen seen;
  evss_loop_stats stats;
};

Played play(const char* bundle, Scripted& script, int slow_ms) {
  evss_pipeline* pipeline = open_bundle(bundle);
  const evss_source source = script.table();
  evss_loop* loop = nullptr;
  CHECK(evss_loop_open(pipeline, &source, nullptr, &loop) == EVSS_OK);
  Played played;
  played.seen = drain(loop, slow_ms);
  played.stats = stats_of(loop);
  evss_loop_close(&loop);
  evss_pipeline_close(&pipeline);
  CHECK(script.out == 0);
  CHECK(script.most_out <= 4);
  return played;
}

void files_wait_for_a_slow_sink(const char* bundle) {
  Scripted script;
  script.count = 40;
  const Played played = play(bundle, script, 2);
  CHECK(played.seen.end == EVSS_END_OF_STREAM);
  CHECK(played.seen.sequences.size() == 40);
  for (size_t i = 0; i < played.seen.sequences.size(); ++i) CHECK(played.seen.sequences[i] == i);
  CHECK(played.stats.frames == 40 && played.stats.dropped_sink == 0);
}

void cameras_drop_what_a_slow_sink_does_not_take(const char* bundle) {
  Scripted script;
  script.count = 60;
  script.live = 1;
  const Played played = play(bundle, script, 20);
  CHECK(played.stats.frames == 60);
  CHECK(played.stats.dropped_sink > 20);
  CHECK(played.seen.sequences.size() + played.stats.dropped_sink == 60);
}

void bad_frames_are_skipped_and_a_new_start_is_found(const char* bundle) {
  Scripted script;
  script.count = 30;
  script.bad_at = 7;
  script.jump_at = 20;
  const Played played = play(bundle, script, 0);
  CHECK(played.stats.refused == 1 + 3);  // the bad one, and those until time is believed to start again
  CHECK(played.stats.frames == 30 - 1 - 2);
  CHECK(played.stats.flags[0] == 2);  // two resets: the first frame and the new start
}

void a_lost_source_is_an_end_with_its_words(const char* bundle) {
  Scripted script;
  script.count = 30;
  script.lost_at = 9;
  const Played played = play(bundle, script, 0);
  CHECK(played.seen.end == EVSS_SOURCE_LOST && played.seen.why == "the camera is gone");
  CHECK(played.seen.sequences.size() == 9);
}

void a_failing_engine_hands_over_to_the_next_variant(const char* failing) {
  Scripted script;
  script.count = 20;
  const Played played = play(failing, script, 0);
  CHECK(played.stats.fallbacks == 1 && played.stats.frames == 20);
  CHECK(played.seen.flags & EVSS_FLAG_FELL_BACK);
  evss_pipeline* pipeline = open_bundle(failing);
  CHECK(evss_next_variant(pipeline) == EVSS_OK);
  CHECK(evss_next_variant(pipeline) == EVSS_UNAVAILABLE);
  evss_pipeline_close(&pipeline);
}

void a_loop_can_be_stopped_and_closed_at_any_time(const char* bundle) {
  for (int wait_ms : {0, 1, 5, 20}) {
    Scripted script;
    script.count = 1 << 30;
    evss_pipeline* pipeline = open_bundle(bundle);
    const evss_source source = script.table();
    evss_loop* loop = nullptr;
    CHECK(evss_loop_open(pipeline, &source, nullptr, &loop) == EVSS_OK);
    std::thread other([&] {
      sleep_ms(wait_ms);
      evss_loop_stop(loop);
    });
    if (wait_ms != 1) CHECK(drain(loop, 0).end == EVSS_END_OF_STREAM);
    other.join();
    evss_loop_close(&loop);
    evss_pipeline_close(&pipeline);
    CHECK(script.out == 0);
  }
}

void a_feed_hands_over_copies_in_order(const char* bundle) {
  evss_feed* feed = nullptr;
  evss_source source;
  CHECK(evss_feed_open(2, &source, &feed) == EVSS_OK);
  evss_pipeline* pipeline = open_bundle(bundle);
  evss_loop* loop = nullptr;
  CHECK(evss_loop_open(pipeline, &source, nullptr, &loop) == EVSS_OK);
  std::thread feeder([&] {
    Scripted script;
    script.count = 50;
    evss_frame frame;
    while (script.next(&frame, nullptr, 0) == EVSS_OK) {
      while (evss_feed_frame(feed, &frame, 10) == EVSS_AGAIN) {
      }
    }
    evss_feed_end(feed, "the tape tore");
  });
  const Seen seen = drain(loop, 1);
  feeder.join();
  CHECK(seen.sequences.size() == 50 && seen.end == EVSS_SOURCE_LOST && seen.why == "the tape tore");
  evss_loop_close(&loop);
  evss_pipeline_close(&pipeline);
  source.close(source.user);
  Scripted more;
  more.count = 1;
  evss_frame frame;
  more.next(&frame, nullptr, 0);
  CHECK(evss_feed_frame(feed, &frame, 10) == EVSS_END_OF_STREAM);
  evss_feed_close(&feed);
}

// A deep stage of 4 ms under a deadline of 3: it runs in the background, also over resets and changed deadlines.
void a_stage_in_the_background_and_the_stream_do_not_meet(const char* deadline) {
  evss_pipeline* pipeline = open_bundle(deadline, 3.0);
  Scripted script;
  script.count = 300;
  int started = 0, landed = 0;
  evss_frame frame;
  while (script.next(&frame, nullptr, 0) == EVSS_OK) {
    script.pixels[static_cast<size_t>(script.next_index) * 37 % script.pixels.size()] ^= 21;
    if (script.next_index % 70 == 0) CHECK(evss_reset(pipeline) == EVSS_OK);
    if (script.next_index % 110 == 0) CHECK(evss_set_deadline(pipeline, 3.0, 9) == EVSS_OK);
    evss_result result;
    result.struct_size = sizeof result;
    CHECK(evss_send_frame(pipeline, &frame) == EVSS_OK);
    CHECK(evss_receive(pipeline, &result) == EVSS_OK);
    CHECK(result.outputs[0].age_frames <= 9);
    for (uint32_t i = 0; i < result.num_stages; ++i) {
      started += (result.stages[i].fired & EVSS_FIRED_STARTED) != 0;
      landed += (result.stages[i].fired & EVSS_FIRED_LANDED) != 0;
    }
  }
  std::printf("background: %d started, %d landed\n", started, landed);
  CHECK(landed > 0 && started >= landed);
  evss_pipeline_close(&pipeline);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  files_wait_for_a_slow_sink(argv[1]);
  cameras_drop_what_a_slow_sink_does_not_take(argv[1]);
  bad_frames_are_skipped_and_a_new_start_is_found(argv[1]);
  a_lost_source_is_an_end_with_its_words(argv[1]);
  a_failing_engine_hands_over_to_the_next_variant(argv[2]);
  a_loop_can_be_stopped_and_closed_at_any_time(argv[1]);
  a_feed_hands_over_copies_in_order(argv[1]);
  a_stage_in_the_background_and_the_stream_do_not_meet(argv[3]);
  std::printf("%d failures\n", failures);
  return failures != 0;
}
