// Sources and video files for Python: frames are copied out with the GIL released, and given back at once.
#include <cstring>
#include <memory>

#include "native.h"

namespace {

struct Shape {
  size_t rows, columns, channels;  // channels 0: the plane has two axes
};

// As edge_vss.frame.plane_shapes says.
size_t plane_shapes(const evss_frame& frame, Shape* out) {
  const size_t height = frame.height, width = frame.width, half_height = (height + 1) / 2, half_width = (width + 1) / 2;
  out[0] = {height, width, 0};
  switch (frame.format) {
    case EVSS_NV12:
      out[1] = {half_height, half_width, 2};
      return 2;
    case EVSS_I420:
      out[1] = out[2] = {half_height, half_width, 0};
      return 3;
    case EVSS_YUYV:
      out[0] = {height, half_width * 2, 2};
      return 1;
    case EVSS_GREY:
      return 1;
    default:
      out[0] = {height, width, 3};
      return 1;
  }
}

struct Copies {
  std::unique_ptr<uint8_t[]> planes[3];
  Shape shapes[3];
  size_t count;
};

Copies copied(const evss_frame& frame) {
  Copies copies;
  copies.count = plane_shapes(frame, copies.shapes);
  for (size_t i = 0; i < copies.count; ++i) {
    const Shape& shape = copies.shapes[i];
    const size_t row_bytes = shape.columns * (shape.channels ? shape.channels : 1);
    copies.planes[i].reset(new uint8_t[shape.rows * row_bytes]);
    for (size_t row = 0; row < shape.rows; ++row)
      std::memcpy(copies.planes[i].get() + row * row_bytes, frame.planes[i] + row * frame.strides[i], row_bytes);
  }
  return copies;
}

Bytes plane_of(std::unique_ptr<uint8_t[]> bytes, const Shape& shape) {
  uint8_t* data = bytes.release();
  nb::capsule owner(data, [](void* address) noexcept { delete[] static_cast<uint8_t*>(address); });
  const size_t sizes[] = {shape.rows, shape.columns, shape.channels};
  return Bytes(data, shape.channels ? 3 : 2, sizes, owner);
}

class Source {
 public:
  Source(const std::string& uri, uint32_t height, uint32_t width, double fps, uint32_t flip_method, int32_t sensor_mode,
         uint32_t timeout_ms, int32_t max_rebuilds, const std::optional<std::string>& pipeline) {
    evss_source_options options;
    evss_source_options_init(&options);
    options.height = height;
    options.width = width;
    options.fps = fps;
    options.flip_method = flip_method;
    options.sensor_mode = sensor_mode;
    options.timeout_ms = timeout_ms;
    options.max_rebuilds = max_rebuilds;
    options.pipeline = pipeline ? pipeline->c_str() : nullptr;
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_source_open(uri.c_str(), &options, &source_);
    }
    raise_if_failed(status);
  }
  ~Source() { close(); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  void close() {
    nb::gil_scoped_release release;
    evss_source_close(&source_);
  }

  // None where no frame came in time; StopIteration after the last one; a dict otherwise.
  nb::object next(uint32_t timeout_ms) {
    check_open();
    evss_frame frame;
    char error[640] = "";
    evss_status status;
    Copies copies;
    {
      nb::gil_scoped_release release;
      status = source_.next(source_.user, timeout_ms, &frame, error, sizeof error);
      if (status == EVSS_OK) {
        copies = copied(frame);
        source_.release(source_.user, &frame);
      }
    }
    raise_if_failed(status, error);
    if (status == EVSS_END_OF_STREAM) throw nb::stop_iteration("the stream has ended");
    if (status == EVSS_AGAIN) return nb::none();
    nb::list planes;
    for (size_t i = 0; i < copies.count; ++i) planes.append(plane_of(std::move(copies.planes[i]), copies.shapes[i]));
    nb::dict found;
    found["format"] = frame.format;
    found["planes"] = nb::tuple(planes);
    found["height"] = frame.height;
    found["width"] = frame.width;
    found["matrix"] = frame.matrix;
    found["range"] = frame.range;
    found["pts_us"] = frame.pts_us;
    found["sequence"] = frame.sequence;
    found["captured_ns"] = frame.captured_ns;
    found["suspect"] = frame.suspect;
    return found;
  }

  nb::dict stats() const {
    check_open();
    return stats_of(source_);
  }

  // For a loop: this keeps the camera open, the loop reads from it.
  LoopSource* lent() const {
    check_open();
    return new LoopSource(source_, false);
  }

  nb::dict facts() const {
    nb::dict found;
    found["live"] = source_.live != 0;
    found["height"] = source_.height;
    found["width"] = source_.width;
    found["fps"] = source_.fps;
    return found;
  }

 private:
  void check_open() const {
    if (!source_.next) raise_if_failed(EVSS_INVALID_ARGUMENT, "the source is closed");
  }

  evss_source source_;
};

class Video {
 public:
  Video(const std::string& path, uint32_t height, uint32_t width, double fps, uint32_t bitrate_kbps)
      : height_(height), width_(width) {
    evss_video_options options;
    evss_video_options_init(&options);
    options.height = height;
    options.width = width;
    options.fps = fps;
    options.bitrate_kbps = bitrate_kbps;
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_video_open(path.c_str(), &options, &video_);
    }
    raise_if_failed(status);
  }
  ~Video() {
    nb::gil_scoped_release release;
    evss_video_close(&video_);
  }
  Video(const Video&) = delete;
  Video& operator=(const Video&) = delete;

  void write(nb::ndarray<const uint8_t, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu> rgb, int64_t pts_us) {
    if (!video_) raise_if_failed(EVSS_INVALID_ARGUMENT, "the video is closed");
    if (rgb.shape(0) != height_ || rgb.shape(1) != width_)
      raise_if_failed(EVSS_INVALID_ARGUMENT, "the picture is not of the video's size");
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_video_write(video_, rgb.data(), width_ * 3, pts_us);
    }
    raise_if_failed(status);
  }

  void close() {
    evss_status status;
    {
      nb::gil_scoped_release release;
      status = evss_video_close(&video_);
    }
    raise_if_failed(status);
  }

  std::string encoder() const { return evss_video_encoder(video_); }

 private:
  evss_video* video_ = nullptr;
  const uint32_t height_, width_;
};

}  // namespace

void bind_sources(nb::module_& module) {
  module.doc() = "Cameras and video files through GStreamer; use edge_vss.runtime instead.";
  nb::class_<Source>(module, "Source")
      .def(nb::init<const std::string&, uint32_t, uint32_t, double, uint32_t, int32_t, uint32_t, int32_t,
                    const std::optional<std::string>&>(),
           "uri"_a, nb::kw_only(), "height"_a, "width"_a, "fps"_a, "flip_method"_a, "sensor_mode"_a, "timeout_ms"_a,
           "max_rebuilds"_a, "pipeline"_a.none())
      .def("next", &Source::next, "timeout_ms"_a)
      .def("lent", &Source::lent, nb::rv_policy::take_ownership, nb::keep_alive<0, 1>())
      .def("stats", &Source::stats)
      .def("facts", &Source::facts)
      .def("close", &Source::close);
  nb::class_<Video>(module, "Video")
      .def(nb::init<const std::string&, uint32_t, uint32_t, double, uint32_t>(), "path"_a, nb::kw_only(), "height"_a,
           "width"_a, "fps"_a, "bitrate_kbps"_a)
      .def("write", &Video::write, "rgb"_a.noconvert(), "pts_us"_a)
      .def("encoder", &Video::encoder)
      .def("close", &Video::close);
}
