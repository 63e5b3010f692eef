"""A machine with a simulated TensorRT, and bundles with variants for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_vss.bundle import EngineRef, Golden, Storage, load_bundle, write_bundle

SIMULATED = Path(__file__).parent / "simulated"
SIMULATED_PACKAGES = ("tensorrt", "pycuda", "simulation")
DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return flags != 0; }
int cuDeviceGet(int* device, int ordinal) { *device = 40 + ordinal; return ordinal != 0; }
int cuDeviceGetName(char* name, int bytes, int device) { strncpy(name, "Orin", bytes); return device != 40; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 18;
  return device != 40;
}
"""

Machine = Callable[..., Any]
"""``machine(version=..., faults=...)`` puts a simulated TensorRT in place and gives its state."""


def compile_library(source: str, out: Path, *options: str) -> Path:
    """A shared library from a few lines of C."""
    file = out.with_suffix(".c")
    file.write_text(source)
    command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", *options, "-o", str(out), str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CUDA driver that knows one GPU, an Orin."""
    return compile_library(DRIVER, tmp_path_factory.mktemp("driver") / "libcuda.so")


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plans folder, which does not exist yet."""
    folder = tmp_path / "cache" / "plans"
    monkeypatch.setenv("EDGE_VSS_PLANS", str(folder))
    return folder


@pytest.fixture
def machine(driver: Path, plans: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    from edge_vss.jetson import device

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in SIMULATED_PACKAGES]:
            del sys.modules[name]

    def begin(**facts: Any) -> Any:
        forget()
        monkeypatch.setattr(device, "DRIVER_LIBRARY", str(driver))
        monkeypatch.syspath_prepend(str(SIMULATED))
        import simulation

        return simulation.start(simulation.State(**facts))

    yield begin
    forget()


def with_variant(
    source: Path,
    out: Path,
    *,
    precision: str = "fp32",
    files: Mapping[str, bytes] | None = None,
    tensors: Mapping[str, Storage] | None = None,
    change_golden: Callable[[Golden], Golden] = lambda golden: golden,
) -> Path:
    """``source`` with one more variant, for TensorRT.

    Args:
        files: Stage -> ONNX file; the others are those of the first variant.
        tensors: As in a variant.
    """
    bundle = load_bundle(source)
    manifest, first = bundle.manifest, bundle.manifest.variants[0]
    contents = {name: bundle.read(name) for name in manifest.files}
    engines = dict(first.engines)
    for stage, data in (files or {}).items():
        engines[stage] = EngineRef(file=f"engines/{stage}.tensorrt.{precision}.onnx")
        contents[engines[stage].file] = data
    variant = msgspec.structs.replace(
        first,
        name=f"tensorrt-{precision}",
        backend="tensorrt",
        precision=precision,
        engines=engines,
        tensors=dict(tensors or {}),
        golden={name: change_golden(golden) for name, golden in first.golden.items()},
    )
    write_bundle(out, msgspec.structs.replace(manifest, variants=(first, variant), files={}), contents)
    return out


@pytest.fixture(scope="session")
def plain(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small bundle with its own files as a TensorRT variant of precision fp32."""
    return with_variant(tiny_bundle, tmp_path_factory.mktemp("tensorrt") / "plain.bundle")


@pytest.fixture(scope="session")
def half(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, called fp16."""
    return with_variant(tiny_bundle, tmp_path_factory.mktemp("tensorrt") / "half.bundle", precision="fp16")
