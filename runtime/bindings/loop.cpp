// Sources and the loop as Python sees them. Everything that waits releases the GIL.
#include <cstring>

#include "native.h"

nb::dict stats_of(const evss_source& source) {
  evss_source_stats stats;
  std::memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  source.stats(source.user, &stats);
  nb::dict found;
  found["delivered"] = stats.delivered;
  found["dropped_newer"] = stats.dropped_newer;
  found["dropped_damaged"] = stats.dropped_damaged;
  found["dropped_camera"] = stats.dropped_camera;
  found["timeouts"] = stats.timeouts;
  found["errors"] = stats.errors;
  found["rebuilds"] = stats.rebuilds;
  found["frozen"] = stats.frozen;
  found["black"] = stats.black;
  found["green"] = stats.green;
  return found;
}

namespace {

LoopSource* open_y4m(const std::string& path) {
  evss_source source;
  raise_if_failed(evss_y4m_open(path.c_str(), &source));
  return new LoopSource(source, true);
}

// The feeding side of a source.
class Feed {
 public:
  explicit Feed(uint32_t waiting) { raise_if_failed(evss_feed_open(waiting, &source_, &feed_)); }
  ~Feed() {
    if (!taken_) source_.close(source_.user);
    evss_feed_close(&feed_);
  }
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  LoopSource* source() {
    if (taken_) throw nb::value_error("the source of a feed is taken once");
    taken_ = true;
    return new LoopSource(source_, true);
  }
  // True: taken; False: still full; None: nobody reads any more.
  std::optional<bool> push(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes,
                           uint32_t matrix, uint32_t range, int64_t pts_us, uint64_t sequence, int64_t captured_ns,
                           uint32_t suspect, bool restart, uint32_t timeout_ms) {
    const evss_frame frame =
        frame_over(format, height, width, planes, matrix, range, pts_us, sequence, captured_ns, suspect, restart);
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_feed_frame(feed_, &frame, timeout_ms);
    }
    raise_if_failed(status);
    if (status == EVSS_END_OF_STREAM) return std::nullopt;
    return status == EVSS_OK;
  }
  void end(const std::string& error) { raise_if_failed(evss_feed_end(feed_, error.empty() ? nullptr : error.c_str())); }

 private:
  evss_source source_{};
  evss_feed* feed_ = nullptr;
  bool taken_ = false;
};

constexpr const char* kFormats[] = {"nv12", "i420", "yuyv", "bgr", "rgb", "grey"};

// Shapes as edge_vss.frame has them.
nb::tuple planes_of(const evss_frame& frame, nb::handle owner) {
  const size_t height = frame.height, width = frame.width, half_height = (height + 1) / 2, half_width = (width + 1) / 2;
  const auto view = [&](int plane, size_t rows, size_t columns, size_t channels) {
    const size_t shape[3] = {rows, columns, channels};
    const int64_t strides[3] = {frame.strides[plane], static_cast<int64_t>(channels), 1};
    return nb::cast(
        nb::ndarray<nb::numpy, const uint8_t>(frame.planes[plane], channels == 1 ? 2 : 3, shape, owner, strides));
  };
  switch (frame.format) {
    case EVSS_NV12:
      return nb::make_tuple(view(0, height, width, 1), view(1, half_height, half_width, 2));
    case EVSS_I420:
      return nb::make_tuple(view(0, height, width, 1), view(1, half_height, half_width, 1),
                            view(2, half_height, half_width, 1));
    case EVSS_YUYV:
      return nb::make_tuple(view(0, height, half_width * 2, 2));
    case EVSS_GREY:
      return nb::make_tuple(view(0, height, width, 1));
    default:
      return nb::make_tuple(view(0, height, width, 3));
  }
}

nb::dict dict_of_frame(const evss_frame& frame, nb::handle owner) {
  nb::dict found;
  found["format"] = kFormats[frame.format];
  found["planes"] = planes_of(frame, owner);
  found["height"] = frame.height;
  found["width"] = frame.width;
  found["pts_us"] = frame.pts_us;
  found["sequence"] = frame.sequence;
  found["matrix"] = frame.matrix == EVSS_BT709 ? "bt709" : "bt601";
  found["range"] = frame.range == EVSS_FULL ? "full" : "limited";
  found["captured_ns"] = frame.captured_ns;
  found["suspect"] = frame.suspect;
  found["restart"] = frame.restart != 0;
  return found;
}

template <class Value, class Record>
nb::object column(const std::vector<Record>& records, std::initializer_list<size_t> shape, Value Record::* field) {
  auto* values = new Value[records.size() + 1];
  nb::capsule owner(values, [](void* address) noexcept { delete[] static_cast<Value*>(address); });
  for (size_t i = 0; i < records.size(); ++i) values[i] = records[i].*field;
  return nb::cast(nb::ndarray<nb::numpy, Value>(values, shape, owner));
}

class Loop {
 public:
  Loop(Pipeline& pipeline, LoopSource& source, uint32_t queue, uint64_t limit, bool realtime, uint32_t kept,
       double scene_cut, bool notify, bool fall_back) {
    evss_loop_options options;
    evss_loop_options_init(&options);
    options.queue = queue;
    options.limit = limit;
    options.realtime = realtime;
    options.kept = kept;
    options.scene_cut = scene_cut;
    options.notify = notify;
    options.fall_back = fall_back;
    if (!pipeline.handle()) throw nb::value_error("the pipeline is closed");
    raise_if_failed(evss_loop_open(pipeline.handle(), &source.table(), &options, &loop_));
  }
  ~Loop() {
    nb::gil_scoped_release release;
    evss_loop_close(&loop_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // (slot, frame, result); False: none within the time; None: nothing will follow.
  nb::object next(nb::handle self, uint32_t timeout_ms) {
    evss_labelled labelled;
    labelled.struct_size = sizeof labelled;
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_loop_next(loop_, timeout_ms, &labelled);
    }
    raise_if_failed(status);
    if (status == EVSS_AGAIN) return nb::cast(false);
    if (status == EVSS_END_OF_STREAM) return nb::none();
    return nb::make_tuple(labelled.slot, dict_of_frame(*labelled.frame, self), dict_of(*labelled.result, self));
  }
  void release(uint32_t slot) {
    evss_labelled labelled{};
    labelled.slot = slot;
    raise_if_failed(evss_loop_release(loop_, &labelled));
  }
  void stop() {
    nb::gil_scoped_release release;
    evss_loop_stop(loop_);
  }

  void end() {
    nb::gil_scoped_release release;
    evss_loop_end(loop_);
  }

  nb::dict stats() const {
    evss_loop_stats stats;
    stats.struct_size = sizeof stats;
    raise_if_failed(evss_loop_get_stats(loop_, &stats));
    nb::dict found;
    found["frames"] = stats.frames;
    found["refused"] = stats.refused;
    found["dropped_sink"] = stats.dropped_sink;
    found["scene_cuts"] = stats.scene_cuts;
    found["fallbacks"] = stats.fallbacks;
    found["age_sum"] = stats.age_sum;
    found["age_max"] = stats.age_max;
    found["seconds"] = stats.seconds;
    found["waited_s"] = stats.waited_s;
    found["flags"] = std::vector<uint64_t>(stats.flags, stats.flags + 32);
    found["suspect"] = std::vector<uint64_t>(stats.suspect, stats.suspect + 8);
    found["fired"] = std::vector<uint64_t>(stats.fired, stats.fired + stats.num_stages);
    return found;
  }

  // Number of the first record, and columns.
  nb::tuple records(uint64_t first, size_t count) const {
    evss_loop_stats stats;
    stats.struct_size = sizeof stats;
    raise_if_failed(evss_loop_get_stats(loop_, &stats));
    std::vector<evss_frame_record> rows(count);
    std::vector<evss_stage_record> stages(count * stats.num_stages);
    raise_if_failed(evss_loop_records(loop_, &first, &count, rows.data(), stages.data()));
    rows.resize(count);
    stages.resize(count * stats.num_stages);
    nb::dict found;
    const auto frames = [&](const char* name, auto field) { found[name] = column(rows, {count}, field); };
    const auto parts = [&](const char* name, auto field) {
      found[name] = column(stages, {count, stats.num_stages}, field);
    };
    frames("sequence", &evss_frame_record::sequence);
    frames("pts_us", &evss_frame_record::pts_us);
    frames("captured_ns", &evss_frame_record::captured_ns);
    frames("done_ns", &evss_frame_record::done_ns);
    frames("fired", &evss_frame_record::fired);
    frames("flags", &evss_frame_record::flags);
    frames("age_frames", &evss_frame_record::age_frames);
    frames("age_ms", &evss_frame_record::age_ms);
    frames("latency_ms", &evss_frame_record::latency_ms);
    frames("pre_ms", &evss_frame_record::pre_ms);
    frames("engines_ms", &evss_frame_record::engines_ms);
    frames("post_ms", &evss_frame_record::post_ms);
    frames("pre_begin_ms", &evss_frame_record::pre_begin_ms);
    frames("post_begin_ms", &evss_frame_record::post_begin_ms);
    frames("waited_ms", &evss_frame_record::waited_ms);
    frames("schedule", &evss_frame_record::schedule_index);
    frames("restart", &evss_frame_record::restart);
    parts("stage_ms", &evss_stage_record::ms);
    parts("stage_begin_ms", &evss_stage_record::begin_ms);
    parts("change", &evss_stage_record::change);
    return nb::make_tuple(first, found);
  }

 private:
  evss_loop* loop_ = nullptr;
};

// Label maps for other processes.
class SharedLabels {
 public:
  SharedLabels(const std::string& name, const std::string& output,
               nb::ndarray<const uint8_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu> colours, uint32_t height,
               uint32_t width) {
    evss_output_info info{};
    info.name = output.c_str();
    info.num_classes = static_cast<uint32_t>(colours.shape(0));
    info.colours = colours.data();
    raise_if_failed(evss_shm_open(name.c_str(), &info, height, width, &shm_));
  }
  ~SharedLabels() { close(); }
  SharedLabels(const SharedLabels&) = delete;
  SharedLabels& operator=(const SharedLabels&) = delete;

  void write(nb::ndarray<const uint8_t, nb::ndim<2>, nb::device::cpu> labels, uint64_t sequence, int64_t pts_us,
             int64_t captured_ns, int64_t done_ns, uint32_t flags, uint32_t age_frames) {
    if (labels.stride(1) != 1) throw nb::value_error("the bytes of a row of labels are contiguous");
    evss_label_map map{};
    map.labels = labels.data();
    map.height = static_cast<uint32_t>(labels.shape(0));
    map.width = static_cast<uint32_t>(labels.shape(1));
    map.stride = static_cast<uint32_t>(labels.stride(0));
    map.age_frames = age_frames;
    evss_result result{};
    result.sequence = sequence;
    result.pts_us = pts_us;
    result.captured_ns = captured_ns;
    result.done_ns = done_ns;
    result.flags = flags;
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_shm_write(shm_, &result, &map);
    }
    raise_if_failed(status);
  }
  void close() { evss_shm_close(&shm_); }

 private:
  evss_shm* shm_ = nullptr;
};

}  // namespace

void bind_loop(nb::module_& module) {
  nb::class_<LoopSource>(module, "LoopSource").def("stats", [](const LoopSource& source) {
    return stats_of(source.table());
  });
  module.def("open_y4m", &open_y4m, nb::rv_policy::take_ownership);
  nb::class_<Feed>(module, "Feed")
      .def(nb::init<uint32_t>())
      .def("source", &Feed::source, nb::rv_policy::take_ownership)
      .def("push", &Feed::push)
      .def("end", &Feed::end);
  nb::class_<SharedLabels>(module, "SharedLabels")
      .def(nb::init<const std::string&, const std::string&,
                    nb::ndarray<const uint8_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>, uint32_t, uint32_t>())
      .def("write", &SharedLabels::write)
      .def("close", &SharedLabels::close);
  nb::class_<Loop>(module, "Loop")
      .def(nb::init<Pipeline&, LoopSource&, uint32_t, uint64_t, bool, uint32_t, double, bool, bool>(),
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def("next",
           [](nb::handle_t<Loop> self, uint32_t timeout_ms) { return nb::cast<Loop&>(self).next(self, timeout_ms); })
      .def("release", &Loop::release)
      .def("stop", &Loop::stop)
      .def("end", &Loop::end)
      .def("stats", &Loop::stats)
      .def("records", &Loop::records);
}
