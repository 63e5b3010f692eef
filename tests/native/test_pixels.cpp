// The pixel kernels on exactly sized buffers: run this under the address and thread sanitizers. Random problems compare
// every instruction set with the plain reference; nothing may touch a byte beside a plane, a row or an output.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "pixels.h"
#include "reference.h"

namespace {

using namespace evss;
using Rng = std::mt19937;

int between(Rng& rng, int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }

/// Mostly small, sometimes around the kernels' block sizes.
int random_size(Rng& rng) {
  static const int kEdges[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129};
  if (between(rng, 0, 2) == 0) return kEdges[between(rng, 0, 17)];
  return between(rng, 1, 160);
}

/// A heap block of exactly this many bytes, so that the sanitizer sees one byte too far.
std::unique_ptr<uint8_t[]> random_bytes(Rng& rng, size_t size) {
  std::unique_ptr<uint8_t[]> bytes(new uint8_t[size]);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(rng());
  return bytes;
}

struct OwnedFrame {
  FrameView view;
  std::unique_ptr<uint8_t[]> planes[3];
};

OwnedFrame random_frame(Rng& rng, PixelFormat format, int height, int width) {
  OwnedFrame frame;
  frame.view.format = format, frame.view.height = height, frame.view.width = width;
  frame.view.matrix = static_cast<ColourMatrix>(between(rng, 0, 1));
  frame.view.range = static_cast<ColourRange>(between(rng, 0, 1));
  for (int i = 0; i < plane_count(format); ++i) {
    const int row = plane_row_bytes(format, i, width), stride = row + between(rng, 0, 5);
    const int rows = plane_rows(format, i, height);
    frame.planes[i] = random_bytes(rng, static_cast<size_t>(stride) * (rows - 1) + row);
    frame.view.planes[i] = frame.planes[i].get(), frame.view.strides[i] = stride;
  }
  return frame;
}

PreprocessConfig random_config(Rng& rng) {
  PreprocessConfig c;
  c.format = static_cast<PixelFormat>(between(rng, 0, 5));
  c.source_width = random_size(rng), c.source_height = random_size(rng);
  c.network_width = random_size(rng), c.network_height = random_size(rng);
  c.fit = static_cast<Fit>(between(rng, 0, 2));
  c.pad = between(rng, 0, 255);
  c.order = static_cast<ChannelOrder>(between(rng, 0, 1));
  c.layout = static_cast<Layout>(between(rng, 0, 1));
  c.type = static_cast<InputType>(between(rng, 0, 2));
  c.scale = between(rng, 1, 100) / 64.0f;
  c.zero_point = between(rng, 0, 127);
  for (int i = 0; i < 3; ++i) c.mean[i] = between(rng, 0, 2550) / 10.0, c.stddev[i] = between(rng, 1, 1000) / 10.0;
  return c;
}

size_t size_of(const PreprocessConfig& c) {
  return size_t{3} * c.network_width * c.network_height * (c.type == InputType::kFloat32 ? 4 : 1);
}

TEST_CASE("every instruction set pre-processes random frames to the bits of the reference") {
  for (int seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const PreprocessConfig config = random_config(rng);
    const OwnedFrame frame = random_frame(rng, config.format, config.source_height, config.source_width);
    auto want = random_bytes(rng, size_of(config));
    reference_preprocess(config, frame.view, want.get());
    for (Isa isa : supported_isas()) {
      std::string error;
      const auto preprocessor = Preprocessor::create(config, &error, isa);
      REQUIRE(preprocessor);
      REQUIRE(preprocessor->check(frame.view) == nullptr);
      auto got = random_bytes(rng, size_of(config));
      const int cut = between(rng, 0, config.network_height);
      preprocessor->run(frame.view, got.get(), 0, cut);
      preprocessor->run(frame.view, got.get(), cut, config.network_height);
      CAPTURE(seed);
      CAPTURE(isa_name(isa));
      REQUIRE(std::memcmp(got.get(), want.get(), size_of(config)) == 0);
    }
  }
}

TEST_CASE("large tensors, which are written around the caches, get the bits of the reference at any alignment") {
  Rng rng(7);
  PreprocessConfig config;
  config.format = PixelFormat::kNv12;
  config.source_width = 301, config.source_height = 233;
  config.network_width = 1203, config.network_height = 151;
  config.fit = Fit::kLetterbox;
  const OwnedFrame frame = random_frame(rng, config.format, config.source_height, config.source_width);
  const size_t count = size_of(config) / sizeof(float);
  std::vector<float> want(count);
  reference_preprocess(config, frame.view, want.data());
  for (Isa isa : supported_isas()) {
    std::string error;
    const auto preprocessor = Preprocessor::create(config, &error, isa);
    for (int shift = 0; shift < 4; ++shift) {
      const std::unique_ptr<float[]> got(new float[count + shift]);
      preprocessor->run(frame.view, got.get() + shift, 0, config.network_height);
      CAPTURE(isa_name(isa));
      REQUIRE(std::memcmp(got.get() + shift, want.data(), size_of(config)) == 0);
    }
  }
}

ScoreUpsamplerConfig random_scores_config(Rng& rng) {
  ScoreUpsamplerConfig c;
  c.kind = static_cast<ScoreKind>(between(rng, 0, 4) == 0);
  c.type = static_cast<ScoreType>(between(rng, 0, 2));
  c.channels = c.kind == ScoreKind::kBinary ? 1 : between(rng, 1, 25);
  c.grid_width = random_size(rng), c.grid_height = between(rng, 1, 20);
  c.out_width = random_size(rng), c.out_height = random_size(rng);
  const FitGeometry fit =
      fit_geometry(c.out_height, c.out_width, random_size(rng), random_size(rng), static_cast<Fit>(between(rng, 0, 2)));
  const CornerRule rule = static_cast<CornerRule>(between(rng, 0, 1));
  c.x_to_grid = grid_map_for_source_x(fit, c.grid_width, rule);
  c.y_to_grid = grid_map_for_source_y(fit, c.grid_height, rule);
  if (c.channels > 2) c.ignored = {between(rng, 0, c.channels - 1)};
  return c;
}

std::vector<uint8_t> random_scores(Rng& rng, const ScoreUpsamplerConfig& c) {
  const size_t count = size_t(c.channels) * c.grid_width * c.grid_height;
  std::vector<uint8_t> bytes(count * (c.type == ScoreType::kFloat32 ? 4 : 1));
  const int levels = between(rng, 2, 200);  // few levels: many ties
  for (size_t i = 0; i < count; ++i) {
    const int value = between(rng, 0, levels - 1);
    const float wide = value * 0.37f - 3.0f;
    if (c.type == ScoreType::kFloat32) std::memcpy(&bytes[4 * i], &wide, 4);
    if (c.type != ScoreType::kFloat32) bytes[i] = static_cast<uint8_t>(value);
  }
  return bytes;
}

TEST_CASE("every instruction set labels random scores as the reference does, near ties apart") {
  for (int seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const ScoreUpsamplerConfig config = random_scores_config(rng);
    const std::vector<uint8_t> scores = random_scores(rng, config);
    const size_t size = size_t(config.out_width) * config.out_height;
    std::vector<uint8_t> want(size), first;
    std::vector<float> gap(size);
    reference_upsample(config, scores.data(), want.data(), gap.data());
    for (Isa isa : supported_isas()) {
      std::string error;
      const auto upsampler = ScoreUpsampler::create(config, &error, isa);
      REQUIRE(upsampler);
      std::vector<uint8_t> got(size, 255);
      const int cut = between(rng, 0, config.out_height);
      REQUIRE(upsampler->run(scores.data(), got.data(), config.out_width, cut, config.out_height));
      REQUIRE(upsampler->run(scores.data(), got.data(), config.out_width, 0, cut));
      int wrong = 0;
      for (size_t i = 0; i < size; ++i) wrong += got[i] != want[i] && gap[i] > 4.0f;
      CAPTURE(seed);
      CAPTURE(isa_name(isa));
      REQUIRE(wrong == 0);
      if (first.empty()) first = got;
      REQUIRE(got == first);
    }
  }
}

TEST_CASE("overlay, change and label sizes stay inside their buffers") {
  for (int seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const int width = between(rng, 1, 700), height = between(rng, 1, 4);
    const size_t size = size_t(width) * height;
    const auto labels = random_bytes(rng, size), other = random_bytes(rng, size), image = random_bytes(rng, 3 * size);
    const auto colours = random_bytes(rng, 3 * 200);
    for (Isa isa : supported_isas()) {
      std::vector<uint8_t> out(3 * size), want(3 * size);
      OverlayArgs args = {labels.get(), width,     image.get(), 3 * width, static_cast<ChannelOrder>(seed % 2),
                          out.data(),   3 * width, width,       height};
      overlay(Palette(colours.get(), 200, 0.4), args, 0, height, isa);
      args.out = want.data();
      reference_overlay(colours.get(), 200, 0.4, args);
      REQUIRE(out == want);
      int64_t changed = 0;
      for (size_t i = 0; i < size; ++i) changed += labels[i] != other[i];
      REQUIRE(count_changed(LabelType::kUint8, labels.get(), width, other.get(), width, {0, 0, width, height}, isa) ==
              changed);
      const std::vector<float> a(size, 1.5f), b(size, -0.5f);
      REQUIRE(relative_change(a.data(), b.data(), size, isa) == 4.0);
    }
    LabelResizerConfig c;
    c.grid_width = width, c.grid_height = height, c.out_width = random_size(rng), c.out_height = random_size(rng);
    c.x_to_grid = resize_axis(0, width, 0, c.out_width), c.y_to_grid = resize_axis(0, height, 0, c.out_height);
    std::string error;
    std::vector<uint8_t> resized(size_t(c.out_width) * c.out_height);
    LabelResizer::create(c, &error)->run(labels.get(), resized.data(), c.out_width, 0, c.out_height);
  }
}

TEST_CASE("a parallel loop runs every slice exactly once") {
  for (int threads : {1, 2, 5}) {
    ParallelFor pool(threads);
    REQUIRE(pool.threads() == threads);
    for (int slices = 0; slices < 300; ++slices) {
      std::vector<std::atomic<int>> runs(slices);
      std::vector<int> plain(slices);  // not atomic: the thread sanitizer sees a missing happens-before
      pool.run(slices, [&](int i) { ++runs[i], plain[i] = i + 1; });
      for (int i = 0; i < slices; ++i) REQUIRE((runs[i] == 1 && plain[i] == i + 1));
    }
  }
}

TEST_CASE("a parallel loop may be called from several threads") {
  ParallelFor pool(3);
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) pool.run(7, [&](int) { ++total; });
    });
  for (std::thread& caller : callers) caller.join();
  REQUIRE(total == 4 * 200 * 7);
}

TEST_CASE("row slices cover the height without gaps") {
  ParallelFor pool(4);
  for (int height : {0, 1, 15, 16, 17, 100, 512, 1080}) {
    std::vector<std::atomic<int>> seen(height);
    pool.rows(height, 16, [&](int begin, int end) {
      for (int y = begin; y < end; ++y) ++seen[y];
    });
    for (const auto& count : seen) REQUIRE(count == 1);
  }
}

}  // namespace
