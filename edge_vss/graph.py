"""Stages and the tensors between them: what a temporal network is, before anyone says when each part runs.

A graph is a set of stages that hand tensors to each other. A tensor lives for one frame, keeps its last version
(*state*) or keeps its last few (*ring*); a stage input names a tensor and the version that it reads. When each
stage runs is not part of the graph: see ``edge_vss.schedule``.

The types here are the manifest's own: what is written to a bundle is exactly this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

__all__ = ["DType", "Graph", "Read", "Stage", "Tensor", "stage_order"]

DType = Literal["float32", "float16", "uint8", "int8", "int32", "int64"]
DTYPE_BYTES: dict[str, int] = {"float32": 4, "float16": 2, "uint8": 1, "int8": 1, "int32": 4, "int64": 8}
MAX_RING = 16
MAX_TENSOR_BYTES = 1 << 30
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,127}")


class Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value of static shape that stages hand to each other."""

    name: str
    shape: tuple[int, ...]
    """Every extent > 0; features and logits are (1, C, H, W), label tensors (1, H, W)."""
    dtype: DType = "float32"
    """Type in the network as trained; a variant may store the tensor quantised."""
    lives: Literal["frame", "state", "ring"] = "frame"
    """``frame``: this frame only; ``state``: the last version survives; ``ring``: the last ``depth`` versions do."""
    depth: int = 1
    """Entries of a ring, in [1, 16]; 1 for everything else."""
    reset: Literal["invalid", "zero"] = "invalid"
    """After a reset a state tensor has no value (its stage must fire) or is all zeros (a recurrent state)."""

    @property
    def elements(self) -> int:
        """Number of scalars."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of one version as trained."""
        return self.elements * DTYPE_BYTES[self.dtype]


class Read(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One stage input: a tensor and which of its versions."""

    tensor: str
    version: int = 0
    """0 = ``now``: the newest value, this frame's where its writer fires. -1: of a state, its value when the frame
    began. -k: of a ring, the k-th newest entry written before this frame, even when this stage writes a new one."""

    @property
    def name(self) -> str:
        """What an engine calls this input; a stage may read several versions of one tensor."""
        return self.tensor if not self.version else f"{self.tensor}[{self.version}]"


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of the network with its own engine and clock."""

    name: str
    inputs: tuple[Read, ...]
    """In the order of the engine's inputs."""
    outputs: tuple[str, ...]
    """Tensors written, in the order of the engine's outputs."""
    macs: int = 0
    """Multiply-adds of one firing."""
    params: int = 0
    """Trained parameters."""


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stages and the tensors between them.

    Raises:
        ValueError: From construction, when names clash or are missing, a version is out of reach, a tensor has no
            writer, or ``now`` reads form a cycle. The message names the stage or tensor.
    """

    image: str
    """The tensor that pre-processing writes before any stage runs."""
    tensors: tuple[Tensor, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[str, ...]
    """Tensors that leave the graph each frame."""

    def __post_init__(self) -> None:
        _check_names(self)
        _check_tensors(self)
        _check_reads(self)
        stage_order(self)

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name; KeyError where there is none."""
        return {tensor.name: tensor for tensor in self.tensors}[name]

    def stage(self, name: str) -> Stage:
        """The stage of that name; KeyError where there is none."""
        return {stage.name: stage for stage in self.stages}[name]

    def writers(self, tensor: str) -> tuple[Stage, ...]:
        """Stages that write ``tensor``, in graph order; more than one only where their clocks exclude each other."""
        return tuple(stage for stage in self.stages if tensor in stage.outputs)

    def engine_inputs(self, stage: Stage) -> list[Tensor]:
        """What a stage's engine takes, in order, under the engine's names."""
        reads = [(read.name, self.tensor(read.tensor)) for read in stage.inputs]
        return [msgspec.structs.replace(tensor, name=name) for name, tensor in reads]

    def engine_outputs(self, stage: Stage) -> list[Tensor]:
        """What a stage's engine gives, in order."""
        return [self.tensor(name) for name in stage.outputs]

    @property
    def macs(self) -> int:
        """Multiply-adds when every stage fires."""
        return sum(stage.macs for stage in self.stages)

    @property
    def params(self) -> int:
        """Trained parameters of all stages."""
        return sum(stage.params for stage in self.stages)


def _unique(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"{kind} name {name!r} is not a letter followed by letters, digits, '_', '.' or '-'")
        if name in seen:
            raise ValueError(f"two {kind}s are called {name!r}")
        seen.add(name)


def _check_names(graph: Graph) -> None:
    _unique("stage", (stage.name for stage in graph.stages))
    _unique("tensor", (tensor.name for tensor in graph.tensors))
    if not graph.stages:
        raise ValueError("a graph needs at least one stage")
    if not graph.outputs:
        raise ValueError("a graph needs at least one output")
    known = {tensor.name for tensor in graph.tensors}
    used = [("image", graph.image), *(("output", name) for name in graph.outputs)]
    for stage in graph.stages:
        used += [(f"input of stage {stage.name!r}", read.tensor) for read in stage.inputs]
        used += [(f"output of stage {stage.name!r}", name) for name in stage.outputs]
        if not stage.outputs:
            raise ValueError(f"stage {stage.name!r} writes nothing")
        if len(set(stage.outputs)) != len(stage.outputs):
            raise ValueError(f"stage {stage.name!r} writes a tensor twice")
        if stage.macs < 0 or stage.params < 0:
            raise ValueError(f"stage {stage.name!r} has negative costs")
    for role, name in used:
        if name not in known:
            raise ValueError(f"{role} names tensor {name!r}, which is not declared")


def _check_tensors(graph: Graph) -> None:
    for tensor in graph.tensors:
        if not tensor.shape or len(tensor.shape) > 8 or min(tensor.shape) < 1 or tensor.bytes > MAX_TENSOR_BYTES:
            raise ValueError(
                f"tensor {tensor.name!r} has shape {tensor.shape}; want 1-8 positive extents, at most 1 GiB"
            )
        limit = MAX_RING if tensor.lives == "ring" else 1
        if not 1 <= tensor.depth <= limit:
            raise ValueError(f"tensor {tensor.name!r} ({tensor.lives}) has depth {tensor.depth}, want 1..{limit}")
        if tensor.reset == "zero" and tensor.lives != "state":
            raise ValueError(f"tensor {tensor.name!r} resets to zero, which only a state can")
        writers = graph.writers(tensor.name)
        if tensor.name == graph.image:
            if writers or tensor.lives != "frame":
                raise ValueError(f"tensor {tensor.name!r} is the image: it lives one frame and no stage writes it")
        elif not writers:
            raise ValueError(f"no stage writes tensor {tensor.name!r}")


def _check_reads(graph: Graph) -> None:
    for stage in graph.stages:
        for read in stage.inputs:
            tensor = graph.tensor(read.tensor)
            oldest = {"frame": 0, "state": -1, "ring": -tensor.depth}[tensor.lives]
            if not oldest <= read.version <= 0:
                raise ValueError(
                    f"stage {stage.name!r} reads version {read.version} of {tensor.lives} {tensor.name!r}, "
                    f"which keeps {oldest}..0"
                )


def stage_order(graph: Graph, cut: Collection[tuple[str, str]] = ()) -> tuple[str, ...]:
    """Names of the stages, writers before their ``now`` readers, graph order where nothing decides.

    Args:
        cut: (stage, tensor) edges that do not order anything, because a schedule delays them.

    Raises:
        ValueError: The remaining ``now`` reads form a cycle.
    """
    waits = {
        stage.name: {
            writer.name
            for read in stage.inputs
            if read.version == 0 and (stage.name, read.tensor) not in cut
            for writer in graph.writers(read.tensor)
        }
        for stage in graph.stages
    }
    order: list[str] = []
    while len(order) < len(waits):
        ready = next((name for name, before in waits.items() if name not in order and before <= set(order)), None)
        if ready is None:
            stuck = ", ".join(name for name in waits if name not in order)
            raise ValueError(f"stages {stuck} wait for each other; delay an edge or read an older version")
        order.append(ready)
    return tuple(order)
