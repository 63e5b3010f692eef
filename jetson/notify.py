"""Signs of life for systemd, as ``sd_notify`` sends them: ready, alive, stopping. Outside of a service they go nowhere.

A message that cannot be delivered is dropped: labelling goes on, and the watchdog of the service does its work.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["Notifier"]

SIGNS_PER_TIMEOUT = 4
"""Signs of life within the time after which systemd takes a silent service for dead."""


class Notifier:
    """Tells the service manager how a frame loop fares."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look up where to send to: ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        environment = os.environ if environment is None else environment
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock, self._next_s, self._ready = clock, 0.0, False
        usec = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(usec) / 1e6 if usec.isdecimal() and int(usec) and mine else None
        """Time after which a silent service is taken for dead; None where nobody watches."""
        self._socket: socket.socket | None = None
        if self._address[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    @property
    def active(self) -> bool:
        """Whether a service manager listens."""
        return self._socket is not None

    def alive(self) -> None:
        """A frame is done. The first one makes the service ready; of those that follow, enough are told."""
        if self._socket is None:
            return
        if not self._ready:
            self._ready = True
            self._send("READY=1")
        if self.watchdog_s is not None and self._clock() >= self._next_s:
            self._next_s = self._clock() + self.watchdog_s / SIGNS_PER_TIMEOUT
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """The loop ends; nothing is sent after this."""
        self._send("STOPPING=1")
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto(message.encode(), address)
        except OSError:  # nobody listens any more, or cannot keep up
            return
