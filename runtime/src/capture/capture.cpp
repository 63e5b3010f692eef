// The table that the core library calls: C++ objects behind C functions, exceptions as statuses.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "../error.h"
#include "elements.h"
#include "source.h"
#include "table.h"
#include "video_sink.h"

struct evss_video {
  evss::capture::VideoSink sink;
};

namespace {

using evss::capture::Source;
using Handle = std::shared_ptr<Source>;

template <class Call>
evss_status guarded(char* error, size_t size, const Call& call) {
  const auto fail = [&](evss_status status, const char* why) {
    std::snprintf(error, size, "%s", why);
    return status;
  };
  try {
    call();
    return EVSS_OK;
  } catch (const evss::Error& failure) {
    return fail(failure.status(), failure.what());
  } catch (const std::bad_alloc&) {
    return fail(EVSS_INTERNAL, "out of memory");
  } catch (const std::exception& failure) {
    return fail(EVSS_INTERNAL, failure.what());
  }
}

// Sources that are open, so that a program that calls exit() without closing them ends its cameras' sessions as well.
class OpenSources {
 public:
  void add(const Handle& source) {
    std::lock_guard<std::mutex> lock(mutex_);
    static const int once = std::atexit([] { all().close(); });
    (void)once;
    sources_.erase(std::remove_if(sources_.begin(), sources_.end(), [](const auto& old) { return old.expired(); }),
                   sources_.end());
    sources_.push_back(source);
  }
  static OpenSources& all() {
    static auto* const sources = new OpenSources;  // outlives whatever runs at exit
    return *sources;
  }

 private:
  void close() {
    std::vector<std::weak_ptr<Source>> open;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open.swap(sources_);
    }
    for (const auto& source : open) {
      if (const Handle still = source.lock()) still->close();
    }
  }

  std::mutex mutex_;
  std::vector<std::weak_ptr<Source>> sources_;
};

Source& source(void* user) { return **static_cast<Handle*>(user); }

evss_status source_open(const char* uri, const evss_source_options* options, evss_source* out, char* error,
                        size_t error_size) {
  return guarded(error, error_size, [&] {
    evss::capture::start_gstreamer();
    auto opened = std::make_shared<Source>(evss::capture::describe(uri, *options), *options);
    opened->open();
    out->struct_size = sizeof *out;
    opened->describe(out);
    out->next = [](void* user, uint32_t timeout_ms, evss_frame* frame, char* text, size_t size) {
      return source(user).next(timeout_ms, frame, text, size);
    };
    out->release = [](void* user, evss_frame* frame) { source(user).release(frame); };
    out->stats = [](void* user, evss_source_stats* stats) { source(user).stats(stats); };
    out->interrupt = [](void* user) { source(user).interrupt(); };
    out->close = [](void* user) {
      source(user).close();
      delete static_cast<Handle*>(user);
    };
    OpenSources::all().add(opened);
    out->user = new Handle(std::move(opened));
  });
}

evss_status video_open(const char* path, const evss_video_options* options, evss_video** out, char* error,
                       size_t error_size) {
  return guarded(error, error_size, [&] { *out = new evss_video{{path, *options}}; });
}

evss_status video_write(evss_video* video, const uint8_t* rgb, uint32_t stride, int64_t pts_us, char* error,
                        size_t error_size) {
  return guarded(error, error_size, [&] { video->sink.write(rgb, stride, pts_us); });
}

evss_status video_close(evss_video** video, char* error, size_t error_size) {
  std::unique_ptr<evss_video> closing(*video);
  *video = nullptr;
  return guarded(error, error_size, [&] { closing->sink.close(); });
}

void video_discard(evss_video** video) {
  (*video)->sink.discard();
  delete *video;
  *video = nullptr;
}

const evss_capture_table kTable = {
    EVSS_CAPTURE_TABLE,
    source_open,
    video_open,
    video_write,
    [](const evss_video* video) { return video->sink.encoder(); },
    video_close,
    video_discard,
};

}  // namespace

extern "C" EVSS_API const evss_capture_table* evss_capture(void) { return &kTable; }
