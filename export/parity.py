"""How far exported engines are from the network that they were written from, and what cutting it up costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_vss.executor import StageFunction
from edge_vss.graph import Graph, stage_order
from edge_vss.reference_engines import engine_function, open_session

__all__ = ["Parity", "cost_of_cutting", "stage_parity"]

Array = NDArray[Any]
ELEMENTS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
MIN_ROUNDS, MAX_ROUNDS, BUDGET_S = 3, 15, 4.0


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far the outputs of an engine are from the network's, given equal inputs."""

    max_abs: float = 0.0
    """Largest absolute difference over all outputs with real values."""
    relative: float = 0.0
    """The same over the largest magnitude of that output."""
    labels: float | None = None
    """Share of equal entries of label outputs; None where there are none."""

    def __str__(self) -> str:
        text = f"{self.relative:.1e} of the largest"
        return text if self.labels is None else f"{text}, labels {self.labels:.2%}"


def stage_parity(
    graph: Graph, wanted: Mapping[str, StageFunction], found: Mapping[str, StageFunction], image: Array
) -> dict[str, Parity]:
    """Compare every stage on what reaches it when ``wanted`` processes one image after a reset.

    Args:
        wanted, found: Stage -> callable over numpy arrays.
        image: (1, 3, H, W) float32.
    """
    parities = {}
    for name, inputs, outputs in _walk(graph, wanted, image):
        parities[name] = _compare(outputs, found[name](*inputs))
    return parities


def cost_of_cutting(graph: Graph, stages: Mapping[str, bytes], whole: bytes, image: Array) -> float:
    """Time of all stages one after the other over the time of one whole engine, on one thread.

    Both sides run in turn; the medians of 3 to 15 rounds (about four seconds) are compared. With one thread all work
    is the caller's, so its processor time is taken, which other programs disturb little.
    """
    functions = {name: engine_function(engine, name=name, threads=1) for name, engine in stages.items()}
    calls = [_prepared(stages[name], inputs) for name, inputs, _ in _walk(graph, functions, image)]
    one = _prepared(whole, [image])
    for call in (*calls, one):
        call()
    cut_s: list[float] = []
    whole_s: list[float] = []
    started = time.thread_time()
    while len(cut_s) < MIN_ROUNDS or (len(cut_s) < MAX_ROUNDS and time.thread_time() - started < BUDGET_S):
        before = time.thread_time()
        for call in calls:
            call()
        between = time.thread_time()
        one()
        cut_s.append(between - before)
        whole_s.append(time.thread_time() - between)
    return float(np.median(cut_s) / np.median(whole_s))


def _prepared(engine: bytes, inputs: Sequence[Array]) -> Callable[[], None]:
    """One run of an engine on buffers that were bound beforehand."""
    session = open_session(engine, threads=1)
    binding = session.io_binding()
    for declared, value in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_cpu_input(declared.name, np.ascontiguousarray(value))
    for declared in session.get_outputs():
        binding.bind_ortvalue_output(declared.name, _empty(declared))
    return lambda: session.run_with_iobinding(binding)


def _empty(declared: Any) -> onnxruntime.OrtValue:
    kind = ELEMENTS[declared.type]
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(declared.shape, kind)


def _walk(
    graph: Graph, functions: Mapping[str, StageFunction], image: Array
) -> list[tuple[str, list[Array], Sequence[Array]]]:
    """(stage, inputs, outputs) of one frame; older versions are this frame's where it was written, else zeros."""
    values: dict[str, Array] = {graph.image: image}
    calls = []
    for name in stage_order(graph):
        stage = graph.stage(name)
        tensors = [(graph.tensor(read.tensor), read.version) for read in stage.inputs]
        inputs = [
            np.zeros(tensor.shape, tensor.dtype) if version and tensor.name not in values else values[tensor.name]
            for tensor, version in tensors
        ]
        outputs = functions[name](*inputs)
        values.update(zip(stage.outputs, outputs))
        calls.append((name, inputs, outputs))
    return calls


def _compare(wanted: Sequence[Array], found: Sequence[Array]) -> Parity:
    max_abs, relative = 0.0, 0.0
    equal, entries = 0, 0
    for want, got in zip(wanted, found, strict=True):
        if np.issubdtype(want.dtype, np.floating):
            difference = float(np.abs(want.astype(np.float64) - got).max())
            max_abs = max(max_abs, difference)
            relative = max(relative, difference / max(float(np.abs(want).max()), 1e-30))
        else:
            equal, entries = equal + int((want == got).sum()), entries + want.size
    return Parity(max_abs=max_abs, relative=relative, labels=equal / entries if entries else None)
