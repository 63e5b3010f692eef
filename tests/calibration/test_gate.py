"""The accuracy gate: who is blamed, who goes back to float, and what stays when the bound cannot be kept."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_vss.bundle import load_bundle
from edge_vss.calibration import gate as gate_module
from edge_vss.calibration import variants as variants_module
from edge_vss.calibration.integers import calibrate_int8
from edge_vss.calibration.variants import VariantMaker
from edge_vss.cli.app import app
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput, GateRefused
from edge_vss.verification import verify_bundle

SOURCE = "street:[seed=3,look=camera,frames=12,size=96x128]"
DATA = "street:[seed=4,clips=1,frames=6,look=camera,size=96x128]"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gate") / "small.bundle"
    deploy("zoo:clockwork-street", out, height=96, width=128, calibration=SOURCE, precisions=("fp32", "int8"))
    return out


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy.bundle"))


def content(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_a_bound_that_holds_leaves_everything_on_integers(bundle: Path) -> None:
    (report,) = calibrate_int8(bundle, None, data=DATA, max_drop=30.0)
    assert report.gate is not None
    assert set(report.gate.stages) == {"fine", "middle", "deep", "fuse"}
    assert report.gate.drop <= 30.0
    assert set(report.gate.miou_before) == {"full", "adaptive"}
    for facts in report.gate.stages.values():
        assert 10.0 < facts.worst_snr_db < 100.0 and facts.ms_int8 is not None and facts.ms_int8 > 0
    slow = {name for name, facts in report.gate.stages.items() if (facts.ms_int8 or 0) > (facts.ms_float or 0)}
    assert set(report.gate.reverted) == slow
    assert all(check.report.passed for check in verify_bundle(bundle))


def test_the_node_that_does_the_harm_goes_back_to_float(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = VariantMaker.ranges

    def harmed(self: VariantMaker, stage: str) -> dict[str, Any]:
        found = honest(self, stage)
        if stage == "fine":
            name = next(name for name, limits in found.items() if name not in self.free_boundaries and limits[1] > 1)
            found[name] = (found[name][0], 0.001)
        return found

    monkeypatch.setattr(VariantMaker, "ranges", harmed)
    monkeypatch.setattr(gate_module, "engine_ms", lambda engines: [2.0, 1.0])
    before = load_bundle(bundle).manifest.variants[1]
    (report,) = calibrate_int8(bundle, None, data=DATA, max_drop=1.0)
    assert report.gate is not None
    assert report.gate.stages["fine"].worst_snr_db < min(
        facts.worst_snr_db for stage, facts in report.gate.stages.items() if stage != "fine"
    )
    assert report.gate.reverted and report.gate.reverted[0] == f"fine/{report.gate.stages['fine'].worst_node}"
    assert report.gate.drop <= 1.0 < 100 * (report.gate.miou_before["full"] - report.gate.miou_int8["full"])
    assert 0.3 < report.int8_macs_share < 1.0
    manifest = load_bundle(bundle).manifest
    assert manifest.calibration["reverted.onnxruntime-int8"] == ", ".join(report.gate.reverted)
    assert manifest.variants[1].name == before.name
    assert all(check.report.passed for check in verify_bundle(bundle))


def test_a_stage_that_is_not_faster_goes_back_whole(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([[1.0, 2.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    monkeypatch.setattr(gate_module, "engine_ms", lambda engines: next(turns))
    (report,) = calibrate_int8(bundle, None, data=DATA, max_drop=50.0)
    assert report.gate is not None and report.gate.reverted == ("fine",)
    assert 0.5 < report.int8_macs_share < 0.9
    variant = load_bundle(bundle).manifest.variants[1]
    assert "image" not in variant.tensors and "middle" in variant.tensors
    assert all(check.report.passed for check in verify_bundle(bundle))


def test_a_bound_that_cannot_be_kept_is_refused_and_nothing_changes(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(bundle)
    monkeypatch.setattr(gate_module._Trials, "score", lambda self, kept, schedules=(): {"full": 0.0, "adaptive": 0.0})
    with pytest.raises(GateRefused, match="loses more than 1 mIoU points"):
        calibrate_int8(bundle, None, data=DATA, max_drop=1.0)
    assert content(bundle) == before
    done = CliRunner().invoke(app, ["calibrate", str(bundle), "--max-drop", "1", "--data", DATA])
    assert isinstance(done.exception, GateRefused) or done.exit_code == 5


def test_interrupting_leaves_the_bundle_as_it_was(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    before = content(bundle)
    monkeypatch.setattr(variants_module, "record_golden", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calibrate_int8(bundle, SOURCE, method="minmax")
    assert content(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]


def test_another_method_gives_other_ranges_and_is_remembered(bundle: Path) -> None:
    old = load_bundle(bundle).manifest.variants[1].tensors["fine"]
    calibrate_int8(bundle, SOURCE, method="minmax")
    manifest = load_bundle(bundle).manifest
    assert manifest.variants[1].tensors["fine"].scale > old.scale
    assert manifest.calibration["int8_method"] == "minmax"
    assert [variant.name for variant in manifest.variants] == ["onnxruntime-fp32", "onnxruntime-int8"]


def test_a_variant_for_another_back_end_is_added(bundle: Path) -> None:
    calibrate_int8(bundle, SOURCE, backends=("tensorrt",))
    names = [variant.name for variant in load_bundle(bundle).manifest.variants]
    assert names == ["onnxruntime-fp32", "onnxruntime-int8", "tensorrt-int8"]


def test_a_bundle_without_float32_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such"):
        calibrate_int8(tmp_path / "nothing.bundle", SOURCE)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "want something to do"),
        (["--int8"], "want a SOURCE"),
        (["--max-drop", "1"], "belong together"),
        (["x.mp4", "--int8", "--method", "guess"], "want one of mse"),
        (["--max-drop", "-1", "--data", "camvid:x"], "0..100"),
        (["x.mp4", "--int8", "--backend", "openvino"], "onnxruntime, tensorrt"),
    ],
)
def test_wrong_usage_is_one_line(bundle: Path, arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(bundle), *arguments])
    assert done.exit_code == 2
    assert text in " ".join(done.output.replace("│", " ").split())
