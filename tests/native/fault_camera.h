/* A camera for tests, in the place of nvarguscamerasrc: it plays faults when told to, and is as touchy as the real one.
 * Its session stays behind when a pipeline goes down without EOS, and then it opens no more until the daemon restarts.
 *
 * The plug-in is loaded by GStreamer from GST_PLUGIN_PATH; a test reaches the same copy with dlopen of the same file.
 */
#ifndef FAULT_CAMERA_H
#define FAULT_CAMERA_H

#include <stdint.h>

typedef enum fault_kind {
  FAULT_NONE,
  FAULT_STALL,  /* no frames */
  FAULT_ERROR,  /* a stream error; then it refuses to open */
  FAULT_EOS,    /* the stream ends; then it refuses to open */
  FAULT_REPEAT, /* the same picture again and again */
  FAULT_GREEN,  /* an unwritten buffer */
  FAULT_BLACK,
  FAULT_SIZE,  /* pictures of another size */
  FAULT_SHORT, /* buffers that end too early */
  FAULT_HANG   /* no frames, and the driver does not come back when asked to stop */
} fault_kind;

typedef struct fault_camera_state {
  uint64_t opened, refused; /* sessions */
  uint64_t made;            /* pictures since the process began: the camera's own count */
  uint64_t lost;            /* of these, while stalled or refusing: nobody got them */
  int32_t in_use;           /* a session is open */
  int32_t stale;            /* the last session died without EOS */
  int64_t back_ns;          /* CLOCK_MONOTONIC when the last fault was over; 0: it is not */
} fault_camera_state;

#ifdef __cplusplus
extern "C" {
#endif
/* From the next picture on, for `ms` milliseconds. */
__attribute__((visibility("default"))) void fault_camera_play(int kind, uint32_t ms);
__attribute__((visibility("default"))) void fault_camera_look(fault_camera_state* state);
__attribute__((visibility("default"))) void fault_camera_restart_daemon(void); /* ends a stale session */
#ifdef __cplusplus
}
#endif
#endif
