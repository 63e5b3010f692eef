"""Bounds on what a viewer can take: connections, bytes and seconds, whatever the other side does."""

from __future__ import annotations

import io
import socket
import socketserver
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

from edge_vss.errors import DeviceError
from edge_vss.preview.address import Address

__all__ = ["HEAD_BYTES", "MAX_CONNECTIONS", "REQUEST_S", "SEND_S", "BoundedReader", "BoundedServer", "HeadTooLarge"]

MAX_CONNECTIONS = 24
HEAD_BYTES = 8192
"""Of a request line and its headers together."""
REQUEST_S, SEND_S = 10.0, 3.0
"""Longest time until a request is there, from the one before on, and until an answer is taken."""
REFUSE_S = 0.1
CLOSE_S = 2.0
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 17\r\n\r\n"
    b"too many viewers\n"
)


class HeadTooLarge(Exception):
    """A request has more of a head than ``HEAD_BYTES``."""


class BoundedReader(io.RawIOBase):
    """A socket to read requests from, each of which has so many bytes and seconds."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.begin()

    def begin(self) -> None:
        """The next request starts."""
        self._left, self._until_s = HEAD_BYTES, time.monotonic() + REQUEST_S

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise HeadTooLarge
        patience_s = self._until_s - time.monotonic()
        if patience_s <= 0:
            raise TimeoutError
        self._connection.settimeout(patience_s)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class BoundedServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per connection, and only so many of them; ends all of them with itself.

    Raises:
        DeviceError: Nothing can listen at this address now.
    """

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: Address, handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: dict[socket.socket, threading.Thread | None] = {}
        self._guard = threading.Lock()
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__(found[0][4], handler)  # type: ignore[arg-type]
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DeviceError(
                f"{address}: the preview cannot listen here ({reason}); choose another --preview HOST:PORT, "
                "with port 0 for any that is free"
            ) from None
        host, port = self.server_address[:2]
        self.bound = Address(str(host), int(port))

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, or say that there are too many."""
        with self._guard:
            taken = len(self._open) < MAX_CONNECTIONS
            if taken:
                self._open[request] = None
        if not taken:
            with suppress(OSError):  # the request is read so that the answer is not lost with the connection
                request.settimeout(REFUSE_S)
                request.recv(HEAD_BYTES)
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="edge-vss-preview-client",
            daemon=True,
        )
        with self._guard:
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that left is nothing to report."""

    def end(self) -> None:
        """Stop listening, end every connection and wait for their threads."""
        self.shutdown()
        self.server_close()
        with self._guard:
            left = list(self._open.items())
        for connection, _ in left:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until_s = time.monotonic() + CLOSE_S
        for _, thread in left:
            if thread is not None:
                thread.join(max(0.0, until_s - time.monotonic()))
