// The C functions of sources and loops.
#include <cstring>
#include <memory>

#include "abi.h"
#include "c_guard.h"
#include "loop.h"
#include "shared_labels.h"
#include "sources.h"

using evss::guarded;
using evss::refuse;

struct evss_feed {
  std::shared_ptr<evss::Feed> feed;
};

struct evss_loop {
  evss_loop(evss::Pipeline& pipeline, const evss_source& source, const evss_loop_options& options)
      : loop(pipeline, source, options) {}
  evss::Loop loop;
};

struct evss_shm {
  evss::SharedLabels labels;
};

namespace {

const char* options_problem(const evss_loop_options& options) {
  if (options.queue > 3) return "queue must be 0..3: a source need not lend more than four frames";
  if (options.kept < 1 || options.kept > 1000000) return "kept must be 1..1000000";
  if (!(options.scene_cut >= 0.0 && options.scene_cut <= 1.0)) return "scene_cut must be in [0, 1]";
  return nullptr;
}

bool complete(const evss_source& source) {
  return source.struct_size >= sizeof source && source.next && source.release && source.stats && source.interrupt &&
         source.close;
}

}  // namespace

extern "C" {

evss_status evss_feed_open(uint32_t waiting, evss_source* source, evss_feed** feed) {
  return guarded([&] {
    if (!source || !feed || waiting < 1 || waiting > 64)
      return refuse(EVSS_INVALID_ARGUMENT, "source or feed is NULL, or waiting is not in 1..64");
    auto made = std::make_unique<evss_feed>(evss_feed{std::make_shared<evss::Feed>(static_cast<int>(waiting))});
    *source = evss::source_of(made->feed);
    *feed = made.release();
    return EVSS_OK;
  });
}

evss_status evss_feed_frame(evss_feed* feed, const evss_frame* frame, uint32_t timeout_ms) {
  return guarded([&] {
    if (!feed || !frame) return refuse(EVSS_INVALID_ARGUMENT, "feed or frame is NULL");
    return feed->feed->push(*frame, timeout_ms, &evss::last_error());
  });
}

evss_status evss_feed_end(evss_feed* feed, const char* error) {
  return guarded([&] {
    if (!feed) return refuse(EVSS_INVALID_ARGUMENT, "feed is NULL");
    feed->feed->end(error);
    return EVSS_OK;
  });
}

void evss_feed_close(evss_feed** feed) {
  if (!feed || !*feed) return;
  evss_feed_end(*feed, nullptr);
  delete *feed;
  *feed = nullptr;
}

evss_status evss_y4m_open(const char* path, evss_source* out) {
  return guarded([&] {
    if (!path || !out) return refuse(EVSS_INVALID_ARGUMENT, "path or out is NULL");
    *out = evss::open_y4m(path);
    return EVSS_OK;
  });
}

void evss_loop_options_init(evss_loop_options* options) {
  std::memset(options, 0, sizeof *options);
  options->struct_size = sizeof *options;
  options->queue = 3;
  options->kept = 4096;
  options->scene_cut = EVSS_SCENE_CUT;
  options->fall_back = 1;
}

evss_status evss_loop_open(evss_pipeline* pipeline, const evss_source* source, const evss_loop_options* options,
                           evss_loop** out) {
  if (out) *out = nullptr;
  return guarded([&] {
    if (!pipeline || !source || !out || !complete(*source))
      return refuse(EVSS_INVALID_ARGUMENT, "pipeline, source or out is NULL, or the source lacks a function");
    evss_loop_options wanted;
    evss_loop_options_init(&wanted);
    if (options && options->struct_size < sizeof wanted)
      return refuse(EVSS_INVALID_ARGUMENT, "options.struct_size is not set; call evss_loop_options_init first");
    if (options) wanted = evss::completed(*options);
    if (const char* problem = options_problem(wanted)) return refuse(EVSS_INVALID_ARGUMENT, problem);
    *out = new evss_loop(pipeline->pipeline, *source, wanted);
    return EVSS_OK;
  });
}

evss_status evss_loop_next(evss_loop* loop, uint32_t timeout_ms, evss_labelled* out) {
  return guarded([&] {
    if (!loop || !out || out->struct_size < sizeof *out)
      return refuse(EVSS_INVALID_ARGUMENT, "loop or out is NULL, or out.struct_size is not set");
    return loop->loop.next(timeout_ms, out, &evss::last_error());
  });
}

evss_status evss_loop_release(evss_loop* loop, const evss_labelled* labelled) {
  return guarded([&] {
    if (!loop || !labelled || !loop->loop.release(labelled->slot))
      return refuse(EVSS_INVALID_ARGUMENT, "loop or labelled is NULL, or it was released already");
    return EVSS_OK;
  });
}

void evss_loop_stop(evss_loop* loop) {
  if (loop) loop->loop.stop();
}

void evss_loop_end(evss_loop* loop) {
  if (loop) loop->loop.end();
}

void evss_loop_close(evss_loop** loop) {
  if (!loop) return;
  delete *loop;
  *loop = nullptr;
}

evss_status evss_loop_get_stats(evss_loop* loop, evss_loop_stats* stats) {
  return guarded([&] {
    if (!loop || !stats || stats->struct_size == 0)
      return refuse(EVSS_INVALID_ARGUMENT, "loop or stats is NULL, or stats.struct_size is not set");
    evss_loop_stats found;
    loop->loop.stats(&found);
    evss::hand_over(found, stats);
    return EVSS_OK;
  });
}

evss_status evss_loop_records(evss_loop* loop, uint64_t* first, size_t* count, evss_frame_record* records,
                              evss_stage_record* stages) {
  return guarded([&] {
    if (!loop || !first || !count || (*count > 0 && !records))
      return refuse(EVSS_INVALID_ARGUMENT, "an argument is NULL");
    *count = loop->loop.recorder().copy(first, *count, records, stages);
    return EVSS_OK;
  });
}

evss_status evss_shm_open(const char* name, const evss_output_info* output, uint32_t height, uint32_t width,
                          evss_shm** out) {
  if (out) *out = nullptr;
  return guarded([&] {
    if (!name || !output || !output->name || !output->colours || !out || height < 1 || width < 1 || height > 16384 ||
        width > 16384)
      return refuse(EVSS_INVALID_ARGUMENT, "an argument is NULL, or the size is not 1..16384");
    *out = new evss_shm{{name, height, width, *output}};
    return EVSS_OK;
  });
}

evss_status evss_shm_write(evss_shm* shm, const evss_result* result, const evss_label_map* map) {
  return guarded([&] {
    if (!shm || !result || !map) return refuse(EVSS_INVALID_ARGUMENT, "shm, result or map is NULL");
    if (!shm->labels.write(*result, *map))
      return refuse(EVSS_INVALID_ARGUMENT, "the label map has another size than the shared memory");
    return EVSS_OK;
  });
}

void evss_shm_close(evss_shm** shm) {
  if (!shm) return;
  delete *shm;
  *shm = nullptr;
}

}  // extern "C"
