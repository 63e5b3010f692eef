#include "notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace evss {

Notifier::Notifier() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || (path[0] != '/' && path[0] != '@') || std::strlen(path) >= sizeof(sockaddr_un::sun_path)) return;
  address_ = path;
  if (address_[0] == '@') address_[0] = '\0';  // an abstract name
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const char* watchdog = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  if (watchdog && (!pid || std::atol(pid) == static_cast<long>(getpid())))
    every_ns_ = std::atoll(watchdog) * 1000 / 4;  // often enough that one lost datagram does no harm
}

Notifier::~Notifier() {
  if (socket_ >= 0) ::close(socket_);
}

void Notifier::progress(int64_t now_ns) {
  if (!active()) return;
  if (!ready_) send("READY=1");
  ready_ = true;
  if (every_ns_ <= 0 || (last_ns_ && now_ns - last_ns_ < every_ns_)) return;
  last_ns_ = now_ns;
  send("WATCHDOG=1");
}

void Notifier::stopping() {
  if (!active() || stopped_) return;
  stopped_ = true;
  send("STOPPING=1");
}

void Notifier::send(const char* text) const {
  sockaddr_un to;
  std::memset(&to, 0, sizeof to);
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that does not read is not waited for.
  (void)!::sendto(socket_, text, std::strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&to),
                  size);
}

}  // namespace evss
