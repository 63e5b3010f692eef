"""What a machine has, what is missing, and the command that mends it. Nothing here guesses, nothing needs a board."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_vss.jetson.board import read_board
from edge_vss.jetson.checks import NOT_AVAILABLE, Check
from edge_vss.jetson.doctor_board import examine_board
from edge_vss.jetson.doctor_devices import examine_acceleration, examine_cameras

__all__ = ["Check", "examine"]

RIVAL_RUNTIMES = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-training")
TRAINING_PACKAGES = ("torch", "onnx", "onnxscript", "onnxslim", "opencv-python-headless", "safetensors")
TRAIN_FIX = "pip install 'edge-vss[train]'"


def examine(root: Path = Path("/")) -> list[Check]:
    """Look at everything; a look that fails is a check that is not ok.

    Args:
        root: Where the files of the machine are looked for.
    """
    board = read_board(root)
    looks: dict[str, Callable[[], Iterator[Check]]] = {
        "board": lambda: examine_board(root, board),
        "python": _python,
        "engines": _engines,
        "native library": _native_library,
        "video": _video,
        "training side": lambda: _training(needed=not board.is_jetson),
        "cameras": lambda: examine_cameras(root, board),
        "acceleration": lambda: examine_acceleration(root, board),
    }
    found: list[Check] = []
    for name, look in looks.items():
        try:
            found.extend(look())
        except Exception as error:
            found.append(Check(name=name, ok=False, found=f"{type(error).__name__}: {error}"))
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Iterator[Check]:
    fresh = sys.version_info >= (3, 10)
    yield Check(
        name="python", ok=fresh, found=platform.python_version(), fix="" if fresh else "apt-get install python3.10"
    )
    numpy = _version("numpy")
    yield Check(name="numpy", ok=bool(numpy), found=numpy or NOT_AVAILABLE, fix="" if numpy else "pip install numpy")


def _engines() -> Iterator[Check]:
    found = {name: version for name in ("onnxruntime", *RIVAL_RUNTIMES) if (version := _version(name))}
    text = ", ".join(f"{name} {version}" for name, version in found.items()) or NOT_AVAILABLE
    fix = ""
    if len(found) > 1:
        # They install into the same folder, so whichever came last wins, in parts.
        fix = f"pip uninstall -y {' '.join(found)} && pip install onnxruntime"
    elif not found:
        fix = "pip install onnxruntime"
    yield Check(name="onnxruntime", ok=len(found) == 1, found=text, fix=fix)


def _native_library() -> Iterator[Check]:
    fix = "pip install --force-reinstall --no-deps edge-vss"
    try:
        from edge_vss.runtime import _native, backends
    except ImportError as error:
        yield Check(name="native library", ok=False, found=f"does not load: {error}", fix=fix)
        return
    facts = f"{_native.version()}, pixel kernels for {_native.pixels.default_isa()}"
    yield Check(name="native library", ok=True, found=facts)
    known = backends()
    usable = known.get("onnxruntime", "").startswith("available")
    text = ", ".join(f"{name}: {state}" for name, state in known.items())
    yield Check(name="back ends", ok=usable, found=text, fix="" if usable else "pip install onnxruntime")


def _video() -> Iterator[Check]:
    version = _version("av")
    if not version:
        yield Check(name="video", ok=False, found=NOT_AVAILABLE, fix="pip install av")
        return
    import av

    def has(codec: str, mode: Any) -> bool:
        try:
            av.Codec(codec, mode)
        except Exception:
            return False
        return True

    encoder = next((name for name in ("libx264", "libopenh264", "mpeg4") if has(name, "w")), "")
    decodes = [name for name in ("h264", "hevc", "mjpeg", "vp9", "av1") if has(name, "r")]
    yield Check(
        name="video",
        ok="h264" in decodes and bool(encoder),
        found=f"PyAV {version}: reads {' '.join(decodes)}; writes with {encoder or 'nothing'}",
        fix="" if encoder else "pip install --force-reinstall av",
    )


def _training(*, needed: bool) -> Iterator[Check]:
    """A device labels without it."""
    versions = {name: _version(name) for name in TRAINING_PACKAGES}
    here = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = [name for name, version in versions.items() if not version]
    text = here or NOT_AVAILABLE
    if missing and here:
        text += f"; missing {', '.join(missing)}"
    yield Check(name="training side", ok=not missing, found=text, fix=TRAIN_FIX if missing and needed else "")
