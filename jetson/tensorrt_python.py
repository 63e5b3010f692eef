"""TensorRT's Python package as this project uses it: loaded late, and only what 10.3 and 11 both have.

Features are looked for by name, never by version number.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from edge_vss.errors import DeviceError

__all__ = ["INSTALL", "Log", "load_plan", "load_tensorrt", "make_log"]

INSTALL = (
    "on a Jetson: sudo apt-get install python3-libnvinfer, and a virtual environment made with "
    "--system-site-packages; on a PC: pip install tensorrt"
)
MAX_REASON = 300
Log = Any
"""A TensorRT logger with ``errors``, all that it was told, and ``reason()``, the first of them in one line."""


def load_tensorrt() -> ModuleType:
    """The ``tensorrt`` package.

    Raises:
        DeviceError: It is not installed, does not load, or is too old; says what to do.
    """
    try:
        trt = importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        if error.name != "tensorrt":
            raise DeviceError(f"TensorRT's Python package does not load: {error}; {INSTALL}") from None
        raise DeviceError(f"TensorRT's Python package is not installed; {INSTALL}") from None
    except (ImportError, OSError) as error:  # its libraries are missing or of another version
        raise DeviceError(f"TensorRT's Python package does not load: {error}; {INSTALL}") from None
    flags = getattr(trt, "NetworkDefinitionCreationFlag", None)
    if not hasattr(flags, "STRONGLY_TYPED") and hasattr(flags, "EXPLICIT_BATCH"):
        # TensorRT 8 has the latter alone; a version that knows strong types only has neither.
        raise DeviceError(
            f"TensorRT {trt.__version__} is too old: bundles need strongly typed networks and ONNX opset 19, which "
            f"TensorRT 9 brought; JetPack 6.1 or newer has 10.3"
        )
    return trt


def make_log(trt: ModuleType) -> Log:
    """A logger that prints nothing and keeps the errors, for the one line that a failure gets."""

    class Collector(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(msg)

        def reason(self) -> str:
            first = " ".join(self.errors[0].split()) if self.errors else "TensorRT gives no reason"
            return first[:MAX_REASON]

    return Collector()


def load_plan(trt: ModuleType, log: Log, plan: bytes, dla: int | None = None) -> tuple[Any, Any]:
    """Load a plan.

    Returns:
        The runtime, which has to live as long as the engine, and the engine; None where TensorRT refuses the plan.
    """
    runtime = trt.Runtime(log)
    if dla is not None:
        runtime.DLA_core = dla
    return runtime, runtime.deserialize_cuda_engine(plan)
