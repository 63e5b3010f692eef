// Overlay and change of label maps; compiled once per instruction set (EVSS_ISA_NS names it).
#include <string.h>

#include "kernels.h"

#define RESTRICT __restrict__

namespace evss {
namespace EVSS_ISA_NS {
namespace {

constexpr int kChunk = 256;  // pixels

// Three bytes per pixel by overlapping four-byte stores: `out` has one byte more than it needs.
void expand_colours(const uint8_t* labels, const uint32_t* colours, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) memcpy(out + 3 * i, &colours[labels[i]], 4);
}

void swap_channels(const uint8_t* image, int count, uint8_t* out) {
  for (int i = 0; i < count - 1; ++i) {
    uint32_t pixel;
    memcpy(&pixel, image + 3 * i, 4);  // the byte after it belongs to the next pixel
    pixel = __builtin_bswap32(pixel) >> 8;
    memcpy(out + 3 * i, &pixel, 4);
  }
  const uint8_t* last = image + 3 * (count - 1);
  uint8_t* end = out + 3 * (count - 1);
  end[0] = last[2], end[1] = last[1], end[2] = last[0];
}

void blend(const uint8_t* image, const uint8_t* RESTRICT colour, int share, int count, uint8_t* out) {
  const uint16_t colour_share = static_cast<uint16_t>(share), image_share = static_cast<uint16_t>(256 - share);
#pragma GCC ivdep  // out may be the image itself, at no distance
  for (int i = 0; i < count; ++i) {
    const uint16_t sum = static_cast<uint16_t>(image[i] * image_share + colour[i] * colour_share + 128);
    out[i] = static_cast<uint8_t>(sum >> 8);
  }
}

bool any_label_from(const uint8_t* labels, int count, int from) {
  uint8_t highest = 0;
  for (int i = 0; i < count; ++i) highest = labels[i] > highest ? labels[i] : highest;
  return highest >= from;
}

void overlay_chunk(const uint8_t* labels, const uint32_t* colours, int num_colours, int share, const uint8_t* image,
                   bool swap, uint8_t* out, int count) {
  uint8_t colour[3 * kChunk + 4], swapped[3 * kChunk + 4];
  expand_colours(labels, colours, count, colour);
  if (swap) {
    swap_channels(image, count, swapped);
    image = swapped;
  }
  if (any_label_from(labels, count, num_colours)) {  // colours that do not exist: the image's own
    for (int i = 0; i < count; ++i)
      if (labels[i] >= num_colours) memcpy(colour + 3 * i, image + 3 * i, 3);
  }
  blend(image, colour, share, 3 * count, out);
}

void overlay_row(const uint8_t* labels, const uint32_t* colours, int num_colours, int share, const uint8_t* image,
                 bool swap, uint8_t* out, int width) {
  for (int x = 0; x < width; x += kChunk) {
    const int count = width - x < kChunk ? width - x : kChunk;
    overlay_chunk(labels + x, colours, num_colours, share, image + 3 * x, swap, out + 3 * x, count);
  }
}

template <class T>
int64_t count_changed(const void* a, const void* b, int width) {
  const T *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  int64_t total = 0;
  for (int x = 0; x < width; x += 4096) {
    const int end = width - x < 4096 ? width : x + 4096;
    int32_t changed = 0;
    for (int i = x; i < end; ++i) changed += left[i] != right[i];
    total += changed;
  }
  return total;
}

void absolute_sums(const float* RESTRICT a, const float* RESTRICT b, size_t count, double* difference,
                   double* magnitude) {
  double d[16], m[16];
  memcpy(d, difference, sizeof d);
  memcpy(m, magnitude, sizeof m);
  for (size_t i = 0; i < count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) {
      const double left = a[i + lane], right = b[i + lane];
      d[lane] += __builtin_fabs(left - right);
      m[lane] += __builtin_fabs(right);
    }
  }
  memcpy(difference, d, sizeof d);
  memcpy(magnitude, m, sizeof m);
}

}  // namespace

void fill_label_kernels(Kernels& kernels) {
  kernels.overlay_row = overlay_row;
  kernels.count_changed[0] = count_changed<uint8_t>;
  kernels.count_changed[1] = count_changed<int32_t>;
  kernels.count_changed[2] = count_changed<int64_t>;
  kernels.absolute_sums = absolute_sums;
}

}  // namespace EVSS_ISA_NS
}  // namespace evss
