// What this machine's GStreamer has.
#pragma once

#include <initializer_list>
#include <string>

namespace evss::capture {

/// gst_init, once; throws EVSS_UNAVAILABLE where GStreamer does not start.
void start_gstreamer();

bool has_element(const char* name);
/// Throws EVSS_UNAVAILABLE naming the first one that is missing and what installs it.
void require_elements(std::initializer_list<const char*> names, const std::string& mend);
/// Whether an enumeration property of an element has a value of that name.
bool has_enum_value(const char* element, const char* property, const std::string& value);
/// 29.97 -> "30000/1001".
std::string fraction(double fps);

}  // namespace evss::capture
