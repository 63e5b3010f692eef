"""``edge-vss build`` from bundle to golden check, over a simulated TensorRT that computes with ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_vss.bundle import Golden, Storage, load_bundle, write_bundle
from edge_vss.cli import main
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput, DeviceError
from edge_vss.export.pixel_stages import pre_stage
from edge_vss.export.pixel_variants import with_pixel_engines
from edge_vss.jetson.build import build_bundle
from edge_vss.jetson.plans import BuildOptions, plans_path

from .conftest import Machine, with_variant

VERSIONS = ("10.3.0", "11.4.0.106")
SCHEDULES = {"full", "alternate", "exponential", "pipeline-2", "pipeline-3", "adaptive", "reuse"}


@pytest.mark.parametrize("version", VERSIONS)
def test_plans_are_built_under_names_that_say_what_they_are_for(
    machine: Machine, plain: Path, plans: Path, version: str
) -> None:
    machine(version=version)
    report = build_bundle(plain)
    bundle = load_bundle(plain)
    variant = bundle.manifest.variants[1]
    want = {
        f"{hashlib.sha256(bundle.read(engine.file)).hexdigest()}.trt-{version}.sm87.fp32.o3-w1024.plan"
        for engine in variant.engines.values()
    }
    assert {path.name for path in plans.iterdir()} == want | {f"timing.trt-{version}.sm87.cache"}
    assert {plan.origin for plan in report.plans} == {"built"}
    assert (report.device.name, report.device.integrated, report.tensorrt) == ("Orin", True, version)


def test_a_packages_own_suffix_is_no_part_of_the_version(machine: Machine, plain: Path, plans: Path) -> None:
    machine(version="10.14.1.48.post1")
    build_bundle(plain, check=False)
    assert all(".trt-10.14.1.48.sm87." in path.name for path in plans.glob("*.plan"))
    assert len(list(plans.glob("*.plan"))) == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_every_golden_sequence_comes_out_on_the_plans(machine: Machine, plain: Path, version: str) -> None:
    state = machine(version=version)
    checks = {check.report.schedule: check.report for check in build_bundle(plain).checks}
    assert set(checks) == SCHEDULES
    assert all(report.passed and report.frames > 0 for report in checks.values())
    assert not state.memory and not state.contexts, "something was left on the device"


def test_a_second_build_uses_the_plans_again_and_marks_them_as_newest(
    machine: Machine, plain: Path, plans: Path
) -> None:
    state = machine()
    build_bundle(plain, check=False)
    files = sorted(plans.glob("*.plan"))
    before = [path.read_bytes() for path in files]
    for path in files:
        os.utime(path, (1, 1))
    report = build_bundle(plain, check=False)
    assert {plan.origin for plan in report.plans} == {"cached"} and state.builds == len(files)
    assert [path.read_bytes() for path in files] == before
    assert all(path.stat().st_mtime > 1 for path in files)


def test_other_options_give_plans_of_their_own_and_reach_the_builder(
    machine: Machine, plain: Path, plans: Path
) -> None:
    state = machine(dla_cores=2)
    build_bundle(plain, BuildOptions(workspace_mib=64), check=False)
    build_bundle(plain, BuildOptions(workspace_mib=64, dla=1), check=False)
    suffixes = {path.name.split(".fp32.")[1] for path in plans.glob("*.plan")}
    assert suffixes == {"o3-w64.plan", "o3-w64-dla1.plan"}
    gpu, dla = state.configs[0], state.configs[-1]
    assert (gpu["workspace"], gpu["level"], gpu["device"], gpu["flags"]) == (64 << 20, 3, "GPU", [])
    assert (dla["device"], dla["dla"], dla["flags"]) == ("DLA", 1, ["GPU_FALLBACK"])


def test_tf32_is_off_for_fp32_alone(machine: Machine, half: Path) -> None:
    state = machine(types=("FP16",))
    build_bundle(half, check=False)
    assert state.configs[0]["flags"] == ["TF32"]


def test_the_timing_cache_is_handed_from_build_to_build(machine: Machine, plain: Path, plans: Path) -> None:
    state = machine()
    build_bundle(plain, check=False)
    lengths = [config["timing"] for config in state.configs]
    assert lengths[0] == 0 and lengths == sorted(set(lengths))
    (timing,) = plans.glob("timing.*")
    timing.write_bytes(b"of another machine")
    build_bundle(plain, BuildOptions(workspace_mib=1), check=False)
    assert state.configs[len(lengths)]["timing"] == 0, "a cache that TensorRT refuses is left out"
    assert timing.read_bytes().startswith(b"timing")
    timing.write_bytes(b"of another machine")
    state.faults.add("build")
    with pytest.raises(DeviceError, match="could not find any implementation"):  # and not: the timing cache
        build_bundle(plain, BuildOptions(workspace_mib=2), check=False)


def test_progress_names_every_stage_and_never_goes_back(machine: Machine, plain: Path) -> None:
    machine()
    seen: list[tuple[str, float]] = []
    build_bundle(plain, progress=lambda doing, share: seen.append((doing, share)))
    assert {f"tensorrt-fp32: {stage}" for stage in ("fine", "middle", "deep", "fuse")} <= {doing for doing, _ in seen}
    shares = [share for _, share in seen]
    assert shares == sorted(shares) and shares[0] >= 0.0 and shares[-1] <= 1.0
    assert len(set(shares)) > 8, "the builder's own progress is shown too"


@pytest.mark.parametrize("fault", ["", "json"])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_share_of_layers_per_type_is_read_back(machine: Machine, half: Path, version: str, fault: str) -> None:
    machine(version=version, types=("FP16", "FP32"), faults={fault})
    for plan in build_bundle(half, check=False).plans:
        assert set(plan.types) == {"FP16", "FP32"} and not plan.refused
        assert sum(plan.types.values()) == pytest.approx(1.0)
        assert abs(plan.types["FP16"] - 0.5) < 0.05, "every second layer, the copies not counted"


@pytest.mark.parametrize("fault", ["", "json"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plan_that_came_out_fp32_is_refused_with_its_layers_and_not_kept(
    machine: Machine, half: Path, plans: Path, version: str, fault: str
) -> None:
    machine(version=version, faults={fault})
    report = build_bundle(half)
    assert len(report.refused) == 4 and not list(plans.glob("*.plan"))
    assert all("asked for as FP16, came out FP32 throughout" in line and " FP32" in line for line in report.refused)
    assert not report.checks and report.not_checked


def test_a_plan_whose_types_are_not_told_is_refused(machine: Machine, half: Path) -> None:
    machine(faults={"silent"})
    report = build_bundle(half, check=False)
    assert len(report.refused) == 4 and "does not say" in report.refused[0]


def stored_stages(source: Path) -> tuple[dict[str, bytes], dict[str, Storage]]:
    """Two stages whose border is stored otherwise: ``lateral`` as float16, ``deep`` as int8."""
    bundle = load_bundle(source)
    engines = bundle.manifest.variants[0].engines
    models = {stage: onnx.load_from_string(bundle.read(engine.file)) for stage, engine in engines.items()}
    tensors = {"lateral": Storage(dtype="float16"), "deep": Storage(dtype="int8", scale=0.05, zero_point=3)}
    for name, storage in tensors.items():
        kind = TensorProto.FLOAT16 if storage.dtype == "float16" else TensorProto.INT8
        numbers = [
            helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [storage.scale]),
            helper.make_tensor(f"{name}_zero", TensorProto.INT8, [], [storage.zero_point]),
        ]
        for model in models.values():
            graph = model.graph
            for value in graph.output:
                if value.name == name:
                    for node in graph.node:
                        node.output[:] = [f"{name}_real" if each == name else each for each in node.output]
                        node.input[:] = [f"{name}_real" if each == name else each for each in node.input]
                    value.type.tensor_type.elem_type = kind
                    graph.initializer.extend(numbers)
                    graph.node.append(border(name, storage, f"{name}_real", name, "QuantizeLinear"))
            for value in graph.input:
                if value.name == name:
                    for node in graph.node:
                        node.input[:] = [f"{name}_real" if each == name else each for each in node.input]
                    value.type.tensor_type.elem_type = kind
                    graph.initializer.extend(numbers)
                    graph.node.insert(0, border(name, storage, name, f"{name}_real", "DequantizeLinear"))
    return {stage: model.SerializeToString() for stage, model in models.items()}, tensors


def border(name: str, storage: Storage, given: str, made: str, quantise: str) -> onnx.NodeProto:
    if storage.dtype == "int8":
        return helper.make_node(quantise, [given, f"{name}_scale", f"{name}_zero"], [made])
    kind = TensorProto.FLOAT16 if quantise == "QuantizeLinear" else TensorProto.FLOAT
    return helper.make_node("Cast", [given], [made], to=kind)


def test_tensors_cross_from_plan_to_plan_in_their_stored_type(
    machine: Machine, tiny_bundle: Path, tmp_path: Path
) -> None:
    def tolerant(golden: Golden) -> Golden:
        # Rounding costs 0.4 % of the labels; a wrong zero point 1.6 %, a scale that is 10 % off 1.1 %.
        return msgspec.structs.replace(golden, tolerance=0.008)

    files, tensors = stored_stages(tiny_bundle)
    right = with_variant(
        tiny_bundle, tmp_path / "a.bundle", precision="int8", files=files, tensors=tensors, change_golden=tolerant
    )
    state = machine(types=("INT8",))
    report = build_bundle(right)
    assert report.checks and not report.refused, report.refused
    assert not state.memory
    wrong = with_variant(tiny_bundle, tmp_path / "b.bundle", precision="int8", files=files, change_golden=tolerant)
    with pytest.raises(BadInput, match=r"'lateral' is float16 .* the manifest says that 'lateral' is float32"):
        build_bundle(wrong)
    assert not state.memory and not state.contexts


def test_the_verb_prints_plans_and_goldens_and_writes_json(
    machine: Machine, plain: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    machine()
    assert main(["build", str(plain), "--json", str(tmp_path / "build.json")]) == 0
    out, err = capfd.readouterr()
    assert not err and "Orin" in out and "FP32 100%" in out and "pipeline-3" in out and "built" in out
    found = json.loads((tmp_path / "build.json").read_text())
    variant = found["variants"]["tensorrt-fp32"]
    assert set(variant["stages"]) == {"fine", "middle", "deep", "fuse"} and set(variant["schedules"]) == SCHEDULES
    stage = variant["stages"]["deep"]
    assert stage["origin"] == "built" and stage["types"] == {"FP32": 1.0} and stage["layers"]
    assert all(check["ok"] and check["agreement"] >= 0.999 for check in variant["schedules"].values())
    assert main(["build", str(plain)]) == 0
    assert "cached" in capfd.readouterr().out


def test_doctor_tells_what_it_finds_of_tensorrt(machine: Machine, plain: Path) -> None:
    from edge_vss.jetson import doctor

    machine(version="10.3.0")
    build_bundle(plain, check=False)
    checks = {check.name: check for check in doctor.examine()}
    assert checks["tensorrt"].ok and "10.3.0, supported" in checks["tensorrt"].found
    assert checks["pycuda"].ok and checks["gpu"].found == "Orin, sm87" and checks["plans"].found.startswith("4 in ")
    machine(version="8.6.2")
    check = next(check for check in doctor.examine() if check.name == "tensorrt")
    assert not check.ok and "8.6.2 is too old" in check.found


def test_plans_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("EDGE_VSS_PLANS", str(tmp_path / "plans"))
    assert plans_path() == tmp_path / "plans"
    monkeypatch.delenv("EDGE_VSS_PLANS")
    assert plans_path() == tmp_path / "xdg" / "edge-vss" / "plans"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert plans_path() == tmp_path / "home" / ".cache" / "edge-vss" / "plans"


def test_a_value_survives_being_stored_and_restored() -> None:
    from edge_vss.graph import Tensor
    from edge_vss.jetson.plan_stage import StoredTensor

    tensor = Tensor(name="x", shape=(6,))
    stored = StoredTensor(tensor, Storage(dtype="int8", scale=0.5, zero_point=-3))
    values = np.array([-100.0, -1.25, 0.0, 0.24, 0.26, 100.0], np.float32)
    # -1.25 lies between two steps and goes to the even one; what is outside the type's range ends at its borders.
    assert stored.store(values).tolist() == [-128, -5, -3, -3, -2, 127]
    assert stored.restore(stored.store(values)).tolist() == [-62.5, -1.0, 0.0, 0.0, 0.5, 65.0]
    assert stored.restore(stored.store(values)).dtype == np.float32


def test_nothing_simulated_stays_behind() -> None:
    assert not {"tensorrt", "pycuda", "simulation"} & set(sys.modules)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_export_writes_for_tensorrt_builds_and_comes_out(
    machine: Machine, tiny_checkpoint: Path, tmp_path: Path, version: str
) -> None:
    out = tmp_path / "narrow.bundle"
    deploy(
        tiny_checkpoint,
        out,
        calibration="street:[size=64x96,frames=16,seed=3]",
        precisions=("fp16", "int8"),
        backends=("tensorrt",),
    )
    state = machine(version=version, types=("INT8", "FP16"))
    report = build_bundle(out)
    assert {plan.variant for plan in report.plans} == {"tensorrt-fp16", "tensorrt-int8"}
    assert not report.refused
    assert {(check.variant, check.report.schedule) for check in report.checks} == {
        (variant, schedule) for variant in ("tensorrt-fp16", "tensorrt-int8") for schedule in SCHEDULES
    }
    assert all(check.report.passed for check in report.checks)
    assert not state.memory and not state.contexts


def with_pixels(source: Path, out: Path, format: Literal["rgb", "bgr", "nv12"], change: bytes | None = None) -> Path:
    """``source`` with pixel engines in its variant for TensorRT; ``change`` takes the place of ``pre``."""
    bundle = load_bundle(source)
    manifest, files = with_pixel_engines(bundle.manifest, (format, 90, 120), ["tensorrt-fp32"])
    pixels = manifest.variants[1].pixels
    assert pixels is not None
    if change is not None:
        files[pixels.pre] = change
    write_bundle(out, manifest, {**{name: bundle.read(name) for name in bundle.manifest.files}, **files})
    return out


@pytest.mark.parametrize("format", ["rgb", "nv12"])
def test_pixel_engines_are_built_and_checked_with_the_stages(
    machine: Machine, plain: Path, plans: Path, tmp_path: Path, format: Literal["rgb", "nv12"]
) -> None:
    state = machine()
    path = with_pixels(plain, tmp_path / "pixels.bundle", format)
    report = build_bundle(path)
    pixels = load_bundle(path).manifest.variants[1].pixels
    assert pixels is not None and report.refused == [] and report.not_checked == ""
    assert [plan.stage for plan in report.plans[-2:]] == ["pre", f"post.{next(iter(pixels.post))}"]
    for file in (pixels.pre, *pixels.post.values()):
        digest = hashlib.sha256(load_bundle(path).read(file)).hexdigest()
        assert [one.name for one in plans.glob(f"{digest}.*.fp32.*.plan")]
    assert not state.memory and not state.contexts


def test_a_pixel_plan_that_computes_something_else_is_refused(machine: Machine, plain: Path, tmp_path: Path) -> None:
    machine()
    bundle = load_bundle(plain)
    spec = msgspec.structs.replace(bundle.manifest.input, mean=(50.0, 0.0, 0.0))
    other = pre_stage(spec, "rgb", 90, 120, image=bundle.manifest.graph.image)
    report = build_bundle(with_pixels(plain, tmp_path / "pixels.bundle", "rgb", other))
    (problem,) = report.pixel_problems
    assert "grey levels off" in problem and problem in report.refused
