#include "statistics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

namespace evss_run {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFlags[] = {"reset",     "reused",    "recomputed", "host_pixels", "suspect",
                                  "scene_cut", "fell_back", "degraded",   "late"};

// Between the two nearest values, as numpy has it; null of nothing.
Json percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return nullptr;
  const double place = percent / 100.0 * static_cast<double>(sorted.size() - 1);
  const size_t below = static_cast<size_t>(place), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - static_cast<double>(below));
}

Json percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double sum = 0.0;
  for (double value : values) sum += value;
  Json mean = values.empty() ? Json(nullptr) : Json(sum / static_cast<double>(values.size()));
  return {{"mean", mean},
          {"p50", percentile(values, 50)},
          {"p90", percentile(values, 90)},
          {"p99", percentile(values, 99)},
          {"max", percentile(values, 100)}};
}

evss_source_stats counts_of(const evss_source& source) {
  evss_source_stats found;
  std::memset(&found, 0, sizeof found);
  found.struct_size = sizeof found;
  source.stats(source.user, &found);
  return found;
}

Json damage(const evss_source& source) {
  const double missing_s = std::round(static_cast<double>(counts_of(source).missing_us) / 1e3) / 1e3;
  return missing_s > 0.0 ? Json{{"missing_s", missing_s}} : Json::object();
}

Json dropped(const evss_loop_stats& stats, const evss_source& source) {
  const evss_source_stats found = counts_of(source);
  Json reasons = Json::object();
  const auto add = [&](const char* reason, uint64_t count) {
    if (count) reasons[reason] = count;
  };
  add("newer", found.dropped_newer);
  add("damaged", found.dropped_damaged);
  add("camera", found.dropped_camera);
  add("refused", stats.refused);
  add("sink", stats.dropped_sink);
  return reasons;
}

}  // namespace

std::string as_json(evss_loop* loop, const evss_source& source, const evss_info& info) {
  evss_loop_stats stats;
  stats.struct_size = sizeof stats;
  evss_loop_get_stats(loop, &stats);
  uint64_t first = 0;
  size_t count = static_cast<size_t>(stats.frames);
  std::vector<evss_frame_record> records(count);
  std::vector<evss_stage_record> parts(count * stats.num_stages);
  evss_loop_records(loop, &first, &count, records.data(), parts.data());
  std::vector<double> latency;
  for (size_t i = 0; i < count; ++i) latency.push_back(records[i].latency_ms);
  Json stages = Json::object(), flags = Json::object();
  for (uint32_t s = 0; s < stats.num_stages; ++s) {
    std::vector<double> times;
    for (size_t i = 0; i < count; ++i) {
      if (records[i].fired >> s & 1) times.push_back(static_cast<double>(parts[i * stats.num_stages + s].ms));
    }
    std::sort(times.begin(), times.end());
    stages[info.stages[s].name] = {
        {"fired", stats.fired[s]}, {"p50_ms", percentile(times, 50)}, {"p99_ms", percentile(times, 99)}};
  }
  for (size_t bit = 0; bit < sizeof kFlags / sizeof kFlags[0]; ++bit) {
    if (stats.flags[bit]) flags[kFlags[bit]] = stats.flags[bit];
  }
  constexpr const char* kSuspects[] = {"suspect_frozen", "suspect_black", "suspect_green"};
  for (size_t bit = 0; bit < sizeof kSuspects / sizeof kSuspects[0]; ++bit) {
    if (stats.suspect[bit]) flags[kSuspects[bit]] = stats.suspect[bit];
  }
  const double frames = static_cast<double>(stats.frames), busy_s = stats.seconds - stats.waited_s;
  const Json found = {
      {"frames", stats.frames},
      {"dropped", dropped(stats, source)},
      {"damage", damage(source)},
      {"fps", stats.seconds > 0.0 ? frames / stats.seconds : 0.0},
      {"fps_without_waiting", busy_s > 0.0 ? frames / busy_s : 0.0},
      {"latency_ms", percentiles(latency)},
      {"stages", stages},
      {"age_frames",
       {{"mean", stats.frames ? static_cast<double>(stats.age_sum) / frames : 0.0}, {"max", stats.age_max}}},
      {"flags", flags},
      {"backend", info.backend},
      {"schedule", info.schedule},
      {"precision", info.precision}};
  return found.dump(2) + "\n";
}

}  // namespace evss_run
