"""What single nodes and stages gain and lose in INT8."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_vss.calibration.qdq import Form, quantise_stage
from edge_vss.calibration.quantised_nodes import SCALE_KEEPING, StageNodes
from edge_vss.calibration.ranges import Range
from edge_vss.errors import BadInput
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.graph import Graph, Stage
from edge_vss.reference_engines import engine_function
from edge_vss.schedule import Schedule

__all__ = ["able_nodes", "engine_ms", "node_signal_to_noise", "stage_inputs"]

StageInputs = Mapping[str, list[list[NDArray[Any]]]]
"""Stage -> per frame, what it read."""


def stage_inputs(
    graph: Graph, schedules: Sequence[Schedule], engines: Mapping[str, bytes], images: Sequence[NDArray[np.float32]]
) -> StageInputs:
    """What every float32 stage reads on a few frames, under the first schedule that fires it."""
    seen: dict[str, list[list[NDArray[Any]]]] = {stage: [] for stage in engines}

    def watched(stage: str, function: StageFunction) -> StageFunction:
        def run(*values: Any) -> Sequence[Any]:
            seen[stage].append([np.asarray(value) for value in values])
            return function(*values)

        return run

    functions = {stage: watched(stage, engine_function(engine, name=stage)) for stage, engine in engines.items()}
    found: StageInputs = {stage: [] for stage in engines}
    for schedule in schedules:
        if all(found.values()):
            break
        executor = ReferenceExecutor(graph, schedule, functions)
        for place, image in enumerate(images):
            executor.step(image, sequence=place, pts_us=place)
        found = {stage: reads or seen[stage] for stage, reads in found.items()}
        seen.update({stage: [] for stage in engines})
    return found


def able_nodes(engine: bytes, leaving: Sequence[str], form: Form) -> tuple[list[str], list[str]]:
    """Of a float32 stage's nodes that can become 8-bit: those that compute, and all; names in graph order."""
    nodes = StageNodes(onnx.load_from_string(engine), leaving, fewest_inputs=form.fewest_inputs).quantised
    return [name for name, node in nodes.items() if node.op_type not in SCALE_KEEPING], list(nodes)


def node_signal_to_noise(
    graph: Graph,
    stage: Stage,
    engine: bytes,
    ranges: Mapping[str, Range],
    inputs: list[list[NDArray[Any]]],
    form: Form,
    leaving: Sequence[str],
) -> dict[str, float]:
    """Node that computes -> signal to noise, in dB, of the stage's worst output when that node alone is 8-bit.

    Args:
        inputs: From ``stage_inputs``.
        leaving: As for ``quantise_stage``.
    """
    computing, able = able_nodes(engine, leaving, form)
    reads, writes = graph.engine_inputs(stage), graph.engine_outputs(stage)
    wanted = [engine_function(engine, name=stage.name)(*values) for values in inputs]
    found = {}
    for node in computing:
        kept = [name for name in able if name != node]
        alone = quantise_stage(engine, reads, writes, ranges, {}, kept, form, leaving).engine
        function = engine_function(alone, name=f"{stage.name}, {node} in int8", emulated=True)
        results = [function(*values) for values in inputs]
        ratios = (
            _decibels([frame[place] for frame in wanted], [frame[place] for frame in results])
            for place, tensor in enumerate(writes)
            if tensor.dtype == "float32"
        )
        found[node] = min(ratios, default=math.inf)
    return found


def _decibels(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    signal = sum(float((one.astype(np.float64) ** 2).sum()) for one in wanted)
    noise = sum(float(((one.astype(np.float64) - other) ** 2).sum()) for one, other in zip(wanted, found))
    return 10.0 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30)))


def engine_ms(engines: Sequence[bytes], *, rounds: int = 15, threads: int = 0) -> list[float]:
    """Median milliseconds of several forms of one stage on ONNX Runtime, in turn; inputs are zeros.

    Raises:
        BadInput: ONNX Runtime does not load one.
    """
    calls = []
    for engine in engines:
        model = onnx.load_from_string(engine)
        values = []
        for value in model.graph.input:
            tensor = value.type.tensor_type
            shape = [dim.dim_value for dim in tensor.shape.dim]
            values.append(np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
        if not values:
            raise BadInput("a stage without inputs cannot be timed")
        calls.append((engine_function(engine, threads=threads), values))
    times: list[list[float]] = [[] for _ in engines]
    for turn in range(rounds + 2):
        for place, (function, values) in enumerate(calls):
            start = time.perf_counter()
            function(*values)
            if turn >= 2:
                times[place].append((time.perf_counter() - start) * 1e3)
    return [statistics.median(found) for found in times]
