"""What an import costs and what it brings along."""

from __future__ import annotations

import importlib
import pkgutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import edge_vss

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "onnx", "cv2", "scipy", "onnxscript", "safetensors")

PUBLIC = {
    "edge_vss.bundle": {
        "SCHEMA_VERSION",
        "Bundle",
        "ClassInfo",
        "EngineRef",
        "FileRecord",
        "Golden",
        "InputSpec",
        "Manifest",
        "OutputSpec",
        "PixelEngines",
        "Storage",
        "Variant",
        "check_manifest",
        "load_bundle",
        "read_manifest",
        "write_bundle",
    },
    "edge_vss.errors": {"BadInput", "DeviceError", "EdgeVssError", "GateRefused", "WrongUsage", "shortened"},
    "edge_vss.graph": {"DType", "Graph", "Read", "Stage", "Tensor", "stage_order"},
    "edge_vss.metrics": {
        "BAND_PX",
        "BoundaryMatrix",
        "ConfusionMatrix",
        "Measures",
        "TemporalConsistency",
        "VideoPanopticQuality",
        "boundary_band",
    },
    "edge_vss.data.datasets": {"READERS", "Clip", "Dataset", "Sample", "open_dataset"},
    "edge_vss.data.video": {"VideoWriter", "write_png"},
}
"""Names that users of the package may rely on; a change here is a change of the interface."""


def run_python(code: str) -> str:
    # From a folder that holds no edge_vss, so that the installed package is what is imported.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(*modules: str) -> set[str]:
    lines = run_python(f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')")
    return {line.partition(".")[0] for line in lines.splitlines()}


def test_importing_the_runtime_takes_less_than_three_tenths_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import edge_vss.runtime; print(time.perf_counter() - t)"
    seconds = statistics.median(float(run_python(code)) for _ in range(7))
    assert seconds < 0.3


def test_importing_the_runtime_loads_no_training_library() -> None:
    assert not loaded_by("edge_vss.runtime") & set(HEAVY)


@pytest.mark.parametrize(
    "module",
    [
        "edge_vss.cli.app",
        "edge_vss.labelling",
        "edge_vss.evaluation",
        "edge_vss.verification",
        "edge_vss.inspection",
        "edge_vss.profiling.session",
        "edge_vss.profiling.page",
        "edge_vss.profiling.simulate",
        "edge_vss.board_report",
        "edge_vss.preview",
        "edge_vss.jetson.build",
        "edge_vss.jetson.doctor",
        "edge_vss.data.sources",
        "edge_vss.data.datasets",
        "edge_vss.data.generate",
    ],
)
def test_what_a_device_uses_loads_no_training_library(module: str) -> None:
    assert not loaded_by(module) & set(HEAVY)


def test_the_command_line_loads_nothing_of_a_verb_before_it_is_called() -> None:
    code = (
        "import sys, edge_vss.cli; print(*(m for m in sys.modules if m.startswith('edge_vss') or m in ('numpy', 'av')))"
    )
    loaded = set(run_python(code).split())
    assert all(name in ("edge_vss", "edge_vss.errors") or name.startswith("edge_vss.cli") for name in loaded), loaded


def modules() -> list[str]:
    return sorted(
        found.name for found in pkgutil.walk_packages(edge_vss.__path__, "edge_vss.") if "._native" not in found.name
    )


@pytest.mark.parametrize("name", modules())
def test_every_public_name_exists(name: str) -> None:
    if name.endswith("__main__"):
        pytest.skip("a program, not a module")
    module = importlib.import_module(name)
    missing = [entry for entry in getattr(module, "__all__", ()) if not hasattr(module, entry)]
    assert not missing
    assert module.__doc__, f"{name} does not say what it is for"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_change_on_purpose_only(name: str) -> None:
    assert set(importlib.import_module(name).__all__) == PUBLIC[name]


def test_import_rules_hold() -> None:
    folder = ROOT / "build" / "dev"
    if not (folder / "edge_vss").exists():
        pytest.skip("import rules are checked in an editable install")
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
