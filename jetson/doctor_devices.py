"""What ``doctor`` says of GStreamer, cameras and permissions, and of CUDA and TensorRT."""

from __future__ import annotations

import ctypes.util
import grp
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from edge_vss.errors import DeviceError
from edge_vss.jetson.board import Board
from edge_vss.jetson.checks import NOT_AVAILABLE, Check
from edge_vss.jetson.device import find_device
from edge_vss.jetson.plan_stage import load_cuda
from edge_vss.jetson.plans import plans_path
from edge_vss.jetson.sysfs import numbered, read_text
from edge_vss.jetson.tensorrt_python import load_tensorrt

__all__ = ["examine_acceleration", "examine_cameras"]

ELEMENTS = {
    "appsink": "gstreamer1.0-plugins-base", "videoconvert": "gstreamer1.0-plugins-base",
    "videotestsrc": "gstreamer1.0-plugins-base", "decodebin": "gstreamer1.0-plugins-base",
    "v4l2src": "gstreamer1.0-plugins-good", "jpegdec": "gstreamer1.0-plugins-good",
    "rtspsrc": "gstreamer1.0-plugins-good", "matroskamux": "gstreamer1.0-plugins-good",
    "h264parse": "gstreamer1.0-plugins-bad",
}  # fmt: skip
"""Element -> Debian package, for cameras of all kinds."""
JETSON_ELEMENTS = {
    "nvarguscamerasrc": "nvidia-l4t-gstreamer", "nvvidconv": "nvidia-l4t-gstreamer",
    "nvv4l2decoder": "nvidia-l4t-gstreamer", "nvjpegdec": "nvidia-l4t-gstreamer",
}  # fmt: skip
GROUPS = ("video", "render", "i2c")
"""Cameras and the GPU, its render nodes, and power sensors on the bus."""
RTPRIO = 50
"""As the service has it."""
ARGUS_SOCKET = "tmp/argus_socket"
INSPECT_TIMEOUT_S = 60.0
"""The first call after an installation looks through all plug-ins."""


def examine_cameras(root: Path, board: Board) -> Iterator[Check]:
    """GStreamer, its plug-ins, cameras, and who may open them."""
    yield _gstreamer()
    yield _elements("gstreamer plug-ins", ELEMENTS)
    if board.is_jetson:
        yield _elements("jetson plug-ins", JETSON_ELEMENTS)
        running = (root / ARGUS_SOCKET).exists()
        fix = "" if running else "sudo systemctl restart nvargus-daemon"
        yield Check(name="nvargus-daemon", ok=running, found="running" if running else NOT_AVAILABLE, fix=fix)
    else:
        yield Check(name="jetson plug-ins", ok=False, found=f"{NOT_AVAILABLE}: no Jetson, so no csi:// cameras")
    devices = numbered(root / "dev", "video*")
    yield _cameras(root, board, devices)
    yield _groups(board, bool(devices))
    yield _realtime()


def _gstreamer() -> Check:
    library = ctypes.util.find_library("gstreamer-1.0")
    program = shutil.which("gst-inspect-1.0")
    fix = "" if library and program else "sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good"
    version = _gst("--version").partition("\n")[0] if program else ""
    found = ", ".join(filter(None, (library, version.removeprefix("gst-inspect-1.0 ")))) or NOT_AVAILABLE
    return Check(name="gstreamer", ok=not fix, found=found, fix=fix)


def _gst(*arguments: str) -> str:
    """What ``gst-inspect-1.0`` prints; empty where it fails or hangs."""
    try:
        done = subprocess.run(
            ["gst-inspect-1.0", *arguments], capture_output=True, text=True, timeout=INSPECT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _elements(name: str, wanted: dict[str, str]) -> Check:
    if not shutil.which("gst-inspect-1.0"):
        return Check(name=name, ok=False, found=f"{NOT_AVAILABLE}: no gst-inspect-1.0 to ask; see gstreamer")
    missing = [element for element in wanted if not _gst(element)]
    here = ", ".join(element for element in wanted if element not in missing) or NOT_AVAILABLE
    if not missing:
        return Check(name=name, ok=True, found=here)
    packages = " ".join(dict.fromkeys(wanted[element] for element in missing))
    fix = f"sudo apt-get install {packages}; if it is there: rm -rf ~/.cache/gstreamer-1.0"
    return Check(name=name, ok=False, found=f"{here}; missing {', '.join(missing)}", fix=fix)


def _cameras(root: Path, board: Board, devices: list[Path]) -> Check:
    closed = [device.name for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        fix = "sudo usermod -aG video $USER, then log in again"
        return Check(name="cameras", ok=False, found=f"no permission for {', '.join(closed)} in /dev", fix=fix)
    names = {each: read_text(root / "sys/class/video4linux" / each.name / "name") for each in devices}
    found = ", ".join(f"/dev/{each.name}" + (f" ({name})" if name else "") for each, name in names.items())
    fix = "" if found or not board.is_jetson else "plug a camera in; CSI: sudo /opt/nvidia/jetson-io/jetson-io.py"
    return Check(name="cameras", ok=bool(devices), found=found or NOT_AVAILABLE, fix=fix)


def _groups(board: Board, cameras: bool) -> Check:
    """Groups that this user is in, and those that are needed here."""
    needed = GROUPS if board.is_jetson else GROUPS[:1] if cameras else ()
    numbers = {name: group.gr_gid for name in GROUPS if (group := _group(name))}
    mine = set(os.getgroups()) | {os.getegid()}
    member = [name for name, number in numbers.items() if number in mine]
    found = "root" if os.geteuid() == 0 else ", ".join(member) or "in none of " + ", ".join(GROUPS)
    lacking = [name for name in needed if name in numbers and name not in member and os.geteuid() != 0]
    fix = f"sudo usermod -aG {','.join(lacking)} $USER, then log in again" if lacking else ""
    return Check(name="groups", ok=not lacking, found=found, fix=fix)


def _realtime() -> Check:
    """Whether ``--realtime-priority`` is permitted: tried on a thread that then ends."""
    refused: list[OSError] = []

    def attempt() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RTPRIO))
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    fix = (
        f'echo "$USER - rtprio {RTPRIO}" | sudo tee -a /etc/security/limits.conf, then log in again' if refused else ""
    )
    found = "not permitted; only --realtime-priority wants it" if refused else f"permitted, {RTPRIO} was tried"
    return Check(name="real-time priority", ok=not refused, found=found, fix=fix)


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None


def examine_acceleration(root: Path, board: Board) -> Iterator[Check]:
    """GPU, CUDA, and what ``edge-vss build`` needs. A machine without such a GPU lacks nothing."""
    gpu = _asked("gpu", lambda: f"{(device := find_device()).name}, {device.sm}")
    serves = board.is_jetson or gpu.ok
    library = ctypes.util.find_library("nvinfer")
    yield gpu if gpu.ok or board.is_jetson else Check(name="gpu", ok=False, found=f"{NOT_AVAILABLE}: {gpu.found}")
    for check in (
        _cuda(root, board.is_jetson or gpu.ok),
        Check(
            name="tensorrt library",
            ok=bool(library),
            found=library or NOT_AVAILABLE,
            fix="" if library else "sudo apt-get install tensorrt (on a Jetson, from NVIDIA's repository)",
        ),
        _asked("tensorrt", lambda: f"{load_tensorrt().__version__}, supported"),
        _asked("pycuda", _pycuda),
    ):
        yield check if check.ok or serves else Check(name=check.name, ok=False, found=check.found)
    folder = plans_path()
    yield Check(name="plans", ok=True, found=f"{len(list(folder.glob('*.plan')))} in {folder}")


def _pycuda() -> str:
    driver = load_cuda()
    try:
        version = metadata.version("pycuda")
    except metadata.PackageNotFoundError:  # on the path without having been installed
        version = "of unknown version"
    return f"{version}, {driver.__name__} loads"


def _asked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, ok=True, found=look())
    except DeviceError as error:
        found, _, fix = str(error).partition("; ")
        return Check(name=name, ok=False, found=found, fix=fix)


def _cuda(root: Path, serves: bool) -> Check:
    """The toolkit, as it says itself; without a GPU that answers (``serves``) it is of no use."""
    try:
        version = json.loads(read_text(root / "usr/local/cuda/version.json") or "{}")["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        version = ""
    runtime = ctypes.util.find_library("cudart")
    found = ", ".join(filter(None, (version, runtime))) or NOT_AVAILABLE
    fix = "" if found != NOT_AVAILABLE else "sudo apt-get install nvidia-jetpack (on a PC: NVIDIA's CUDA toolkit)"
    if not fix and not serves:
        return Check(name="cuda", ok=False, found=f"{found}, of no use without a GPU")
    return Check(name="cuda", ok=not fix, found=found, fix=fix)
