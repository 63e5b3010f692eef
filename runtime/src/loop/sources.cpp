#include "sources.h"

#include <cstring>
#include <mutex>

#include "y4m.h"

namespace evss {

namespace {

struct FeedReader {
  std::shared_ptr<Feed> feed;
};

struct Y4mReader {
  explicit Y4mReader(const std::string& path) : file(path) {}
  std::mutex mutex;  // frames come back from another thread than the one that reads
  Y4mFile file;
};

template <class Reader>
Reader& as(void* user) {
  return *static_cast<Reader*>(user);
}

evss_source empty_source() {
  evss_source source;
  std::memset(&source, 0, sizeof source);
  source.struct_size = sizeof source;
  return source;
}

}  // namespace

evss_source source_of(const std::shared_ptr<Feed>& feed) {
  evss_source source = empty_source();
  source.user = new FeedReader{feed};
  source.next = [](void* user, uint32_t timeout_ms, evss_frame* frame, char* error, size_t size) {
    return as<FeedReader>(user).feed->next(timeout_ms, frame, error, size);
  };
  source.release = [](void* user, evss_frame* frame) { as<FeedReader>(user).feed->release(*frame); };
  source.stats = [](void* user, evss_source_stats* stats) { as<FeedReader>(user).feed->stats(stats); };
  source.interrupt = [](void* user) { as<FeedReader>(user).feed->interrupt(); };
  source.close = [](void* user) {
    as<FeedReader>(user).feed->close();
    delete static_cast<FeedReader*>(user);
  };
  return source;
}

evss_source open_y4m(const std::string& path) {
  evss_source source = empty_source();
  auto reader = std::make_unique<Y4mReader>(path);
  source.width = reader->file.width();
  source.height = reader->file.height();
  source.fps = reader->file.fps();
  source.next = [](void* user, uint32_t, evss_frame* frame, char* error, size_t size) {
    std::lock_guard<std::mutex> lock(as<Y4mReader>(user).mutex);
    return as<Y4mReader>(user).file.next(frame, error, size);
  };
  source.release = [](void* user, evss_frame* frame) {
    std::lock_guard<std::mutex> lock(as<Y4mReader>(user).mutex);
    as<Y4mReader>(user).file.release(*frame);
  };
  source.stats = [](void* user, evss_source_stats* stats) {
    std::lock_guard<std::mutex> lock(as<Y4mReader>(user).mutex);
    stats->delivered = as<Y4mReader>(user).file.delivered();
    stats->dropped_damaged = as<Y4mReader>(user).file.torn();
  };
  source.interrupt = [](void*) {};
  source.close = [](void* user) { delete static_cast<Y4mReader*>(user); };
  source.user = reader.release();
  return source;
}

}  // namespace evss
