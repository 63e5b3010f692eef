// Writes label maps to POSIX shared memory, as edge_vss_shm.h describes it.
#pragma once

#include <string>

#include "edge_vss.h"
#include "edge_vss_shm.h"

namespace evss {

class SharedLabels {
 public:
  /// Makes the segment; one that a dead writer left behind is replaced. Throws Error.
  SharedLabels(const std::string& name, uint32_t height, uint32_t width, const evss_output_info& output);
  ~SharedLabels();
  SharedLabels(const SharedLabels&) = delete;
  SharedLabels& operator=(const SharedLabels&) = delete;

  /// False: the map has another size. Waits for nobody, allocates nothing.
  bool write(const evss_result& result, const evss_label_map& map);

 private:
  void refuse_living_writer() const;

  std::string name_;
  size_t bytes_ = 0;
  uint8_t* segment_ = nullptr;
};

}  // namespace evss
