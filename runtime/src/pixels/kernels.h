// What is compiled once per instruction set: row kernels on plain arrays. Not for use outside this folder.
//
// The kernel files include nothing but this header and C headers: an inline function of the C++ library that was
// compiled for AVX-512 here could otherwise be the copy that the linker keeps for everyone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "isa.h"

namespace evss {

constexpr int kFraction = 7;                 // fractional bits of a level
constexpr int kLevelMax = 255 << kFraction;  // 32640
constexpr int kTile = 1024;                  // columns whose interpolated rows are kept
constexpr int kChunk = 512;    // columns that a kernel call handles at most: their stores fit into the store buffer
constexpr int kPaddedTo = 32;  // counts of horizontal, vertical and yuv_to_rgb are multiples of it
constexpr int kMaxWindows = 4;

/// Byte pairs (a, b) of one horizontal table, for the shuffle width of one instruction set: group g makes the pairs of
/// outputs [g * group, (g + 1) * group) from `windows` * `shuffle_bytes` source bytes at first[g].
struct GatherPlan {
  int windows;            // 0: no shuffles, a plain loop over left and right
  const int32_t* first;   // per group: byte offset of its window
  const uint8_t* index;   // per group: 2 * group indices into the window
  const int32_t* left;    // per output: byte offset of a
  const int32_t* right;   // per output: byte offset of b
  const int16_t* weight;  // per output: w; padded to whole groups
};

/// Constants of step 4 in pixels.h, in the order of the network's channels 0, 1, 2 = R, G, B.
struct YuvConstants {
  int16_t black, gain, kr, kgb, kgr, kb;
};

/// How one channel's levels leave: float = (level - mean) * factor; then, if quantised, by scale and zero point.
struct StoreArgs {
  int32_t mean;
  float factor;
  float scale;
  int32_t zero_point;
  int step;     // elements between neighbouring pixels: 1 (planar) or 3 (interleaved)
  bool stream;  // planar float only, where the processor can: around the caches; then fence before others read
};

constexpr int kLanes = 8;  // outputs that a boundary cell computes at a time

/// One row of cells between two rows of the score grid.
struct CellRowArgs {
  const void* scores;        // channel 0, grid sample (0, 0)
  ptrdiff_t channel_stride;  // elements
  const uint8_t* channels;   // that may win, ascending
  int num_channels;
  bool binary;  // label 1 above the threshold, else 0
  float threshold;
  int grid_width;
  ptrdiff_t upper, lower;                      // element offsets of the two grid rows in a channel
  const uint8_t *upper_labels, *lower_labels;  // argmax per grid sample
  const int32_t* cell_begin;                   // per cell, and one more: first output column
  const float *weight0, *weight1;              // per output column, padded by kLanes
  const float *row_weight0, *row_weight1;      // per row, `rows` of them
  int rows;
  uint8_t* labels;  // first of these rows
  ptrdiff_t label_stride;
  int out_width;
};

constexpr int kOverlayBlock = 16;  // pixels that are blended together where their labels agree

/// out = (image * image_share + tint) >> 8. Labels from num_colours on leave the image as it is.
struct OverlayTable {
  const uint16_t* tint;  // (256, kOverlayBlock, 3): colour * share + 128
  int num_colours;
  int share;  // of 256; the image's is 256 - share, or 256 where the label has no colour
};

struct Kernels {
  int shuffle_bytes;  // width of one shuffle; 0: none

  /// Step 2 for outputs [begin, begin + count); begin is a multiple of kPaddedTo.
  void (*horizontal)(const GatherPlan& plan, const uint8_t* row, int begin, int count, int16_t* out);
  /// Step 3.
  void (*vertical)(const int16_t* upper, const int16_t* lower, int16_t weight, int count, int16_t* out);
  /// Step 4, in place: y, u, v become r, g, b.
  void (*yuv_to_rgb)(const YuvConstants& k, int count, int16_t* y, int16_t* u, int16_t* v);
  /// Step 5 into float, uint8_t, int8_t.
  void (*store_float)(const int16_t* level, const StoreArgs& args, int count, float* out);
  void (*store_uint8)(const int16_t* level, const StoreArgs& args, int count, uint8_t* out);
  void (*store_int8)(const int16_t* level, const StoreArgs& args, int count, int8_t* out);

  /// Labels of one grid row, by ScoreType; false if one of its scores is not finite.
  bool (*argmax_row[3])(const void* row, ptrdiff_t channel_stride, const uint8_t* channels, int num_channels, int width,
                        uint8_t* labels);
  /// The same for one channel and a threshold.
  bool (*binary_row[3])(const void* row, float threshold, int width, uint8_t* labels);
  void (*cell_row[3])(const CellRowArgs& args);

  /// `swap`: image is BGR.
  void (*overlay_row)(const OverlayTable& table, const uint8_t* labels, const uint8_t* image, bool swap, uint8_t* out,
                      int width);
  /// By LabelType.
  int64_t (*count_changed[3])(const void* a, const void* b, int width);
  /// Adds to 16 sums of |a - b| and of |b|; count is a multiple of 16.
  void (*absolute_sums)(const float* a, const float* b, size_t count, double* difference, double* magnitude);
};

/// An output of this size has left the inner caches by the time somebody reads it. Writing it around them saves
/// fetching it first: 1.1 -> 0.6 ms for a 3x512x1024 tensor where other work has used the caches in between.
constexpr size_t kStreamBytes = 2 << 20;

/// Streaming stores become visible to other threads only after this.
static inline void fence_streams() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

const Kernels& kernels(Isa isa);

/// Every kernel file defines its part in the namespace of its instruction set.
#define EVSS_DECLARE_KERNELS(ns)                  \
  namespace ns {                                  \
  void fill_preprocess_kernels(Kernels& kernels); \
  void fill_upsample_kernels(Kernels& kernels);   \
  void fill_label_kernels(Kernels& kernels);      \
  }
EVSS_DECLARE_KERNELS(isa_baseline)
EVSS_DECLARE_KERNELS(isa_avx2)
EVSS_DECLARE_KERNELS(isa_avx512)

}  // namespace evss
