#include "variant_choice.h"

namespace evss {

ChosenVariant choose_variant(const Manifest& manifest, size_t first, const std::string& backend,
                             const std::string& precision, const BackendOptions& options) {
  std::string why_not;
  const auto note = [&](const std::string& reason) { why_not += (why_not.empty() ? "" : "; ") + reason; };
  for (size_t i = first; i < manifest.variants.size(); ++i) {
    const Variant& variant = manifest.variants[i];
    const bool fits =
        (backend.empty() || backend == variant.backend) && (precision.empty() || precision == variant.precision);
    if (!fits) {
      note("'" + variant.name + "' is " + variant.backend + " " + variant.precision);
      continue;
    }
    try {
      return {&variant, make_backend(variant.backend, options)};
    } catch (const Error& error) {
      if (!backend.empty()) throw;
      note("'" + variant.name + "': " + error.what());
    }
  }
  throw Error(EVSS_UNAVAILABLE, "no variant of the bundle can run as asked: " + why_not);
}

int schedule_named(const std::vector<Schedule>& schedules, const std::string& name) {
  std::string known;
  for (size_t i = 0; i < schedules.size(); ++i) {
    if (schedules[i].name == name) return static_cast<int>(i);
    known += (known.empty() ? "" : ", ") + schedules[i].name;
  }
  throw Error(EVSS_INVALID_ARGUMENT, "unknown schedule '" + name + "'; the bundle has: " + known);
}

}  // namespace evss
