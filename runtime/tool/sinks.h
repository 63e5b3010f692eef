// Where edge-vss-run puts label maps.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "edge_vss.h"

namespace evss_run {

class Sink {
 public:
  virtual ~Sink() = default;
  /// False: `why` says in one line what is wrong.
  virtual bool write(const evss_labelled& labelled, std::string* why) = 0;
  /// Puts the output in its place; false as above. A sink that goes without it removes what it could not finish.
  virtual bool close(std::string*) { return true; }
};

/// Opens "shm:NAME", an overlay video (.mkv, .mp4; needs the capture library), or a folder for PGM files named
/// by sequence number. `fps` is the source's. nullptr: `why` says why not.
std::unique_ptr<Sink> open_sink(const std::string& target, const evss_info& info, double fps, std::string* why);

}  // namespace evss_run
