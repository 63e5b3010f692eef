"""What the wheel holds, and that it works without the training side."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = [
    r"edge_vss/([a-z_0-9]+/)*[a-z_0-9]+\.py",
    r"edge_vss/py\.typed",
    r"edge_vss/runtime/_native[^/]*\.so",
    r"edge_vss/runtime/_native/[a-z_]+\.pyi",
    r"edge_vss/runtime/lib/libedge_vss\.so(\.\d+)*",
    r"edge_vss/runtime/include/edge_vss(_shm)?\.h",
    r"edge_vss/runtime/bin/edge-vss-run",
    r"edge_vss/runtime/lib/libedge_vss_capture\.so",
    r"edge_vss/jetson/deploy/(install\.sh|camera\.toml|edge-vss@\.service|70-edge-vss\.rules)",
    r"edge_vss/zoo/[a-z0-9-]+\.(safetensors|md|toml)",
    r"edge_vss/profiling/templates/report\.html\.j2",
    r"edge_vss/training/configs/[a-z0-9-]+\.toml",
    r"edge_vss-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)",
]
REQUIRED = [
    "edge_vss/__init__.py",
    "edge_vss/profiling/templates/report.html.j2",
    "edge_vss/py.typed",
    "edge_vss/cli/app.py",
    "edge_vss/bundle/schema.py",
    "edge_vss/export/__init__.py",
    "edge_vss/calibration/__init__.py",
    "edge_vss/runtime/__init__.py",
    "edge_vss/runtime/include/edge_vss.h",
    "edge_vss/runtime/include/edge_vss_shm.h",
    "edge_vss/runtime/bin/edge-vss-run",
    "edge_vss/jetson/build.py",
    "edge_vss/jetson/doctor.py",
    "edge_vss/jetson/deploy/install.sh",
    "edge_vss/jetson/deploy/edge-vss@.service",
]
MAX_BYTES = 32 << 20


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what git knows, in a folder of its own."""
    pytest.importorskip("scikit_build_core", reason="building a wheel needs the dev extra")
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a clean copy is made from a git checkout")
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        ".",
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=copy, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def test_the_wheel_holds_nothing_that_it_should_not(names: list[str]) -> None:
    odd = [name for name in names if not any(re.fullmatch(pattern, name) for pattern in ALLOWED)]
    assert not odd
    assert not [name for name in names if "test" in name]


def test_the_wheel_holds_what_it_should(names: list[str]) -> None:
    assert not set(REQUIRED) - set(names)
    assert any(re.fullmatch(r"edge_vss/runtime/_native[^/]*\.so", name) for name in names)
    assert any(re.fullmatch(r"edge_vss/runtime/lib/libedge_vss\.so.*", name) for name in names)
    packaged = {name for name in names if name.endswith(".py")}
    for folder, inside in (
        ("edge_vss", ""),
        ("export", "export/"),
        ("calibration", "calibration/"),
        ("jetson", "jetson/"),
    ):
        listed = subprocess.run(
            ["git", "ls-files", f"{folder}/*.py"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for line in listed.stdout.split():
            assert f"edge_vss/{inside}{line.removeprefix(folder + '/')}" in packaged, f"{line} is not in the wheel"


def test_the_wheel_stays_small(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_BYTES


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        text = archive.read(name).decode()
    assert "License-Expression: Apache-2.0" in text
    plain = [line for line in text.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    found = {re.match(r"Requires-Dist: ([a-z0-9-]+)", line).group(1) for line in plain}  # type: ignore[union-attr]
    assert found == {"numpy", "onnxruntime", "av", "msgspec", "typer", "rich", "jinja2", "tomli"}


BLOCK = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from edge_vss.cli import main
sys.exit(main())
""".format(names=("torch", "onnx", "onnxscript", "onnxslim", "cv2", "safetensors", "scipy"))


@pytest.fixture(scope="session")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, as a device without the training side would have it."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def on_device(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a verb from the unpacked wheel: -S keeps an editable install of ours away."""
    import numpy

    libraries = Path(numpy.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{libraries}"}
    command = [sys.executable, "-S", "-c", BLOCK, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)


def test_a_device_labels_generated_video_without_the_training_side(device: Path, tiny_bundle: Path) -> None:
    done = on_device(device, "run", str(tiny_bundle), "street:[size=64x96]", "--frames", "3", "--as-fast-as-possible")
    assert done.returncode == 0, done.stderr
    assert "3 frames" in done.stdout


def test_a_device_is_told_what_training_needs(device: Path, tmp_path: Path) -> None:
    done = on_device(device, "export", "zoo:clockwork-street", "-o", str(tmp_path / "x.bundle"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "pip install 'edge-vss[train]'" in done.stderr


def test_doctor_runs_on_a_bare_device(device: Path) -> None:
    done = on_device(device, "doctor")
    assert done.returncode == 0, done.stderr
    assert "edge-vss[train]" in done.stdout or "training side" in done.stdout
