"""Engine files as the plain callables that the reference executor takes, through ONNX Runtime's Python package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, Storage, Variant
from edge_vss.errors import BadInput
from edge_vss.executor import StageFunction
from edge_vss.graph import Graph

__all__ = ["bundle_functions", "engine_function", "open_session", "stored_functions"]

onnxruntime.disable_telemetry_events()  # what a user's networks look like is nobody else's business


def open_session(engine: bytes, *, name: str = "engine", threads: int = 0, emulated: bool = False) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        threads: 0 = one per core.
        emulated: The file is another back end's: QuantizeLinear and DequantizeLinear are computed as they stand, in
            float, instead of becoming integer kernels, which may saturate.

    Raises:
        BadInput: ONNX Runtime refuses the file; the message names ``name`` and quotes the first line of the reason.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if emulated:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception types are private and many
        raise BadInput(f"{name}: ONNX Runtime does not load it: {str(error).splitlines()[0]}") from None


def engine_function(engine: bytes, *, name: str = "engine", threads: int = 0, emulated: bool = False) -> StageFunction:
    """A stage as a callable: numpy arrays in and out, in the engine's own order. Arguments as for ``open_session``."""
    session = open_session(engine, name=name, threads=threads, emulated=emulated)
    inputs = [value.name for value in session.get_inputs()]

    def run(*values: NDArray[Any]) -> Sequence[NDArray[Any]]:
        outputs: list[NDArray[Any]] = session.run(None, dict(zip(inputs, map(np.asarray, values), strict=True)))
        return outputs

    return run


def bundle_functions(bundle: Bundle, variant: Variant, *, threads: int = 0) -> Mapping[str, StageFunction]:
    """Every stage of one variant of a bundle.

    Raises:
        BadInput: A file is missing or changed, or a stage is a host operation rather than an engine.
    """
    functions = {}
    for stage, engine in variant.engines.items():
        if not engine.file:
            raise BadInput(f"{bundle.path}: stage {stage!r} of variant {variant.name!r} is a host operation")
        functions[stage] = engine_function(
            bundle.read(engine.file),
            name=f"{bundle.path}/{engine.file}",
            threads=threads,
            emulated=variant.backend != "onnxruntime",
        )
    return stored_functions(bundle.manifest.graph, functions, variant.tensors)


def stored_functions(
    graph: Graph, functions: Mapping[str, StageFunction], stored: Mapping[str, Storage]
) -> Mapping[str, StageFunction]:
    """``functions``, of which those that read the image take it as float32 although their engines want integers.

    Between stages the tensors travel as the engines leave them.

    Args:
        stored: Tensor -> how the engines store it.
    """
    storage = stored.get(graph.image)
    if storage is None or storage.dtype not in ("uint8", "int8"):
        return functions
    return {
        name: _with_stored_image(function, [read.tensor == graph.image for read in graph.stage(name).inputs], storage)
        for name, function in functions.items()
    }


def _with_stored_image(function: StageFunction, is_image: Sequence[bool], storage: Storage) -> StageFunction:
    limits = np.iinfo(storage.dtype)

    def integers(value: NDArray[Any]) -> NDArray[Any]:
        """ONNX's QuantizeLinear, in its own float32 arithmetic."""
        levels = np.rint(value / np.float32(storage.scale)) + storage.zero_point
        stored: NDArray[Any] = np.clip(levels, limits.min, limits.max).astype(storage.dtype)
        return stored

    def run(*values: NDArray[Any]) -> Sequence[NDArray[Any]]:
        return function(*(integers(value) if image else value for value, image in zip(values, is_image)))

    return run
