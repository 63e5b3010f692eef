"""A real run with its preview page, in threads of this process, and ways to ask it."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_vss.frame import Frame
from edge_vss.labelling import label_frames
from edge_vss.preview import Preview, parse_address
from edge_vss.run_stats import RunStats
from edge_vss.runtime import Pipeline

__all__ = ["LiveRun", "Reply", "Start", "wait_until"]


@dataclass(frozen=True)
class Reply:
    """What a request got."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class LiveRun:
    """Labels noise until it is stopped.

    Args:
        interval_s: Rest before each frame.
        limit: Frames after which the source gives no more, without ending.
        observe: Called after every frame, after the page was told.
    """

    def __init__(
        self,
        bundle: Path,
        address: str = "127.0.0.1:0",
        *,
        size: tuple[int, int] = (96, 128),
        interval_s: float = 0.01,
        limit: int | None = None,
        deadline_ms: float = 0.0,
        observe: Callable[[RunStats], None] = lambda stats: None,
        **options: Any,
    ) -> None:
        self._size, self._interval_s, self._limit = size, interval_s, limit
        self._stop = threading.Event()
        self.pipeline = Pipeline(bundle, threads=1, deadline_ms=deadline_ms)
        options = {"environment": {}, "root": Path("/nowhere"), **options}
        try:
            self.preview = Preview(parse_address(address), self.pipeline.info, **options)
        except BaseException:
            self.pipeline.close()
            raise
        self.stats = RunStats(stages=tuple(name for name, _ in self.pipeline.info.stages))
        self.port = self.preview.server.bound.port

        def counted(stats: RunStats) -> None:
            self.preview.observe(stats)
            observe(stats)

        self._thread = threading.Thread(
            target=label_frames,
            args=(self.pipeline, self._frames(), [self.preview], self.stats),
            kwargs={"observe": counted},
        )
        self._thread.start()

    def _frames(self) -> Iterator[Frame]:
        rng, (height, width) = np.random.default_rng(5), self._size
        noise = rng.integers(0, 255, (height + 64, width, 3), dtype=np.uint8)
        sequence = 0
        while not self._stop.wait(self._interval_s):
            if sequence == self._limit:
                continue
            top = sequence % 64
            yield Frame(
                format="rgb",
                planes=(noise[top : top + height],),
                height=height,
                width=width,
                pts_us=sequence * 10_000,
                sequence=sequence,
            )
            sequence += 1

    def ask(self, path: str = "/stats.json", method: str = "GET", **headers: str) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): headers[name] for name in headers})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        """A bare connection."""
        connection = socket.socket()
        if receive_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def send(self, request: bytes) -> bytes:
        """Everything that comes back for these bytes until the server closes."""
        with self.connect() as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def wait_frames(self, count: int) -> None:
        """Until so many frames are labelled."""
        wait_until(lambda: self.stats.frames >= count)

    def stop(self) -> None:
        """End the loop, and with it the page."""
        self._stop.set()
        self._thread.join()
        self.preview.close()
        self.pipeline.close()


def wait_until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Until it holds."""
    until_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until_s, "it did not come to pass"
        time.sleep(0.005)


Start = Callable[..., LiveRun]
"""``start(address, bundle=..., **options of LiveRun)``"""
