"""The reference executor: plays a schedule in plain Python over any callable per stage.

It is meant to be trusted on reading. Export writes golden sequences with it, calibration observes tensors through
it, and the native runtime must match it: the stages that fire, the ages, and the outputs.

One frame goes like this. Clocks that need no signal decide first. Then, as often as it takes: whatever tensor a
stage that fires (or may fire) needs *now* and that has no value makes its writer fire as well, guards permitting.
That is all there is to a reset: nothing has a value, so everything that is needed fires. An output of the graph keeps
its last value, so a schedule whose stages all rest re-uses it. Then the stages run in
dependency order; an adaptive clock decides when its stage's turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.graph import Graph, Read, Stage, stage_order
from edge_vss.schedule import (
    MAX_BUDGET_FRAMES,
    Adaptive,
    Always,
    Clock,
    Cycle,
    Every,
    Pace,
    Schedule,
    Signal,
    check_clocks,
)

__all__ = ["Firing", "ReferenceExecutor", "StageFunction", "Step", "change_between", "paced"]

Array = NDArray[Any]
StageFunction = Callable[..., Sequence[Any]]
"""Takes a stage's inputs in graph order, returns its outputs in graph order."""


@dataclass(frozen=True)
class Origin:
    """The camera frame that a value was computed from: the oldest one among those that a schedule mixes."""

    sequence: int
    pts_us: int


@dataclass
class Slot:
    """What is known of one tensor."""

    values: list[tuple[Any, Origin]] = field(default_factory=list)
    """Newest first; a ring keeps ``depth + 1``, everything else 2."""
    fresh: bool = False
    """Written in this frame."""


@dataclass(frozen=True)
class Step:
    """What one frame did."""

    outputs: dict[str, Any]
    """Output tensor -> value."""
    fired: tuple[str, ...]
    """Stages that ran, in graph order."""
    changes: dict[str, float]
    """Stage with an adaptive clock -> its signal, in [0, 1]; absent where the stage had no reference yet."""
    age_frames: dict[str, int]
    """Output tensor -> how far the camera frame it was computed from lies behind this one, dropped frames included."""
    age_ms: dict[str, float]
    """The same in milliseconds."""
    stage_age_frames: dict[str, int]
    """Stage -> age of its newest output; -1 where it has not fired since the reset."""


@dataclass(frozen=True, kw_only=True)
class Firing:
    """What the stages of one frame do, where something else than their clocks has decided: a deadline."""

    fired: frozenset[str] = frozenset()
    """Stages that run in this frame."""
    landed: frozenset[str] = frozenset()
    """Stages whose firing in the background is used from this frame on."""
    started: frozenset[str] = frozenset()
    """Stages that start in the background, with what they read in this frame."""


class ReferenceExecutor:
    """Plays one schedule over a graph.

    Args:
        functions: Stage -> callable. Values are opaque here: arrays, torch tensors, or nothing at all.
        valid: (top, left, bottom, right) of the picture inside the network's input, each as a share in [0, 1];
            labels whose centre lies outside are padding and do not count in a signal.

    Raises:
        ValueError: The schedule does not fit the graph.
    """

    def __init__(
        self,
        graph: Graph,
        schedule: Schedule,
        functions: Mapping[str, StageFunction],
        *,
        valid: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    ) -> None:
        check_clocks(graph, schedule)
        self.graph, self.schedule, self.functions, self.valid = graph, schedule, functions, valid
        self.reset()

    def reset(self) -> None:
        """Forget every value, as after a scene cut: the next frame fires all that its outputs need."""
        self.frames = 0
        self._slots = {tensor.name: Slot() for tensor in self.graph.tensors}
        self._references: dict[str, Any] = {}
        self._origins: dict[str, Origin] = {}
        self._firings: dict[str, list[int]] = {}
        self._factors: dict[str, float] = {}
        self._flights: dict[str, tuple[Sequence[Any], Origin]] = {}

    def threshold(self, stage: str) -> float:
        """What the signal of a stage's adaptive clock must reach on the next frame: the clock's own, as paced."""
        clock = self.schedule.clock(stage)
        assert isinstance(clock, Adaptive)
        return clock.threshold * self._factors.get(stage, 1.0)

    def step(self, image: Any, *, sequence: int, pts_us: int) -> Step:
        """Process one frame.

        Args:
            image: Value of the graph's image tensor.
            sequence: Number of the camera frame, counting dropped ones.
            pts_us: Capture time, microseconds.
        """
        self._now = Origin(sequence, pts_us)
        self._begin(image)
        will_fire = self._decide()
        cut = {edge for edge in self._edges() if self._delayed(*edge)}
        changes: dict[str, float] = {}
        fired: set[str] = set()
        for name in stage_order(self._with_signals(), cut):
            clock = self.schedule.clock(name)
            if isinstance(clock, Adaptive) and name in self._references and name in will_fire:
                changes[name] = self._change(name, clock.signal)
            if will_fire.get(name) or (will_fire.get(name, True) is None and changes[name] >= self.threshold(name)):
                self._fire(self.graph.stage(name))
                fired.add(name)
        return self._finish(fired, changes)

    def replay(self, image: Any, firing: Firing, *, sequence: int, pts_us: int) -> Step:
        """Process one frame whose firings are given; clocks are not asked.

        A stage in the background computes with what it reads in the frame that starts it. Its outputs take their place
        in the frame where it lands, with the age of what it read; until then readers see the value before.
        """
        self._now = Origin(sequence, pts_us)
        self._begin(image)
        for name in firing.landed:
            outputs, origin = self._flights.pop(name)
            self._put(self.graph.stage(name), outputs, origin)
        cut = {edge for edge in self._edges() if self._delayed(*edge)}
        for name in stage_order(self.graph, cut):
            if name in firing.fired:
                self._fire(self.graph.stage(name))
            elif name in firing.started:
                self._flights[name] = self._compute(self.graph.stage(name))
        return self._finish(set(firing.fired | firing.landed), {})

    def _begin(self, image: Any) -> None:
        for tensor in self.graph.tensors:
            slot = self._slots[tensor.name]
            slot.fresh = False
            if tensor.reset == "zero" and not slot.values:
                slot.values = [(np.zeros(tensor.shape, tensor.dtype), self._now)]
        self._write(self.graph.image, image, self._now)

    def _decide(self) -> dict[str, bool | None]:
        """Stage -> True (fires), None (its signal decides); stages that surely rest are left out."""
        will: dict[str, bool | None] = {}
        for stage in self.graph.stages:
            clock = self.schedule.clock(stage.name)
            if not self._guard_holds(clock):
                continue
            if isinstance(clock, Adaptive):
                origin = self._origins.get(stage.name)
                due = stage.name not in self._references or origin is None
                too_old = origin is not None and self._now.sequence - origin.sequence > clock.max_age
                if due or too_old:
                    will[stage.name] = True
                elif not self._spent(stage.name, clock):
                    will[stage.name] = None
            elif (
                isinstance(clock, Always)
                or (isinstance(clock, Every) and self.frames % clock.k == clock.offset)
                or (isinstance(clock, Cycle) and self.frames % clock.count == clock.index)
            ):
                will[stage.name] = True
        while missing := self._first_missing(will):
            will[self._only_writer(missing)] = True
        return will

    def _spent(self, stage: str, clock: Adaptive) -> bool:
        """Whether firing now would overrun the clock's budget."""
        if clock.budget is None:
            return False
        window = self.frames - clock.budget.frames
        return sum(frame > window for frame in self._firings.get(stage, ())) >= clock.budget.fires

    def _first_missing(self, will: Mapping[str, bool | None]) -> str | None:
        """A tensor that is needed now, has no value, and that no firing stage writes."""
        needed = list(self.graph.outputs)
        for name in will:
            reads = self.graph.stage(name).inputs
            needed += [read.tensor for read in reads if read.version == 0 and not self._delayed(name, read.tensor)]
            clock = self.schedule.clock(name)
            if isinstance(clock, Adaptive) and not self._delayed_signal(name):
                needed.append(clock.signal.tensor)
        for tensor in needed:
            written = any(will.get(writer.name) for writer in self.graph.writers(tensor))
            slot = self._slots[tensor]
            survives = self.graph.tensor(tensor).lives != "frame" or tensor in self.graph.outputs
            kept = slot.values and (slot.fresh or survives)
            if not written and not kept:
                return tensor
        return None

    def _only_writer(self, tensor: str) -> str:
        writers = [w.name for w in self.graph.writers(tensor) if self._guard_holds(self.schedule.clock(w.name))]
        if len(writers) != 1:
            raise ValueError(
                f"schedule {self.schedule.name!r}: {tensor!r} is needed on frame {self.frames} after a reset, "
                f"has no value, and no clock lets a stage write it"
            )
        return writers[0]

    def _guard_holds(self, clock: Clock) -> bool:
        if clock.guard is None:
            return True
        full = len(self._slots[clock.guard.ring].values) >= self.graph.tensor(clock.guard.ring).depth
        return full == (clock.guard.when == "full")

    def _edges(self) -> list[tuple[str, str]]:
        edges = [(edge.stage, edge.tensor) for edge in self.schedule.delays]
        for name, clock in self.schedule.clocks.items():
            if isinstance(clock, Adaptive) and self.schedule.signal_delay(name):
                edges.append((name, clock.signal.tensor))
        return edges

    def _with_signals(self) -> Graph:
        """The graph with every signal as an input of its stage, so that the order knows of it."""
        stages = []
        for stage in self.graph.stages:
            clock = self.schedule.clock(stage.name)
            extra = (Read(clock.signal.tensor),) if isinstance(clock, Adaptive) else ()
            stages.append(Stage(name=stage.name, inputs=(*stage.inputs, *extra), outputs=stage.outputs))
        return Graph(
            image=self.graph.image, tensors=self.graph.tensors, stages=tuple(stages), outputs=self.graph.outputs
        )

    def _delayed(self, stage: str, tensor: str) -> bool:
        """Whether this edge is late in this frame: a value from before the frame must exist."""
        slot = self._slots[tensor]
        return (stage, tensor) in self._edges() and len(slot.values) > int(slot.fresh)

    def _delayed_signal(self, stage: str) -> bool:
        clock = self.schedule.clock(stage)
        return isinstance(clock, Adaptive) and self._delayed(stage, clock.signal.tensor)

    def _read(self, stage: str, tensor: str, version: int = 0) -> tuple[Any, Origin]:
        slot = self._slots[tensor]
        back = -version - 1 if version else 0
        if slot.fresh and (version or self._delayed(stage, tensor)):
            back += 1  # versions before this frame: skip what this frame wrote
        if back >= len(slot.values):
            raise ValueError(
                f"schedule {self.schedule.name!r}: stage {stage!r} reads version {version} of {tensor!r} "
                f"on frame {self.frames} after a reset, when there is none; guard the stage or reset to zero"
            )
        return slot.values[back]

    def _write(self, tensor: str, value: Any, origin: Origin) -> None:
        slot, declared = self._slots[tensor], self.graph.tensor(tensor)
        if slot.fresh:
            raise ValueError(
                f"schedule {self.schedule.name!r}: two stages write {tensor!r} on frame {self.frames} after a reset"
            )
        keep = declared.depth + 1 if declared.lives == "ring" else 2
        slot.values = [(value, origin), *slot.values][:keep]
        slot.fresh = True

    def _change(self, stage: str, signal: Signal) -> float:
        value, _ = self._read(stage, signal.tensor)
        return change_between(value, self._references[stage], signal, self.valid)

    def _compute(self, stage: Stage) -> tuple[Sequence[Any], Origin]:
        reads = [self._read(stage.name, read.tensor, read.version) for read in stage.inputs]
        # Older versions that the network itself asks for (a ring, a recurrent state) are not lateness.
        origins = [origin for (_, origin), read in zip(reads, stage.inputs) if read.version == 0]
        origin = min(origins, key=lambda found: found.sequence, default=self._now)
        return self.functions[stage.name](*(value for value, _ in reads)), origin

    def _put(self, stage: Stage, outputs: Sequence[Any], origin: Origin) -> None:
        for tensor, value in zip(stage.outputs, outputs):
            self._write(tensor, value, origin)
        self._origins[stage.name] = origin

    def _fire(self, stage: Stage) -> None:
        outputs, origin = self._compute(stage)
        clock = self.schedule.clock(stage.name)
        if isinstance(clock, Adaptive):
            self._references[stage.name] = self._read(stage.name, clock.signal.tensor)[0]
            self._firings[stage.name] = [*self._firings.get(stage.name, ()), self.frames][-MAX_BUDGET_FRAMES:]
        self._put(stage, outputs, origin)

    def _finish(self, fired: set[str], changes: dict[str, float]) -> Step:
        newest = {name: self._slots[name].values[0] for name in self.graph.outputs}
        for name, clock in self.schedule.clocks.items():
            if isinstance(clock, Adaptive) and clock.pace:
                self._factors[name] = paced(clock.pace, self._factors.get(name, 1.0), name in fired)
        self.frames += 1
        return Step(
            outputs={name: value for name, (value, _) in newest.items()},
            fired=tuple(stage.name for stage in self.graph.stages if stage.name in fired),
            changes=changes,
            age_frames={name: self._now.sequence - origin.sequence for name, (_, origin) in newest.items()},
            age_ms={name: (self._now.pts_us - origin.pts_us) / 1000 for name, (_, origin) in newest.items()},
            stage_age_frames={
                stage.name: self._now.sequence - self._origins[stage.name].sequence
                if stage.name in self._origins
                else -1
                for stage in self.graph.stages
            },
        )


def paced(pace: Pace, factor: float, fired: bool) -> float:
    """The factor of a threshold after a frame on which its stage fired or rested."""
    return min(pace.high, max(pace.low, factor * (pace.rise if fired else pace.fall)))


def change_between(
    value: Array, reference: Array, signal: Signal, valid: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> float:
    """Change of a signal tensor against its reference, in [0, 1]; see ``Signal``.

    Args:
        value: ``(1, H, W) uint8`` labels, or a float32 tensor of any shape for ``relative``.
        valid: As for ``ReferenceExecutor``; without any position inside the change is 0.
    """
    if signal.kind == "relative":
        scale = float(np.abs(reference).sum(dtype=np.float64))
        difference = float(np.abs(value.astype(np.float64) - reference).sum())
        return min(1.0, difference / scale) if scale else float(difference > 0)
    height, width = value.shape[-2:]
    top, left, bottom, right = valid
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
    positions = int(inside.sum())
    return int(((value[0] != reference[0]) & inside).sum()) / positions if positions else 0.0
