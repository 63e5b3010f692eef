/* Callers built against the header as it was before structs grew: what they pass is accepted, nothing beyond it is read
 * or written. BUNDLE is one of plain engines for 32 x 48 pictures. */
#include <edge_vss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                             \
  do {                                                                          \
    if (!(what)) {                                                              \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, evss_last_error()); \
      return 1;                                                                 \
    }                                                                           \
  } while (0)

enum { kOldFrame = offsetof(evss_frame, captured_ns), kOldResult = offsetof(evss_result, pre_begin_ms) };
enum { kOldOptions = 48, kPoison = 0xA5 };

static uint8_t pixels[32 * 48 * 3];

/* A frame in a block of exactly the old size, so that a sanitizer sees every byte read beyond it. */
static evss_frame* old_frame(uint64_t sequence) {
  evss_frame whole, *frame = malloc(kOldFrame);
  evss_frame_init(&whole);
  whole.struct_size = kOldFrame;
  whole.format = EVSS_RGB;
  whole.height = 32;
  whole.width = 48;
  whole.planes[0] = pixels;
  whole.strides[0] = 48 * 3;
  whole.sequence = sequence;
  whole.pts_us = (int64_t)sequence * 1000;
  memcpy(frame, &whole, kOldFrame);
  return frame;
}

/* Pictures of one colour, whose RGB is known from the standard: BT.601's white, red and black in limited range. */
static int frames_become_rgb(void) {
  static const uint8_t yuv[3][3] = {{235, 128, 128}, {81, 90, 240}, {16, 128, 128}};
  static const uint8_t rgb[3][3] = {{255, 255, 255}, {255, 0, 0}, {0, 0, 0}};
  uint8_t planes[3][5 * 7], out[5 * 7 * 3];
  for (int colour = 0; colour < 3; ++colour) {
    evss_frame frame;
    evss_frame_init(&frame);
    frame.format = EVSS_I420;
    frame.matrix = EVSS_BT601;
    frame.range = EVSS_LIMITED;
    frame.height = 5;
    frame.width = 7;
    for (int i = 0; i < 3; ++i) {
      memset(planes[i], yuv[colour][i], sizeof planes[i]);
      frame.planes[i] = planes[i];
      frame.strides[i] = i ? 4 : 7;
    }
    CHECK(evss_to_rgb(&frame, out, sizeof out) == EVSS_OK);
    for (size_t i = 0; i < sizeof out; ++i) CHECK(abs(out[i] - rgb[colour][i % 3]) <= 1);
    CHECK(evss_to_rgb(&frame, out, sizeof out - 1) == EVSS_INVALID_ARGUMENT);
    frame.planes[2] = NULL;
    CHECK(evss_to_rgb(&frame, out, sizeof out) == EVSS_INVALID_ARGUMENT);
  }
  return 0;
}

int main(int argc, char** argv) {
  evss_pipeline* pipeline = NULL;
  evss_options whole, *options = malloc(kOldOptions);
  if (argc != 2) return 2;
  evss_options_init(&whole);
  whole.struct_size = kOldOptions;
  whole.threads = 1;
  memcpy(options, &whole, kOldOptions);
  CHECK(evss_pipeline_open(argv[1], options, &pipeline) == EVSS_OK);

  evss_frame* frame = old_frame(1);
  CHECK(evss_send_frame(pipeline, frame) == EVSS_OK);
  unsigned char room[sizeof(evss_result)];
  memset(room, kPoison, sizeof room);
  evss_result* result = (evss_result*)(void*)room;
  result->struct_size = kOldResult;
  CHECK(evss_receive(pipeline, result) == EVSS_OK);
  CHECK(result->struct_size == kOldResult && result->sequence == 1 && result->num_stages == 4);
  for (size_t i = kOldResult; i < sizeof room; ++i) CHECK(room[i] == kPoison);

  /* A newer caller: more than this library knows. */
  struct {
    evss_frame frame;
    uint64_t more;
  } newer;
  evss_frame_init(&newer.frame);
  memcpy(&newer.frame, frame, kOldFrame);
  newer.frame.struct_size = sizeof newer;
  newer.frame.sequence = 2;
  newer.frame.pts_us = 2000;
  newer.frame.captured_ns = 123456789;
  newer.frame.suspect = EVSS_SUSPECT_FROZEN | EVSS_SUSPECT_GREEN;
  CHECK(evss_send_frame(pipeline, &newer.frame) == EVSS_OK);
  evss_result full;
  full.struct_size = sizeof full;
  CHECK(evss_receive(pipeline, &full) == EVSS_OK);
  CHECK(full.captured_ns == 123456789 && full.done_ns > 0);
  CHECK(full.suspect == (EVSS_SUSPECT_FROZEN | EVSS_SUSPECT_GREEN) && (full.flags & EVSS_FLAG_SUSPECT));

  const uint32_t too_short = kOldFrame - 8;
  memcpy(frame, &too_short, sizeof too_short);
  CHECK(evss_send_frame(pipeline, frame) == EVSS_INVALID_ARGUMENT);
  evss_pipeline_close(&pipeline);
  CHECK(frames_become_rgb() == 0);
  free(frame);
  free(options);
  return 0;
}
