"""Whatever fails in a build: one line, the right exit code, and nothing half-written left."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge_vss.bundle import load_bundle, write_bundle
from edge_vss.cli import main
from edge_vss.jetson import device
from edge_vss.jetson import plans as plans_module

from .conftest import Machine, compile_library

Build = Callable[..., str]


@pytest.fixture
def build(capfd: pytest.CaptureFixture[str], plans: Path) -> Build:
    """``build(code, bundle, ...)`` runs the verb, checks its exit code and gives its one line of complaint."""

    def run(code: int, *arguments: object) -> str:
        capfd.readouterr()
        assert main(["build", *map(str, arguments)]) == code
        err = capfd.readouterr().err
        assert not list(plans.parent.rglob("*.part")), "something half-written was left"
        if code:
            assert err.startswith("edge-vss: ") and err.count("\n") == 1, err
            assert "unexpected" not in err and "Traceback" not in err
        return err

    return run


@pytest.mark.parametrize(
    ("fault", "code", "said", "kept"),
    [
        ("builder", 4, "does not start on this GPU", 0),
        ("parser", 3, "2 errors of TensorRT's parser, the first: node 7 '/odd' (Nothing): No importer registered", 0),
        ("build", 4, "builds no plan: [builder] could not find any implementation for node /conv", 0),
        ("deserialise", 4, "does not load the plan it has built: Serialization assertion failed", 0),
        ("retain", 4, "the GPU cannot be used", 4),
        ("context", 4, "no execution context, memory may be short: CUDA error 2", 4),
        ("address", 4, "refuses the buffer", 4),
        ("memory", 4, "out of device memory", 4),
        ("execute", 4, "does not run the plan: enqueueV3 failed", 4),
    ],
)
def test_a_step_that_fails_is_named(
    machine: Machine, plain: Path, plans: Path, build: Build, fault: str, code: int, said: str, kept: int
) -> None:
    state = machine(faults={fault})
    line = build(code, plain)
    assert said in line
    assert len(list(plans.glob("*.plan"))) == kept, "plans that loaded are kept, others are not"
    assert not state.memory and not state.contexts, "something was left on the device"
    state.faults.clear()
    build(0, plain)


def test_a_plan_in_fp32_says_no_and_the_json_lists_its_layers(
    machine: Machine, half: Path, build: Build, tmp_path: Path
) -> None:
    machine()
    line = build(5, half, "--json", tmp_path / "build.json")
    assert "stage 'fine' of variant 'tensorrt-fp16' asked for as FP16, came out FP32 throughout: " in line
    stage = json.loads((tmp_path / "build.json").read_text())["variants"]["tensorrt-fp16"]["stages"]["fine"]
    assert {layer["type"] for layer in stage["layers"] if layer["kind"] != "Reformat"} == {"FP32"}


def with_other_labels(source: Path, out: Path) -> Path:
    bundle = load_bundle(source)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    name = bundle.manifest.variants[1].golden["alternate"].labels
    with np.load(io.BytesIO(files[name])) as arrays:
        changed = {
            key: ((value + (np.arange(value.shape[-1]) < 4)) % 11).astype(np.uint8) for key, value in arrays.items()
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **changed)
    files[name] = buffer.getvalue()
    write_bundle(out, msgspec.structs.replace(bundle.manifest, files={}), files)
    return out


def test_golden_labels_that_do_not_come_out_say_no(machine: Machine, plain: Path, build: Build, tmp_path: Path) -> None:
    machine()
    line = build(5, with_other_labels(plain, tmp_path / "wrong.bundle"))
    assert line.rstrip().endswith("golden sequences do not come out: tensorrt-fp32/alternate")


def test_a_cached_plan_that_was_cut_short_is_built_anew(
    machine: Machine, plain: Path, plans: Path, build: Build, tmp_path: Path
) -> None:
    state = machine()
    build(0, plain)
    plan = sorted(plans.glob("*.plan"))[1]
    whole = plan.read_bytes()
    plan.write_bytes(whole[: len(whole) // 2])
    build(0, plain, "--json", tmp_path / "build.json")
    stages = json.loads((tmp_path / "build.json").read_text())["variants"]["tensorrt-fp32"]["stages"].values()
    assert sorted(stage["origin"] for stage in stages) == ["cached", "cached", "cached", "rebuilt"]
    assert state.builds == 5 and len(plan.read_bytes()) >= len(whole) - 8


def test_a_plans_folder_that_cannot_be_made_is_said_before_anything_is_built(
    machine: Machine, plain: Path, plans: Path, build: Build
) -> None:
    state = machine()
    plans.parent.mkdir()
    plans.write_text("a file")
    assert "EDGE_VSS_PLANS" in build(3, plain)
    assert state.builds == 0 and plans.read_text() == "a file"


def test_a_disk_that_fills_up_leaves_no_part_of_a_plan(
    machine: Machine, plain: Path, plans: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plans_module.Path, "write_bytes", full)
    assert "No space left on device" in build(3, plain)
    assert not list(plans.iterdir())


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Python packages that are not installed."""

    class Absent:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name.partition(".")[0] in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])


def test_without_tensorrt_the_line_says_where_it_comes_from(
    machine: Machine, plain: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    absent(monkeypatch, "tensorrt")
    line = build(4, plain)
    assert "python3-libnvinfer" in line and "--system-site-packages" in line and "pip install tensorrt" in line


def test_a_tensorrt_whose_libraries_are_missing_is_told_apart(
    machine: Machine, plain: Path, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    broken = tmp_path / "broken" / "tensorrt"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(broken.parent))
    assert "does not load: libnvinfer.so.10: cannot open" in build(4, plain)


def test_tensorrt_8_is_refused_with_the_reason(machine: Machine, plain: Path, build: Build) -> None:
    machine(version="8.6.2")
    line = build(4, plain)
    assert "8.6.2 is too old" in line and "strongly typed" in line and "opset 19" in line


def test_without_a_driver_nothing_is_built(
    machine: Machine, plain: Path, build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = machine()
    monkeypatch.setattr(device, "DRIVER_LIBRARY", str(tmp_path / "none.so"))
    assert "no CUDA driver here" in build(4, plain)
    none = compile_library("int cuInit(unsigned flags) { return 100; }", tmp_path / "empty.so")
    monkeypatch.setattr(device, "DRIVER_LIBRARY", str(none))
    assert "finds no GPU" in build(4, plain)
    old = compile_library("int cuInit(unsigned flags) { return 803; }", tmp_path / "old.so")
    monkeypatch.setattr(device, "DRIVER_LIBRARY", str(old))
    assert "cuInit with error 803" in build(4, plain)
    assert state.builds == 0


def test_without_pycuda_plans_are_built_and_the_check_is_reported_as_not_run(
    machine: Machine, plain: Path, plans: Path, build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine()
    absent(monkeypatch, "pycuda")
    line = build(4, plain, "--json", tmp_path / "build.json")
    assert "golden check was not run" in line and "pip install edge-vss[jetson]" in line and "--no-check" in line
    assert len(list(plans.glob("*.plan"))) == 4
    assert "pycuda" in json.loads((tmp_path / "build.json").read_text())["not_checked"]
    build(0, plain, "--no-check")


def test_a_dla_that_is_not_there_is_refused(machine: Machine, plain: Path, build: Build) -> None:
    state = machine(dla_cores=1)
    assert "there is no DLA 1: TensorRT finds 1" in build(4, plain, "--dla", 1)
    assert state.builds == 0


def test_a_bundle_without_a_tensorrt_variant_says_how_to_get_one(
    machine: Machine, tiny_bundle: Path, build: Build
) -> None:
    machine()
    line = build(3, tiny_bundle)
    assert f"{tiny_bundle} has no tensorrt variant" in line and "--backend tensorrt" in line


def test_a_changed_engine_is_refused_before_tensorrt_sees_it(
    machine: Machine, plain: Path, build: Build, tmp_path: Path
) -> None:
    import shutil

    state = machine()
    copy = Path(shutil.copytree(plain, tmp_path / "copy.bundle"))
    engine = next((copy / "engines").iterdir())
    engine.write_bytes(engine.read_bytes() + b"x")
    assert engine.name in build(3, copy)
    assert state.builds == 0


def test_a_variant_without_goldens_is_built_only_when_no_check_is_asked_for(
    machine: Machine, plain: Path, build: Build, tmp_path: Path
) -> None:
    machine()
    bundle = load_bundle(plain)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    first, second = bundle.manifest.variants
    bare = msgspec.structs.replace(second, golden={})
    write_bundle(
        tmp_path / "bare.zip", msgspec.structs.replace(bundle.manifest, variants=(first, bare), files={}), files
    )
    assert "holds no golden sequences" in build(3, tmp_path / "bare.zip")
    build(0, tmp_path / "bare.zip", "--no-check")


@pytest.mark.parametrize("wrong", [("--workspace", "0"), ("--dla", "-1"), ("--workspace", "much")])
def test_wrong_usage_is_wrong_usage(plain: Path, build: Build, wrong: tuple[str, str]) -> None:
    build(2, plain, *wrong)
