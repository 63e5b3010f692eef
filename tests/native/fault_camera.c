/* nvarguscamerasrc and nvvidconv as tests need them; see fault_camera.h. EVSS_FAULTS=30:error:500,90:stall:800 plays
 * faults without a test's help: at the camera's 30th picture an error for 500 ms, and so on. EVSS_CAMERA_LOG names a
 * file that gets a line per session: "ended" by EOS, or "left behind". */
#include "fault_camera.h"

#include <gst/base/gstbasetransform.h>
#include <gst/base/gstpushsrc.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NVMM_CAPS                                                                                                   \
  "video/x-raw(memory:NVMM),format=(string)NV12,width=(int)[16,8192],height=(int)[16,8192],framerate=(fraction)[0/" \
  "1,1000/1]"
#define NV12_CAPS \
  "video/x-raw,format=(string)NV12,width=(int)[16,8192],height=(int)[16,8192],framerate=(fraction)[0/1,1000/1]"

static const char* const kNames[] = {"none",  "stall", "error", "eos",   "repeat",
                                     "green", "black", "size",  "short", "hang"};

/* One camera per process, whatever elements come and go. */
static GMutex lock;
static GCond changed;
static fault_camera_state camera;
static int fault;
static gint64 fault_until_us;
static struct {
  guint64 at;
  int kind;
  guint32 ms;
} planned[64];
static int num_planned;

static int fault_now(void) { /* with the lock */
  if (fault != FAULT_NONE && g_get_monotonic_time() >= fault_until_us) {
    fault = FAULT_NONE;
    camera.back_ns = fault_until_us * 1000;
  }
  return fault;
}

static void begin_fault(int kind, guint32 ms) { /* with the lock */
  fault = kind;
  fault_until_us = g_get_monotonic_time() + (gint64)ms * 1000;
  camera.back_ns = 0;
}

void fault_camera_play(int kind, uint32_t ms) {
  g_mutex_lock(&lock);
  begin_fault(kind, ms);
  g_cond_broadcast(&changed);
  g_mutex_unlock(&lock);
}

void fault_camera_look(fault_camera_state* state) {
  g_mutex_lock(&lock);
  fault_now();
  *state = camera;
  g_mutex_unlock(&lock);
}

void fault_camera_restart_daemon(void) {
  g_mutex_lock(&lock);
  camera.stale = 0;
  g_mutex_unlock(&lock);
}

static void read_plan(void) {
  const char* text = getenv("EVSS_FAULTS");
  gchar** items = g_strsplit(text ? text : "", ",", -1);
  for (gchar** item = items; *item && num_planned < 64; ++item) {
    gchar** parts = g_strsplit(*item, ":", 3);
    if (g_strv_length(parts) == 3) {
      planned[num_planned].at = g_ascii_strtoull(parts[0], NULL, 10);
      planned[num_planned].ms = (guint32)g_ascii_strtoull(parts[2], NULL, 10);
      for (int kind = 0; kind < 10; ++kind)
        if (strcmp(parts[1], kNames[kind]) == 0) planned[num_planned++].kind = kind;
    }
    g_strfreev(parts);
  }
  g_strfreev(items);
}

/* ---- nvarguscamerasrc ------------------------------------------------------------------------------------------- */

typedef struct {
  GstPushSrc parent;
  GstVideoInfo info;
  gint sensor_id, sensor_mode;
  gboolean stopping, said_eos, odd_size;
  GstClockTime next;
  GstBuffer* last;
} FaultSrc;
typedef struct {
  GstPushSrcClass parent;
} FaultSrcClass;
G_DEFINE_TYPE(FaultSrc, fault_src, GST_TYPE_PUSH_SRC)

static void fault_src_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
  FaultSrc* self = (FaultSrc*)object;
  (void)spec;
  *(id == 1 ? &self->sensor_id : &self->sensor_mode) = g_value_get_int(value);
}

static gboolean fault_src_start(GstBaseSrc* base) {
  FaultSrc* self = (FaultSrc*)base;
  g_mutex_lock(&lock);
  const int now = fault_now();
  const gboolean refused =
      now == FAULT_ERROR || now == FAULT_EOS || camera.in_use || camera.stale || self->sensor_id > 0;
  ++*(refused ? &camera.refused : &camera.opened);
  if (!refused) camera.in_use = 1;
  g_mutex_unlock(&lock);
  self->said_eos = self->odd_size = FALSE;
  self->next = GST_CLOCK_TIME_NONE;
  if (refused) GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ_WRITE, ("Failed to create CaptureSession"), (NULL));
  return !refused;
}

static gboolean fault_src_stop(GstBaseSrc* base) {
  FaultSrc* self = (FaultSrc*)base;
  gst_clear_buffer(&self->last);
  g_mutex_lock(&lock);
  camera.in_use = 0;
  camera.stale = !self->said_eos;
  g_mutex_unlock(&lock);
  const char* log = getenv("EVSS_CAMERA_LOG");
  FILE* file = log ? fopen(log, "a") : NULL;
  if (file) {
    fprintf(file, "%s\n", self->said_eos ? "ended" : "left behind");
    fclose(file);
  }
  return TRUE;
}

static gboolean fault_src_send_event(GstElement* element, GstEvent* event) {
  if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) ((FaultSrc*)element)->said_eos = TRUE;
  return GST_ELEMENT_CLASS(fault_src_parent_class)->send_event(element, event);
}

static gboolean fault_src_set_caps(GstBaseSrc* base, GstCaps* caps) {
  return gst_video_info_from_caps(&((FaultSrc*)base)->info, caps);
}

static GstCaps* fault_src_fixate(GstBaseSrc* base, GstCaps* caps) {
  caps = gst_caps_make_writable(caps);
  GstStructure* structure = gst_caps_get_structure(caps, 0);
  gst_structure_fixate_field_nearest_int(structure, "width", 320);
  gst_structure_fixate_field_nearest_int(structure, "height", 240);
  gst_structure_fixate_field_nearest_fraction(structure, "framerate", 30, 1);
  return GST_BASE_SRC_CLASS(fault_src_parent_class)->fixate(base, caps);
}

static gboolean fault_src_unlock(GstBaseSrc* base) {
  g_mutex_lock(&lock);
  ((FaultSrc*)base)->stopping = TRUE;
  g_cond_broadcast(&changed);
  g_mutex_unlock(&lock);
  return TRUE;
}

static gboolean fault_src_unlock_stop(GstBaseSrc* base) {
  ((FaultSrc*)base)->stopping = FALSE;
  return TRUE;
}

/* Waits for the picture that is due; pictures go by while nobody gets them. With the lock. */
static GstFlowReturn wait_for_picture(FaultSrc* self, GstClockTime step, int* now) {
  for (;;) {
    GstClock* clock = gst_element_get_clock(GST_ELEMENT(self));
    const GstClockTime time = gst_clock_get_time(clock) - gst_element_get_base_time(GST_ELEMENT(self));
    gst_object_unref(clock);
    if (!GST_CLOCK_TIME_IS_VALID(self->next)) self->next = time;
    *now = fault_now();
    if (self->stopping && *now != FAULT_HANG) return GST_FLOW_FLUSHING;
    if (*now == FAULT_ERROR || *now == FAULT_EOS) return GST_FLOW_OK;
    if (time >= self->next) {
      if (*now != FAULT_STALL && *now != FAULT_HANG) return GST_FLOW_OK;
      self->next += step;
      ++camera.made, ++camera.lost;
      continue;
    }
    const gint64 left_us = (gint64)(self->next - time) / 1000 + 1;
    g_cond_wait_until(&changed, &lock, g_get_monotonic_time() + left_us);
  }
}

static void draw(const FaultSrc* self, guint8* to, gsize size, guint64 count, int kind) {
  const gsize luma = (gsize)GST_VIDEO_INFO_PLANE_OFFSET(&self->info, 1);
  if (kind == FAULT_GREEN) {
    memset(to, 0, size);
  } else if (kind == FAULT_BLACK) {
    memset(to, 16, MIN(luma, size));
    if (size > luma) memset(to + luma, 128, size - luma);
  } else {
    for (gsize i = 0; i < size; i += 64) memset(to + i, (int)(40 + (i / 64 * 7 + count * 13) % 170), MIN(64, size - i));
  }
  if (kind != FAULT_GREEN && kind != FAULT_BLACK) memcpy(to, &count, sizeof count); /* the first pixels tell which */
}

/* Pictures of half the width, or of the whole again. */
static gboolean take_size(FaultSrc* self, gboolean odd) {
  if (odd == self->odd_size) return TRUE;
  self->odd_size = odd;
  GstCaps* caps = gst_pad_get_current_caps(GST_BASE_SRC_PAD(self));
  caps = gst_caps_make_writable(caps);
  gst_caps_set_simple(caps, "width", G_TYPE_INT, odd ? self->info.width / 2 : self->info.width * 2, NULL);
  const gboolean done = gst_base_src_set_caps(GST_BASE_SRC(self), caps);
  gst_caps_unref(caps);
  return done;
}

static GstFlowReturn fault_src_create(GstPushSrc* push, GstBuffer** out) {
  FaultSrc* self = (FaultSrc*)push;
  const GstClockTime step = gst_util_uint64_scale_int(GST_SECOND, self->info.fps_d, self->info.fps_n);
  int now;
  g_mutex_lock(&lock);
  const GstFlowReturn flow = wait_for_picture(self, step, &now);
  guint64 count = camera.made;
  if (flow == GST_FLOW_OK) {
    ++camera.made;
    for (int i = 0; i < num_planned; ++i)
      if (planned[i].at == camera.made) begin_fault(planned[i].kind, planned[i].ms);
  }
  g_mutex_unlock(&lock);
  if (flow != GST_FLOW_OK) return flow;
  if (now == FAULT_EOS) {
    self->said_eos = TRUE;
    return GST_FLOW_EOS;
  }
  if (!take_size(self, now == FAULT_SIZE)) return GST_FLOW_NOT_NEGOTIATED;
  if (now == FAULT_ERROR) {
    GST_ELEMENT_ERROR(self, RESOURCE, READ, ("Argus: the sensor timed out"), (NULL));
    return GST_FLOW_ERROR;
  }
  const gsize size = GST_VIDEO_INFO_SIZE(&self->info);
  GstBuffer* buffer = NULL;
  if (now == FAULT_REPEAT && self->last) {
    buffer = gst_buffer_copy_deep(self->last);
  } else {
    buffer = gst_buffer_new_allocate(NULL, now == FAULT_SHORT ? size / 2 : size, NULL);
    GstMapInfo map;
    gst_buffer_map(buffer, &map, GST_MAP_WRITE);
    draw(self, map.data, map.size, count, now);
    gst_buffer_unmap(buffer, &map);
    gst_buffer_replace(&self->last, buffer);
    buffer = gst_buffer_make_writable(buffer);
  }
  GST_BUFFER_PTS(buffer) = self->next;
  GST_BUFFER_DURATION(buffer) = step;
  GST_BUFFER_OFFSET(buffer) = count;
  self->next += step;
  *out = buffer;
  return GST_FLOW_OK;
}

static void fault_src_class_init(FaultSrcClass* class) {
  GstElementClass* element = GST_ELEMENT_CLASS(class);
  GstBaseSrcClass* base = GST_BASE_SRC_CLASS(class);
  GstCaps* caps = gst_caps_from_string(NVMM_CAPS);
  gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
  gst_caps_unref(caps);
  gst_element_class_set_static_metadata(element, "Camera of faults", "Source/Video", "Fails as told", "edge-vss");
  G_OBJECT_CLASS(class)->set_property = fault_src_property;
  g_object_class_install_property(G_OBJECT_CLASS(class), 1,
                                  g_param_spec_int("sensor-id", "", "", 0, 255, 0, G_PARAM_WRITABLE));
  g_object_class_install_property(G_OBJECT_CLASS(class), 2,
                                  g_param_spec_int("sensor-mode", "", "", -1, 255, -1, G_PARAM_WRITABLE));
  element->send_event = fault_src_send_event;
  base->start = fault_src_start;
  base->stop = fault_src_stop;
  base->set_caps = fault_src_set_caps;
  base->fixate = fault_src_fixate;
  base->unlock = fault_src_unlock;
  base->unlock_stop = fault_src_unlock_stop;
  GST_PUSH_SRC_CLASS(class)->create = fault_src_create;
}

static void fault_src_init(FaultSrc* self) {
  gst_base_src_set_live(GST_BASE_SRC(self), TRUE);
  gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

/* ---- nvvidconv: hands buffers on, from one kind of memory to the other; can make the picture smaller ---------------
 */

typedef struct {
  GstBaseTransform parent;
  gint flip;
} FaultConv;
typedef struct {
  GstBaseTransformClass parent;
} FaultConvClass;
G_DEFINE_TYPE(FaultConv, fault_conv, GST_TYPE_BASE_TRANSFORM)

static void fault_conv_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
  (void)id;
  (void)spec;
  ((FaultConv*)object)->flip = g_value_get_int(value);
}

static GstCaps* fault_conv_transform_caps(GstBaseTransform* base, GstPadDirection direction, GstCaps* caps,
                                          GstCaps* filter) {
  GstCaps* found = gst_caps_copy(caps);
  (void)base;
  for (guint i = 0; i < gst_caps_get_size(found); ++i)
    gst_caps_set_features(
        found, i,
        direction == GST_PAD_SINK ? gst_caps_features_new_empty() : gst_caps_features_new("memory:NVMM", NULL));
  if (filter) {
    GstCaps* both = gst_caps_intersect_full(filter, found, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(found);
    found = both;
  }
  return found;
}

static GstFlowReturn fault_conv_transform_ip(GstBaseTransform* base, GstBuffer* buffer) {
  (void)base;
  (void)buffer;
  return GST_FLOW_OK;
}

static void fault_conv_class_init(FaultConvClass* class) {
  GstElementClass* element = GST_ELEMENT_CLASS(class);
  GstCaps *nvmm = gst_caps_from_string(NVMM_CAPS), *host = gst_caps_from_string(NV12_CAPS);
  gst_element_class_add_pad_template(element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, nvmm));
  gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, host));
  gst_caps_unref(nvmm);
  gst_caps_unref(host);
  gst_element_class_set_static_metadata(element, "Converter for tests", "Filter/Video", "Passes on", "edge-vss");
  G_OBJECT_CLASS(class)->set_property = fault_conv_property;
  g_object_class_install_property(G_OBJECT_CLASS(class), 1,
                                  g_param_spec_int("flip-method", "", "", 0, 7, 0, G_PARAM_WRITABLE));
  GST_BASE_TRANSFORM_CLASS(class)->transform_caps = fault_conv_transform_caps;
  GST_BASE_TRANSFORM_CLASS(class)->transform_ip = fault_conv_transform_ip;
}

static void fault_conv_init(FaultConv* self) { gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE); }

/* ---- the plug-in ------------------------------------------------------------------------------------------------ */

static gboolean plugin_init(GstPlugin* plugin) {
  read_plan();
  return gst_element_register(plugin, "nvarguscamerasrc", GST_RANK_NONE, fault_src_get_type()) &&
         gst_element_register(plugin, "nvvidconv", GST_RANK_NONE, fault_conv_get_type());
}

#define PACKAGE "edge-vss"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, evssfault, "A camera that fails when told to", plugin_init, "0",
                  "Apache 2.0", "edge-vss", "https://localhost")
