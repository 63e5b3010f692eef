"""``edge-vss-run`` as a command of the environment: hands over to the native program, which needs no Python.

Nothing here imports numpy or the native extension: the program is labelling before those would be there.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys

__all__ = ["main", "onnxruntime_library", "program_path"]

UNEXPECTED, INTERRUPTED = 1, 130


def main() -> None:
    """Become ``edge-vss-run``, with this environment's ONNX Runtime unless ``EDGE_VSS_ONNXRUNTIME`` names another."""
    try:
        # What comes from here on waits for the program, which ends by it as it always does.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        if not os.environ.get("EDGE_VSS_ONNXRUNTIME"):
            os.environ["EDGE_VSS_ONNXRUNTIME"] = onnxruntime_library()
        os.execv(program_path(), ["edge-vss-run", *sys.argv[1:]])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        print(f"edge-vss-run: {error.strerror}: {error.filename}; install edge-vss again", file=sys.stderr)
        sys.exit(UNEXPECTED)


def program_path() -> str:
    """Path of the native program inside the package, found without importing the runtime."""
    spec = importlib.util.find_spec("edge_vss.runtime")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    places = [os.path.join(folder, "bin", "edge-vss-run") for folder in folders]  # noqa: PTH118  # pathlib is slow
    return next((place for place in places if os.access(place, os.X_OK)), "edge-vss-run")


def onnxruntime_library() -> str:
    """Path of the library inside Python's onnxruntime package, found without importing it; "" where there is none."""
    if os.environ.get("EDGE_VSS_ONNXRUNTIME"):
        return ""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return ""
    folder = os.path.join(os.path.dirname(spec.origin), "capi")  # noqa: PTH118, PTH120  # as above
    names = os.listdir(folder) if os.path.isdir(folder) else ()  # noqa: PTH112, PTH208
    found = sorted(name for name in names if name.startswith("libonnxruntime.so"))
    return f"{folder}/{found[-1]}" if found else ""
