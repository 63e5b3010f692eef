"""Observing activations as a schedule feeds them: stale scores, ring entries and delayed inputs included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edge_vss.calibration.frame_check import FrameCheck
from edge_vss.calibration.quantised_nodes import StageNodes
from edge_vss.calibration.ranges import Histogram
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.export.proto import dtype_of
from edge_vss.graph import Graph
from edge_vss.reference_engines import engine_function
from edge_vss.schedule import Schedule

__all__ = ["Observations", "observe"]

Observations = dict[str, dict[str, Histogram]]
"""Stage -> float tensor inside it -> what was seen there. Tensors that cross are seen where they are read. Histograms
of tensors that no 8-bit node would touch know their extremes alone."""
Clip = Iterable[NDArray[np.float32]]


def observe(
    graph: Graph,
    schedule: Schedule,
    engines: Mapping[str, bytes],
    clips: Iterable[Clip],
    progress: Callable[[int], None] | None = None,
) -> Observations:
    """Play a schedule over clips; count what passes every tensor that could become 8-bit, and extremes of the others.

    Args:
        engines: Stage -> float32 ONNX file.
        clips: The network's inputs, (1, 3, H, W) float32, in order; the state is reset between clips.
        progress: Called with the number of frames done.

    Raises:
        BadInput: There is no frame, every frame is black or otherwise of one value, or a value is not finite.
    """
    found: Observations = {stage: {} for stage in engines}
    functions = {stage: _watched(engine, found[stage], stage) for stage, engine in engines.items()}
    check = FrameCheck()
    for clip in clips:
        executor = ReferenceExecutor(graph, schedule, functions)
        for image in clip:
            executor.step(image, sequence=check.count, pts_us=check.count)
            check.add(image)
            if progress:
                progress(check.count)
    check.finish()
    return found


def _watched(engine: bytes, seen: dict[str, Histogram], stage: str) -> StageFunction:
    """The stage, which also looks at its inputs and inner tensors."""
    model = onnx.load_from_string(engine)
    inputs = [value.name for value in model.graph.input]
    outputs = [value.name for value in model.graph.output]
    counted = set(StageNodes(model, outputs).tensors())
    inner = [name for name in _float_results(model) if name not in outputs]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    function = engine_function(model.SerializeToString(), name=stage)

    def run(*values: Any) -> Sequence[Any]:
        results = function(*values)
        for name, value in (*zip(inputs, values), *zip([*outputs, *inner], results)):
            if value.size and np.issubdtype(value.dtype, np.floating):
                histogram = seen.setdefault(name, Histogram())
                histogram.add(value) if name in counted else histogram.widen(value)
        return results[: len(outputs)]

    return run


def _float_results(model: onnx.ModelProto) -> list[str]:
    """Float tensors that nodes write and that hold something, in graph order."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {value.name: dtype_of(value) for value in (*inferred.value_info, *inferred.output)}
    return [name for node in model.graph.node for name in node.output if found.get(name) == "float32"]
