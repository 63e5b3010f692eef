// What the simulated libraries let a test see and break.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <string>

extern "C" {
/// The `nth` call of `function` from now on fails, once; nullptr: none does. Starts counting anew.
SIMULATED_API void simulated_fail(const char* function, int nth);
/// Calls of `function` since counting started.
SIMULATED_API int simulated_calls(const char* function);
/// Objects and memory that were made and not yet given back.
SIMULATED_API int simulated_live();
/// Whether the simulated GPU shares the host's memory.
SIMULATED_API void simulated_integrated(int yes);
}

namespace simulated {

/// Counts a call; true: it is the one that has to fail.
bool fails(const char* function);
void made(int change);
/// What the host may touch in place of a device address; nullptr: that range is no device memory.
void* inside(const void* device, size_t bytes);
/// Puts work in a stream, where it waits for synchronisation, or in the graph that is being captured.
bool submit(cudaStream_t stream, std::function<bool()> work);

}  // namespace simulated
