// Overlay and change of label maps; compiled once per instruction set (EVSS_ISA_NS names it).
#include <string.h>

#include "kernels.h"

#define RESTRICT __restrict__

namespace evss {
namespace EVSS_ISA_NS {
namespace {

constexpr int kColumns = 256;  // pixels whose channels are swapped at a time
constexpr int kBlock = kOverlayBlock;

#if defined(__AVX512VBMI__) || defined(__SSSE3__)

#if defined(__AVX512VBMI__)
constexpr int kSwapBytes = 64;
#else
constexpr int kSwapBytes = 16;
#endif

// Whole pixels of one vector: 21 of 64 bytes, 5 of 16; the byte left over is written again by the next one.
int swap_vectors(const uint8_t* image, int count, uint8_t* out) {
  typedef uint8_t Bytes __attribute__((vector_size(kSwapBytes)));
  constexpr int kPixels = kSwapBytes / 3;
  Bytes order;
  for (int i = 0; i < kSwapBytes; ++i) order[i] = static_cast<uint8_t>(i / 3 * 3 + 2 - i % 3);
  int done = 0;
  for (; 3 * (count - done) >= kSwapBytes; done += kPixels) {
    Bytes bytes;
    memcpy(&bytes, image + 3 * done, kSwapBytes);
    bytes = __builtin_shuffle(bytes, order);
    memcpy(out + 3 * done, &bytes, kSwapBytes);
  }
  return done;
}

#else

int swap_vectors(const uint8_t*, int, uint8_t*) { return 0; }

#endif

void swap_channels(const uint8_t* RESTRICT image, int count, uint8_t* RESTRICT out) {
  for (int i = swap_vectors(image, count, out); i < count; ++i) {
    out[3 * i] = image[3 * i + 2];
    out[3 * i + 1] = image[3 * i + 1];
    out[3 * i + 2] = image[3 * i];
  }
}

inline bool all_equal(const uint8_t* labels) {
  uint64_t parts[kBlock / 8], different = 0;
  memcpy(parts, labels, kBlock);
  const uint64_t first = labels[0] * 0x0101010101010101u;
  for (uint64_t part : parts) different |= part ^ first;
  return different == 0;
}

inline uint16_t image_share(const OverlayTable& table, int label) {
  return static_cast<uint16_t>(label < table.num_colours ? 256 - table.share : 256);
}

inline uint8_t blend_byte(uint8_t image, uint16_t image_share, uint16_t tint) {
  return static_cast<uint8_t>(static_cast<uint16_t>(image * image_share + tint) >> 8);
}

inline void blend_block(const uint8_t* image, uint16_t image_share, const uint16_t* RESTRICT tint, uint8_t* out) {
#pragma GCC ivdep  // out may be the image itself, at no distance
  for (int i = 0; i < 3 * kBlock; ++i) out[i] = blend_byte(image[i], image_share, tint[i]);
}

void blend_pixels(const OverlayTable& table, const uint8_t* labels, const uint8_t* image, uint8_t* out, int count) {
  for (int i = 0; i < count; ++i) {
    const uint16_t* tint = table.tint + labels[i] * 3 * kBlock;
    for (int c = 0; c < 3; ++c) out[3 * i + c] = blend_byte(image[3 * i + c], image_share(table, labels[i]), tint[c]);
  }
}

// Labels of a block differ: its tint is put together pixel by pixel, by overlapping eight-byte copies.
void blend_mixed(const OverlayTable& table, const uint8_t* labels, const uint8_t* image, uint8_t* out) {
  alignas(64) uint16_t tint[3 * kBlock + 1];
  bool foreign = false;
  for (int i = 0; i < kBlock; ++i) {
    memcpy(tint + 3 * i, table.tint + labels[i] * 3 * kBlock, 8);
    foreign |= labels[i] >= table.num_colours;
  }
  if (foreign) return blend_pixels(table, labels, image, out, kBlock);
  blend_block(image, static_cast<uint16_t>(256 - table.share), tint, out);
}

// One line that will be read or written soon; past the row's end that is the next row, or nothing to be afraid of.
inline const void* ahead(const uint8_t* bytes) {
  constexpr uintptr_t kBytesAhead = 1024;
  return reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(bytes) + kBytesAhead);
}

// `source` is the image in memory, `image` the same in RGB order.
void overlay_chunk(const OverlayTable& table, const uint8_t* labels, const uint8_t* source, const uint8_t* image,
                   uint8_t* out, int count) {
  int i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    __builtin_prefetch(ahead(source + 3 * i), 0);
    __builtin_prefetch(ahead(out + 3 * i), 1);
    const uint8_t label = labels[i];
    if (all_equal(labels + i)) {
      blend_block(image + 3 * i, image_share(table, label), table.tint + label * 3 * kBlock, out + 3 * i);
    } else {
      blend_mixed(table, labels + i, image + 3 * i, out + 3 * i);
    }
  }
  blend_pixels(table, labels + i, image + 3 * i, out + 3 * i, count - i);
}

void overlay_row(const OverlayTable& table, const uint8_t* labels, const uint8_t* image, bool swap, uint8_t* out,
                 int width) {
  if (!swap) return overlay_chunk(table, labels, image, image, out, width);
  uint8_t swapped[3 * kColumns];
  for (int x = 0; x < width; x += kColumns) {
    const int count = width - x < kColumns ? width - x : kColumns;
    swap_channels(image + 3 * x, count, swapped);
    overlay_chunk(table, labels + x, image + 3 * x, swapped, out + 3 * x, count);
  }
}

int64_t count_changed_bytes(const void* a, const void* b, int width) {
  const uint8_t *left = static_cast<const uint8_t*>(a), *right = static_cast<const uint8_t*>(b);
  constexpr int kLane = 64, kRounds = 255;  // as many rounds as a byte can count
  int64_t total = 0;
  int x = 0;
  while (x + kLane <= width) {
    uint8_t lanes[kLane] = {};
    for (int round = 0; round < kRounds && x + kLane <= width; ++round, x += kLane)
      for (int i = 0; i < kLane; ++i) lanes[i] = static_cast<uint8_t>(lanes[i] + (left[x + i] != right[x + i]));
    for (uint8_t lane : lanes) total += lane;
  }
  for (; x < width; ++x) total += left[x] != right[x];
  return total;
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
  kernels.count_changed[0] = count_changed_bytes;
  kernels.count_changed[1] = count_changed<int32_t>;
  kernels.count_changed[2] = count_changed<int64_t>;
  kernels.absolute_sums = absolute_sums;
}

}  // namespace EVSS_ISA_NS
}  // namespace evss
