// What libedge_vss_capture.so gives the core library: one table of C functions. Both come from one build; the number
// guards against a library of another one.
#pragma once

#include "edge_vss.h"

extern "C" {

#define EVSS_CAPTURE_TABLE 2

/// Functions write why they failed into `error`. Options are set up and checked by the core library.
typedef struct evss_capture_table {
  uint32_t version;
  evss_status (*source_open)(const char* uri, const evss_source_options* options, evss_source* out, char* error,
                             size_t error_size);
  evss_status (*video_open)(const char* path, const evss_video_options* options, evss_video** out, char* error,
                            size_t error_size);
  evss_status (*video_write)(evss_video* video, const uint8_t* rgb, uint32_t stride, int64_t pts_us, char* error,
                             size_t error_size);
  const char* (*video_encoder)(const evss_video* video);
  evss_status (*video_close)(evss_video** video, char* error, size_t error_size);
  void (*video_discard)(evss_video** video);
} evss_capture_table;

/// The library's one exported symbol.
const evss_capture_table* evss_capture(void);
}
