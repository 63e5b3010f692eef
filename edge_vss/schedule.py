"""Clocks and schedules: when each stage of a graph fires, and which edges run one frame late.

A schedule gives every stage a clock and may delay single edges by one frame. A delayed edge does not order its two
stages, so they can run side by side. ``edge_vss.executor`` plays a schedule in plain Python; the native runtime must
do the same, frame by frame.

The types here are the manifest's own, as those of ``edge_vss.graph`` are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from edge_vss.graph import NAME, Graph

__all__ = [
    "Adaptive",
    "Always",
    "Budget",
    "Clock",
    "Cycle",
    "Edge",
    "Every",
    "Guard",
    "Never",
    "Pace",
    "Schedule",
    "Signal",
    "chain_schedules",
    "threshold_between",
    "turn_schedules",
]

MAX_PERIOD = 256
MAX_AGE_LIMIT = 1_000_000
MAX_BUDGET_FRAMES = 64


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the small values below."""


class Guard(_Value, frozen=True, kw_only=True):
    """Holds a clock back while a ring is not (``full``) or already (``filling``) filled at the start of the frame."""

    ring: str
    when: Literal["full", "filling"]


class Signal(_Value, frozen=True, kw_only=True):
    """The number an adaptive clock looks at, in [0, 1]: how much ``tensor`` changed since its stage last fired."""

    tensor: str
    kind: Literal["labels", "relative"] = "labels"
    """``labels``: share of positions whose label differs (padding does not count); ``relative``: the sum of absolute
    differences over the sum of absolute reference values, clipped to 1, for networks without a score head."""


class Always(_Value, frozen=True, kw_only=True, tag="always", tag_field="kind"):
    """Fires on every frame."""

    guard: Guard | None = None


class Never(_Value, frozen=True, kw_only=True, tag="never", tag_field="kind"):
    """Fires only where its output is needed and has no value, that is, after a reset."""

    guard: Guard | None = None


class Every(_Value, frozen=True, kw_only=True, tag="every", tag_field="kind"):
    """Fires when the number of frames processed since the reset is ``offset`` modulo ``k``."""

    k: int
    """In [1, 256]."""
    offset: int = 0
    """In [0, k)."""
    guard: Guard | None = None


class Cycle(_Value, frozen=True, kw_only=True, tag="cycle", tag_field="kind"):
    """Fires when it is this stage's turn among ``count`` that take turns, counted from the reset."""

    index: int
    """In [0, count)."""
    count: int
    """In [1, 256]."""
    guard: Guard | None = None


class Budget(_Value, frozen=True, kw_only=True):
    """At most ``fires`` firings within any ``frames`` processed frames in a row: what video of another kind than the
    calibration's cannot overrun. Firings that ``max_age`` or a reset forces count, but are not held back."""

    fires: int
    """In 1..frames-1."""
    frames: int
    """In 2..64."""


class Pace(_Value, frozen=True, kw_only=True):
    """Steers a threshold towards an update rate while it runs: streets differ in how much they change.

    The threshold is multiplied by a factor that starts at 1 after a reset. Every processed frame multiplies the factor
    by ``rise`` where the stage fired and by ``fall`` where it rested, within [``low``, ``high``]: in balance, the stage
    fires on a share of log(fall) / (log(fall) - log(rise)) of the frames.
    """

    rise: float
    """In (1, 2]."""
    fall: float
    """In [0.5, 1)."""
    low: float
    """In (0, 1]."""
    high: float
    """In [1, 100]."""


class Adaptive(_Value, frozen=True, kw_only=True, tag="adaptive", tag_field="kind"):
    """Fires when its signal reaches a threshold, or when its output would grow older than ``max_age``.

    After Shelhamer et al., "Clockwork Convnets for Video Semantic Segmentation" (2016), section 4.3: the reference
    moves only when the stage fires, so slow change adds up. ``max_age`` is ours: under ego-motion the published
    clock lets the deep scores grow old.
    """

    signal: Signal
    threshold: float
    """In [0, 1]; see ``threshold_between``. A variant may bring its own."""
    max_age: int = 8
    """Frames, >= 1."""
    budget: Budget | None = None
    pace: Pace | None = None
    guard: Guard | None = None


Clock = Always | Never | Every | Cycle | Adaptive


class Edge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stage and one of the tensors that it reads ``now``."""

    stage: str
    tensor: str


class Schedule(_Value, frozen=True, kw_only=True):
    """A named set of clocks, with the edges that run one frame late."""

    name: str
    clocks: dict[str, Clock] = {}
    """Stage -> clock; stages left out fire always."""
    delays: tuple[Edge, ...] = ()
    """The reader sees the value that the tensor had when the frame began, where there is one."""

    def clock(self, stage: str) -> Clock:
        """The clock of ``stage``."""
        return self.clocks.get(stage, Always())

    def delay(self, stage: str, tensor: str) -> int:
        """0 or 1 frame between the writer of ``tensor`` and ``stage``."""
        return int(Edge(stage, tensor) in self.delays)

    def signal_delay(self, stage: str) -> int:
        """0 or 1: an adaptive clock looks at its signal with the delay of its stage's inputs."""
        return int(any(edge.stage == stage for edge in self.delays))

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Schedule:
        """The same schedule with the thresholds of some adaptive stages replaced."""
        clocks = {
            stage: msgspec.structs.replace(clock, threshold=thresholds[stage])
            if isinstance(clock, Adaptive) and stage in thresholds
            else clock
            for stage, clock in self.clocks.items()
        }
        return msgspec.structs.replace(self, clocks=clocks)


def threshold_between(threshold: float, positions: int) -> float:
    """Move a threshold midway between two values that a share of ``positions`` can take.

    The same frames fire as before: a share k/n reaches the result exactly where it reached ``threshold``.
    """
    return max(0.0, (math.ceil(threshold * positions - 1e-9) - 0.5) / positions)


def check_clocks(graph: Graph, schedule: Schedule) -> None:
    """Check every name and number of a schedule against its graph; what stages do together is simulated elsewhere.

    Raises:
        ValueError: One line that names the schedule, the stage and what is wrong.
    """
    where = f"schedule {schedule.name!r}"
    if not NAME.fullmatch(schedule.name):
        raise ValueError(f"schedule name {schedule.name!r} is not a letter followed by letters, digits or '_.-'")
    stages = {stage.name: stage for stage in graph.stages}
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for name, clock in schedule.clocks.items():
        if name not in stages:
            raise ValueError(f"{where} has a clock for stage {name!r}, which the graph lacks")
        problem = _clock_problem(clock)
        if problem:
            raise ValueError(f"{where}, stage {name!r}: {problem}")
        if clock.guard and (clock.guard.ring not in tensors or tensors[clock.guard.ring].lives != "ring"):
            raise ValueError(f"{where}, stage {name!r}: guard names {clock.guard.ring!r}, which is not a ring")
        if isinstance(clock, Adaptive):
            _check_signal(graph, schedule, name, clock)
    for edge in schedule.delays:
        reads = (
            [read for read in stages[edge.stage].inputs if read.tensor == edge.tensor] if edge.stage in stages else []
        )
        if not any(read.version == 0 for read in reads) or tensors[edge.tensor].lives == "ring":
            raise ValueError(f"{where} delays {edge.tensor!r} into {edge.stage!r}, which does not read it 'now'")


def _clock_problem(clock: Clock) -> str:
    if isinstance(clock, Every) and not (1 <= clock.k <= MAX_PERIOD and 0 <= clock.offset < clock.k):
        return f"every {clock.k} offset {clock.offset}: want k in 1..{MAX_PERIOD} and offset in 0..k-1"
    if isinstance(clock, Cycle) and not (1 <= clock.count <= MAX_PERIOD and 0 <= clock.index < clock.count):
        return f"cycle {clock.index} of {clock.count}: want count in 1..{MAX_PERIOD} and index in 0..count-1"
    if isinstance(clock, Adaptive) and not 0.0 <= clock.threshold <= 1.0:
        return f"threshold {clock.threshold} is not in [0, 1]"
    if isinstance(clock, Adaptive) and not 1 <= clock.max_age <= MAX_AGE_LIMIT:
        return f"max_age {clock.max_age} is not in 1..{MAX_AGE_LIMIT}"
    if isinstance(clock, Adaptive) and clock.pace:
        pace = clock.pace
        if not (1.0 < pace.rise <= 2.0 and 0.5 <= pace.fall < 1.0 and 0.0 < pace.low <= 1.0 <= pace.high <= 100.0):
            return (
                f"pace {pace.rise:g} and {pace.fall:g} within {pace.low:g}..{pace.high:g}: a number is out of its range"
            )
    if isinstance(clock, Adaptive) and clock.budget:
        budget = clock.budget
        if not (2 <= budget.frames <= MAX_BUDGET_FRAMES and 1 <= budget.fires < budget.frames):
            return f"budget {budget.fires} of {budget.frames}: want frames in 2..{MAX_BUDGET_FRAMES}, fires below them"
    return ""


def _check_signal(graph: Graph, schedule: Schedule, stage: str, clock: Adaptive) -> None:
    where = f"schedule {schedule.name!r}, stage {stage!r}: signal {clock.signal.tensor!r}"
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    if clock.signal.tensor not in tensors or clock.signal.tensor == graph.image:
        raise ValueError(f"{where} is not a tensor that a stage writes")
    tensor = tensors[clock.signal.tensor]
    if clock.signal.kind == "labels" and (tensor.dtype != "uint8" or len(tensor.shape) != 3 or tensor.shape[0] != 1):
        raise ValueError(f"{where} must be uint8 labels of shape (1, H, W), got {tensor.dtype} {tensor.shape}")
    if clock.signal.kind == "relative" and tensor.dtype != "float32":
        raise ValueError(f"{where} must be float32, got {tensor.dtype}")
    if schedule.signal_delay(stage) == 0 and clock.signal.tensor in _downstream(graph, schedule, stage):
        raise ValueError(f"{where} is computed from the stage it is to fire")


def _downstream(graph: Graph, schedule: Schedule, stage: str) -> set[str]:
    """Tensors that depend on ``stage`` within one frame."""
    reached = set(graph.stage(stage).outputs)
    while True:
        more = {
            output
            for other in graph.stages
            for read in other.inputs
            if read.version == 0 and read.tensor in reached and not schedule.delay(other.name, read.tensor)
            for output in other.outputs
        } - reached
        if not more:
            return reached
        reached |= more


def chain_schedules(
    graph: Graph, chain: Sequence[str], signal: Signal | None, *, threshold: float = 0.05, max_age: int = 6
) -> tuple[Schedule, ...]:
    """The schedules of a clockwork network: fixed rates, pipelines, the adaptive clock and plain re-use.

    Args:
        chain: Stages from the shallowest to the deepest; the others (the fuse stage) always fire.
        signal: What the deepest stage's adaptive clock looks at; without one there is no ``adaptive``.
        threshold: First guess for ``adaptive``; calibration sets it.
        max_age: Frames; bound on the age of the deepest stage's output under ``adaptive``.
    """
    deep, middle = chain[-1], chain[-2]

    def into(stage: str, writer: str) -> tuple[Edge, ...]:
        reads = [read.tensor for read in graph.stage(stage).inputs if read.version == 0]
        return tuple(Edge(stage, name) for name in reads if name in graph.stage(writer).outputs)

    pipeline_2 = into(deep, middle)
    found = [
        Schedule(name="full"),
        Schedule(name="alternate", clocks={deep: Every(k=2)}),
        Schedule(name="pipeline-2", delays=pipeline_2),
    ]
    if len(chain) > 2:
        found.insert(2, Schedule(name="exponential", clocks={middle: Every(k=2), deep: Every(k=4)}))
        found.append(Schedule(name="pipeline-3", delays=pipeline_2 + into(middle, chain[-3])))
    if signal is not None:
        clock = Adaptive(signal=signal, threshold=threshold, max_age=max_age)
        found.append(Schedule(name="adaptive", clocks={deep: clock}))
    return (*found, Schedule(name="reuse", clocks={stage.name: Never() for stage in graph.stages}))


def turn_schedules(graph: Graph, ring: str) -> tuple[Schedule, ...]:
    """The schedules of sub-networks that take turns: together, each alone, and plain re-use.

    The stages are ``encode_i``, which writes the ring, ``propagate_i``, which reads all of it, and ``cold_i``, which
    stands in for it while the ring fills, for i = 0, 1, ...

    Args:
        ring: Name of the ring.
    """
    count = graph.tensor(ring).depth + 1
    full, filling = Guard(ring=ring, when="full"), Guard(ring=ring, when="filling")
    together: dict[str, Clock] = {}
    alone: dict[str, Clock] = {}
    reuse: dict[str, Clock] = {}
    for i in range(count):
        encode, propagate, cold = f"encode_{i}", f"propagate_{i}", f"cold_{i}"
        together |= {
            encode: Cycle(index=i, count=count),
            propagate: Cycle(index=i, count=count, guard=full),
            cold: Cycle(index=i, count=count, guard=filling),
        }
        alone |= {
            encode: Cycle(index=i, count=count),
            propagate: Never(guard=full),
            cold: Cycle(index=i, count=count),
        }
        # After a reset the first head alone may stand in.
        reuse |= {encode: Never(), propagate: Never(guard=full), cold: Never(guard=filling if i == 0 else full)}
    return (
        Schedule(name="cycle", clocks=together),
        Schedule(name="alone", clocks=alone),
        Schedule(name="reuse", clocks=reuse),
    )
