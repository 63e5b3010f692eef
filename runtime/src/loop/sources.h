// Sources of this library behind the function table of edge_vss.h.
#pragma once

#include <memory>
#include <string>

#include "edge_vss.h"
#include "feed.h"

namespace evss {

/// The reading side of a feed; its close() ends the feed.
evss_source source_of(const std::shared_ptr<Feed>& feed);
/// A YUV4MPEG2 file. Throws Error.
evss_source open_y4m(const std::string& path);

}  // namespace evss
