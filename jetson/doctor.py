"""What a machine has, what is missing, and the command that mends it. Nothing here guesses, nothing needs a board."""

from __future__ import annotations

import ctypes.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["Check", "examine"]

NOT_AVAILABLE = "not available"
RIVAL_RUNTIMES = ("onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-training")
TRAINING_PACKAGES = ("torch", "onnx", "onnxscript", "onnxslim", "opencv-python-headless", "safetensors")
TRAIN_FIX = "pip install 'edge-vss[train]'"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the examination."""

    name: str
    ok: bool
    found: str
    """What is there, or "not available"."""
    fix: str = ""
    """The command that mends it; empty where nothing is to be done."""

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``doctor --json`` promises."""
        return asdict(self)


def examine() -> list[Check]:
    """Look at everything; a look that fails is a check that is not ok."""
    looks: tuple[Callable[[], Iterator[Check]], ...] = (
        _machine,
        _python,
        _engines,
        _native_library,
        _video,
        _training,
        _device_libraries,
        _tensorrt,
        _cameras,
        _power,
    )
    found: list[Check] = []
    for look in looks:
        try:
            found.extend(look())
        except Exception as error:
            found.append(Check(name=look.__name__.strip("_"), ok=False, found=f"{type(error).__name__}: {error}"))
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str:
    """First line of a file of the system; empty where there is none."""
    try:
        return Path(path).read_text(errors="replace").strip("\0 \n").partition("\n")[0]
    except OSError:
        return ""


def _machine() -> Iterator[Check]:
    board = _read("/proc/device-tree/model") or "no Jetson board"
    cores = len(os.sched_getaffinity(0))
    yield Check(name="machine", ok=True, found=f"{platform.machine()}, {cores} cores, {board}")
    release = _read("/etc/nv_tegra_release")
    if release:
        yield Check(name="jetson linux", ok=True, found=release.strip("# "))


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


def _training() -> Iterator[Check]:
    versions = {name: _version(name) for name in TRAINING_PACKAGES}
    here = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = [name for name, version in versions.items() if not version]
    text = here or NOT_AVAILABLE
    if missing and here:
        text += f"; missing {', '.join(missing)}"
    yield Check(name="training side", ok=not missing, found=text, fix=TRAIN_FIX if missing else "")


def _device_libraries() -> Iterator[Check]:
    for name, library, fix in (
        ("gstreamer", "gstreamer-1.0", "apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good"),
        ("tensorrt library", "nvinfer", "apt-get install tensorrt (on a Jetson, from NVIDIA's repository)"),
    ):
        found = ctypes.util.find_library(library)
        yield Check(name=name, ok=bool(found), found=found or NOT_AVAILABLE, fix="" if found else fix)


def _tensorrt() -> Iterator[Check]:
    """What ``edge-vss build`` needs."""
    from edge_vss.errors import DeviceError
    from edge_vss.jetson.device import find_device
    from edge_vss.jetson.plan_stage import load_cuda
    from edge_vss.jetson.plans import plans_path
    from edge_vss.jetson.tensorrt_python import load_tensorrt

    def gpu() -> str:
        device = find_device()
        return f"{device.name}, {device.sm}"

    for name, look in (
        ("gpu", gpu),
        ("tensorrt", lambda: f"{load_tensorrt().__version__}, supported"),
        ("pycuda", lambda: f"{_version('pycuda') or 'of unknown version'}, {load_cuda().__name__} loads"),
    ):
        try:
            yield Check(name=name, ok=True, found=look())
        except DeviceError as error:
            found, _, fix = str(error).partition("; ")
            yield Check(name=name, ok=False, found=found, fix=fix)
    folder = plans_path()
    count = len(list(folder.glob("*.plan")))
    yield Check(name="plans", ok=True, found=f"{count} in {folder}")


def _cameras() -> Iterator[Check]:
    devices = sorted(Path("/dev").glob("video*"))
    closed = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        fix = "sudo usermod -aG video $USER, then log in again"
        yield Check(name="cameras", ok=False, found=f"no permission for {', '.join(closed)}", fix=fix)
    else:
        yield Check(name="cameras", ok=bool(devices), found=", ".join(map(str, devices)) or NOT_AVAILABLE)


def _power() -> Iterator[Check]:
    rails = sorted(Path("/sys/bus/i2c/drivers/ina3221").glob("*/hwmon/hwmon*/in*_label"))
    if rails:
        labels = " ".join(_read(str(rail)) for rail in rails)
        yield Check(name="power sensors", ok=True, found=f"INA3221: {labels}")
        return
    meters = sorted(Path("/sys/class/powercap").glob("intel-rapl:*/energy_uj"))
    if meters and not os.access(meters[0], os.R_OK):
        fix = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        yield Check(name="power sensors", ok=False, found="RAPL, no permission to read it", fix=fix)
    else:
        yield Check(name="power sensors", ok=bool(meters), found="RAPL" if meters else NOT_AVAILABLE)
