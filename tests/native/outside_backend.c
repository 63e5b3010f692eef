/* A backend from outside the library, as a user would write one: "device" memory at an offset, so that a host access
 * to a raw address would not find the data, and engines that add one to every byte. Opens the bundle given on the
 * command line, plays a few frames and checks the labels. */
#include <edge_vss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kOffset = 64, kMaxBindings = 64 };

typedef struct engine {
  size_t bytes_in, bytes_out;
  void* inputs[kMaxBindings];
  void* outputs[kMaxBindings];
} engine;

static int live_buffers, live_engines, fail_available;

static char* data_of(const void* address) { return (char*)address + kOffset; }

static int32_t available(void* user, char* why_not, size_t size) {
  (void)user;
  if (fail_available) snprintf(why_not, size, "switched off");
  return !fail_available;
}
static void* allocate(void* user, size_t bytes) {
  (void)user;
  ++live_buffers;
  return calloc(1, bytes + kOffset);
}
static void release(void* user, void* address) {
  (void)user;
  --live_buffers;
  free(address);
}
static int32_t copy_in(void* user, void* to, const void* from, size_t bytes) {
  (void)user;
  memcpy(data_of(to), from, bytes);
  return 0;
}
static int32_t copy_out(void* user, void* to, const void* from, size_t bytes) {
  (void)user;
  memcpy(to, data_of(from), bytes);
  return 0;
}
static int32_t engine_create(void* user, const evss_stage_desc* stage, void** made, char* error, size_t size) {
  (void)user;
  if (stage->num_inputs != 1 || stage->num_outputs != 1) {
    snprintf(error, size, "want one input and one output");
    return 1;
  }
  engine* self = calloc(1, sizeof *self);
  self->bytes_in = stage->inputs[0].bytes;
  self->bytes_out = stage->outputs[0].bytes;
  *made = self;
  ++live_engines;
  return 0;
}
static int32_t prepare(void* made, uint32_t binding, void* const* inputs, void* const* outputs, char* error,
                       size_t size) {
  engine* self = made;
  if (binding >= kMaxBindings) {
    snprintf(error, size, "too many bindings");
    return 1;
  }
  self->inputs[binding] = inputs[0];
  self->outputs[binding] = outputs[0];
  return 0;
}
static int32_t enqueue(void* made, uint32_t binding, char* error, size_t size) {
  engine* self = made;
  (void)error;
  (void)size;
  const unsigned char* in = (const unsigned char*)data_of(self->inputs[binding]);
  unsigned char* out = (unsigned char*)data_of(self->outputs[binding]);
  for (size_t i = 0; i < self->bytes_out; ++i) out[i] = (unsigned char)((in[i % self->bytes_in] + 1) % 11);
  return 0;
}
static int32_t wait_for(void* made, char* error, size_t size) {
  (void)made;
  (void)error;
  (void)size;
  return 0;
}
static void engine_destroy(void* made) {
  --live_engines;
  free(made);
}

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%d: %s: %s\n", __LINE__, #condition, evss_last_error()); \
      return 1;                                                                 \
    }                                                                           \
  } while (0)

int main(int argc, char** argv) {
  CHECK(argc == 2);
  evss_backend backend;
  memset(&backend, 0, sizeof backend);
  backend.struct_size = sizeof backend;
  backend.name = "outside";
  CHECK(evss_register_backend(&backend) == EVSS_INVALID_ARGUMENT); /* no functions yet */
  backend.available = available;
  backend.allocate = allocate;
  backend.release = release;
  backend.copy_in = copy_in;
  backend.copy_out = copy_out;
  backend.engine_create = engine_create;
  backend.prepare = prepare;
  backend.enqueue = enqueue;
  backend.wait = wait_for;
  backend.engine_destroy = engine_destroy;
  CHECK(evss_register_backend(&backend) == EVSS_OK);

  evss_pipeline* pipeline = NULL;
  fail_available = 1;
  CHECK(evss_pipeline_open(argv[1], NULL, &pipeline) == EVSS_UNAVAILABLE && !pipeline);
  CHECK(strstr(evss_last_error(), "switched off"));
  fail_available = 0;
  CHECK(evss_pipeline_open(argv[1], NULL, &pipeline) == EVSS_OK);
  evss_info info;
  info.struct_size = sizeof info;
  CHECK(evss_pipeline_info(pipeline, &info) == EVSS_OK && !strcmp(info.backend, "outside"));

  uint8_t pixels[8 * 8 * 3] = {0};
  for (int i = 0; i < 5; ++i) {
    evss_frame frame;
    evss_result result;
    evss_frame_init(&frame);
    frame.format = EVSS_RGB;
    frame.height = frame.width = 8;
    frame.planes[0] = pixels;
    frame.strides[0] = 24;
    frame.sequence = (uint64_t)i;
    frame.pts_us = i;
    result.struct_size = sizeof result;
    CHECK(evss_receive(pipeline, &result) == EVSS_AGAIN);
    CHECK(evss_send_frame(pipeline, &frame) == EVSS_OK);
    CHECK(evss_send_frame(pipeline, &frame) == EVSS_AGAIN);
    CHECK(evss_receive(pipeline, &result) == EVSS_OK);
    /* Black pixels are zeros; the first stage makes ones of them, the second twos. */
    CHECK(result.num_outputs == 1 && result.outputs[0].width == 8 && result.outputs[0].labels[9] == 2);
  }
  evss_frame stale;
  evss_frame_init(&stale);
  stale.format = EVSS_RGB;
  stale.height = stale.width = 8;
  stale.planes[0] = pixels;
  stale.strides[0] = 24;
  stale.pts_us = 3;
  stale.sequence = 9;
  CHECK(evss_send_frame(pipeline, &stale) == EVSS_INVALID_ARGUMENT &&
        strstr(evss_last_error(), "pts_us must increase: got 3 after 4"));
  stale.planes[0] = NULL;
  stale.pts_us = 9;
  CHECK(evss_send_frame(pipeline, &stale) == EVSS_INVALID_ARGUMENT);
  CHECK(evss_finish(pipeline) == EVSS_OK);
  evss_result end;
  end.struct_size = sizeof end;
  CHECK(evss_receive(pipeline, &end) == EVSS_END_OF_STREAM);
  evss_pipeline_close(&pipeline);
  CHECK(!pipeline && live_buffers == 0 && live_engines == 0);
  puts("outside backend: ok");
  return 0;
}
