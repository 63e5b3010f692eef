// Says to systemd how the service is, over the datagram socket that NOTIFY_SOCKET names; nothing where it is not set.
#pragma once

#include <cstdint>
#include <string>

namespace evss {

class Notifier {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  Notifier();
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  bool active() const { return socket_ >= 0; }
  /// A frame was labelled: READY with the first one, WATCHDOG as often as the watchdog wants it. Allocates nothing.
  void progress(int64_t now_ns);
  void stopping();

 private:
  void send(const char* text) const;

  int socket_ = -1;
  std::string address_;  // as in sockaddr_un.sun_path
  bool ready_ = false, stopped_ = false;
  int64_t every_ns_ = 0, last_ns_ = 0;  // 0: no watchdog
};

}  // namespace evss
