/* edge-vss: label maps from video, frame by frame, with the stages of a bundle on their clocks.
 *
 * A pipeline is opened from a bundle, takes frames and gives results. Everything that Python can do with a pipeline a
 * C program can do through this header, which is plain C99.
 *
 * Ownership: a handle belongs to whoever opened it and goes back through the matching close. Pointers inside
 * evss_info live until the pipeline is closed, those inside evss_result until the next call that takes a frame,
 * resets or closes the pipeline. Strings are UTF-8. Structs that carry struct_size are set up by their evss_*_init or
 * by the caller, and only ever grow at their end: a program built against an older header works with a newer library,
 * which takes what is missing for 0 and fills in no more than there is room for.
 *
 * Threads: one pipeline is used by one thread at a time; different pipelines are independent. evss_last_error is per
 * thread. The library starts its threads where a pipeline, a loop or a source is opened and none later, and never ends
 * the process.
 */
#ifndef EDGE_VSS_H
#define EDGE_VSS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define EVSS_API __attribute__((visibility("default")))
#else
#define EVSS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define EVSS_ABI_VERSION 1

typedef enum evss_status {
  EVSS_OK = 0,
  EVSS_AGAIN = 1,             /* not an error: take the result first (send), or send a frame first (receive) */
  EVSS_END_OF_STREAM = 2,     /* not an error: evss_finish was called and every result was taken */
  EVSS_INVALID_ARGUMENT = -1, /* what was passed cannot be used; nothing changed */
  EVSS_BACKEND_FAILED = -2,   /* an engine failed; the stream state was reset */
  EVSS_BAD_BUNDLE = -3,       /* the bundle is missing, changed, of another version or inconsistent */
  EVSS_UNAVAILABLE = -4,      /* the backend, library or variant asked for is not there */
  EVSS_INTERNAL = -5,         /* a fault of the library, memory included */
  EVSS_SOURCE_LOST = -6       /* a camera or file gave no frames and attempts to reopen it were used up */
} evss_status;

typedef enum evss_format { EVSS_NV12, EVSS_I420, EVSS_YUYV, EVSS_BGR, EVSS_RGB, EVSS_GREY } evss_format;
typedef enum evss_matrix { EVSS_BT601, EVSS_BT709 } evss_matrix;
typedef enum evss_range { EVSS_LIMITED, EVSS_FULL } evss_range;
typedef enum evss_dtype { EVSS_FLOAT32, EVSS_FLOAT16, EVSS_UINT8, EVSS_INT8, EVSS_INT32, EVSS_INT64 } evss_dtype;
typedef enum evss_label_size {
  EVSS_LABELS_SOURCE, /* label maps have the size of the frame, the fit undone */
  EVSS_LABELS_NETWORK /* label maps have the size of the network's input */
} evss_label_size;
typedef enum evss_flag {
  EVSS_FLAG_RESET = 1u << 0,       /* the first frame after a reset */
  EVSS_FLAG_REUSED = 1u << 1,      /* no stage wrote an output: the label map is the one before */
  EVSS_FLAG_RECOMPUTED = 1u << 2,  /* scores held NaN or infinity; the state was reset and the frame computed again */
  EVSS_FLAG_HOST_PIXELS = 1u << 3, /* the variant has pixel engines, but not for such a frame: the host did it */
  EVSS_FLAG_SUSPECT = 1u << 4,     /* the frame was suspect: see evss_result.suspect */
  EVSS_FLAG_SCENE_CUT = 1u << 5,   /* the frame shows another scene than the one before; the state was reset */
  EVSS_FLAG_FELL_BACK = 1u << 6,   /* an engine failed; from this frame on another variant of the bundle computes */
  EVSS_FLAG_DEGRADED = 1u << 7,    /* for the deadline: less, or later, than the richest schedule; see reasons */
  EVSS_FLAG_LATE = 1u << 8         /* the label maps came after the deadline; see reasons */
} evss_flag;
/* What a stage did in a frame. */
typedef enum evss_fired {
  EVSS_FIRED_NOW = 1u << 0,    /* ran, and its outputs are this frame's */
  EVSS_FIRED_LANDED = 1u << 1, /* what it computed in the background is used from this frame on */
  EVSS_FIRED_STARTED = 1u << 2 /* started in the background with what it reads in this frame */
} evss_fired;

EVSS_API uint32_t evss_abi_version(void);
EVSS_API const char* evss_version(void);
/* Why the last call on this thread failed. Never NULL; valid until the next call on this thread. */
EVSS_API const char* evss_last_error(void);

/* ---- Frames ---------------------------------------------------------------------------------------------------- */

typedef struct evss_frame {
  uint32_t struct_size;     /* set by evss_frame_init() */
  uint32_t format;          /* evss_format */
  uint32_t width, height;   /* pixels, 1..16384 */
  const uint8_t* planes[3]; /* as many as the format has */
  uint32_t strides[3];      /* bytes from row to row */
  uint32_t matrix, range;   /* evss_matrix, evss_range; YUV only */
  int64_t pts_us;           /* capture clock, microseconds, strictly increasing between resets */
  uint64_t sequence;        /* counts camera frames, dropped ones included; strictly increasing between resets */
  int64_t captured_ns;      /* CLOCK_MONOTONIC when the camera took the picture, or when it was due; 0 = not known */
  uint32_t suspect;         /* evss_suspect: why the picture may not show the scene; 0 = nothing found */
  uint32_t restart;         /* 1 = the stream begins anew with it: as if evss_reset() had been called before */
} evss_frame;
typedef enum evss_suspect {
  EVSS_SUSPECT_FROZEN = 1u << 0, /* the same bytes as the frame before, again and again */
  EVSS_SUSPECT_BLACK = 1u << 1,
  EVSS_SUSPECT_GREEN = 1u << 2 /* chroma of an unwritten YUV buffer */
} evss_suspect;
EVSS_API void evss_frame_init(evss_frame* frame);

/* ---- Opening --------------------------------------------------------------------------------------------------- */

typedef struct evss_options {
  uint32_t struct_size; /* set by evss_options_init() */
  uint32_t threads;     /* for engines and pixels together; 0 = one per core */
  uint32_t label_size;  /* evss_label_size */
  /* SCHED_RR priority, 1..99, of the threads that engines and pixels use and of the loop's, but for stages in the
   * background; 0 = as the caller. A thread that calls evss_send_frame itself keeps its own. EVSS_UNAVAILABLE where the
   * system does not permit it (CAP_SYS_NICE or RLIMIT_RTPRIO). */
  uint32_t realtime_priority;
  const char* schedule;    /* NULL = the bundle's first */
  const char* backend;     /* NULL or "auto" = the first variant that is available */
  const char* precision;   /* NULL or "auto" = any */
  const char* onnxruntime; /* path of libonnxruntime; NULL = EDGE_VSS_ONNXRUNTIME, then the loader's search */
  double deadline_ms;      /* from evss_send_frame's start to the label maps; 0 = none; see evss_set_deadline */
  uint32_t max_age;        /* frames; see evss_set_deadline */
  uint32_t sequential;     /* 1 = no stage runs in the background for the deadline */
} evss_options;
EVSS_API void evss_options_init(evss_options* options);

typedef struct evss_pipeline evss_pipeline;

/* Loads a bundle (a folder or an uncompressed zip). On EVSS_OK the caller owns *out and releases it with
 * evss_pipeline_close(); on failure *out is NULL. `options` may be NULL. */
EVSS_API evss_status evss_pipeline_open(const char* bundle, const evss_options* options, evss_pipeline** out);
EVSS_API void evss_pipeline_close(evss_pipeline** pipeline); /* sets *pipeline to NULL */
/* Checks manifest, sizes and digests without loading an engine. */
EVSS_API evss_status evss_bundle_check(const char* bundle);

typedef struct evss_stage_info {
  const char* name;
  uint64_t macs; /* multiply-adds of one firing */
} evss_stage_info;
typedef struct evss_output_info {
  const char* name;
  uint32_t num_classes;
  const char* const* class_names;
  const uint8_t* colours; /* num_classes * 3, RGB */
} evss_output_info;
typedef struct evss_info {
  uint32_t struct_size;
  uint32_t input_height, input_width;
  uint32_t threads;
  const char* name; /* of the bundle */
  const char* variant;
  const char* backend;
  const char* precision;
  const char* schedule; /* the one in force */
  uint32_t num_stages, num_outputs, num_schedules;
  const evss_stage_info* stages;
  const evss_output_info* outputs;
  const char* const* schedules;
  const char* simd; /* instruction set of the pixel kernels */
  const char* backend_version;
} evss_info;
/* Set info->struct_size = sizeof(evss_info) first. */
EVSS_API evss_status evss_pipeline_info(const evss_pipeline* pipeline, evss_info* info);

/* ---- Frames in, label maps out --------------------------------------------------------------------------------- */

/* Reads the frame before it returns; the caller keeps the planes. EVSS_AGAIN: take the result first. A frame that is
 * refused (EVSS_INVALID_ARGUMENT) advances no clock. */
EVSS_API evss_status evss_send_frame(evss_pipeline* pipeline, const evss_frame* frame);

typedef struct evss_label_map {
  const char* name;      /* of the output */
  const uint8_t* labels; /* height rows of width class ids, stride bytes apart */
  uint32_t height, width, stride;
  uint32_t age_frames; /* how far the camera frame it was computed from lies behind */
  double age_ms;
} evss_label_map;
typedef struct evss_stage_result {
  const char* name;
  int32_t fired;      /* bits of evss_fired; without a deadline 0 or 1 */
  int32_t age_frames; /* of its newest output; -1: has not fired since the reset */
  double change;      /* signal of its adaptive clock, in [0, 1]; -1: none */
  double ms;          /* time of the firing that ended in this frame, 0 where there is none */
} evss_stage_result;
typedef struct evss_result {
  uint32_t struct_size;
  uint32_t flags; /* evss_flag */
  uint64_t sequence;
  int64_t pts_us;
  uint32_t num_outputs, num_stages;
  const evss_label_map* outputs;
  const evss_stage_result* stages;    /* in graph order */
  double pre_ms, engines_ms, post_ms; /* engines_ms: from the first stage's start to the last one's end */
  double latency_ms;                  /* from evss_send_frame's start to the label maps */
  uint64_t refused;                   /* frames refused since the pipeline was opened */
  /* When things began, ms after evss_send_frame's start. The image may be written while late stages already run. */
  double pre_begin_ms, post_begin_ms;
  const double*
      stage_begin_ms;  /* num_stages values; 0 where a stage did not fire, below 0 where it began in an earlier frame */
  int64_t captured_ns; /* of the frame, as it came: CLOCK_MONOTONIC, 0 = not known */
  int64_t done_ns;     /* CLOCK_MONOTONIC when the label maps were there */
  uint32_t suspect;    /* evss_suspect, of the frame */
  uint32_t schedule_index; /* of `schedule`, among evss_info's; num_schedules: the last label map was used again */
  const char* schedule;    /* that was played: with a deadline one of the ladder's */
  const char* reasons;     /* why it is degraded or late: "degraded: TEXT; late: TEXT"; "" where it is neither */
} evss_result;
/* Fills a result; set result->struct_size = sizeof(evss_result) first. EVSS_AGAIN: no frame was sent. */
EVSS_API evss_status evss_receive(evss_pipeline* pipeline, evss_result* result);
/* No more frames will come; evss_receive gives EVSS_END_OF_STREAM once the last result is taken. */
EVSS_API evss_status evss_finish(evss_pipeline* pipeline);
/* Scene cut or restart: every state tensor becomes invalid, time and sequence may start again. */
EVSS_API evss_status evss_reset(evss_pipeline* pipeline);
/* After an engine failed: loads the next variant of the bundle that fits what was asked for when it was opened; the
 * state is reset. EVSS_UNAVAILABLE: there is none, and nothing changed. */
EVSS_API evss_status evss_next_variant(evss_pipeline* pipeline);
/* Changes the schedule between two frames; state survives, adaptive clocks take a new reference. */
EVSS_API evss_status evss_set_schedule(evss_pipeline* pipeline, const char* schedule);
/* From the next frame on take, frame by frame, the richest schedule of the bundle's ladder whose stages are foreseen to
 * end within the deadline, from their times so far. It begins with the schedule asked for, and ends with one that uses
 * the last label map again. With two threads and more a stage that is too dear for one frame runs in the background on
 * a thread of its own, on what it reads in the frame that starts it, and is used when it is done. No label map becomes
 * older than max_age frames (0 = the smallest max_age of the ladder's adaptive clocks, or 8): that goes before the
 * deadline. Frames that end after it are flagged late. 0 ms = no deadline. Under a deadline given in evss_options the
 * threads of that stage take only the time that the others leave over. */
EVSS_API evss_status evss_set_deadline(evss_pipeline* pipeline, double deadline_ms, uint32_t max_age);
/* Copies the value a graph tensor had after the last frame. `bytes` must be its exact size as stored. */
EVSS_API evss_status evss_read_tensor(evss_pipeline* pipeline, const char* tensor, void* out, size_t bytes);

/* ---- Sources --------------------------------------------------------------------------------------------------- */

typedef struct evss_source_stats {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t delivered;       /* frames handed out */
  uint64_t dropped_newer;   /* a newer frame took the slot before anyone asked */
  uint64_t dropped_damaged; /* buffers of the wrong size or without a picture */
  uint64_t timeouts, errors, rebuilds;
  uint64_t frozen, black, green; /* suspect frames among those handed out */
  uint64_t dropped_camera;       /* the camera counted them, but they never arrived here */
  uint64_t missing_us;           /* a file that ended: so long before the length that it states; 0 = nothing shows */
} evss_source_stats;

/* Where frames come from: a camera or file opened by the library, or something of your own. A source is used by one
 * thread at a time. `next` waits at most timeout_ms for a frame that was not handed out yet: EVSS_OK fills *frame,
 * whose planes stay as they are until release; EVSS_AGAIN: none yet, also while a camera is being reopened;
 * EVSS_END_OF_STREAM; or a negative status with a line in `error`. At least four frames may be held unreleased. */
typedef struct evss_source {
  uint32_t struct_size;
  int32_t live; /* 1: a camera, the newest frame wins; 0: a file, which waits for its reader */
  uint32_t width, height;
  double fps; /* nominal; 0 = not known */
  void* user;
  evss_status (*next)(void* user, uint32_t timeout_ms, evss_frame* frame, char* error, size_t error_size);
  void (*release)(void* user, evss_frame* frame);      /* from any thread */
  void (*stats)(void* user, evss_source_stats* stats); /* from any thread */
  void (*interrupt)(void* user); /* from any thread: a waiting `next` returns EVSS_AGAIN at once */
  void (*close)(void* user);
} evss_source;

typedef struct evss_source_options {
  uint32_t struct_size;   /* set by evss_source_options_init() */
  uint32_t width, height; /* cameras, before flipping; 0 = 1280x720, or what a USB camera has instead */
  uint32_t flip_method;   /* 0 none, 1 counterclockwise, 2 by 180 degrees, 3 clockwise, 4 horizontally, 5 and 7 over a
                             diagonal, 6 vertically: nvvidconv's numbers */
  double fps;             /* cameras; 0 = 30, or what a USB camera has instead */
  int32_t sensor_mode;    /* csi:// alone; -1 = the driver chooses */
  int32_t max_rebuilds;   /* attempts in a row to reopen a camera before it counts as lost; -1 = 10 */
  uint32_t timeout_ms;    /* a camera that gives no frame for so long is reopened; 0 = 2000 */
  uint32_t reserved;
  const char* pipeline; /* GStreamer's text with one appsink, in the place of what the URI stands for; NULL = none */
  const char* library;  /* path of libedge_vss_capture.so; NULL = EDGE_VSS_CAPTURE, beside this library, the loader's */
} evss_source_options;
EVSS_API void evss_source_options_init(evss_source_options* options);

/* Opens csi://N, /dev/videoN, v4l2:///dev/videoN, rtsp://, rtsps://, file://PATH or test:[size=HxW,fps=F,pattern=NAME]
 * through GStreamer and waits for the first frame. A camera that fails later is torn down and reopened in the
 * background; `next` gives EVSS_AGAIN meanwhile and EVSS_SOURCE_LOST when attempts are used up. On EVSS_OK the caller
 * owns *out and ends it with evss_source_close(), after the last frame was released. `options` may be NULL. */
EVSS_API evss_status evss_source_open(const char* uri, const evss_source_options* options, evss_source* out);
EVSS_API void evss_source_close(evss_source* source); /* also for sources of your own; clears the struct */

/* ---- Video files ----------------------------------------------------------------------------------------------- */

typedef struct evss_video_options {
  uint32_t struct_size; /* set by evss_video_options_init() */
  uint32_t width, height;
  uint32_t bitrate_kbps; /* 0 = by size and rate */
  double fps;
  const char* library; /* as in evss_source_options */
} evss_video_options;
EVSS_API void evss_video_options_init(evss_video_options* options);

typedef struct evss_video evss_video;

/* Writes a video that plays up to its last two seconds whatever ends the process: .mkv, or .mp4 in fragments. Until
 * evss_video_close it is named .NAME.PID.part, and a file of that name stays as it was. One thread at a time. */
EVSS_API evss_status evss_video_open(const char* path, const evss_video_options* options, evss_video** out);
/* Copies the picture, (height, width, 3) RGB with rows `stride` bytes apart; pts_us strictly increases. */
EVSS_API evss_status evss_video_write(evss_video* video, const uint8_t* rgb, uint32_t stride, int64_t pts_us);
/* Name of the GStreamer element that encodes. */
EVSS_API const char* evss_video_encoder(const evss_video* video);
/* Finishes the file, gives it its name and sets *video to NULL. A negative status: it is not whole and was removed.
 * After a write that failed, what was written so far stays under the temporary name. */
EVSS_API evss_status evss_video_close(evss_video** video);
/* Removes what was written, sets *video to NULL. */
EVSS_API void evss_video_discard(evss_video** video);

/* A source that you feed, from any thread: frames are copied into a few buffers. `waiting` (1..64) may wait for their
 * reader. On EVSS_OK the caller owns *feed, and *source, whose close() ends what belongs to the reader. */
typedef struct evss_feed evss_feed;
EVSS_API evss_status evss_feed_open(uint32_t waiting, evss_source* source, evss_feed** feed);
/* EVSS_AGAIN: still full after timeout_ms. EVSS_END_OF_STREAM: the reader has closed the source. */
EVSS_API evss_status evss_feed_frame(evss_feed* feed, const evss_frame* frame, uint32_t timeout_ms);
/* No frame will follow; `error` (may be NULL) is what the reader is told. */
EVSS_API evss_status evss_feed_end(evss_feed* feed, const char* error);
EVSS_API void evss_feed_close(evss_feed** feed); /* sets *feed to NULL; ends the feed */

/* Opens a YUV4MPEG2 file (8-bit 4:2:0 or grey). */
EVSS_API evss_status evss_y4m_open(const char* path, evss_source* out);

/* ---- The loop -------------------------------------------------------------------------------------------------- */

typedef struct evss_loop_options {
  uint32_t struct_size; /* set by evss_loop_options_init() */
  uint32_t queue;       /* labelled frames that may wait or be in your hands, 1..3; 0 = no delivery, statistics only */
  uint64_t limit;       /* end after so many frames; 0 = none */
  int32_t realtime;     /* files: 1 = a frame is handed on when its time has come; cameras have their own time */
  uint32_t kept;        /* newest frames whose times are kept, 1..1000000 */
  double scene_cut;     /* histogram distance, in (0, 1], that is a cut and resets the state; 0 = never */
  int32_t notify;       /* 1 = tell systemd (NOTIFY_SOCKET) READY, WATCHDOG with progress, and STOPPING */
  int32_t fall_back;    /* 1 = after an engine failed go on with the bundle's next variant that fits */
} evss_loop_options;
/* queue 3, kept 4096, scene_cut EVSS_SCENE_CUT, fall_back 1; the rest 0. */
EVSS_API void evss_loop_options_init(evss_loop_options* options);
#define EVSS_SCENE_CUT 0.25

/* Takes frames from `source` and labels them on threads of its own until the source ends, the limit is reached, an
 * error ends it or evss_loop_stop is called. Pipeline and source stay yours, are the loop's alone while it lives, and
 * must outlive it. On EVSS_OK the caller owns *out. */
typedef struct evss_loop evss_loop;
EVSS_API evss_status evss_loop_open(evss_pipeline* pipeline, const evss_source* source,
                                    const evss_loop_options* options, evss_loop** out);

typedef struct evss_labelled {
  uint32_t struct_size;
  uint32_t slot;             /* for evss_loop_release */
  const evss_frame* frame;   /* the source's own planes */
  const evss_result* result; /* label maps, stages and times */
} evss_labelled;
/* The next labelled frame, in order, from any one thread; set out->struct_size first. It and all that it points to stay
 * as they are until it is released. EVSS_AGAIN: none within timeout_ms. EVSS_END_OF_STREAM or a negative status, with
 * evss_last_error: nothing will follow. Where the queue is full the loop waits (files), or the label map is not
 * delivered, which is counted (cameras). */
EVSS_API evss_status evss_loop_next(evss_loop* loop, uint32_t timeout_ms, evss_labelled* out);
EVSS_API evss_status evss_loop_release(evss_loop* loop, const evss_labelled* labelled);
/* From any thread: ends the loop after the frame it is at. What is in the queue can still be taken. */
EVSS_API void evss_loop_stop(evss_loop* loop);
/* Stops, waits for the threads and gives every frame back to the source, which may then be closed: its planes are gone.
 * Label maps, statistics and records can still be read. */
EVSS_API void evss_loop_end(evss_loop* loop);
EVSS_API void evss_loop_close(evss_loop** loop); /* ends it, sets *loop to NULL */

typedef struct evss_loop_stats {
  uint32_t struct_size;
  uint32_t num_stages;
  uint64_t frames;       /* labelled */
  uint64_t refused;      /* frames that could not be used: skipped */
  uint64_t dropped_sink; /* labelled, but the queue was full */
  uint64_t scene_cuts, fallbacks;
  uint64_t age_sum; /* of the oldest label map per frame, in frames */
  uint32_t age_max, reserved;
  double seconds;      /* from the first frame to the end of the newest */
  double waited_s;     /* of these, waiting for the times of frames */
  uint64_t flags[32];  /* how often, by bit of evss_flag */
  uint64_t fired[64];  /* by stage, in graph order */
  uint64_t suspect[8]; /* how often, by bit of evss_suspect */
} evss_loop_stats;
/* From any thread; set struct_size first. */
EVSS_API evss_status evss_loop_get_stats(evss_loop* loop, evss_loop_stats* stats);

typedef struct evss_frame_record {
  uint64_t sequence;
  int64_t pts_us, captured_ns, done_ns;
  uint64_t fired; /* bit per stage, in graph order */
  uint32_t flags;
  uint32_t age_frames; /* of the oldest label map */
  double age_ms;
  double latency_ms, pre_ms, engines_ms, post_ms;
  double pre_begin_ms, post_begin_ms; /* as in evss_result */
  double waited_ms;                   /* for the time of the frame, before it was taken */
  uint32_t schedule_index;            /* as in evss_result */
  uint32_t restart;                   /* of the frame */
} evss_frame_record;
typedef struct evss_stage_record {
  float ms, begin_ms, change; /* as in evss_stage_result and evss_result */
} evss_stage_record;
/* Copies up to *count records of the frames from number *first on (0 = the loop's first), in order, from any thread;
 * what is no longer kept is left out. *first and *count become those of what was copied. `stages` may be NULL, else
 * it has room for *count * num_stages records, those of a frame one after the other. */
EVSS_API evss_status evss_loop_records(evss_loop* loop, uint64_t* first, size_t* count, evss_frame_record* records,
                                       evss_stage_record* stages);

/* ---- Shared memory --------------------------------------------------------------------------------------------- */

/* Label maps for other processes: edge_vss_shm.h describes the segment and reads it. `output` (of evss_info) is read
 * before the call returns. The segment is /dev/shm/NAME, and goes when it is closed. EVSS_INVALID_ARGUMENT: a name that
 * cannot be, or that another process writes to. */
typedef struct evss_shm evss_shm;
EVSS_API evss_status evss_shm_open(const char* name, const evss_output_info* output, uint32_t height, uint32_t width,
                                   evss_shm** out);
/* `map` is one of the result's. Waits for no reader. */
EVSS_API evss_status evss_shm_write(evss_shm* shm, const evss_result* result, const evss_label_map* map);
EVSS_API void evss_shm_close(evss_shm** shm); /* sets *shm to NULL */

/* ---- Pixels ---------------------------------------------------------------------------------------------------- */

/* A frame as an RGB picture: `out` is (height, width, 3) with rows close together, `bytes` large. */
EVSS_API evss_status evss_to_rgb(const evss_frame* frame, uint8_t* out, size_t bytes);

/* Blends class colours over an RGB or BGR image; `out` is (height, width, 3) RGB and may be the image itself.
 * `palette` is num_classes * 3 RGB; labels from num_classes on leave the image as it is; alpha in [0, 1]. */
EVSS_API evss_status evss_overlay(const uint8_t* image, uint32_t format, uint32_t image_stride, const uint8_t* labels,
                                  uint32_t label_stride, uint32_t height, uint32_t width, const uint8_t* palette,
                                  uint32_t num_classes, double alpha, uint8_t* out, uint32_t out_stride);

/* ---- Extending ------------------------------------------------------------------------------------------------- */

typedef struct evss_tensor_desc {
  const char* name;
  const int64_t* shape;
  uint32_t rank;
  uint32_t dtype; /* evss_dtype, as stored */
  float scale;    /* real = scale * (stored - zero_point) */
  int32_t zero_point;
  size_t bytes;
} evss_tensor_desc;

typedef struct evss_stage_desc {
  const char* name;
  const void* data; /* engine file, NULL for an operation; valid during engine_create only */
  size_t bytes;
  uint32_t num_inputs, num_outputs;
  const evss_tensor_desc* inputs;
  const evss_tensor_desc* outputs;
  uint32_t threads; /* this engine may use */
} evss_stage_desc;

/* A backend that lives outside this library. Functions return 0 on success; on failure they write a line into
 * `error` (error_size bytes). Addresses that allocate() gave are opaque here: contents are moved with copy_in and
 * copy_out alone, unless host_accessible is set. For each combination of ring slots a stage is prepared once under a
 * number of its own, at load; enqueue names that number. One engine is used by one thread at a time. */
typedef struct evss_backend {
  uint32_t struct_size;
  int32_t host_accessible;
  const char* name; /* copied */
  void* user;
  int32_t (*available)(void* user, char* why_not, size_t size);
  void* (*allocate)(void* user, size_t bytes);
  void (*release)(void* user, void* address);
  int32_t (*copy_in)(void* user, void* to, const void* from_host, size_t bytes);
  int32_t (*copy_out)(void* user, void* to_host, const void* from, size_t bytes);
  int32_t (*engine_create)(void* user, const evss_stage_desc* stage, void** engine, char* error, size_t error_size);
  int32_t (*prepare)(void* engine, uint32_t binding, void* const* inputs, void* const* outputs, char* error,
                     size_t error_size);
  int32_t (*enqueue)(void* engine, uint32_t binding, char* error, size_t error_size);
  int32_t (*wait)(void* engine, char* error, size_t error_size);
  void (*engine_destroy)(void* engine);
} evss_backend;
/* Registers a backend for pipelines opened later; a name may be taken again only for a different `user` of the same
 * functions. `user` must outlive every pipeline that uses it. */
EVSS_API evss_status evss_register_backend(const evss_backend* backend);

/* A named host operation that stands in for an engine. Inputs and outputs are host memory, in graph order. Called from
 * whichever thread runs the stage. Returns 0 on success. */
typedef int32_t (*evss_operation_fn)(void* user, const evss_stage_desc* stage, const void* const* inputs,
                                     void* const* outputs, char* error, size_t error_size);
EVSS_API evss_status evss_register_operation(const char* name, evss_operation_fn function, void* user);
EVSS_API evss_status evss_unregister_operation(const char* name);
/* "NAME available VERSION" or "NAME why not" of every backend, one per line; `onnxruntime` as in evss_options, may be
 * NULL. Never NULL; valid until the next call on this thread. */
EVSS_API const char* evss_backends(const char* onnxruntime);

#ifdef __cplusplus
}
#endif
#endif /* EDGE_VSS_H */
