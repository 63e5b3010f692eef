// What every C function does: exceptions become a status and one line of text, and handles are what they hold.
#pragma once

#include <new>
#include <string>

#include "error.h"
#include "pipeline.h"

struct evss_pipeline {
  evss::Pipeline pipeline;
};

namespace evss {

/// Why the last call on this thread failed.
inline std::string& last_error() {
  thread_local std::string text;
  return text;
}

inline evss_status refuse(evss_status status, const std::string& message) {
  last_error() = message;
  return status;
}

template <class Call>
evss_status guarded(const Call& call) {
  last_error().clear();
  try {
    return call();
  } catch (const Error& error) {
    return refuse(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return refuse(EVSS_INTERNAL, "out of memory");
  } catch (const std::exception& error) {
    return refuse(EVSS_INTERNAL, error.what());
  }
}

}  // namespace evss
