/* v4l2src in the place of the real one, whose plug-in a test hides: a USB camera that has what EVSS_V4L2 says, a
 * pipeline such as "videotestsrc is-live=true ! jpegenc". */
#include <gst/gst.h>
#include <stdlib.h>

typedef struct {
  GstBin parent;
  gchar* device;
} FakeCamera;
typedef struct {
  GstBinClass parent;
} FakeCameraClass;
G_DEFINE_TYPE(FakeCamera, fake_camera, GST_TYPE_BIN)

static void fake_camera_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
  (void)id;
  (void)spec;
  g_free(((FakeCamera*)object)->device);
  ((FakeCamera*)object)->device = g_value_dup_string(value);
}

static void fake_camera_finalize(GObject* object) {
  g_free(((FakeCamera*)object)->device);
  G_OBJECT_CLASS(fake_camera_parent_class)->finalize(object);
}

static GstStateChangeReturn fake_camera_change_state(GstElement* element, GstStateChange change) {
  const char* device = ((FakeCamera*)element)->device;
  if (change == GST_STATE_CHANGE_NULL_TO_READY && g_strcmp0(device, "/dev/video0") != 0) {
    GST_ELEMENT_ERROR(element, RESOURCE, NOT_FOUND, ("Cannot identify device '%s'.", device), (NULL));
    return GST_STATE_CHANGE_FAILURE;
  }
  return GST_ELEMENT_CLASS(fake_camera_parent_class)->change_state(element, change);
}

static void fake_camera_class_init(FakeCameraClass* class) {
  GstElementClass* element = GST_ELEMENT_CLASS(class);
  gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_CAPS_ANY));
  gst_element_class_set_static_metadata(element, "USB camera for tests", "Source/Video", "Has few sizes", "edge-vss");
  element->change_state = fake_camera_change_state;
  G_OBJECT_CLASS(class)->set_property = fake_camera_property;
  G_OBJECT_CLASS(class)->finalize = fake_camera_finalize;
  g_object_class_install_property(G_OBJECT_CLASS(class), 1,
                                  g_param_spec_string("device", "", "", NULL, G_PARAM_WRITABLE));
}

static void fake_camera_init(FakeCamera* self) {
  GstElement* inside = gst_parse_bin_from_description(getenv("EVSS_V4L2"), TRUE, NULL);
  GstPad* end = gst_element_get_static_pad(inside, "src");
  gst_bin_add(GST_BIN(self), inside);
  gst_element_add_pad(GST_ELEMENT(self), gst_ghost_pad_new("src", end));
  gst_object_unref(end);
}

static gboolean plugin_init(GstPlugin* plugin) {
  return gst_element_register(plugin, "v4l2src", GST_RANK_NONE, fake_camera_get_type());
}

#define PACKAGE "edge-vss"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, evssv4l2, "A USB camera for tests", plugin_init, "0",
                  "Apache 2.0", "edge-vss", "https://localhost")
