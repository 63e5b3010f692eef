// Argmax of score rows and of the cells between them; compiled once per instruction set (EVSS_ISA_NS names it).
#include <string.h>

#include "kernels.h"

#define RESTRICT __restrict__

namespace evss {
namespace EVSS_ISA_NS {
namespace {

constexpr int kColumns = 256;  // grid samples whose best score is kept while the channels go by
constexpr int kMaxChannels = 256;

#if defined(__AVX2__)
constexpr int kVector = 8;
#else
constexpr int kVector = 4;  // or GCC takes vectors apart that the processor does not have
#endif
constexpr int kParts = kLanes / kVector;

typedef float Floats __attribute__((vector_size(kVector * 4)));
typedef int32_t Ints __attribute__((vector_size(kVector * 4)));
typedef uint8_t Bytes __attribute__((vector_size(kVector)));

inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Nonzero in any lane where a score is NaN or infinite.
inline uint32_t not_finite(float value) { return (float_bits(value) & 0x7f800000u) == 0x7f800000u; }
inline uint32_t not_finite(uint8_t) { return 0; }
inline uint32_t not_finite(int8_t) { return 0; }

template <class T>
uint32_t argmax_chunk(const T* RESTRICT row, ptrdiff_t stride, const uint8_t* channels, int num_channels, int width,
                      uint8_t* RESTRICT labels) {
  T best[kColumns];
  int32_t label[kColumns];
  uint32_t bad = 0;
  const T* RESTRICT first = row + channels[0] * stride;
  for (int i = 0; i < width; ++i) {
    best[i] = first[i];
    label[i] = channels[0];
    bad |= not_finite(first[i]);
  }
  for (int k = 1; k < num_channels; ++k) {
    const T* RESTRICT score = row + channels[k] * stride;
    const int32_t id = channels[k];
    for (int i = 0; i < width; ++i) {
      label[i] = score[i] > best[i] ? id : label[i];
      best[i] = score[i] > best[i] ? score[i] : best[i];
      bad |= not_finite(score[i]);
    }
  }
  for (int i = 0; i < width; ++i) labels[i] = static_cast<uint8_t>(label[i]);
  return bad;
}

template <class T>
bool argmax_row(const void* row, ptrdiff_t channel_stride, const uint8_t* channels, int num_channels, int width,
                uint8_t* labels) {
  const T* scores = static_cast<const T*>(row);
  uint32_t bad = 0;
  for (int x = 0; x < width; x += kColumns) {
    const int count = width - x < kColumns ? width - x : kColumns;
    bad |= argmax_chunk(scores + x, channel_stride, channels, num_channels, count, labels + x);
  }
  return bad == 0;
}

template <class T>
bool binary_row(const void* row, float threshold, int width, uint8_t* RESTRICT labels) {
  const T* RESTRICT scores = static_cast<const T*>(row);
  uint32_t bad = 0;
  for (int i = 0; i < width; ++i) {
    labels[i] = static_cast<float>(scores[i]) > threshold;
    bad |= not_finite(scores[i]);
  }
  return bad == 0;
}

// Scores at the four corners of a cell, one entry per class that may win.
struct Corners {
  alignas(64) float upper_left[kMaxChannels], upper_right[kMaxChannels];
  alignas(64) float lower_left[kMaxChannels], lower_right[kMaxChannels];
  int32_t label[kMaxChannels];
  int count;
};

template <class T>
void load_corners(const CellRowArgs& args, int left, int right, Corners& c) {
  const T* scores = static_cast<const T*>(args.scores);
  for (int k = 0; k < args.num_channels; ++k) {
    const T* upper = scores + args.channels[k] * args.channel_stride + args.upper;
    const T* lower = scores + args.channels[k] * args.channel_stride + args.lower;
    c.upper_left[k] = upper[left], c.upper_right[k] = upper[right];
    c.lower_left[k] = lower[left], c.lower_right[k] = lower[right];
  }
  c.count = args.num_channels;
}

inline float smaller(float a, float b) { return a < b ? a : b; }
inline float larger(float a, float b) { return a > b ? a : b; }

// Keeps the classes whose highest corner reaches the best lowest corner of any class: the others cannot win.
void prune(const CellRowArgs& args, Corners& c) {
  alignas(64) float highest[kMaxChannels], lowest[kMaxChannels];
  for (int k = 0; k < c.count; ++k) {
    highest[k] = larger(larger(c.upper_left[k], c.upper_right[k]), larger(c.lower_left[k], c.lower_right[k]));
    lowest[k] = smaller(smaller(c.upper_left[k], c.upper_right[k]), smaller(c.lower_left[k], c.lower_right[k]));
  }
  float safe = lowest[0];
  for (int k = 1; k < c.count; ++k) safe = larger(safe, lowest[k]);
  int kept = 0;
  for (int k = 0; k < c.count; ++k) {
    if (highest[k] < safe) continue;
    c.upper_left[kept] = c.upper_left[k], c.upper_right[kept] = c.upper_right[k];
    c.lower_left[kept] = c.lower_left[k], c.lower_right[kept] = c.lower_right[k];
    c.label[kept++] = args.channels[k];
  }
  c.count = kept;
}

// Scores of the classes at the left and right edge of the cell in one output row.
struct Edges {
  alignas(64) float left[kMaxChannels], right[kMaxChannels];
};

inline void interpolate_edges(const Corners& c, float w0, float w1, Edges& edges) {
  for (int k = 0; k < c.count; ++k) {
    edges.left[k] = w0 * c.upper_left[k] + w1 * c.lower_left[k];
    edges.right[k] = w0 * c.upper_right[k] + w1 * c.lower_right[k];
  }
}

// Labels of kLanes neighbouring outputs. For binary maps the threshold is class 0.
inline void best_labels(const CellRowArgs& args, const Corners& c, const Edges& edges, int x, uint8_t* labels) {
  Floats w0[kParts], w1[kParts], best[kParts];
  Ints label[kParts];
  for (int p = 0; p < kParts; ++p) {
    memcpy(&w0[p], args.weight0 + x + p * kVector, sizeof(Floats));
    memcpy(&w1[p], args.weight1 + x + p * kVector, sizeof(Floats));
    best[p] = args.binary ? Floats{} + args.threshold : w0[p] * edges.left[0] + w1[p] * edges.right[0];
    label[p] = Ints{} + (args.binary ? 0 : c.label[0]);
  }
  for (int k = args.binary ? 0 : 1; k < c.count; ++k) {
    for (int p = 0; p < kParts; ++p) {
      const Floats score = w0[p] * edges.left[k] + w1[p] * edges.right[k];
      const Ints wins = score > best[p];
      best[p] = wins ? score : best[p];
      label[p] = wins ? Ints{} + c.label[k] : label[p];
    }
  }
  for (int p = 0; p < kParts; ++p) {
    const Bytes bytes = __builtin_convertvector(label[p], Bytes);
    memcpy(labels + p * kVector, &bytes, sizeof bytes);
  }
}

void compute_cell(const CellRowArgs& args, const Corners& c, int begin, int end) {
  Edges edges;
  for (int y = 0; y < args.rows; ++y) {
    interpolate_edges(c, args.row_weight0[y], args.row_weight1[y], edges);
    uint8_t* labels = args.labels + y * args.label_stride;
    int x = begin;
    for (; x + kLanes <= end; x += kLanes) best_labels(args, c, edges, x, labels + x);
    if (x == end) continue;
    uint8_t rest[kLanes];
    best_labels(args, c, edges, x, rest);
    for (int i = 0; x + i < end; ++i) labels[x + i] = rest[i];
  }
}

void fill_cell(const CellRowArgs& args, uint8_t label, int begin, int end) {
  for (int y = 0; y < args.rows; ++y) memset(args.labels + y * args.label_stride + begin, label, end - begin);
}

template <class T>
void boundary_cell(const CellRowArgs& args, int cell, int begin, int end) {
  const int right = cell + 1 < args.grid_width ? cell + 1 : cell;
  Corners corners;
  load_corners<T>(args, cell, right, corners);
  if (args.binary) {
    corners.label[0] = 1;
  } else {
    prune(args, corners);
    if (corners.count == 1) return fill_cell(args, static_cast<uint8_t>(corners.label[0]), begin, end);
  }
  compute_cell(args, corners, begin, end);
}

bool is_uniform(const CellRowArgs& args, int cell) {
  const int right = cell + 1 < args.grid_width ? cell + 1 : cell;
  const uint8_t label = args.upper_labels[cell];
  return args.upper_labels[right] == label && args.lower_labels[cell] == label && args.lower_labels[right] == label;
}

// Uniform cells go into the first row, which is then copied; the boundary cells are computed over it.
template <class T>
void cell_row(const CellRowArgs& args) {
  const int cells = args.grid_width > 1 ? args.grid_width - 1 : 1;
  for (int cell = 0; cell < cells; ++cell) {
    const int begin = args.cell_begin[cell], end = args.cell_begin[cell + 1];
    if (begin < end && is_uniform(args, cell)) memset(args.labels + begin, args.upper_labels[cell], end - begin);
  }
  for (int y = 1; y < args.rows; ++y) memcpy(args.labels + y * args.label_stride, args.labels, args.out_width);
  for (int cell = 0; cell < cells; ++cell) {
    const int begin = args.cell_begin[cell], end = args.cell_begin[cell + 1];
    if (begin < end && !is_uniform(args, cell)) boundary_cell<T>(args, cell, begin, end);
  }
}

template <class T>
void fill_type(Kernels& kernels, int type) {
  kernels.argmax_row[type] = argmax_row<T>;
  kernels.binary_row[type] = binary_row<T>;
  kernels.cell_row[type] = cell_row<T>;
}

}  // namespace

void fill_upsample_kernels(Kernels& kernels) {
  fill_type<float>(kernels, 0);
  fill_type<uint8_t>(kernels, 1);
  fill_type<int8_t>(kernels, 2);
}

}  // namespace EVSS_ISA_NS
}  // namespace evss
