"""The gate between two reports."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from edge_vss.errors import BadInput
from edge_vss.profiling.compare import compare_reports


def report(**latency: float | None) -> dict[str, Any]:
    found = {"mean": 12.0, "p50": 10.0, "p90": 14.0, "p99": 20.0, "max": 30.0, **latency}
    return {
        "bundle": "street",
        "schedule": "full",
        "source": "drive.mp4",
        "latency_ms": found,
        "power": {"mj_per_frame": 400.0},
        "environment": {"cpu": "A", "threads": 2, "load_average": 0.1},
        "valid": {"latency": True, "energy": True},
        "invalid_because": {"latency": [], "energy": []},
        "null_because": {},
        "pacing": {"by": "capture times", "fps": 30.0},
    }


def worse(old: dict[str, Any], new: dict[str, Any], p50: float = 10, p99: float = 25) -> list[str]:
    return [line.name for line in compare_reports(old, new, tolerance_p50=p50, tolerance_p99=p99).worse]


@pytest.mark.parametrize(
    ("latency", "bad"),
    [
        ({}, []),
        ({"p50": 11.0, "p99": 25.0}, []),
        ({"p50": 11.01}, ["latency p50, ms"]),
        ({"p99": 25.1}, ["latency p99, ms"]),
        ({"p50": 20.0, "p99": 50.0}, ["latency p50, ms", "latency p99, ms"]),
        ({"p50": 1.0, "p99": 2.0}, []),
        ({"mean": 99.0, "p90": 99.0, "max": 999.0}, []),
    ],
)
def test_only_growth_beyond_the_tolerance_is_worse(latency: dict[str, float], bad: list[str]) -> None:
    assert worse(report(), report(**latency)) == bad


def test_tolerances_are_those_that_were_given() -> None:
    assert worse(report(), report(p50=10.6), p50=5) == ["latency p50, ms"]
    assert worse(report(), report(p99=39.0), p99=100) == []


def test_other_machines_settings_and_doubtful_reports_are_named() -> None:
    new = copy.deepcopy(report())
    new["environment"] |= {"cpu": "B", "load_average": 3.0}
    new["schedule"] = "adaptive"
    new["pacing"] = {"by": "as fast as possible", "fps": None}
    new["valid"]["latency"], new["invalid_because"]["latency"] = False, ["throttled: gpu"]
    notes = compare_reports(report(), new, tolerance_p50=10, tolerance_p99=25).notes
    assert len(notes) == 4
    for part in ("cpu was A, is B", "schedule differs: full before, adaptive now", "as fast", "throttled: gpu"):
        assert any(part in note for note in notes), part


def test_a_percentile_that_a_report_lacks_is_not_compared_and_not_passed_over_in_silence() -> None:
    new = report(p99=None)
    new["null_because"] = {"latency_ms.p99": "90 frames; p99 needs 662"}
    found = compare_reports(report(), new, tolerance_p50=10, tolerance_p99=25)
    assert not found.worse
    assert any("p99, ms was not compared" in note and "needs 662" in note for note in found.notes)


def test_a_negative_figure_is_no_figure() -> None:
    with pytest.raises(BadInput, match="latency_ms p50 is -1"):
        worse(report(), report(p50=-1.0))


@pytest.mark.parametrize("value", ["10", True, [10.0], -1.0])
def test_a_figure_that_is_no_number_does_not_pass_the_gate(value: Any) -> None:
    with pytest.raises(BadInput, match="damaged"):
        worse(report(), report(p50=value))
