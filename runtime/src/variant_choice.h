// Which of a bundle's variants this machine runs, and schedules by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "manifest.h"

namespace evss {

struct ChosenVariant {
  const Variant* variant = nullptr;
  std::unique_ptr<Backend> backend;
};

/// The first variant from number `first` on of that backend and precision (empty: any) whose backend works here. Throws
/// Error: why none does.
ChosenVariant choose_variant(const Manifest& manifest, size_t first, const std::string& backend,
                             const std::string& precision, const BackendOptions& options);

/// Index of a schedule; throws Error with the names there are.
int schedule_named(const std::vector<Schedule>& schedules, const std::string& name);

}  // namespace evss
