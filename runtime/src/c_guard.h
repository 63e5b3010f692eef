// What every C function does around its work: exceptions become a status and one line of text, kept per thread.
#pragma once

#include <new>

#include "error.h"

namespace evss {

/// What evss_last_error() gives.
extern thread_local std::string last_error;

inline evss_status refuse(evss_status status, const std::string& message) {
  last_error = message;
  return status;
}

template <class Call>
evss_status guarded(const Call& call) {
  last_error.clear();
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
