"""The file that a board sends back."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from board.machines import JETSONS, Machine, machine
from board.simulated import SimulatedBoard, steady
from edge_vss import board_report
from edge_vss.board_report import Subject, make_board_report, write_board_report
from edge_vss.bundle import load_bundle
from edge_vss.cli import main
from edge_vss.errors import BadInput

LINE = (
    "07-25-2026 09:08:28 RAM 20642/62817MB (lfb 1x2MB) CPU [23%@2201,off] GR3D_FREQ 12%@[1300] cpu@52.968C "
    "VDD_GPU_SOC 8000mW/1mW VDD_CPU_CV 5000mW/1mW VIN_SYS_5V0 7100mW/1mW NC 0mW/0mW VDDQ_VDD2_1V8AO 2400mW/1mW"
)
STREET = ("--source", "street:[frames=20,size=64x96,fps=50]", "--duration", "2")


@pytest.fixture
def tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NVIDIA's program for as long as the file ``line`` beside it says something."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "line").write_text(LINE)
    program = folder / "tegrastats"
    program.write_text(
        f"#!{sys.executable}\nimport pathlib, sys, time\nassert sys.argv[1] == '--interval'\n"
        "line = pathlib.Path(__file__).with_name('line').read_text()\n"
        "while line:\n    print(line, flush=True)\n    time.sleep(0.05)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "line"


@pytest.mark.parametrize("spec", JETSONS, ids=lambda spec: spec.name)
def test_a_report_tells_the_board_and_its_power(spec: Machine, tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", spec, steady(12_000.0))
    board.fail(board.root / "sys/class/thermal/cooling_device0/cur_state")
    found = make_board_report(Subject(root=board.root, idle_s=0.1))
    path = tmp_path / "report.json"
    write_board_report(path, found)
    report = json.loads(path.read_text())
    assert (report["board"]["module_name"], report["board"]["jetpack"]) == (spec.module_name, spec.jetpack)
    assert sorted(report["idle_power"]["total_rails"]) == sorted(spec.total)
    assert report["idle_power"]["total_mw"] == pytest.approx(12_000, rel=0.005)
    assert report["idle_power"]["failed"] == 0 and report["idle_power"]["samples"] >= 2
    assert report["state"]["events"] == {"oc1": 0, "oc2": 0, "oc3": 0}
    assert {"machine", "power mode", "gstreamer"} <= {check["name"] for check in report["checks"]}
    assert set(report["not_checked"]) == {"tegrastats", "verify", "profile"}
    files = report["board"]["files"]
    assert files["etc/nv_tegra_release"] == spec.release
    assert files["sys/class/thermal/cooling_device0/cur_state"] is None
    assert sum(name.endswith("_input") or "in_power" in name for name in files) >= len(spec.rails)


def test_rails_are_compared_with_those_of_tegrastats(tmp_path: Path, tegrastats: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("agx-orin-jetpack7"), steady(20_000.0))
    found: dict[str, Any] = board_report.PARTS["tegrastats"](Subject(root=board.root))
    assert len(found["lines"]) == 3 and found["their_total_mw"] == 20_100
    assert found["ours"]["total_mw"] == pytest.approx(20_000, rel=0.005)


def test_a_tegrastats_that_says_something_else_is_told_not_guessed(tmp_path: Path, tegrastats: Path) -> None:
    board = SimulatedBoard(tmp_path / "root", machine("agx-orin-jetpack7"))
    tegrastats.write_text("RAM lots")
    found = make_board_report(Subject(root=board.root, idle_s=0.05))
    assert found["tegrastats"] is None and "'RAM lots'" in found["not_checked"]["tegrastats"]
    tegrastats.write_text("")
    found = make_board_report(Subject(root=board.root, idle_s=0.05))
    assert found["not_checked"]["tegrastats"] == "tegrastats prints nothing"


def test_a_part_that_fails_unforeseen_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: Subject) -> None:
        raise ZeroDivisionError("x")

    monkeypatch.setitem(board_report.PARTS, "state", broken)
    found = make_board_report(Subject(root=tmp_path, idle_s=0.05))
    assert found["state"] is None and "ZeroDivisionError" in found["not_checked"]["state"]
    assert found["board"]["is_jetson"] is False and found["checks"]


def test_one_command_checks_verifies_and_writes_one_file(
    tiny_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.json"
    assert main(["doctor", "--board-report", str(path), "--bundle", str(tiny_bundle), *STREET]) == 0
    out = capfd.readouterr().out
    assert f"written: {path}" in out and "not checked: tegrastats" in out
    assert [file.name for file in tmp_path.iterdir()] == ["board.json"]
    report = json.loads(path.read_text())
    assert report["verify"]["ok"] and set(report["verify"]["schedules"]) >= {"full", "adaptive"}
    assert report["format"] == 1 and not {"verify", "profile"} & set(report["not_checked"])
    assert report["profile"]["frames"] >= 90 and report["profile"]["latency_ms"]["p50"] > 0


def test_a_golden_that_does_not_come_out_is_written_and_refused(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(board_report.PARTS, "profile")
    bundle, path = tmp_path / "bad.bundle", tmp_path / "board.json"
    shutil.copytree(tiny_bundle, bundle)
    swap_goldens(bundle)
    assert main(["doctor", "--board-report", str(path), "--bundle", str(bundle)]) == 5
    assert "golden sequences do not come out" in capfd.readouterr().err
    assert json.loads(path.read_text())["verify"]["ok"] is False


def swap_goldens(bundle: Path) -> None:
    """The firing list of ``full`` is said to be that of ``reuse``."""
    file = bundle / "manifest.json"
    manifest = msgspec.json.decode(file.read_bytes())
    golden = manifest["variants"][0]["golden"]
    golden["full"]["fired"] = golden["reuse"]["fired"]
    file.write_bytes(msgspec.json.encode(manifest))
    load_bundle(bundle).check_files()


@pytest.mark.parametrize("bundle", ["missing.bundle", "broken.bundle"])
def test_a_bundle_that_does_not_load_is_refused_before_anything_is_looked_at(
    bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.bundle").mkdir()
    path = tmp_path / "board.json"
    assert main(["doctor", "--board-report", str(path), "--bundle", str(tmp_path / bundle)]) == 3
    assert capfd.readouterr().err.count("\n") == 1 and not path.exists()


def test_a_place_that_takes_no_file_is_refused_before_the_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file" / "report.json"):
        assert main(["doctor", "--board-report", str(place)]) == 3
        assert capfd.readouterr().err.count("\n") == 1
    assert main(["doctor", "--bundle", "street.bundle"]) == 2
    with pytest.raises(BadInput):
        write_board_report(tmp_path / "file" / "report.json", {})
