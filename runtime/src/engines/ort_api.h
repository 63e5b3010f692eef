// The entries of ONNX Runtime's C API that this project calls, by their place in the table.
//
// The API is one struct of function pointers that is only ever appended to, so an entry's index and signature are part
// of its binary interface. Declaring just these lets the runtime use, through dlopen, the very library that Python's
// onnxruntime package holds, which comes without headers. Every function here exists since API version 8.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evss::ort {

struct Env;
struct Status;
struct MemoryInfo;
struct Session;
struct Value;
struct RunOptions;
struct TypeInfo;
struct TensorInfo;
struct SessionOptions;
struct IoBinding;
struct Allocator;

enum Element : int { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7, kFloat16 = 10 };
enum Logging : int { kWarning = 2, kError = 3 };
constexpr int kDeviceAllocator = 0, kMemTypeDefault = 0, kEnableAll = 99, kSequential = 0;

struct ApiBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*version_string)();
};

#define EVSS_ORT_ENTRIES(X)                                                                                 \
  X(2, const char*, get_error_message, (const Status*))                                                     \
  X(3, Status*, create_env, (int level, const char* id, Env**))                                             \
  X(6, Status*, disable_telemetry_events, (const Env*))                                                     \
  X(8, Status*, create_session_from_array,                                                                  \
    (const Env*, const void* data, size_t bytes, const SessionOptions*, Session**))                         \
  X(10, Status*, create_session_options, (SessionOptions**))                                                \
  X(13, Status*, set_session_execution_mode, (SessionOptions*, int mode))                                   \
  X(22, Status*, set_session_log_severity_level, (SessionOptions*, int level))                              \
  X(23, Status*, set_session_graph_optimization_level, (SessionOptions*, int level))                        \
  X(24, Status*, set_intra_op_num_threads, (SessionOptions*, int threads))                                  \
  X(25, Status*, set_inter_op_num_threads, (SessionOptions*, int threads))                                  \
  X(30, Status*, session_get_input_count, (const Session*, size_t*))                                        \
  X(31, Status*, session_get_output_count, (const Session*, size_t*))                                       \
  X(33, Status*, session_get_input_type_info, (const Session*, size_t index, TypeInfo**))                   \
  X(34, Status*, session_get_output_type_info, (const Session*, size_t index, TypeInfo**))                  \
  X(36, Status*, session_get_input_name, (const Session*, size_t index, Allocator*, char**))                \
  X(37, Status*, session_get_output_name, (const Session*, size_t index, Allocator*, char**))               \
  X(39, Status*, create_run_options, (RunOptions**))                                                        \
  X(49, Status*, create_tensor_with_data,                                                                   \
    (const MemoryInfo*, void* data, size_t bytes, const int64_t* shape, size_t rank, int element, Value**)) \
  X(55, Status*, cast_type_info_to_tensor_info, (const TypeInfo*, const TensorInfo**))                      \
  X(60, Status*, get_tensor_element_type, (const TensorInfo*, int*))                                        \
  X(61, Status*, get_dimensions_count, (const TensorInfo*, size_t*))                                        \
  X(62, Status*, get_dimensions, (const TensorInfo*, int64_t*, size_t))                                     \
  X(69, Status*, create_cpu_memory_info, (int allocator, int type, MemoryInfo**))                           \
  X(76, Status*, allocator_free, (Allocator*, void*))                                                       \
  X(78, Status*, get_allocator_with_default_options, (Allocator**))                                         \
  X(93, void, release_status, (Status*))                                                                    \
  X(94, void, release_memory_info, (MemoryInfo*))                                                           \
  X(95, void, release_session, (Session*))                                                                  \
  X(96, void, release_value, (Value*))                                                                      \
  X(97, void, release_run_options, (RunOptions*))                                                           \
  X(98, void, release_type_info, (TypeInfo*))                                                               \
  X(100, void, release_session_options, (SessionOptions*))                                                  \
  X(130, Status*, add_session_config_entry, (SessionOptions*, const char* key, const char* value))          \
  X(133, Status*, run_with_binding, (Session*, const RunOptions*, const IoBinding*))                        \
  X(134, Status*, create_io_binding, (Session*, IoBinding**))                                               \
  X(135, void, release_io_binding, (IoBinding*))                                                            \
  X(136, Status*, bind_input, (IoBinding*, const char* name, const Value*))                                 \
  X(137, Status*, bind_output, (IoBinding*, const char* name, const Value*))

struct Api {
#define EVSS_ORT_MEMBER(index, result, name, arguments) result(*name) arguments = nullptr;
  EVSS_ORT_ENTRIES(EVSS_ORT_MEMBER)
#undef EVSS_ORT_MEMBER

  explicit Api(const void* const* table) {
#define EVSS_ORT_LOAD(index, result, name, arguments) \
  name = reinterpret_cast<result(*) arguments>(const_cast<void*>(table[index]));
    EVSS_ORT_ENTRIES(EVSS_ORT_LOAD)
#undef EVSS_ORT_LOAD
  }
};

}  // namespace evss::ort
