"""What else happens on the machine while frames are measured: other programs, swapping, clocks, temperatures."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edge_vss.jetson.board import BoardState, read_state
from edge_vss.jetson.sysfs import read_text

__all__ = ["HostSample", "Monitor", "Watched", "memory_high_water_mib", "read_host"]

INTERVAL_S = 1.0
_BUSY = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


@dataclass(frozen=True)
class HostSample:
    """Counters of the whole machine at one moment; None where the kernel does not tell."""

    time_s: float
    busy_s: float | None
    """CPU time that all programs together have used, of all cores."""
    stolen_s: float | None
    """Time that a hypervisor gave to others."""
    own_s: float
    """CPU time of this process."""
    swapped_pages: int | None


def read_host(root: Path = Path("/")) -> HostSample:
    """Counters now."""
    line = (read_text(root / "proc/stat") or "").partition("\n")[0].split()
    busy_s = stolen_s = None
    if line[:1] == ["cpu"] and len(line) > len(_BUSY):
        ticks = dict(zip(_BUSY, map(int, line[1:])))
        second = os.sysconf("SC_CLK_TCK")
        stolen_s = ticks["steal"] / second
        busy_s = sum(value for name, value in ticks.items() if name not in ("idle", "iowait", "steal")) / second
    moved = dict(pair for row in (read_text(root / "proc/vmstat") or "").splitlines() if len(pair := row.split()) == 2)
    swapped = int(moved["pswpin"]) + int(moved["pswpout"]) if {"pswpin", "pswpout"} <= moved.keys() else None
    times = os.times()
    return HostSample(time.monotonic(), busy_s, stolen_s, times.user + times.system, swapped)


def memory_high_water_mib(root: Path = Path("/")) -> float | None:
    """The most memory that this process has had in use at once."""
    for row in (read_text(root / "proc/self/status") or "").splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) / 1024
    return None


@dataclass(frozen=True)
class Watched:
    """Samples of a stretch of time, about one a second."""

    hosts: tuple[HostSample, ...]
    states: tuple[BoardState, ...]

    def between(self, start_s: float, end_s: float) -> Watched:
        """The samples of a part of it, with the ones just outside."""

        def inside(times: list[float]) -> slice:
            first = max(0, sum(time_s <= start_s for time_s in times) - 1)
            return slice(first, sum(time_s < end_s for time_s in times) + 1)

        return Watched(
            self.hosts[inside([sample.time_s for sample in self.hosts])],
            self.states[inside([state.time_s for state in self.states])],
        )

    def foreign_cores(self) -> list[float] | None:
        """Cores that other programs kept busy, between one sample and the next; None = not available."""
        return self._per_second(lambda sample: sample.busy_s and sample.busy_s - sample.own_s)

    def stolen_cores(self) -> list[float] | None:
        """The same for a hypervisor."""
        return self._per_second(lambda sample: sample.stolen_s)

    def _per_second(self, read: object) -> list[float] | None:
        assert callable(read)
        values = [read(sample) for sample in self.hosts]
        if len(values) < 2 or any(value is None for value in values):
            return None
        times = [sample.time_s for sample in self.hosts]
        return [
            max(0.0, (values[i + 1] - values[i]) / (times[i + 1] - times[i]))
            for i in range(len(values) - 1)
            if times[i + 1] - times[i] > INTERVAL_S / 4  # the kernel counts in hundredths of a second
        ]

    def mean_foreign_cores(self) -> float | None:
        """Over the whole stretch."""
        first, last = (self.hosts[0], self.hosts[-1]) if len(self.hosts) > 1 else (None, None)
        if first is None or last is None or first.busy_s is None or last.busy_s is None:
            return None
        foreign_s = (last.busy_s - last.own_s) - (first.busy_s - first.own_s)
        return max(0.0, foreign_s / (last.time_s - first.time_s))

    def swapped_pages(self) -> int | None:
        """Pages that went in or out of swap space."""
        if len(self.hosts) < 2 or self.hosts[0].swapped_pages is None or self.hosts[-1].swapped_pages is None:
            return None
        return self.hosts[-1].swapped_pages - self.hosts[0].swapped_pages

    def events(self) -> dict[str, int]:
        """Over-current and throttle events of the stretch, those counters that moved."""
        if not self.states:
            return {}
        first, last = self.states[0].events, self.states[-1].events
        return {name: last[name] - first[name] for name in last if name in first and last[name] != first[name]}


class Monitor:
    """Samples in a thread of its own, from ``with`` to its end."""

    def __init__(self, root: Path = Path("/"), interval_s: float = INTERVAL_S) -> None:
        self._root, self._interval_s = root, interval_s
        self._hosts: list[HostSample] = []
        self._states: list[BoardState] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Monitor:
        self.sample()
        self._thread = threading.Thread(target=self._loop, name="edge-vss-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def sample(self) -> None:
        """Look at the machine now."""
        host, state = read_host(), read_state(self._root)
        with self._lock:
            self._hosts.append(host)
            self._states.append(state)

    def watched(self) -> Watched:
        """Everything so far."""
        with self._lock:
            return Watched(tuple(self._hosts), tuple(self._states))

    def _loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.sample()
