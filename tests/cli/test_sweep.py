"""The curve of accuracy against compute."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from verbs import Cli

from edge_vss.calibration.sweep import sweep
from edge_vss.deploy import deploy
from edge_vss.errors import BadInput, DeviceError

SOURCE = "street:[seed=3,look=camera,frames=40,size=96x128]"
DATA = "street:[seed=4,clips=1,frames=40,look=camera,size=96x128]"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep") / "small.bundle"
    deploy("zoo:clockwork-street", out, height=96, width=128, calibration=SOURCE)
    return out


def test_more_firings_cost_more_and_no_rate_is_overrun(bundle: Path) -> None:
    before = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    points = sweep(bundle, SOURCE, DATA, rates=(0.2, 0.34, 0.5, 0.8, 1.0))
    swept = [point for point in points if point.clock_rate is not None]
    assert [point.clock_rate for point in swept] == [0.2, 0.34, 0.5, 0.8, 1.0]
    rates = [point.update_rate for point in swept]
    assert rates == sorted(rates) and rates[-1] == 1.0
    assert all(point.update_rate <= (point.clock_rate or 0.0) + 0.03 for point in swept)
    costs = [point.macs_per_frame for point in swept]
    assert costs == sorted(costs)
    full = next(point for point in points if point.schedule == "full")
    assert swept[-1].miou == pytest.approx(full.miou) and costs[-1] == full.macs_per_frame
    assert {point.schedule for point in points} >= {"full", "alternate", "pipeline-2", "reuse", "adaptive"}
    assert hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest() == before


def test_a_schedule_without_an_adaptive_clock_is_refused(bundle: Path) -> None:
    with pytest.raises(BadInput, match="no adaptive clock"):
        sweep(bundle, SOURCE, DATA, schedule="alternate")


def test_the_verb_writes_picture_and_numbers(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "curve.png"
    done = cli("calibrate", bundle, "--sweep", "--data", DATA, "--out", out, "--json", "-")
    assert done.code == 0, done.err
    assert out.read_bytes().startswith(b"\x89PNG\r\n")
    points = json.loads(out.with_suffix(".json").read_text())["points"]
    assert points == done.json["points"] and len(points) > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.json", "curve.png"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--sweep"], 2),
        (["--sweep", "--data", DATA, "--clock-rate", "0.5"], 2),
        (["--sweep", "--data", DATA, "--out", "curve.svg"], 2),
        (["--sweep", "--data", DATA, "--out", "/proc/curve.png"], 3),
        (["nothing.mp4", "--sweep", "--data", DATA], 3),
    ],
)
def test_wrong_use_is_one_line(cli: Cli, bundle: Path, arguments: list[str], code: int) -> None:
    done = cli("calibrate", bundle, *arguments)
    assert done.code == code
    assert done.err.strip().count("\n") == 0


def test_without_matplotlib_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from edge_vss.calibration.sweep_chart import chart

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DeviceError, match="pip install matplotlib"):
        chart([], "nothing")
