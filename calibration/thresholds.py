"""One adaptive clock's threshold, found by replaying the schedule over recorded signals.

The reference executor itself plays every candidate, so delays, ``max_age`` and moving references count as they will
on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.executor import ReferenceExecutor, StageFunction, change_between
from edge_vss.graph import Graph
from edge_vss.pixels import positions_inside
from edge_vss.schedule import Adaptive, Schedule, Signal, threshold_between

__all__ = ["ClockFit", "Signals", "Valid", "fit_threshold"]

Signals = Mapping[str, Sequence[NDArray[Any]]]
"""Signal tensor -> its value on every calibration frame."""
Valid = tuple[float, float, float, float]
NEIGHBOURS = 4
"""Places on either side of the one that bisection finds that are looked at as well."""
RELATIVE_STEPS = 20
"""Bisections of a relative threshold, which can take any value."""


@dataclass(frozen=True)
class ClockFit:
    """One fitted threshold."""

    stage: str
    threshold: float
    """In [0, 1], midway between two values that the signal can take."""
    update_rate: float
    """Share of the calibration frames that fire the stage within its budget, the first not counted."""
    max_age: int
    """Frames; the clock's bound on the age of the stage's output."""


def fit_threshold(
    graph: Graph,
    schedule: Schedule,
    stage: str,
    signals: Signals,
    *,
    update_rate: float,
    valid: Valid = (0.0, 0.0, 1.0, 1.0),
) -> ClockFit:
    """The threshold of one stage's adaptive clock whose update rate comes closest to the wanted one from below.

    The threshold alone is fitted to the mean; a clock's budget and pace are left out of that, because with them every
    threshold gives much the same rate.
    Where ``max_age`` alone fires the stage more often than wanted, the rate is what ``max_age`` leaves.
    """
    clock = schedule.clocks[stage]
    assert isinstance(clock, Adaptive)
    memory: dict[tuple[str, int, int], float] = {}
    rates: dict[float, float] = {}
    free = msgspec.structs.replace(clock, budget=None, pace=None)

    def play(of: Adaptive, threshold: float) -> float:
        candidate = msgspec.structs.replace(schedule, clocks={**schedule.clocks, stage: of})
        candidate = candidate.with_thresholds({stage: threshold})
        return float(_ReplayExecutor(graph, candidate, signals, valid, memory).firings(stage).mean())

    def rate(threshold: float) -> float:
        if threshold not in rates:
            rates[threshold] = play(free, threshold)
        return rates[threshold]

    if clock.signal.kind == "labels":
        positions = max(1, positions_inside(graph.tensor(clock.signal.tensor).shape, valid))
        _bisect(0, positions, lambda count: rate(threshold_between(count / positions, positions)), update_rate)
    else:
        _bisect(0, 1 << RELATIVE_STEPS, lambda step: rate(step / (1 << RELATIVE_STEPS)), update_rate)
    threshold = _best(rates, update_rate)
    if clock.signal.kind == "relative":
        between = _midway(
            threshold, {change for (tensor, _, _), change in memory.items() if tensor == clock.signal.tensor}
        )
        threshold = between if rate(between) == rates[threshold] else threshold
    return ClockFit(stage, threshold, play(clock, threshold), clock.max_age)


class _ReplayExecutor(ReferenceExecutor):
    """Plays a schedule over recorded signals: every value is the number of the frame that it was computed on."""

    def __init__(
        self,
        graph: Graph,
        schedule: Schedule,
        signals: Signals,
        valid: Valid,
        memory: dict[tuple[str, int, int], float],
    ) -> None:
        super().__init__(
            graph, schedule, {stage.name: self._number(len(stage.outputs)) for stage in graph.stages}, valid=valid
        )
        self._signals, self._memory = signals, memory

    def firings(self, stage: str) -> NDArray[np.bool_]:
        """(frames - 1,) bool: whether ``stage`` fires, on every frame after the first."""
        frames = len(next(iter(self._signals.values())))
        fired = [stage in self.step(index, sequence=index, pts_us=index).fired for index in range(frames)]
        return np.array(fired[1:])

    def _number(self, count: int) -> StageFunction:
        return lambda *inputs: (self._now.sequence,) * count

    def _change(self, stage: str, signal: Signal) -> float:
        """The change between two frames; candidates share what they have computed."""
        now, reference = self._read(stage, signal.tensor)[0], self._references[stage]
        key = (signal.tensor, now, reference)
        if key not in self._memory:
            values = self._signals[signal.tensor]
            self._memory[key] = change_between(values[now], values[reference], signal, self.valid)
        return self._memory[key]


def _bisect(first: int, last: int, rate: Callable[[int], float], wanted: float) -> None:
    """Look at the places around which a rate that falls, though not everywhere, passes ``wanted``."""
    low, high = first, last
    rate(low), rate(high)
    while high - low > 1:
        middle = (low + high) // 2
        if rate(middle) <= wanted:
            high = middle
        else:
            low = middle
    for near in range(max(first, high - NEIGHBOURS), min(last, high + NEIGHBOURS) + 1):
        rate(near)


def _best(rates: Mapping[float, float], wanted: float) -> float:
    """The threshold with the highest rate that is not above ``wanted``, or the lowest rate where all are."""
    below = {threshold: rate for threshold, rate in rates.items() if rate <= wanted + 1e-12}
    if below:
        return max(below, key=lambda threshold: (below[threshold], -threshold))
    return min(rates, key=lambda threshold: (rates[threshold], threshold))


def _midway(threshold: float, changes: Collection[float]) -> float:
    """The middle between the two seen changes around ``threshold``."""
    under = max((change for change in changes if change < threshold), default=0.0)
    over = min((change for change in changes if change >= threshold), default=1.0)
    return (under + over) / 2
