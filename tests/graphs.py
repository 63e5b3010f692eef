"""Small graphs that every executor must play: a clockwork chain, a ring with cold heads, two outputs, a recurrence.

Their stages do exact integer arithmetic in float32, the same that the native ``plain`` engines do, so results can
be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.graph import Graph, Read, Stage, Tensor
from edge_vss.schedule import Adaptive, Budget, Cycle, Every, Guard, Pace, Schedule, Signal, chain_schedules

Array = NDArray[Any]


def mix(inputs: Sequence[Array], output: Tensor, salt: int) -> Array:
    """What a ``plain`` engine computes: exact whole numbers below 2**20 in float32, labels modulo 11 in uint8.

    out[i] = (salt + sum over inputs j of (j + 1) * in_j[(i * 7 + salt) mod n_j]) mod 1048573.
    """
    index = np.arange(output.elements, dtype=np.int64)
    total = np.full(output.elements, salt, np.int64)
    for place, value in enumerate(inputs):
        flat = value.reshape(-1)
        total += (place + 1) * flat[(index * 7 + salt) % flat.size].astype(np.int64)
    modulus = 11 if output.dtype == "uint8" else 1048573
    return (total % modulus).astype(output.dtype).reshape(output.shape)


def plain_functions(graph: Graph) -> dict[str, Any]:
    """Stage -> the arithmetic of its plain engine."""

    def bind(stage: Stage) -> Any:
        outputs = [graph.tensor(name) for name in stage.outputs]
        place = [other.name for other in graph.stages].index(stage.name)
        return lambda *inputs: [mix(inputs, out, 31 * place + k) for k, out in enumerate(outputs)]

    return {stage.name: bind(stage) for stage in graph.stages}


def chain_graph(height: int = 32, width: int = 48) -> Graph:
    """A three-stage clockwork network with a fuse stage and a label signal."""
    eighth, sixteenth = (height // 8, width // 8), (height // 16, width // 16)
    return Graph(
        image="image",
        tensors=(
            Tensor(name="image", shape=(1, 3, height, width)),
            Tensor(name="fine", shape=(1, 4, *eighth), lives="state"),
            Tensor(name="middle", shape=(1, 6, *sixteenth), lives="state"),
            Tensor(name="signal", shape=(1, *sixteenth), dtype="uint8", lives="state"),
            Tensor(name="deep", shape=(1, 5, *sixteenth), lives="state"),
            Tensor(name="logits", shape=(1, 5, *eighth)),
        ),
        stages=(
            Stage(name="s1", inputs=(Read("image"),), outputs=("fine",), macs=10),
            Stage(name="s2", inputs=(Read("fine"),), outputs=("middle", "signal"), macs=20),
            Stage(name="s3", inputs=(Read("middle"),), outputs=("deep",), macs=70),
            Stage(name="fuse", inputs=(Read("fine"), Read("middle"), Read("deep")), outputs=("logits",), macs=5),
        ),
        outputs=("logits",),
    )


def chain_graph_schedules(graph: Graph) -> tuple[Schedule, ...]:
    """Its standard schedules, and an adaptive one whose deep stage also runs late."""
    chain = ("s1", "s2", "s3")
    found = chain_schedules(graph, chain, Signal(tensor="signal"), threshold=0.6, max_age=4)
    pipeline = next(s for s in found if s.name == "pipeline-2")
    adaptive = next(s for s in found if s.name == "adaptive")
    late = Schedule(name="adaptive-late", clocks=adaptive.clocks, delays=pipeline.delays)
    clock = adaptive.clocks["s3"]
    assert isinstance(clock, Adaptive)
    held = msgspec.structs.replace(clock, threshold=0.0, max_age=9, budget=Budget(fires=2, frames=5))
    pace = Pace(rise=1.3, fall=0.8, low=0.25, high=4.0)
    paced = msgspec.structs.replace(clock, threshold=0.8, max_age=9, pace=pace)
    relative = Adaptive(signal=Signal(tensor="middle", kind="relative"), threshold=0.4, max_age=5)
    return (
        *found,
        late,
        Schedule(name="adaptive-held", clocks={"s3": held}),
        Schedule(name="adaptive-paced", clocks={"s3": paced}),
        Schedule(name="adaptive-relative", clocks={"s3": relative}),
    )


def ring_graph(count: int = 3) -> tuple[Graph, Schedule]:
    """``count`` sub-networks in turn, a ring of count - 1 entries, a cold head while it fills, shared writers.

    The schedule is written out here rather than made by ``turn_schedules``, which a test compares with it.
    """
    tensors = [
        Tensor(name="image", shape=(1, 3, 16, 24)),
        Tensor(name="key", shape=(1, 4, 2, 3), lives="ring", depth=count - 1),
        Tensor(name="logits", shape=(1, 5, 2, 3)),
    ]
    stages, clocks = [], {}
    for i in range(count):
        tensors.append(Tensor(name=f"value_{i}", shape=(1, 4, 2, 3)))
        ring = tuple(Read("key", -k) for k in range(1, count))
        stages += [
            Stage(name=f"encode_{i}", inputs=(Read("image"),), outputs=(f"value_{i}", "key")),
            Stage(name=f"propagate_{i}", inputs=(Read(f"value_{i}"), *ring), outputs=("logits",)),
            Stage(name=f"cold_{i}", inputs=(Read(f"value_{i}"),), outputs=("logits",)),
        ]
        clocks[f"encode_{i}"] = Cycle(index=i, count=count)
        clocks[f"propagate_{i}"] = Cycle(index=i, count=count, guard=Guard(ring="key", when="full"))
        clocks[f"cold_{i}"] = Cycle(index=i, count=count, guard=Guard(ring="key", when="filling"))
    graph = Graph(image="image", tensors=tuple(tensors), stages=tuple(stages), outputs=("logits",))
    return graph, Schedule(name="cycle", clocks=clocks)


def two_headed_graph() -> tuple[Graph, Schedule]:
    """Two outputs, one of them labels straight from ArgMax, a recurrent state, and a slow branch."""
    graph = Graph(
        image="image",
        tensors=(
            Tensor(name="image", shape=(1, 3, 16, 24)),
            Tensor(name="features", shape=(1, 4, 4, 6)),
            Tensor(name="memory", shape=(1, 4, 4, 6), lives="state", reset="zero"),
            Tensor(name="labels", shape=(1, 16, 24), dtype="uint8"),
            Tensor(name="slow", shape=(1, 2, 4, 6), lives="state"),
            Tensor(name="drivable", shape=(1, 1, 4, 6)),
        ),
        stages=(
            Stage(name="encode", inputs=(Read("image"), Read("memory", -1)), outputs=("features", "memory")),
            Stage(name="segment", inputs=(Read("features"),), outputs=("labels",)),
            Stage(name="branch", inputs=(Read("features"),), outputs=("slow",)),
            Stage(name="drive", inputs=(Read("features"), Read("slow")), outputs=("drivable",)),
        ),
        outputs=("labels", "drivable"),
    )
    return graph, Schedule(name="slow-branch", clocks={"branch": Every(k=3, offset=1)})
