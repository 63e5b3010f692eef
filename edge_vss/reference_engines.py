"""Engine files as the plain callables that the reference executor takes, through ONNX Runtime's Python package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, Variant
from edge_vss.errors import BadInput
from edge_vss.executor import StageFunction

__all__ = ["bundle_functions", "engine_function", "open_session"]


def open_session(engine: bytes, *, name: str = "engine", threads: int = 0) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Args:
        threads: 0 = one per core.

    Raises:
        BadInput: ONNX Runtime refuses the file; the message names ``name`` and quotes the first line of the reason.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(engine, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception types are private and many
        raise BadInput(f"{name}: ONNX Runtime does not load it: {str(error).splitlines()[0]}") from None


def engine_function(engine: bytes, *, name: str = "engine", threads: int = 0) -> StageFunction:
    """A stage as a callable: numpy arrays in and out, in the engine's own order."""
    session = open_session(engine, name=name, threads=threads)
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
            bundle.read(engine.file), name=f"{bundle.path}/{engine.file}", threads=threads
        )
    return functions
