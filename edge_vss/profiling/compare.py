"""Regression gate between two reports: whether the new one is slower than a tolerance allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_vss.errors import BadInput
from edge_vss.profiling.environment import DECISIVE

__all__ = ["Comparison", "Line", "compare_reports"]

ROUNDING = 1e-9
SETTINGS = ("bundle", "schedule", "backend", "backend_version", "precision", "source")


@dataclass(frozen=True)
class Line:
    """One figure of both reports."""

    name: str
    old: float | None
    new: float | None
    tolerance: float | None
    """Percent; None: shown, not gated."""

    @property
    def change(self) -> float | None:
        """Percent; None where a figure is missing."""
        if self.old is None or self.new is None or self.old <= 0:
            return None
        return (self.new / self.old - 1) * 100

    @property
    def worse(self) -> bool:
        """Whether the tolerance is overrun."""
        return self.tolerance is not None and self.change is not None and self.change > self.tolerance + ROUNDING


@dataclass(frozen=True)
class Comparison:
    """What a comparison found."""

    lines: list[Line]
    notes: list[str] = field(default_factory=list)
    """What keeps the reports from being comparable, in words."""

    @property
    def worse(self) -> list[Line]:
        """Figures whose tolerance is overrun."""
        return [line for line in self.lines if line.worse]

    def as_dict(self) -> dict[str, Any]:
        """What ``compare --json`` writes."""
        return {
            "figures": {
                line.name: {
                    "old": line.old,
                    "new": line.new,
                    "change_percent": line.change,
                    "tolerance_percent": line.tolerance,
                    "worse": line.worse,
                }
                for line in self.lines
            },
            "notes": self.notes,
            "worse": bool(self.worse),
        }


def compare_reports(
    old: Mapping[str, Any], new: Mapping[str, Any], *, tolerance_p50: float, tolerance_p99: float
) -> Comparison:
    """Compare latency and energy of two reports.

    Args:
        tolerance_p50: Percent that p50 may grow by.
        tolerance_p99: The same for p99.

    Raises:
        BadInput: A figure is negative.
    """
    tolerances = {"p50": tolerance_p50, "p99": tolerance_p99}

    def line(title: str, group: str, name: str) -> Line:
        tolerance = tolerances.get(name) if group == "latency_ms" else None
        return Line(title, _figure(old, group, name), _figure(new, group, name), tolerance)

    lines = [line(f"latency {name}, ms", "latency_ms", name) for name in ("mean", "p50", "p90", "p99", "max")]
    lines.append(line("mJ per frame", "power", "mj_per_frame"))
    notes = [*_differences(old, new), *_doubts("old", old), *_doubts("new", new)]
    for one in lines:
        if one.tolerance is not None and one.change is None:
            notes.append(f"{one.name} was not compared: {_missing(one, old, new)}")
    return Comparison(lines, notes)


def _figure(report: Mapping[str, Any], group: str, name: str) -> float | None:
    value = report[group].get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"a report says that its {group} {name} is {value!r}; it is damaged")
    if value < 0:
        raise BadInput(f"a report says that its {group} {name} is {value:g}; it is damaged")
    return float(value)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    found = [
        f"{key} differs: {before} before, {now} now"
        for key in SETTINGS
        if (before := old.get(key)) != (now := new.get(key))
    ]
    if (before := _pace(old)) != (now := _pace(new)):
        found.append(f"pacing differs: {before} before, {now} now")
    there, here = old["environment"], new["environment"]
    return found + [
        f"environment differs: {key.replace('_', ' ')} was {_shown(there.get(key))}, is {_shown(here.get(key))}"
        for key in DECISIVE
        if there.get(key) != here.get(key)
    ]


def _pace(report: Mapping[str, Any]) -> str:
    pacing = report.get("pacing") or {}
    rate = f" at {pacing['fps']:g} per second" if pacing.get("fps") else ""
    return f"{pacing.get('by', 'not known')}{rate}"


def _shown(value: Any) -> str:
    return "not available" if value is None else str(value)


def _doubts(which: str, report: Mapping[str, Any]) -> list[str]:
    reasons = (report.get("invalid_because") or {}).get("latency") or []
    if not report["valid"].get("latency"):
        return [f"the {which} report's latency is not valid: {'; '.join(map(str, reasons)) or 'no reason given'}"]
    return []


def _missing(line: Line, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    which, report = ("old", old) if line.old is None else ("new", new)
    key = f"latency_ms.{line.name.split()[1].rstrip(',')}"
    return f"the {which} report has none ({(report.get('null_because') or {}).get(key, 'no reason given')})"
