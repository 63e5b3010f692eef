#include "elements.h"

#include <gst/gst.h>

#include <mutex>

#include "../error.h"

namespace evss::capture {

void start_gstreamer() {
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  if (gst_is_initialized()) return;
  GError* why = nullptr;
  if (gst_init_check(nullptr, nullptr, &why)) return;
  const std::string message = why ? why->message : "no reason given";
  g_clear_error(&why);
  throw Error(EVSS_UNAVAILABLE, "GStreamer does not start: " + message);
}

bool has_element(const char* name) {
  GstElementFactory* factory = gst_element_factory_find(name);
  if (factory) gst_object_unref(factory);
  return factory != nullptr;
}

void require_elements(std::initializer_list<const char*> names, const std::string& mend) {
  for (const char* name : names) {
    if (!has_element(name))
      throw Error(EVSS_UNAVAILABLE, std::string("GStreamer has no element ") + name + "; " + mend);
  }
}

bool has_enum_value(const char* element, const char* property, const std::string& value) {
  GstElement* made = gst_element_factory_make(element, nullptr);
  if (!made) return false;
  gst_object_ref_sink(made);
  GParamSpec* spec = g_object_class_find_property(G_OBJECT_GET_CLASS(made), property);
  const bool found = spec && G_IS_PARAM_SPEC_ENUM(spec) &&
                     g_enum_get_value_by_nick(G_PARAM_SPEC_ENUM(spec)->enum_class, value.c_str());
  gst_object_unref(made);
  return found;
}

std::string fraction(double fps) {
  gint above = 0, below = 1;
  gst_util_double_to_fraction(fps, &above, &below);
  return std::to_string(above) + "/" + std::to_string(below);
}

}  // namespace evss::capture
