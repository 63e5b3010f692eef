// How errors travel inside the library: as exceptions while loading, as Status in the frame loop.
#pragma once

#include <stdexcept>
#include <string>

#include "edge_vss.h"

namespace evss {

/// A message of sane length whatever a manifest holds: no quoted value beyond 80 bytes, 600 in all, the end kept.
std::string shortened(const std::string& message);

/// Thrown while a pipeline is opened or changed; the C functions turn it into a status and a message.
class Error : public std::runtime_error {
 public:
  Error(evss_status status, const std::string& message) : std::runtime_error(shortened(message)), status_(status) {}
  evss_status status() const { return status_; }

 private:
  evss_status status_;
};

inline Error bad_bundle(const std::string& message) { return Error(EVSS_BAD_BUNDLE, message); }

/// What an engine reports from the frame loop. Messages sit in a fixed buffer: a failure allocates nothing either.
struct Status {
  bool ok = true;
  char message[256] = {0};
};

}  // namespace evss
