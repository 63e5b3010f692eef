// One GStreamer pipeline from its text to its end: built, started, watched, ended with EOS. A camera that failed gets a
// new one.
#pragma once

#include <gst/app/gstappsink.h>
#include <gst/gst.h>

#include <functional>
#include <memory>
#include <string>

#include "description.h"

namespace evss::capture {

struct Unref {
  void operator()(gpointer object) const { gst_object_unref(object); }
};
template <class T>
using Owned = std::unique_ptr<T, Unref>;

/// Why a pipeline stopped giving frames.
struct Ending {
  enum What { kNothing, kEnd, kError, kWoken } what = kNothing;
  bool final = false;  ///< trying again will not help: no such device, no right to it, a plug-in is missing
  std::string why;
  bool late = false;  ///< no error, only silence
  evss_status status = EVSS_SOURCE_LOST;
};

class CameraPipeline {
 public:
  /// Called from GStreamer's thread for each sample, which the callee owns. `captured_ns` is CLOCK_MONOTONIC.
  using OnSample = std::function<void(GstSample* sample, int64_t running_ns, int64_t captured_ns)>;

  /// Builds it; throws EVSS_INVALID_ARGUMENT or EVSS_UNAVAILABLE. A pipeline of the user's is paused already, to learn
  /// whether it is live.
  CameraPipeline(const Description& description, OnSample on_sample);
  ~CameraPipeline();  ///< stop()
  CameraPipeline(const CameraPipeline&) = delete;
  CameraPipeline& operator=(const CameraPipeline&) = delete;

  /// Opens the device and lets frames come. False with a reason where it refuses.
  bool start(Ending* ending);
  /// Live: frames come by a clock of their own and are lost when nobody takes them.
  bool is_live() const { return live_; }
  /// Waits for an end, an error or wake(), at most `timeout_ns`.
  Ending wait(int64_t timeout_ns);
  /// How long the file says its video is; 0 where it does not, or says only how long picture and sound last.
  int64_t stated_ns() const;
  /// From any thread: wait() returns kWoken.
  void wake() const;
  /// Sends EOS, without which nvargus keeps a dead session, waits for it a little, and releases the device.
  void stop();

 private:
  static GstFlowReturn new_sample(GstAppSink* sink, gpointer self);
  static GstPadProbeReturn allocation(GstPad* pad, GstPadProbeInfo* info, gpointer self);
  void take_sink();
  void set_source(const Description& description);
  bool asked_live();
  Ending ending_of(GstMessage* message) const;

  OnSample on_sample_;
  Owned<GstElement> pipeline_, sink_;
  Owned<GstBus> bus_;
  bool live_ = true, started_ = false, playing_ = false, at_end_ = false;
};

}  // namespace evss::capture
