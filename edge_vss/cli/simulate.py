"""``edge-vss simulate``: what a schedule would do at a frame rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import JsonOption, Report, make_table

__all__ = ["simulate"]


def simulate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    profile: Annotated[Path, typer.Option("--profile", metavar="FILE", help="A report.json of edge-vss profile.")],
    fps: Annotated[float, typer.Option("--fps", min=0.1, max=10000, help="Frames per second of the camera.")] = 30.0,
    schedule: Annotated[
        list[str] | None, typer.Option("--schedule", help="Repeatable; default: every one of the bundle.")
    ] = None,
    deadline_ms: Annotated[
        float | None, typer.Option("--deadline-ms", min=0.001, help="Count frames with a higher latency.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Price schedules at a frame rate from a profile: latency, misses, ages, update rates, and energy where known.

    A camera whose newest frame wins. Update rates of fixed clocks are exact; an adaptive clock fires as it did when the
    report was made.

    Example: [bold]edge-vss simulate street.bundle --profile profile/report.json --fps 30 --deadline-ms 33[/bold]
    """
    from edge_vss.bundle import load_bundle
    from edge_vss.profiling.figures import number
    from edge_vss.profiling.outputs import read_report
    from edge_vss.profiling.simulate import check_match, simulate_schedule

    printed = Report(json)
    loaded, report = load_bundle(bundle), read_report(profile)
    for name in schedule or ():
        loaded.check_schedule(name)
    check_match(report, loaded.manifest)
    names = list(dict.fromkeys(schedule or [found.name for found in loaded.manifest.schedules]))
    found = [simulate_schedule(loaded, report, name, fps=fps, deadline_ms=deadline_ms) for name in names]
    rows = [
        (
            one.schedule,
            *(number(one.latency.as_dict()[key]) for key in ("mean", "p50", "p99")),
            "–" if one.misses is None else f"{one.misses / max(1, one.frames):.1%}",
            f"{one.dropped / max(1, one.dropped + one.frames):.1%}",
            f"{one.busy:.0%}",
            f"{one.age_frames['mean']:.2f}",
            f"{one.age_frames['max']:.0f}",
            " ".join(f"{stage} {rate:.1%}" for stage, rate in one.update_rate.items()),
            number(one.mj_per_frame),
        )
        for one in found
    ]
    columns = ("schedule", "mean ms", "p50 ms", "p99 ms", "late", "dropped", "busy", "age", "oldest", "fires", "mJ")
    printed.print(make_table(f"{report['bundle']} at {fps:g} frames per second", columns, rows))
    for note in dict.fromkeys(note for one in found for note in one.notes):
        printed.print(f"note: {note}")
    if not report["valid"].get("latency"):
        printed.print("note: the report's latency is not valid; so are these figures")
    printed.write_json({"fps": fps, "schedules": {one.schedule: one.as_dict() for one in found}})
