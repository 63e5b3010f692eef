// Python face of the pixel kernels, for tests, benchmarks and the reports: converts arguments and nothing else.
#include "pixels.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "reference.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using evss::FrameView;
using evss::Isa;
using evss::ParallelFor;

using Plane = nb::ndarray<const uint8_t, nb::device::cpu>;
using Labels = nb::ndarray<uint8_t, nb::ndim<2>, nb::device::cpu>;
using ConstLabels = nb::ndarray<const uint8_t, nb::ndim<2>, nb::device::cpu>;
using Image = nb::ndarray<const uint8_t, nb::shape<-1, -1, 3>, nb::device::cpu>;
using ImageOut = nb::ndarray<uint8_t, nb::shape<-1, -1, 3>, nb::device::cpu>;
using AnyIn = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using AnyOut = nb::ndarray<nb::c_contig, nb::device::cpu>;
using Size = std::pair<int, int>;  // height, width
using Map = std::pair<double, double>;

[[noreturn]] void fail(const std::string& message) { throw nb::value_error(message.c_str()); }

/// Value of the name; the names are listed in the order of the enum's values.
template <class Enum>
Enum named(const char* what, const std::string& name, std::initializer_list<const char*> known) {
  std::string list;
  int value = 0;
  for (const char* one : known) {
    if (name == one) return static_cast<Enum>(value);
    list += (value++ == 0 ? "" : ", ") + std::string(one);
  }
  fail("unknown " + std::string(what) + " '" + name + "'; known: " + list);
}

evss::PixelFormat pixel_format(const std::string& name) {
  return named<evss::PixelFormat>("pixel format", name, {"nv12", "i420", "yuyv", "bgr", "rgb", "grey"});
}
evss::ChannelOrder channel_order(const std::string& name) {
  return named<evss::ChannelOrder>("channel order", name, {"rgb", "bgr"});
}
evss::Fit fit_named(const std::string& name) { return named<evss::Fit>("fit", name, {"stretch", "letterbox", "crop"}); }
evss::CornerRule corner_rule(const std::string& name) {
  return named<evss::CornerRule>("corner rule", name, {"half_pixel", "align_corners"});
}

Isa isa_or_default(const std::optional<std::string>& name) {
  if (!name) return evss::default_isa();
  for (Isa isa : evss::supported_isas())
    if (*name == evss::isa_name(isa)) return isa;
  fail("instruction set '" + *name + "' is not supported here");
}

/// work(row_begin, row_end) over the pool, or over the calling thread; without the GIL.
template <class Work>
void over_rows(ParallelFor* pool, int height, const Work& work) {
  nb::gil_scoped_release release;
  if (pool == nullptr) return work(0, height);
  pool->rows(height, 16, work);
}

template <class Array>
void check_rows(const Array& array, const char* what) {
  ptrdiff_t packed = 1;
  for (size_t axis = array.ndim(); axis-- > 1; packed *= static_cast<ptrdiff_t>(array.shape(axis)))
    if (array.shape(axis) > 1 && array.stride(axis) != packed) fail(std::string(what) + " needs contiguous rows");
}

void check_shape(const std::vector<size_t>& got, const std::vector<size_t>& want, const char* what) {
  if (got == want) return;
  const auto text = [](const std::vector<size_t>& shape) {
    std::string s = "(";
    for (size_t size : shape) s += std::to_string(size) + ",";
    return s + ")";
  };
  fail(std::string(what) + " has shape " + text(got) + ", expected " + text(want));
}

template <class Array>
std::vector<size_t> shape_of(const Array& array) {
  std::vector<size_t> shape;
  for (size_t axis = 0; axis < array.ndim(); ++axis) shape.push_back(array.shape(axis));
  return shape;
}

FrameView frame_view(const evss::PreprocessConfig& c, nb::sequence planes, const std::string& matrix,
                     const std::string& range) {
  FrameView frame;
  frame.format = c.format, frame.width = c.source_width, frame.height = c.source_height;
  frame.matrix = named<evss::ColourMatrix>("colour matrix", matrix, {"bt601", "bt709"});
  frame.range = named<evss::ColourRange>("colour range", range, {"limited", "full"});
  if (static_cast<int>(nb::len(planes)) != evss::plane_count(c.format)) fail("wrong number of planes");
  for (int i = 0; i < evss::plane_count(c.format); ++i) {
    const Plane plane = nb::cast<Plane>(planes[i], false);
    check_rows(plane, "plane");
    const int rows = evss::plane_rows(c.format, i, frame.height);
    const int bytes = evss::plane_row_bytes(c.format, i, frame.width);
    size_t row_size = 1;
    for (size_t axis = 1; axis < plane.ndim(); ++axis) row_size *= plane.shape(axis);
    if (plane.ndim() < 2 || plane.shape(0) != static_cast<size_t>(rows) || row_size != static_cast<size_t>(bytes))
      fail("plane " + std::to_string(i) + " needs " + std::to_string(rows) + " rows of " + std::to_string(bytes) +
           " bytes");
    frame.planes[i] = plane.data();
    frame.strides[i] = plane.stride(0);
  }
  return frame;
}

void check_input_tensor(const evss::PreprocessConfig& c, const AnyOut& out) {
  const size_t h = c.network_height, w = c.network_width;
  check_shape(shape_of(out),
              c.layout == evss::Layout::kNchw ? std::vector<size_t>{1, 3, h, w} : std::vector<size_t>{1, h, w, 3},
              "out");
  const bool right = c.type == evss::InputType::kFloat32 ? out.dtype() == nb::dtype<float>()
                     : c.type == evss::InputType::kUint8 ? out.dtype() == nb::dtype<uint8_t>()
                                                         : out.dtype() == nb::dtype<int8_t>();
  if (!right) fail("out has another type than the preprocessor writes");
}

void bind_geometry(nb::module_& m) {
  using evss::FitGeometry;
  const auto rect = [](const evss::Rect& r) { return std::make_tuple(r.x, r.y, r.width, r.height); };
  const auto map = [](const evss::AxisMap& a) { return Map(a.scale, a.offset); };
  nb::class_<FitGeometry>(m, "FitGeometry", "How a source is fitted into the network's input; rectangles (x, y, w, h).")
      .def_prop_ro("source_rect", [rect](const FitGeometry& g) { return rect(g.source_rect); })
      .def_prop_ro("network_rect", [rect](const FitGeometry& g) { return rect(g.network_rect); })
      .def_prop_ro("network_to_source_x", [map](const FitGeometry& g) { return map(g.network_to_source_x); })
      .def_prop_ro("network_to_source_y", [map](const FitGeometry& g) { return map(g.network_to_source_y); })
      .def_prop_ro("source_to_network_x", [map](const FitGeometry& g) { return map(g.source_to_network_x); })
      .def_prop_ro("source_to_network_y", [map](const FitGeometry& g) { return map(g.source_to_network_y); });
  m.def(
      "fit_geometry",
      [](Size source, Size network, const std::string& fit) {
        if (std::min({source.first, source.second, network.first, network.second}) < 1) fail("sizes must be > 0");
        return evss::fit_geometry(source.first, source.second, network.first, network.second, fit_named(fit));
      },
      "source"_a, "network"_a, "fit"_a, "Sizes are (height, width).");
  m.def(
      "grid_maps",
      [](const FitGeometry& g, Size grid, const std::string& output, const std::string& corners) {
        const evss::CornerRule rule = corner_rule(corners);
        const bool network = named<int>("output size", output, {"source", "network"}) == 1;
        const evss::AxisMap x = network ? evss::grid_map_for_network_x(g, grid.second, rule)
                                        : evss::grid_map_for_source_x(g, grid.second, rule);
        const evss::AxisMap y = network ? evss::grid_map_for_network_y(g, grid.first, rule)
                                        : evss::grid_map_for_source_y(g, grid.first, rule);
        return std::make_pair(Map(y.scale, y.offset), Map(x.scale, x.offset));
      },
      "geometry"_a, "grid"_a, "output"_a, "corners"_a = "half_pixel",
      "(scale, offset) from output pixels to score grid samples, for y and x; output is 'network' or 'source'.");
}

std::unique_ptr<evss::Preprocessor> make_preprocessor(const std::string& format, Size source, Size network,
                                                      const std::string& fit, double pad, const std::string& order,
                                                      std::array<double, 3> mean, std::array<double, 3> stddev,
                                                      const std::string& type, const std::string& layout, float scale,
                                                      int zero_point, const std::optional<std::string>& isa) {
  evss::PreprocessConfig c;
  c.format = pixel_format(format);
  c.source_height = source.first, c.source_width = source.second;
  c.network_height = network.first, c.network_width = network.second;
  c.fit = fit_named(fit), c.pad = pad, c.order = channel_order(order);
  std::copy(mean.begin(), mean.end(), c.mean);
  std::copy(stddev.begin(), stddev.end(), c.stddev);
  c.type = named<evss::InputType>("type", type, {"float32", "uint8", "int8"});
  c.layout = named<evss::Layout>("layout", layout, {"nchw", "nhwc"});
  c.scale = scale, c.zero_point = zero_point;
  std::string error;
  auto made = evss::Preprocessor::create(c, &error, isa_or_default(isa));
  if (!made) fail(error);
  return made;
}

void bind_preprocess(nb::module_& m) {
  using evss::Preprocessor;
  nb::class_<Preprocessor>(m, "Preprocessor", "Frame planes -> network input.")
      .def(nb::new_(&make_preprocessor), "format"_a, "source"_a, "network"_a, nb::kw_only(), "fit"_a = "stretch",
           "pad"_a = 0.0, "order"_a = "rgb", "mean"_a = std::array<double, 3>{0, 0, 0},
           "std"_a = std::array<double, 3>{1, 1, 1}, "type"_a = "float32", "layout"_a = "nchw", "scale"_a = 1.0f,
           "zero_point"_a = 0, "isa"_a = nb::none())
      .def_prop_ro("geometry", &Preprocessor::geometry)
      .def_prop_ro("isa", [](const Preprocessor& p) { return evss::isa_name(p.isa()); })
      .def(
          "run",
          [](const Preprocessor& p, nb::sequence planes, AnyOut out, const std::string& matrix,
             const std::string& range, ParallelFor* pool) {
            const FrameView frame = frame_view(p.config(), planes, matrix, range);
            check_input_tensor(p.config(), out);
            if (const char* error = p.check(frame)) fail(error);
            void* dst = out.data();
            over_rows(pool, p.config().network_height, [&](int begin, int end) { p.run(frame, dst, begin, end); });
          },
          "planes"_a, "out"_a.noconvert(), nb::kw_only(), "matrix"_a = "bt601", "range"_a = "limited",
          "pool"_a.none() = nb::none(), "Writes the whole (1, 3, H, W) or (1, H, W, 3) tensor.")
      .def(
          "reference",
          [](const Preprocessor& p, nb::sequence planes, AnyOut out, const std::string& matrix,
             const std::string& range) {
            check_input_tensor(p.config(), out);
            evss::reference_preprocess(p.config(), frame_view(p.config(), planes, matrix, range), out.data());
          },
          "planes"_a, "out"_a.noconvert(), nb::kw_only(), "matrix"_a = "bt601", "range"_a = "limited",
          "The same by the plain reference.");
}

std::unique_ptr<evss::ScoreUpsampler> make_upsampler(const std::string& kind, const std::string& type, int channels,
                                                     Size grid, Size out, Map y, Map x, const std::vector<int>& ignored,
                                                     float threshold, const std::optional<std::string>& isa) {
  evss::ScoreUpsamplerConfig c;
  c.kind = named<evss::ScoreKind>("kind", kind, {"scores", "binary"});
  c.type = named<evss::ScoreType>("type", type, {"float32", "uint8", "int8"});
  c.channels = channels, c.grid_height = grid.first, c.grid_width = grid.second;
  c.out_height = out.first, c.out_width = out.second;
  c.y_to_grid = {y.first, y.second}, c.x_to_grid = {x.first, x.second};
  c.ignored = ignored, c.threshold = threshold;
  std::string error;
  auto made = evss::ScoreUpsampler::create(c, &error, isa_or_default(isa));
  if (!made) fail(error);
  return made;
}

void check_scores(const evss::ScoreUpsamplerConfig& c, const AnyIn& scores, const Labels& labels) {
  check_shape(
      shape_of(scores),
      {1, static_cast<size_t>(c.channels), static_cast<size_t>(c.grid_height), static_cast<size_t>(c.grid_width)},
      "scores");
  check_shape(shape_of(labels), {static_cast<size_t>(c.out_height), static_cast<size_t>(c.out_width)}, "labels");
  const bool right = c.type == evss::ScoreType::kFloat32 ? scores.dtype() == nb::dtype<float>()
                     : c.type == evss::ScoreType::kUint8 ? scores.dtype() == nb::dtype<uint8_t>()
                                                         : scores.dtype() == nb::dtype<int8_t>();
  if (!right) fail("scores have another type than the upsampler reads");
  check_rows(labels, "labels");
}

void bind_upsample(nb::module_& m) {
  using evss::ScoreUpsampler;
  nb::class_<ScoreUpsampler>(m, "ScoreUpsampler", "Class scores -> label map, upsampled.")
      .def(nb::new_(&make_upsampler), nb::kw_only(), "kind"_a = "scores", "type"_a = "float32", "channels"_a, "grid"_a,
           "out"_a, "y"_a, "x"_a, "ignored"_a = std::vector<int>(), "threshold"_a = 0.0f, "isa"_a = nb::none())
      .def(
          "run",
          [](const ScoreUpsampler& u, AnyIn scores, Labels labels, ParallelFor* pool) {
            check_scores(u.config(), scores, labels);
            std::atomic<bool> finite{true};
            const void* from = scores.data();
            uint8_t* to = labels.data();
            const ptrdiff_t stride = labels.stride(0);
            over_rows(pool, u.config().out_height, [&](int begin, int end) {
              if (!u.run(from, to, stride, begin, end)) finite = false;
            });
            return finite.load();
          },
          "scores"_a.noconvert(), "labels"_a.noconvert(), "pool"_a.none() = nb::none(),
          "(1, C, h, w) -> (H, W) uint8; False where a score is not finite.")
      .def(
          "reference",
          [](const ScoreUpsampler& u, AnyIn scores, Labels labels,
             nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu> gap) {
            check_scores(u.config(), scores, labels);
            check_shape(shape_of(gap), shape_of(labels), "gap");
            if (labels.stride(0) != u.config().out_width) fail("labels of the reference must be contiguous");
            evss::reference_upsample(u.config(), scores.data(), labels.data(), gap.data());
          },
          "scores"_a.noconvert(), "labels"_a.noconvert(), "gap"_a.noconvert(),
          "The same by the plain reference; gap is best minus second score in units of the last place.");
}

evss::LabelType label_type(nb::dlpack::dtype type) {
  if (type == nb::dtype<uint8_t>()) return evss::LabelType::kUint8;
  if (type == nb::dtype<int32_t>()) return evss::LabelType::kInt32;
  if (type == nb::dtype<int64_t>()) return evss::LabelType::kInt64;
  fail("labels must be uint8, int32 or int64");
}

evss::OverlayArgs overlay_args(ConstLabels labels, Image image, ImageOut out, const std::string& order) {
  check_shape(shape_of(labels), {image.shape(0), image.shape(1)}, "labels");
  check_shape(shape_of(out), shape_of(image), "out");
  check_rows(labels, "labels"), check_rows(image, "image"), check_rows(out, "out");
  return {labels.data(),
          labels.stride(0),
          image.data(),
          image.stride(0),
          channel_order(order),
          out.data(),
          out.stride(0),
          static_cast<int>(image.shape(1)),
          static_cast<int>(image.shape(0))};
}

using PaletteArray = nb::ndarray<const uint8_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;

void bind_labels(nb::module_& m) {
  m.def(
      "resize_labels",
      [](AnyIn grid, Labels out, Map y, Map x) {
        if (grid.ndim() != 2) fail("grid must be (h, w)");
        check_rows(out, "out");
        evss::LabelResizerConfig c;
        c.type = label_type(grid.dtype());
        c.grid_height = static_cast<int>(grid.shape(0)), c.grid_width = static_cast<int>(grid.shape(1));
        c.out_height = static_cast<int>(out.shape(0)), c.out_width = static_cast<int>(out.shape(1));
        c.y_to_grid = {y.first, y.second}, c.x_to_grid = {x.first, x.second};
        std::string error;
        auto resizer = evss::LabelResizer::create(c, &error);
        if (!resizer) fail(error);
        resizer->run(grid.data(), out.data(), out.stride(0), 0, c.out_height);
      },
      "grid"_a.noconvert(), "out"_a.noconvert(), "y"_a, "x"_a, "Nearest sample of a label map.");
  m.def(
      "overlay",
      [](ConstLabels labels, Image image, PaletteArray palette, double alpha, ImageOut out, const std::string& order,
         ParallelFor* pool, const std::optional<std::string>& isa) {
        const evss::OverlayArgs args = overlay_args(labels, image, out, order);
        const evss::Palette colours(palette.data(), static_cast<int>(palette.shape(0)), alpha);
        const Isa chosen = isa_or_default(isa);
        over_rows(pool, static_cast<int>(image.shape(0)),
                  [&](int begin, int end) { evss::overlay(colours, args, begin, end, chosen); });
      },
      "labels"_a.noconvert(), "image"_a.noconvert(), "palette"_a.noconvert(), "alpha"_a, "out"_a.noconvert(),
      nb::kw_only(), "order"_a = "rgb", "pool"_a.none() = nb::none(), "isa"_a = nb::none());
  m.def(
      "reference_overlay",
      [](ConstLabels labels, Image image, PaletteArray palette, double alpha, ImageOut out, const std::string& order) {
        evss::reference_overlay(palette.data(), static_cast<int>(palette.shape(0)), alpha,
                                overlay_args(labels, image, out, order));
      },
      "labels"_a.noconvert(), "image"_a.noconvert(), "palette"_a.noconvert(), "alpha"_a, "out"_a.noconvert(),
      nb::kw_only(), "order"_a = "rgb");
  using AnyLabels = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
  m.def(
      "count_changed",
      [](AnyLabels a, AnyLabels b, std::optional<std::array<int, 4>> valid, const std::optional<std::string>& isa) {
        check_shape(shape_of(b), shape_of(a), "b");
        check_rows(a, "a"), check_rows(b, "b");
        if (a.dtype() != b.dtype()) fail("both label maps must have the same type");
        const int height = static_cast<int>(a.shape(0)), width = static_cast<int>(a.shape(1));
        const std::array<int, 4> r = valid.value_or(std::array<int, 4>{0, 0, width, height});
        if (std::min({r[0], r[1], r[2], r[3]}) < 0 || r[0] + r[2] > width || r[1] + r[3] > height)
          fail("valid rectangle lies outside the label map");
        return evss::count_changed(label_type(a.dtype()), a.data(), a.stride(0), b.data(), b.stride(0),
                                   {r[0], r[1], r[2], r[3]}, isa_or_default(isa));
      },
      "a"_a.noconvert(), "b"_a.noconvert(), "valid"_a = nb::none(), "isa"_a = nb::none(),
      "Positions that differ inside valid = (x, y, width, height).");
  using Flat = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
  m.def(
      "relative_change",
      [](Flat a, Flat b, const std::optional<std::string>& isa) {
        check_shape(shape_of(b), shape_of(a), "b");
        return evss::relative_change(a.data(), b.data(), a.size(), isa_or_default(isa));
      },
      "a"_a.noconvert(), "b"_a.noconvert(), "isa"_a = nb::none(), "sum |a - b| / sum |b| in double.");
}

}  // namespace

void bind_pixels(nb::module_& m) {
  m.def("supported_isas", [] {
    std::vector<std::string> names;
    for (Isa isa : evss::supported_isas()) names.push_back(evss::isa_name(isa));
    return names;
  });
  m.def("default_isa", [] { return std::string(evss::isa_name(evss::default_isa())); });
  nb::class_<ParallelFor>(m, "ParallelFor", "A persistent thread pool; the caller is one of its threads.")
      .def(nb::init<int>(), "threads"_a)
      .def_prop_ro("threads", &ParallelFor::threads);
  bind_geometry(m);
  bind_preprocess(m);
  bind_upsample(m);
  bind_labels(m);
}
