// Statuses as Python exceptions.
#pragma once

#include <string>

#include "edge_vss.h"

/// Raises the exception of a negative status with evss_last_error() as its text; called with or without the GIL.
void raise_if_failed(evss_status status);
void raise_if_failed(evss_status status, const std::string& message);
