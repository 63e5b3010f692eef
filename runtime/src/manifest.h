// The manifest of a bundle, parsed and checked: the native twin of edge_vss/bundle/schema.py.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph.h"
#include "pixels/pixels.h"

namespace evss {

struct ClassInfo {
  std::string name;
  uint8_t colour[3] = {0, 0, 0};
};

struct InputSpec {
  int height = 0, width = 0;
  Fit fit = Fit::kStretch;
  double pad = 0.0;
  ChannelOrder order = ChannelOrder::kRgb;
  ColourMatrix matrix = ColourMatrix::kBt601;
  ColourRange range = ColourRange::kLimited;
  double mean[3] = {0.0, 0.0, 0.0};
  double std[3] = {255.0, 255.0, 255.0};
};

enum class OutputKind : uint8_t { kScores, kLabels, kBinary };

struct OutputSpec {
  std::string name;
  int tensor = 0;
  OutputKind kind = OutputKind::kScores;
  std::vector<ClassInfo> classes;
  std::vector<int> ignored;
  bool nearest = false;
  CornerRule corners = CornerRule::kHalfPixel;
};

struct Storage {
  evss_dtype dtype = EVSS_FLOAT32;
  float scale = 1.0f;
  int zero_point = 0;
  bool channels_last = false;  // (1, C, H, W) lies in memory as (1, H, W, C)
};

struct EngineRef {
  std::string file, operation;
};

// Pre- and post-processing as engines, for frames of one kind; `pre` is empty where there are none.
struct PixelEngines {
  PixelFormat format = PixelFormat::kNv12;
  int height = 0, width = 0;
  std::string pre;
  std::vector<std::string> post;  // by output
};

struct Variant {
  std::string name, backend, precision;
  std::vector<EngineRef> engines;  // by stage
  std::vector<Storage> storage;    // by tensor
  PixelEngines pixels;
  std::map<std::string, std::map<std::string, double>> thresholds;
};

struct FileRecord {
  uint64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string name;
  InputSpec input;
  Graph graph;
  std::vector<OutputSpec> outputs;
  std::vector<Schedule> schedules;
  std::vector<int> ladder;  // of schedules, richest first
  std::vector<Variant> variants;
  std::map<std::string, FileRecord> files;
};

/// Parses and checks. Throws Error (EVSS_BAD_BUNDLE) with one line: what is wrong and where.
Manifest parse_manifest(const std::string& text);

/// The schedules with a variant's own thresholds in them.
std::vector<Schedule> schedules_of(const Manifest& manifest, const Variant& variant);

}  // namespace evss
