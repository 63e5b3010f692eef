// What the files of the extension share: planes of frames, results as dicts, statuses as exceptions.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "edge_vss.h"
#include "raise.h"

namespace nb = nanobind;
using namespace nb::literals;

using Plane = nb::ndarray<const uint8_t, nb::device::cpu>;
using Bytes = nb::ndarray<nb::numpy, uint8_t>;

/// (InvalidArgument, BackendFailed, BadBundle, Unavailable, Internal, SourceLost).
nb::object& error_types();

/// A frame over the planes of arrays, which must outlive it.
evss_frame frame_over(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes,
                      uint32_t matrix, uint32_t range, int64_t pts_us, uint64_t sequence, int64_t captured_ns,
                      uint32_t suspect, bool restart);
/// A result as plain values. Label maps are copies, or views that keep `owner` alive where it is valid.
nb::dict dict_of(const evss_result& result, nb::handle owner);

nb::dict stats_of(const evss_source& source);

/// A source that a loop reads from. What it owns is closed when nothing needs it any more: frames are views into it.
class LoopSource {
 public:
  LoopSource(const evss_source& source, bool owned) : source_(source), owned_(owned) {}
  ~LoopSource() {
    nb::gil_scoped_release release;
    if (owned_) source_.close(source_.user);
  }
  LoopSource(const LoopSource&) = delete;
  LoopSource& operator=(const LoopSource&) = delete;
  const evss_source& table() const { return source_; }

 private:
  evss_source source_;
  bool owned_;
};

class Pipeline {
 public:
  Pipeline(const std::string& bundle, const std::optional<std::string>& schedule, const std::string& backend,
           const std::string& precision, uint32_t threads, bool network_size, const std::string& onnxruntime,
           double deadline_ms, uint32_t max_age, bool background, uint32_t realtime_priority);
  ~Pipeline() { close(); }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  evss_pipeline* handle() const { return handle_; }
  void close();
  bool try_send(uint32_t format, uint32_t height, uint32_t width, const std::vector<Plane>& planes, uint32_t matrix,
                uint32_t range, int64_t pts_us, uint64_t sequence, int64_t captured_ns, uint32_t suspect, bool restart);
  /// None where no frame was sent; a dict of plain values otherwise.
  nb::object receive();
  void finish() { raise_if_failed(evss_finish(handle_)); }
  void reset() { raise_if_failed(evss_reset(handle_)); }
  void set_schedule(const std::string& name) { raise_if_failed(evss_set_schedule(handle_, name.c_str())); }
  void set_deadline(double ms, uint32_t max_age) { raise_if_failed(evss_set_deadline(handle_, ms, max_age)); }
  Bytes read_tensor(const std::string& name, size_t bytes);
  nb::dict info() const;

 private:
  evss_pipeline* handle_ = nullptr;
};

void bind_pipeline(nb::module_& module);
void bind_loop(nb::module_& module);
void bind_pixels(nb::module_& module);
void bind_sources(nb::module_& module);
