"""``edge-vss-run`` as a command of the environment: hands over to the native program, which needs no Python."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from edge_vss.runtime.pipeline import onnxruntime_library, run_program

__all__ = ["main"]


def main() -> NoReturn:
    """Become ``edge-vss-run``, with this environment's ONNX Runtime unless ``EDGE_VSS_ONNXRUNTIME`` names another."""
    if not os.environ.get("EDGE_VSS_ONNXRUNTIME"):
        os.environ["EDGE_VSS_ONNXRUNTIME"] = onnxruntime_library()
    program = run_program()
    os.execv(program, [program.name, *sys.argv[1:]])
