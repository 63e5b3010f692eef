"""Clock thresholds: how much change an adaptive stage tolerates before it fires again.

Set on unlabelled video for a wanted update rate. The network runs once per frame, up to the signal; every candidate
threshold is then replayed on the recorded signals by the reference executor itself, so delays, ``max_age`` and moving
references count as they will on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput
from edge_vss.executor import ReferenceExecutor, StageFunction, change_between
from edge_vss.graph import Graph
from edge_vss.pixels import positions_inside
from edge_vss.schedule import Adaptive, Schedule, Signal, threshold_between

__all__ = ["ClockFit", "fit_clocks", "fit_threshold", "max_age_for", "record_signals"]

Signals = Mapping[str, Sequence[NDArray[Any]]]
"""Signal tensor -> its value on every calibration frame."""
Valid = tuple[float, float, float, float]
MIN_FRAMES = 8
MIN_MAX_AGE = 6
MAX_SIGNAL_BYTES = 1 << 30
RELATIVE_STEPS = 20
"""Bisections of a relative threshold, which can take any value."""


@dataclass(frozen=True)
class ClockFit:
    """One fitted threshold."""

    stage: str
    threshold: float
    """In [0, 1], midway between two values that the signal can take."""
    update_rate: float
    """Share of the calibration frames that fire the stage, the first frame not counted."""
    max_age: int
    """Frames; the clock's bound on the age of the stage's output."""


def max_age_for(update_rate: float) -> int:
    """A bound that lets a stage rest twice its mean interval, and never less than 6 frames."""
    return max(MIN_MAX_AGE, math.ceil(2.0 / update_rate - 1e-9))


def fit_clocks(
    graph: Graph, schedule: Schedule, signals: Signals, *, update_rate: float, valid: Valid = (0.0, 0.0, 1.0, 1.0)
) -> tuple[Schedule, tuple[ClockFit, ...]]:
    """Set every adaptive clock of a schedule, thresholds and ``max_age``, one after the other in graph order.

    Args:
        signals: From ``record_signals``, on consecutive frames.
        update_rate: Wanted share of frames that fire each adaptive stage, in (0, 1].
        valid: As for ``ReferenceExecutor``.
    """
    if not 0.0 < update_rate <= 1.0:
        raise BadInput(f"the clock rate is a share of frames in (0, 1], got {update_rate}")
    fits = []
    for stage in graph.stages:
        clock = schedule.clocks.get(stage.name)
        if isinstance(clock, Adaptive):
            clock = msgspec.structs.replace(clock, max_age=max_age_for(update_rate))
            schedule = msgspec.structs.replace(schedule, clocks={**schedule.clocks, stage.name: clock})
            fit = fit_threshold(graph, schedule, stage.name, signals, update_rate=update_rate, valid=valid)
            schedule = schedule.with_thresholds({stage.name: fit.threshold})
            fits.append(fit)
    if not fits:
        raise BadInput(f"schedule {schedule.name!r} has no adaptive clock to set")
    return schedule, tuple(fits)


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

    Where ``max_age`` alone fires the stage more often than wanted, the rate is what ``max_age`` leaves.
    """
    clock = schedule.clocks[stage]
    assert isinstance(clock, Adaptive)
    memory: dict[tuple[str, int, int], float] = {}
    rates: dict[float, float] = {}

    def rate(threshold: float) -> float:
        if threshold not in rates:
            candidate = schedule.with_thresholds({stage: threshold})
            rates[threshold] = _ReplayExecutor(graph, candidate, signals, valid, memory).update_rate(stage)
        return rates[threshold]

    if clock.signal.kind == "labels":
        positions = positions_inside(graph.tensor(clock.signal.tensor).shape, valid)
        _bisect(0, positions, lambda count: rate(threshold_between(count / positions, positions)), update_rate)
    else:
        _bisect(0, 1 << RELATIVE_STEPS, lambda step: rate(step / (1 << RELATIVE_STEPS)), update_rate)
    threshold = _best(rates, update_rate)
    if clock.signal.kind == "relative":
        between = _midway(
            threshold, {change for (tensor, _, _), change in memory.items() if tensor == clock.signal.tensor}
        )
        threshold = between if rate(between) == rates[threshold] else threshold
    return ClockFit(stage, threshold, rates[threshold], clock.max_age)


def record_signals(
    graph: Graph,
    tensors: Collection[str],
    functions: Mapping[str, StageFunction],
    images: Iterable[NDArray[np.float32]],
    *,
    progress: Callable[[int], None] | None = None,
) -> Signals:
    """Signal tensors on every frame of a stream: the stages that they depend on, each on every frame.

    Args:
        images: The network's inputs, (1, 3, H, W) float32, in order.
        progress: Called with the number of frames done.

    Raises:
        BadInput: There are fewer than 8 frames, or the signals take more than 1 GiB.
    """
    needed = _above(graph, tensors)
    executor = ReferenceExecutor(needed, Schedule(name="signals"), functions)
    values: dict[str, list[NDArray[Any]]] = {name: [] for name in tensors}
    size, count = 0, 0
    for image in images:
        step = executor.step(image, sequence=count, pts_us=count)
        count += 1
        for name in tensors:
            values[name].append(step.outputs[name])
            size += step.outputs[name].nbytes
        if size > MAX_SIGNAL_BYTES:
            raise BadInput(f"the clock signals of {count} frames take more than 1 GiB; calibrate on fewer frames")
        if progress:
            progress(count)
    if count < MIN_FRAMES:
        raise BadInput(f"clock thresholds need at least {MIN_FRAMES} frames, the calibration source gave {count}")
    return values


def _above(graph: Graph, tensors: Collection[str]) -> Graph:
    """The stages that ``tensors`` depend on, whichever version they read."""
    wanted, stages = set(tensors), set[str]()
    while new := {writer.name for tensor in wanted for writer in graph.writers(tensor)} - stages:
        stages |= new
        wanted |= {read.tensor for name in new for read in graph.stage(name).inputs}
    kept = tuple(stage for stage in graph.stages if stage.name in stages)
    known = wanted | {graph.image} | {name for stage in kept for name in stage.outputs}
    return Graph(
        image=graph.image,
        tensors=tuple(tensor for tensor in graph.tensors if tensor.name in known),
        stages=kept,
        outputs=tuple(tensors),
    )


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

    def update_rate(self, stage: str) -> float:
        """Share of frames after the first on which ``stage`` fires."""
        frames = len(next(iter(self._signals.values())))
        fired = [stage in self.step(index, sequence=index, pts_us=index).fired for index in range(frames)]
        return sum(fired[1:]) / (frames - 1)

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


def _bisect(low: int, high: int, rate: Callable[[int], float], wanted: float) -> None:
    """Look at the places around which a (nearly) falling rate passes ``wanted``."""
    rate(low), rate(high)
    while high - low > 1:
        middle = (low + high) // 2
        if rate(middle) <= wanted:
            high = middle
        else:
            low = middle


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
