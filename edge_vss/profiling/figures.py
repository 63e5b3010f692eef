"""The figures of a report as people read them: the same text on the page and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Table", "environment_rows", "headline", "number", "tables", "tiles", "trust_lines"]

NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Table:
    """Text in rows and columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def number(value: float | None, digits: int = 2) -> str:
    """A figure; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def headline(report: Mapping[str, Any]) -> str:
    """What was measured."""
    played = f"{report['schedule']}, {report['backend']} {report['precision']}"
    return f"{report['bundle']}: {played}, {report['frames']} frames in {report['seconds']:.1f} s"


def trust_lines(report: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """(what, verdict, reasons) of latency, energy and the whole run: whether the figures can be trusted."""
    lines = []
    for kind in ("latency", "energy"):
        valid = report["valid"][kind]
        lines.append((kind, "valid" if valid else "not valid", list(report["invalid_because"][kind])))
    doubts = list(report["inconclusive_because"])
    return [*lines, ("run", "not conclusive" if doubts else "conclusive", doubts)]


def tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, figure, unit) of what most people look for."""
    found = [(f"latency {name}", number(report["latency_ms"][name]), "ms") for name in ("p50", "p90", "p99")]
    return [*found, ("energy per frame", number(report["power"]["mj_per_frame"]), "mJ")]


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Everything that was measured."""
    return [table for table in (_latency(report), _stages(report), _figures(report), _energy(report)) if table.rows]


def _latency(report: Mapping[str, Any]) -> Table:
    names = ("mean", "p50", "p90", "p99", "max")
    stop = report["early_stopping_ms"]
    rows = [("end to end", *(number(report["latency_ms"][name]) for name in names))]
    rows.append(("  early stopping", "", *(number(stop[name] and stop[name]["ms"]) for name in names[1:4]), ""))
    if report["lateness_ms"]:
        rows.append(("  waited for the loop", *(number(report["lateness_ms"][name]) for name in names)))
    rows.append(("  service", *(number(report["service_ms"][name]) for name in names)))
    for name in ("pre", "post"):
        rows.append((f"  {name}", *(number(report["kernels"][name][key]) for key in names)))
    rows.append(("  engines", *(number(report["engines_ms"][name]) for name in names)))
    missing = [why for key, why in report["null_because"].items() if key.startswith("latency_ms.")]
    return Table("latency, ms", ("", *names), rows, "; ".join([report["pacing"]["latency"], *missing]))


def _stages(report: Mapping[str, Any]) -> Table:
    names = ("mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")
    rows = [
        (
            stage,
            str(found["fired"]),
            "–" if report["update_rate"][stage] is None else f"{report['update_rate'][stage]:.1%}",
            *(number(found[name]) for name in names),
        )
        for stage, found in report["stages"].items()
    ]
    return Table("stages, ms", ("stage", "fired", "rate", "mean", "p50", "p90", "p99", "max"), rows)


def _figures(report: Mapping[str, Any]) -> Table:
    deadline, memory, warm_up = report["deadline"], report["memory"], report["warm_up"]
    pace, jitter, age, age_ms = (report[key] for key in ("pacing", "jitter_ms", "age_frames", "age_ms"))
    paced = f"{pace['by']}, {pace['fps']:.2f} per second" if pace["fps"] else pace["by"]
    rows = [
        ("frames came", paced),
        ("frames per second", number(report["fps"])),
        (
            "jitter, ms",
            f"{number(jitter['mean_step'])} from frame to frame, std {number(jitter['std'])}",
        ),
        (
            "age of the label map, frames",
            f"mean {number(age['mean'])}, max {number(age['max'], 0)}",
        ),
        ("age of the label map, ms", f"mean {number(age_ms['mean'])}, max {number(age_ms['max'])}"),
        ("seams left out", f"{report['seams']} seams, {report['frames_at_seams']} frames"),
        ("warm-up", f"{number(warm_up['seconds'], 1)} s, {'settled' if warm_up['settled'] else 'not settled'}"),
        ("load, ms", number(report["load_ms"], 1)),
        ("first frame, ms", number(report["first_frame_ms"], 1)),
        ("memory at most, MiB", number(memory["high_water_mib"], 0)),
        ("of these decoded frames, MiB", number(memory["held_frames_mib"], 0)),
    ]
    if deadline:
        missed = "–" if deadline["share"] is None else f"{deadline['misses']} missed, {deadline['share']:.2%}"
        played = ", ".join(f"{name} {share:.1%}" for name, share in deadline["schedules"].items())
        rows[3:3] = [
            (f"deadline {deadline['ms']:g} ms", missed),
            ("because of it", f"{deadline['degraded']} degraded, {deadline['late']} late"),
            ("schedules played", played or "–"),
        ]
    if report["realtime_priority"]:
        rows.append(("real-time priority", str(report["realtime_priority"])))
    if report["fallbacks"]:
        rows.append(("fallbacks", f"{report['fallbacks']}: an engine failed, {report['variant']} took over"))
    if report["dropped"]:
        rows.append(("dropped", ", ".join(f"{reason} {count}" for reason, count in report["dropped"].items())))
    if report["flags"]:
        rows.append(("flags", ", ".join(f"{flag} {count}" for flag, count in report["flags"].items())))
    return Table("run", ("", "found"), rows)


def _energy(report: Mapping[str, Any]) -> Table:
    power = report["power"]
    if not power["available"]:
        return Table("power", ("", "found"), [("power", power_reason(report))])
    rows = [
        ("what is measured", f"{power['label']} ({' + '.join(power['total_rails'])})"),
        ("mean, W", number(power["mean_w"])),
        ("idle, W", number(power["idle_w"])),
        ("mJ per frame", number(power["mj_per_frame"])),
        ("mJ per frame above idle", number(power["mj_per_frame_over_idle"])),
    ]
    for stage, found in (power["stages_mj"] or {}).items():
        what = "every frame, mJ" if stage == "frame" else f"a firing of {stage}, mJ"
        rows.append((what, f"{number(found['mj'])} ({number(found['low_mj'])} to {number(found['high_mj'])})"))
    if power["stages_mj"] is None:
        rows.append(("mJ per stage", f"– {report['null_because']['power.stages_mj']}"))
    return Table("power", ("", "found"), rows)


def power_reason(report: Mapping[str, Any]) -> str:
    """Why there is no power."""
    return str(report["null_because"].get("power.mj_per_frame") or NOT_AVAILABLE)


def environment_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The environment, "not available" where something could not be read."""
    return [(key.replace("_", " "), _plain(value)) for key, value in report["environment"].items()]


def _plain(value: Any) -> str:
    if value is None or value == {} or value == {"start": {}, "end": {}}:
        return "none" if value == {} else NOT_AVAILABLE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, Mapping) and set(value) == {"start", "end"}:
        return _span(value["start"], value["end"])
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _span(start: Mapping[str, float], end: Mapping[str, float]) -> str:
    names = dict.fromkeys([*start, *end])
    shown = {name: (start.get(name), end.get(name)) for name in names}
    return ", ".join(f"{name} {number(a, 1)} → {number(b, 1)}" for name, (a, b) in shown.items())
