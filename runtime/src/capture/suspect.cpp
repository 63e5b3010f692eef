#include "suspect.h"

#include <algorithm>

namespace evss::capture {

namespace {

constexpr uint32_t kGrid = 64;        // luma samples a side
constexpr uint32_t kChromaGrid = 32;  // chroma samples a side
constexpr uint32_t kDarkAbove = 8;    // levels above black that still count as black
constexpr uint32_t kGreenBelow = 32;  // of both chroma values; in the greenest real colour blue is above 40
constexpr double kNearlyAll = 0.99;

struct Samples {
  uint64_t sum = 0xcbf29ce484222325;
  uint32_t luma = 0, dark = 0, chroma = 0, green = 0, neutral = 0;

  void add(uint8_t byte) { sum = (sum ^ byte) * 0x100000001b3; }
};

struct Plane {
  const uint8_t* data;
  uint32_t stride, step;  // bytes from one sample to the next in a row
};

// Middle of cell `i` of `cells` over `length` pixels.
uint32_t middle(uint32_t i, uint32_t cells, uint32_t length) {
  return static_cast<uint32_t>((2 * i + 1) * static_cast<uint64_t>(length) / (2 * cells));
}

void sample_luma(const evss_frame& frame, Plane plane, uint32_t black, Samples* out) {
  for (uint32_t i = 0; i < kGrid; ++i) {
    const uint8_t* row = plane.data + static_cast<size_t>(middle(i, kGrid, frame.height)) * plane.stride;
    for (uint32_t j = 0; j < kGrid; ++j) {
      const uint8_t* pixel = row + static_cast<size_t>(middle(j, kGrid, frame.width)) * plane.step;
      uint8_t value = pixel[0];
      if (frame.format == EVSS_RGB || frame.format == EVSS_BGR) {
        value = std::max({pixel[0], pixel[1], pixel[2]});
        out->add(pixel[1]);
        out->add(pixel[2]);
      }
      out->add(pixel[0]);
      ++out->luma;
      out->dark += value <= black + kDarkAbove;
    }
  }
}

void sample_chroma(const evss_frame& frame, Plane u, Plane v, uint32_t height, Samples* out) {
  const uint32_t width = (frame.width + 1) / 2;
  for (uint32_t i = 0; i < kChromaGrid; ++i) {
    const size_t row = middle(i, kChromaGrid, height);
    for (uint32_t j = 0; j < kChromaGrid; ++j) {
      const size_t column = middle(j, kChromaGrid, width);
      const uint8_t blue = u.data[row * u.stride + column * u.step], red = v.data[row * v.stride + column * v.step];
      out->add(blue);
      out->add(red);
      ++out->chroma;
      out->green += blue < kGreenBelow && red < kGreenBelow;
      out->neutral += blue > 112 && blue < 144 && red > 112 && red < 144;
    }
  }
}

Samples sample(const evss_frame& frame) {
  Samples out;
  const uint32_t* strides = frame.strides;
  const bool yuv = frame.format == EVSS_NV12 || frame.format == EVSS_I420 || frame.format == EVSS_YUYV;
  const uint32_t black = yuv && frame.range == EVSS_LIMITED ? 16 : 0, half = (frame.height + 1) / 2;
  const uint32_t step = frame.format == EVSS_YUYV ? 2 : frame.format == EVSS_RGB || frame.format == EVSS_BGR ? 3 : 1;
  sample_luma(frame, {frame.planes[0], strides[0], step}, black, &out);
  if (frame.format == EVSS_NV12)
    sample_chroma(frame, {frame.planes[1], strides[1], 2}, {frame.planes[1] + 1, strides[1], 2}, half, &out);
  if (frame.format == EVSS_I420)
    sample_chroma(frame, {frame.planes[1], strides[1], 1}, {frame.planes[2], strides[2], 1}, half, &out);
  if (frame.format == EVSS_YUYV)
    sample_chroma(frame, {frame.planes[0] + 1, strides[0], 4}, {frame.planes[0] + 3, strides[0], 4}, frame.height,
                  &out);
  return out;
}

}  // namespace

uint32_t Suspicion::look(const evss_frame& frame) {
  const Samples found = sample(frame);
  repeats_ = found.sum == sum_ ? repeats_ + 1 : 0;
  sum_ = found.sum;
  uint32_t suspect = repeats_ >= kFrozenAfter ? EVSS_SUSPECT_FROZEN : 0;
  if (found.chroma && found.green >= kNearlyAll * found.chroma) suspect |= EVSS_SUSPECT_GREEN;
  const bool colourless = found.neutral >= kNearlyAll * found.chroma;
  if (found.dark >= kNearlyAll * found.luma && colourless) suspect |= EVSS_SUSPECT_BLACK;
  return suspect;
}

}  // namespace evss::capture
