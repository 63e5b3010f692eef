// Structs of edge_vss.h as callers built against older or newer headers pass them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "edge_vss.h"

namespace evss {

/// Bytes of a struct up to and without `field`: the size of the form that came before the field was added.
#define EVSS_SIZE_BEFORE(type, field) offsetof(type, field)

constexpr size_t kOldestFrame = EVSS_SIZE_BEFORE(evss_frame, captured_ns);
constexpr size_t kOldestOptions = EVSS_SIZE_BEFORE(evss_options, deadline_ms);

/// What the caller gave, as this library's form: what is missing is 0, what is too much is left out.
template <class Struct>
Struct completed(const Struct& given) {
  Struct whole;
  std::memset(&whole, 0, sizeof whole);
  std::memcpy(&whole, &given, std::min<size_t>(given.struct_size, sizeof whole));
  whole.struct_size = sizeof whole;
  return whole;
}

/// Fills in as much of the caller's struct as it has room for.
template <class Struct>
void hand_over(const Struct& whole, Struct* out) {
  const uint32_t size = std::min<uint32_t>(out->struct_size, sizeof whole);
  std::memcpy(out, &whole, size);
  out->struct_size = size;
}

}  // namespace evss
