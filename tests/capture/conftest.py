"""Cameras for tests: compiled here, loaded by GStreamer from a folder of their own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[1] / "native"
PACKAGES = "libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-{base,good,bad}"


def compiled(source: str, out: Path, packages: str, *options: str) -> Path:
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *packages.split()], capture_output=True, text=True)
    assert flags.returncode == 0, f"{flags.stderr}\nsudo apt-get install {PACKAGES} libgstrtspserver-1.0-dev"
    out.parent.mkdir(exist_ok=True)
    command = [os.environ.get("CC", "cc"), "-O1", *options, str(NATIVE / source), "-o", str(out)]
    subprocess.run([*command, *shlex.split(flags.stdout)], check=True)
    return out


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gstreamer")


@pytest.fixture(scope="session")
def fault_camera(places: Path) -> dict[str, str]:
    """Environment in which csi:// is a camera that fails as told."""
    packages = "gstreamer-base-1.0 gstreamer-video-1.0"
    out = compiled("fault_camera.c", places / "fault" / "libgstevssfault.so", packages, "-shared", "-fPIC")
    return {"GST_PLUGIN_PATH": str(out.parent), "GST_REGISTRY": str(places / "fault.bin")}


@pytest.fixture(scope="session")
def usb_camera(places: Path) -> dict[str, str]:
    """Environment in which /dev/video0 is a camera that has what EVSS_V4L2 says."""
    out = compiled("fake_v4l2.c", places / "usb" / "libgstevssv4l2.so", "gstreamer-1.0", "-shared", "-fPIC")
    hidden = without(places / "no-v4l2", "libgstvideo4linux2.so")
    return {**hidden, "GST_PLUGIN_PATH": str(out.parent), "GST_REGISTRY": str(places / "usb.bin")}


@pytest.fixture(scope="session")
def rtsp_camera(places: Path) -> Path:
    """Program that serves a pipeline over RTSP."""
    return compiled("rtsp_camera.c", places / "server" / "rtsp_camera", "gstreamer-rtsp-server-1.0")


def without(folder: Path, *names: str) -> dict[str, str]:
    """Environment of a GStreamer that lacks some plug-in files."""
    found = subprocess.run(["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], capture_output=True, text=True)
    if not folder.exists():
        folder.mkdir()
        for path in Path(found.stdout.strip()).glob("*.so"):
            if path.name not in names:
                (folder / path.name).symlink_to(path)
    return {"GST_PLUGIN_SYSTEM_PATH": str(folder), "GST_REGISTRY": f"{folder}.bin"}


@pytest.fixture(scope="session")
def in_child() -> Callable[..., dict[str, object]]:
    """Runs Python in a process of its own, as GStreamer reads its environment once; gives the JSON that it printed."""

    def run(code: str, environment: Mapping[str, str], *arguments: object) -> dict[str, object]:
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            cwd="/",
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def edge_vss() -> list[str]:
    """The command line, as a process of its own."""
    found = shutil.which("edge-vss", path=str(Path(sys.executable).parent))
    assert found
    return [found]
