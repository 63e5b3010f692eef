#include "camera_pipeline.h"

#include <gst/video/video.h>

#include <cstring>
#include <ctime>

#include "../error.h"
#include "picture.h"

namespace evss::capture {

namespace {

constexpr GstClockTime kEosWait = 500 * GST_MSECOND;
constexpr GstClockTime kPreroll = 5 * GST_SECOND;
constexpr guint kBuffersHeld = 8;  // of a camera's own pool, beyond what its driver needs

std::string one_line(const char* text) {
  std::string line = text ? text : "no reason given";
  for (char& c : line) c = c == '\n' ? ' ' : c;
  while (!line.empty() && (line.back() == '.' || line.back() == ' ')) line.pop_back();
  return line;
}

// The only appsink in the pipeline, with a reference of its own; nullptr where there is none or more than one.
GstElement* only_appsink(GstElement* pipeline) {
  GstElement* found = nullptr;
  int count = 0;
  GstIterator* sinks = gst_bin_iterate_all_by_element_factory_name(GST_BIN(pipeline), "appsink");
  GValue item = G_VALUE_INIT;
  while (gst_iterator_next(sinks, &item) == GST_ITERATOR_OK) {
    if (count++ == 0) found = GST_ELEMENT(g_value_dup_object(&item));
    g_value_reset(&item);
  }
  g_value_unset(&item);
  gst_iterator_free(sinks);
  if (count == 1) return found;
  if (found) gst_object_unref(found);
  return nullptr;
}

// What demultiplexers have found in the file.
int streams_of(GstElement* pipeline) {
  int count = 0;
  GstIterator* elements = gst_bin_iterate_recurse(GST_BIN(pipeline));
  GValue item = G_VALUE_INIT;
  while (gst_iterator_next(elements, &item) == GST_ITERATOR_OK) {
    auto* element = GST_ELEMENT(g_value_get_object(&item));
    const gchar* kind = gst_element_get_metadata(element, GST_ELEMENT_METADATA_KLASS);
    if (kind && std::strstr(kind, "Demuxer")) count += element->numsrcpads;
    g_value_reset(&item);
  }
  g_value_unset(&item);
  gst_iterator_free(elements);
  return count;
}

}  // namespace

CameraPipeline::CameraPipeline(const Description& description, OnSample on_sample) : on_sample_(std::move(on_sample)) {
  GError* why = nullptr;
  GstElement* made = gst_parse_launch_full(
      description.text.c_str(), nullptr,
      static_cast<GstParseFlags>(GST_PARSE_FLAG_FATAL_ERRORS | GST_PARSE_FLAG_PLACE_IN_BIN), &why);
  const std::string message = why ? one_line(why->message) : "";
  const bool missing = why && g_error_matches(why, GST_PARSE_ERROR, GST_PARSE_ERROR_NO_SUCH_ELEMENT);
  g_clear_error(&why);
  if (!made)
    throw Error(missing ? EVSS_UNAVAILABLE : EVSS_INVALID_ARGUMENT, "GStreamer refuses the pipeline: " + message);
  gst_object_ref_sink(made);
  pipeline_.reset(made);
  if (!GST_IS_PIPELINE(made)) {  // a bin came back where the text names one
    pipeline_.release();
    GstElement* whole = GST_ELEMENT(gst_object_ref_sink(gst_pipeline_new(nullptr)));
    gst_bin_add(GST_BIN(whole), made);
    gst_object_unref(made);
    pipeline_.reset(whole);
  }
  bus_.reset(gst_element_get_bus(pipeline_.get()));
  set_source(description);
  take_sink();
  // Buffer times become CLOCK_MONOTONIC by adding the base time, whatever clock an element would offer.
  GstClock* clock = gst_system_clock_obtain();
  gst_pipeline_use_clock(GST_PIPELINE(pipeline_.get()), clock);
  gst_object_unref(clock);
  live_ = description.kind == Kind::kExpert ? asked_live() : description.kind != Kind::kFile;
}

CameraPipeline::~CameraPipeline() { stop(); }

void CameraPipeline::set_source(const Description& description) {
  if (description.property.empty()) return;
  GstElement* source = gst_bin_get_by_name(GST_BIN(pipeline_.get()), "src");
  g_object_set(source, description.property.c_str(), description.value.c_str(), nullptr);
  gst_object_unref(source);
}

void CameraPipeline::take_sink() {
  sink_.reset(only_appsink(pipeline_.get()));
  if (!sink_) throw Error(EVSS_INVALID_ARGUMENT, "the pipeline must hold one appsink, at its end");
  GstAppSink* sink = GST_APP_SINK(sink_.get());
  GstCaps* caps = gst_app_sink_get_caps(sink);
  if (!caps) {
    caps = gst_caps_from_string(kFormatCaps);
    gst_app_sink_set_caps(sink, caps);
  }
  gst_caps_unref(caps);
  // The callback takes every sample at once: the slot, its policy and its counts are ours.
  g_object_set(sink, "emit-signals", FALSE, "max-buffers", 1u, "drop", FALSE, "wait-on-eos", FALSE,
               "enable-last-sample", FALSE, nullptr);
  GstAppSinkCallbacks callbacks = {};
  callbacks.new_sample = &CameraPipeline::new_sample;
  gst_app_sink_set_callbacks(sink, &callbacks, this, nullptr);
  GstPad* pad = gst_element_get_static_pad(sink_.get(), "sink");
  gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, &CameraPipeline::allocation, this, nullptr);
  gst_object_unref(pad);
}

// Tells upstream that rows may be padded and that we keep some buffers, so that nothing is copied for our sake.
GstPadProbeReturn CameraPipeline::allocation(GstPad*, GstPadProbeInfo* info, gpointer) {
  GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
  if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
  GstCaps* caps = nullptr;
  gboolean need_pool = FALSE;
  gst_query_parse_allocation(query, &caps, &need_pool);
  GstVideoInfo picture;
  if (!caps || !gst_video_info_from_caps(&picture, caps)) return GST_PAD_PROBE_OK;
  gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  gst_query_add_allocation_pool(query, nullptr, static_cast<guint>(picture.size), kBuffersHeld, 0);
  return GST_PAD_PROBE_HANDLED;
}

GstFlowReturn CameraPipeline::new_sample(GstAppSink* sink, gpointer self) {
  auto* pipeline = static_cast<CameraPipeline*>(self);
  GstSample* sample = gst_app_sink_pull_sample(sink);
  if (!sample) return GST_FLOW_OK;
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t now_ns = now.tv_sec * GST_SECOND + now.tv_nsec;
  GstBuffer* buffer = gst_sample_get_buffer(sample);
  const GstClockTime time = buffer ? GST_BUFFER_PTS(buffer) : GST_CLOCK_TIME_NONE;
  const guint64 running = gst_segment_to_running_time(gst_sample_get_segment(sample), GST_FORMAT_TIME, time);
  int64_t captured_ns = now_ns;
  if (GST_CLOCK_TIME_IS_VALID(running)) {
    const int64_t stamped = static_cast<int64_t>(gst_element_get_base_time(GST_ELEMENT(sink)) + running);
    captured_ns = stamped < now_ns ? stamped : now_ns;  // no picture is taken in the future
  }
  pipeline->on_sample_(sample, GST_CLOCK_TIME_IS_VALID(running) ? static_cast<int64_t>(running) : -1, captured_ns);
  return GST_FLOW_OK;
}

// Elements know whether they are live once they are paused; those that ask a network take a moment.
bool CameraPipeline::asked_live() {
  started_ = true;
  GstStateChangeReturn paused = gst_element_set_state(pipeline_.get(), GST_STATE_PAUSED);
  if (paused == GST_STATE_CHANGE_ASYNC) paused = gst_element_get_state(pipeline_.get(), nullptr, nullptr, kPreroll);
  return paused != GST_STATE_CHANGE_SUCCESS;
}

bool CameraPipeline::start(Ending* ending) {
  started_ = true;
  playing_ = gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) != GST_STATE_CHANGE_FAILURE;
  if (playing_) return true;
  *ending = wait(0);
  if (ending->what != Ending::kError) *ending = {Ending::kError, false, "it does not start", false, EVSS_SOURCE_LOST};
  return false;
}

Ending CameraPipeline::ending_of(GstMessage* message) const {
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS) return {Ending::kEnd, false, "the stream ended"};
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_APPLICATION) return {Ending::kWoken, false, ""};
  GError* error = nullptr;
  gst_message_parse_error(message, &error, nullptr);
  Ending ending = {Ending::kError, false, one_line(error ? error->message : nullptr)};
  if (GST_MESSAGE_SRC_NAME(message)) ending.why = std::string(GST_MESSAGE_SRC_NAME(message)) + ": " + ending.why;
  ending.final = g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND) ||
                 g_error_matches(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED) ||
                 g_error_matches(error, GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN) ||
                 g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_CODEC_NOT_FOUND) ||
                 g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE) ||
                 g_error_matches(error, GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND);
  g_clear_error(&error);
  return ending;
}

Ending CameraPipeline::wait(int64_t timeout_ns) {
  constexpr auto kKinds = static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS | GST_MESSAGE_APPLICATION);
  const GstClockTime timeout = timeout_ns > 0 ? static_cast<GstClockTime>(timeout_ns) : 0;
  GstMessage* message = gst_bus_timed_pop_filtered(bus_.get(), timeout, kKinds);
  if (!message) return {};
  const Ending ending = ending_of(message);
  gst_message_unref(message);
  at_end_ = at_end_ || ending.what == Ending::kEnd;
  return ending;
}

int64_t CameraPipeline::stated_ns() const {
  gint64 stated = 0;
  if (streams_of(pipeline_.get()) != 1) return 0;
  return gst_element_query_duration(pipeline_.get(), GST_FORMAT_TIME, &stated) && stated > 0 ? stated : 0;
}

void CameraPipeline::wake() const {
  gst_bus_post(bus_.get(), gst_message_new_application(nullptr, gst_structure_new_empty("wake")));
}

void CameraPipeline::stop() {
  if (!started_) return;
  started_ = false;
  // A file has no session to end, and its EOS would wait behind all that is still to be decoded.
  if (live_ && !at_end_ && gst_element_send_event(pipeline_.get(), gst_event_new_eos())) {
    constexpr auto kKinds = static_cast<GstMessageType>(GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    const GstClockTime patience = playing_ ? kEosWait : 0;  // where it never ran nothing comes through
    if (GstMessage* message = gst_bus_timed_pop_filtered(bus_.get(), patience, kKinds)) gst_message_unref(message);
  }
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
}

}  // namespace evss::capture
