/* Labels pictures with a bundle, in plain C.
 *
 *   label_frames BUNDLE SCHEDULE frame0.ppm frame1.ppm ...
 *
 * The pictures (binary PPM, as ffmpeg writes them) are taken as a 30 frames/s stream. Next to each one the label map of
 * the first output is written as frameN.pgm, one grey level per class id.
 *
 *   cc label_frames.c -I$(python -c 'import edge_vss.runtime as r; print(r.include_dir())') \
 *      $(python -c 'import edge_vss.runtime as r; print(r.library_path())') -o label_frames
 */
#include <edge_vss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads one picture; the caller frees it. NULL where it is no binary PPM. */
static uint8_t* read_ppm(const char* path, uint32_t* height, uint32_t* width) {
  FILE* file = fopen(path, "rb");
  uint8_t* pixels = NULL;
  unsigned w = 0, h = 0, top = 0;
  if (!file) return NULL;
  if (fscanf(file, "P6 %u %u %u", &w, &h, &top) == 3 && fgetc(file) != EOF && top == 255 && w && h && w <= 16384 &&
      h <= 16384) {
    const size_t bytes = (size_t)w * h * 3;
    pixels = malloc(bytes);
    if (pixels && fread(pixels, 1, bytes, file) != bytes) {
      free(pixels);
      pixels = NULL;
    }
  }
  fclose(file);
  *height = h;
  *width = w;
  return pixels;
}

static int write_pgm(const char* picture, const evss_label_map* map) {
  char path[4096];
  const size_t stem = strlen(picture) > 4 ? strlen(picture) - 4 : strlen(picture);
  if (snprintf(path, sizeof path, "%.*s.pgm", (int)stem, picture) >= (int)sizeof path) return 0;
  FILE* file = fopen(path, "wb");
  if (!file) return 0;
  fprintf(file, "P5\n%u %u\n255\n", map->width, map->height);
  for (uint32_t row = 0; row < map->height; ++row) fwrite(map->labels + (size_t)row * map->stride, 1, map->width, file);
  return fclose(file) == 0;
}

static int label(evss_pipeline* pipeline, const char* picture, int index) {
  evss_frame frame;
  evss_result result;
  evss_frame_init(&frame);
  uint8_t* pixels = read_ppm(picture, &frame.height, &frame.width);
  if (!pixels) {
    fprintf(stderr, "%s: not a binary PPM\n", picture);
    return 0;
  }
  frame.format = EVSS_RGB;
  frame.planes[0] = pixels;
  frame.strides[0] = frame.width * 3;
  frame.sequence = (uint64_t)index;
  frame.pts_us = (int64_t)index * 1000000 / 30;
  const evss_status sent = evss_send_frame(pipeline, &frame);
  free(pixels); /* the frame was read before the call returned */
  result.struct_size = sizeof result;
  if (sent != EVSS_OK || evss_receive(pipeline, &result) != EVSS_OK) {
    fprintf(stderr, "%s: %s\n", picture, evss_last_error());
    return 0;
  }
  printf("%s: %.2f ms, fired", picture, result.latency_ms);
  for (uint32_t i = 0; i < result.num_stages; ++i) {
    if (result.stages[i].fired) printf(" %s", result.stages[i].name);
  }
  printf(", age %u\n", result.outputs[0].age_frames);
  return write_pgm(picture, &result.outputs[0]);
}

int main(int argc, char** argv) {
  evss_pipeline* pipeline = NULL;
  evss_options options;
  int good = 1;
  if (argc < 4) {
    fprintf(stderr, "usage: label_frames BUNDLE SCHEDULE FRAME.ppm ...\n");
    return 2;
  }
  evss_options_init(&options);
  options.schedule = argv[2];
  if (evss_pipeline_open(argv[1], &options, &pipeline) != EVSS_OK) {
    fprintf(stderr, "%s\n", evss_last_error());
    return 3;
  }
  for (int i = 3; i < argc && good; ++i) good = label(pipeline, argv[i], i - 3);
  evss_pipeline_close(&pipeline);
  return good ? 0 : 1;
}
