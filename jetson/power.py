"""Power over time, and the energy of any part of it.

Samples carry the time of ``time.monotonic``, so that they can be laid beside frames. Energy is integrated over them by
trapezoid; where sensors count energy themselves, their counts are taken instead.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from edge_vss.jetson.rails import PowerSource, find_counters, find_meters

__all__ = ["PowerSampler", "PowerSource", "PowerTrace", "find_power"]

INTERVAL_S = 0.05
MAX_GAP, MAX_GAP_S = 5, 0.5
"""Intervals, and seconds, without a sample over which energy is still integrated; the longer of the two."""


def find_power(root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> PowerSource | None:
    """The power sensors of this machine; None = not available, because there are none or they may not be read.

    Args:
        clock: Time in seconds; energy counters need it.
    """
    return find_meters(root) or find_counters(root, clock)


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerTrace:
    """Power over a stretch of time. All arrays have shape ``(n,)`` and type float64."""

    kind: str
    label: str
    """What the total covers, such as "module rails, not wall"."""
    total_rails: tuple[str, ...]
    time_s: NDArray[np.float64]
    """When the samples were taken, on the clock of the sampler, strictly increasing."""
    rails_mw: dict[str, NDArray[np.float64]]
    """Rail -> power at these times; for energy counters the mean since the sample before."""
    total_mw: NDArray[np.float64]
    """Of the module; nan throughout where no total is known of these rails."""
    failed: int
    """Reads that failed; they left no sample."""
    max_gap_s: float
    """Longest time between two samples that energy is integrated over."""
    counted_s: NDArray[np.float64] | None = None
    """``(n + 1,)`` times of the energy counts; None where the sensors tell power."""
    counted_mj: dict[str, NDArray[np.float64]] | None = None
    """Rail -> ``(n + 1,)`` counts."""

    def energy_mj(self, start_s: float, end_s: float, rail: str | None = None) -> float | None:
        """Energy from ``start_s`` to ``end_s``, mJ.

        Args:
            rail: One rail alone; None = the module total.

        Returns:
            None where it is not known: outside of the samples, across a gap in them, or no total known of these rails.
        """
        if end_s < start_s:
            raise ValueError(f"end_s must not be before start_s, got {start_s} and {end_s}")
        rails = self.total_rails if rail is None else (rail,)
        times_s = self.time_s if self.counted_s is None else self.counted_s
        if not rails or times_s.size < 2 or start_s < times_s[0] or end_s > times_s[-1]:
            return None
        first = int(np.searchsorted(times_s, start_s, side="right")) - 1
        last = int(np.searchsorted(times_s, end_s, side="left"))
        if np.any(np.diff(times_s[first : last + 1]) > self.max_gap_s):
            return None
        if self.counted_mj is not None:
            counts = np.sum([self.counted_mj[name] for name in rails], axis=0)
            start_mj, end_mj = np.interp((start_s, end_s), times_s, counts)
            return float(end_mj - start_mj)
        power_mw = self.total_mw if rail is None else self.rails_mw[rail]
        inside = times_s[(times_s > start_s) & (times_s < end_s)]
        points_s = np.concatenate(((start_s,), inside, (end_s,)))
        points_mw = np.interp(points_s, times_s, power_mw)
        return float(np.sum((points_mw[1:] + points_mw[:-1]) * np.diff(points_s)) / 2)

    @property
    def longest_gap_s(self) -> float:
        """Longest time between two samples; 0 where there are fewer than two."""
        return float(np.max(np.diff(self.time_s), initial=0.0))

    def mean_mw(self, start_s: float, end_s: float, rail: str | None = None) -> float | None:
        """Mean power from ``start_s`` to ``end_s``, mW; None as for ``energy_mj``."""
        energy_mj = self.energy_mj(start_s, end_s, rail)
        return None if energy_mj is None or end_s <= start_s else energy_mj / (end_s - start_s)


class PowerSampler:
    """Reads a power source again and again in a thread of its own, from ``with`` to its end.

    One sample is taken on entering and one on leaving, so what lies between is covered.
    """

    def __init__(
        self,
        source: PowerSource,
        *,
        interval_s: float = INTERVAL_S,
        max_samples: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read nothing yet.

        Args:
            interval_s: From one sample to the next, > 0.
            max_samples: Keep the newest so many; None = all.
        """
        if not interval_s > 0:
            raise ValueError(f"interval_s must be > 0, got {interval_s}")
        self.source, self.interval_s = source, interval_s
        self._clock, self._lock, self._failed = clock, threading.Lock(), 0
        self._samples: deque[tuple[float, dict[str, float]]] = deque(maxlen=max_samples)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PowerSampler:
        self.sample()
        self._stop.clear()
        self._thread = threading.Thread(target=self._loop, name="edge-vss-power", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.sample()

    def sample(self) -> bool:
        """Take one sample now; False where the read failed, which is counted."""
        with self._lock:
            before_s = self._clock()
            try:
                values = self.source.read_energy() if self.source.counts_energy else self.source.read()
            except OSError:
                self._failed += 1
                return False
            now_s = (before_s + self._clock()) / 2
            if not self._samples or now_s > self._samples[-1][0]:
                self._samples.append((now_s, values))
            return True

    def trace(self) -> PowerTrace:
        """What was sampled until now; may be called while sampling goes on."""
        with self._lock:
            samples, failed = list(self._samples), self._failed
        times_s = np.array([when_s for when_s, _ in samples], np.float64)
        values = {rail: np.array([read[rail] for _, read in samples], np.float64) for rail in self.source.rails}
        counted_s, counted_mj = None, None
        if self.source.counts_energy:
            counted_s, counted_mj = times_s, values
            values = {rail: np.diff(counts) / np.diff(times_s) for rail, counts in values.items()}
            times_s = times_s[1:]
        total = self.source.total_rails
        total_mw = np.sum([values[rail] for rail in total], axis=0) if total else np.full(times_s.shape, np.nan)
        return PowerTrace(
            kind=self.source.kind,
            label=self.source.label,
            total_rails=total,
            time_s=times_s,
            rails_mw=values,
            total_mw=total_mw,
            failed=failed,
            max_gap_s=max(MAX_GAP * self.interval_s, MAX_GAP_S),
            counted_s=counted_s,
            counted_mj=counted_mj,
        )

    def _loop(self) -> None:
        """Keeps to the grid of the interval: a slow read delays one sample, not all that follow."""
        due_s = time.monotonic()
        while True:
            due_s = max(due_s + self.interval_s, time.monotonic())
            if self._stop.wait(due_s - time.monotonic()):
                return
            self.sample()
