"""Figures: power where there are sensors, and keys as they are documented."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from board.machines import machine
from board.simulated import SimulatedBoard, steady
from live_run import Start, wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "preview.md"


def test_power_is_not_available_where_there_is_no_sensor(start: Start, tmp_path: Path) -> None:
    assert json.loads(start(root=tmp_path).ask().body)["power"] == {"available": False}


@pytest.mark.parametrize("name", ["orin-nano-jetpack6", "agx-orin-jetpack6"])
def test_power_is_that_of_the_board(start: Start, tmp_path: Path, name: str) -> None:
    SimulatedBoard(tmp_path, machine(name), steady(12_500.0))
    power = json.loads(start(root=tmp_path).ask().body)["power"]
    assert power["available"] and power["label"] == "module rails, not wall"
    assert power["total_w"] == pytest.approx(12.5, rel=0.01) and power["mean_w"] == pytest.approx(12.5, rel=0.01)
    assert power["recent_w"] and all(value > 0 for value in power["rails_w"].values())


def test_power_that_can_no_longer_be_read_is_not_told(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_vss.preview.statistics.STALE_S", 0.5)
    monkeypatch.setattr("edge_vss.preview.preview.POWER_INTERVAL_S", 0.05)
    SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"), steady(9_000.0))
    run = start(root=tmp_path)
    assert json.loads(run.ask().body)["power"]["total_w"] == pytest.approx(9.0, rel=0.01)
    for path in tmp_path.rglob("curr*_input"):
        path.unlink()
    wait_until(lambda: json.loads(run.ask().body)["power"]["total_w"] is None)
    assert set(json.loads(run.ask().body)["power"]["rails_w"].values()) == {None}


def test_the_rate_is_that_of_the_newest_seconds(start: Start) -> None:
    run = start(interval_s=0.02)
    began_s = time.monotonic()
    run.wait_frames(60)
    measured = 60 / (time.monotonic() - began_s)
    assert json.loads(run.ask().body)["fps_now"] == pytest.approx(measured, rel=0.25)


def test_the_rung_of_the_ladder_and_the_reasons_of_flags_are_told(start: Start) -> None:
    run = start(interval_s=0.002, deadline_ms=1e-3)  # nothing but the last label map is so quick
    run.wait_frames(60)
    found = json.loads(run.ask().body)
    assert found["schedule"] == run.pipeline.info.schedule
    assert {"reuse"} < set(found["recent"]["schedule"]) <= {"reuse", *run.pipeline.info.schedules}
    assert found["schedule_now"] == found["recent"]["schedule"][-1]
    assert found["reasons"]["degraded"]["why"] == "schedule reuse" and found["reasons"]["late"]["why"]
    assert 0 <= found["reasons"]["late"]["sequence"] <= found["sequence"]
    assert found["flags"]["degraded"] > 0


def keys(value: dict[str, Any], depth: int = 0) -> set[str]:
    """Names of the figures; what is inside of named things (stages, reasons, rails, outputs) is left out."""
    found = set()
    for key, item in value.items():
        found.add(key)
        if isinstance(item, dict) and key in ("age_frames", "latency_ms", "recent", "power", "preview"):
            found |= {f"{key}.{inner}" for inner in item}
    return found


def test_every_key_is_documented(start: Start, tmp_path: Path) -> None:
    SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"), steady(9_000.0))
    run = start(root=tmp_path)
    run.wait_frames(3)
    listed = set()
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| `"):
            listed |= set(re.findall(r"`([a-z0-9_.]+)`", line.split("|")[1]))
    found = keys(json.loads(run.ask().body))
    parents = {key.partition(".")[0] for key in found if "." in key}
    assert {key for key in listed if not key.endswith(".json")} == found - parents
