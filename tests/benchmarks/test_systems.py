"""``benchmarks/systems.py`` in small: every system trains, exports and is scored; a second run finds it all done."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from adding import Adding
from claims.jobs import Job, play
from claims.table import Claim, arm_row, paired
from claims.world import QUICK
from systems import NAMES
from systems_page import PAGE, page, read_results

ROOT = Path(__file__).resolve().parents[2]
NATIVE_OFF = 0.1
"""Points of mIoU that the native runtime may be off torch."""


@pytest.mark.parametrize("name", NAMES)
def test_a_system_is_trained_exported_and_scored_and_nothing_is_done_twice(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/systems.py", name, "--tiny", "--folder", str(tmp_path), "--json"]
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    outputs = []
    for path in (first, again):
        done = subprocess.run(
            [*command, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode in (0, 1), done.stderr[-3000:]
        outputs.append(done.stdout)
    assert "to go" in outputs[0] and "to go" not in outputs[1]
    report, same = (json.loads(path.read_text()) for path in (first, again))
    assert report["rows"] == same["rows"] and report["claims"] == same["claims"]
    for row in report["rows"]:
        assert all(0 <= row[score] <= 100 for score in ("miou", "vpq", "temporal_consistency") if score in row), row
        assert abs(row.get("off_torch", 0.0)) <= NATIVE_OFF, row
    assert {"claim", "points", "error", "at_least", "shown"} <= set(report["claims"][0])
    assert all(math.isfinite(claim["points"]) for claim in report["claims"])


@pytest.mark.parametrize("name", NAMES)
def test_jobs_come_after_what_they_need_and_arms_share_what_they_compare(name: str) -> None:
    jobs = importlib.import_module(f"claims.{name}").jobs(QUICK)
    known: set[str] = set()
    for job in jobs:
        assert set(job.needs) <= {other.name for other in jobs}
        assert job.name not in known
        known.add(job.name)
    longer = importlib.import_module(f"claims.{name}").jobs(replace(QUICK, seeds=QUICK.seeds + 1))
    assert len(longer) > len(jobs)


def test_what_needs_a_job_that_changed_is_done_again_and_nothing_else(tmp_path: Path) -> None:
    def jobs(more: int) -> list[Job]:
        return [
            Job("one", Adding(more)),
            Job("two", Adding(10)),
            Job("both", Adding(0, ("one", "two")), ("one", "two")),
            Job("last", Adding(100, ("both",)), ("both",)),
        ]

    def done() -> list[str]:
        return (tmp_path / "done").read_text().split()

    assert play(jobs(1), tmp_path)["last"]["sum"] == 111
    assert sorted(done()) == ["both", "last", "one", "two"]
    assert play(jobs(2), tmp_path)["last"]["sum"] == 112
    assert sorted(done()[4:]) == ["both", "last", "one"]
    assert play(jobs(2), tmp_path)["last"]["sum"] == 112 and len(done()) == 7


def test_a_claim_is_shown_where_the_paired_difference_exceeds_its_standard_error() -> None:
    better, worse = [0.50, 0.53, 0.59], [0.49, 0.51, 0.56]
    mean, error = paired(better, worse)
    assert mean == pytest.approx(2.0) and error == pytest.approx(1 / math.sqrt(3))
    assert Claim("by one point", better, worse, 1.0).row()["shown"]
    assert not Claim("by two points", better, worse, 2.0).row()["shown"]
    assert not Claim("one seed says nothing", [0.9], [0.1]).row()["shown"]
    row = arm_row("arm", {"miou": better})
    assert row["miou"] == pytest.approx(54.0) and row["miou_spread"] == pytest.approx(4.5826, abs=1e-3)


def test_the_page_says_what_the_committed_results_say() -> None:
    assert PAGE.read_text() == page(read_results()), "run benchmarks/systems_page.py"
