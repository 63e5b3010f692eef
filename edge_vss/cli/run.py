"""``edge-vss run``: the frame loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge_vss.cli.common import (
    SOURCE_HELP,
    BackendOption,
    JsonOption,
    PrecisionOption,
    Report,
    ThreadsOption,
    log_lines,
    make_table,
    show_bar,
)
from edge_vss.cli.loop_options import (
    MAX_FRAMES,
    CameraFpsOption,
    CameraSizeOption,
    DeadlineOption,
    FastOption,
    FlipOption,
    GstPipelineOption,
    RealtimePriorityOption,
    camera_options,
)
from edge_vss.cli.preview_option import PreviewOption

if TYPE_CHECKING:
    from edge_vss.run_stats import RunStats

__all__ = ["run"]

REDRAW_EVERY = 4
"""Frames between two looks of the live table at the statistics."""


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP)],
    schedule: Annotated[str | None, typer.Option(help="When stages fire; default: the bundle's first.")] = None,
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = 0,
    deadline_ms: DeadlineOption = 0.0,
    realtime_priority: RealtimePriorityOption = 0,
    output: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="x.mp4 or x.mkv: overlay video; a folder or x/*.png: label maps; shm:NAME: shared memory. Repeatable.",
        ),
    ] = None,
    preview: PreviewOption = None,
    frames: Annotated[int | None, typer.Option(min=1, max=MAX_FRAMES, help="Stop after this many.")] = None,
    as_fast_as_possible: FastOption = False,
    camera_size: CameraSizeOption = None,
    camera_fps: CameraFpsOption = 0.0,
    flip: FlipOption = 0,
    gst_pipeline: GstPipelineOption = None,
    json: JsonOption = None,
) -> None:
    """Label the frames of a source on the native runtime.

    Without --as-fast-as-possible a file is played at its own rate, and no frame of it is dropped. Ctrl-C (or SIGTERM)
    ends the run; what was labelled until then is kept. An earlier video is replaced, earlier label maps are not: they
    make the run stop before it begins. A damaged video is played as far as it decodes, with a warning.

    Example: [bold]edge-vss run street.bundle drive.mp4 --schedule adaptive --output labelled.mp4[/bold]
    """
    from edge_vss.labelling import label_frames, open_run
    from edge_vss.preview import open_preview, parse_address
    from edge_vss.run_stats import RunStats

    if json in (output or ()):
        raise typer.BadParameter("--json and --output name the same file")
    report = Report(json)
    address = parse_address(preview) if preview is not None else None
    with open_run(
        bundle,
        source,
        schedule=schedule,
        backend=backend,
        precision=precision,
        threads=threads,
        deadline_ms=deadline_ms,
        realtime_priority=realtime_priority,
        outputs=output or (),
        camera=camera_options(camera_size, camera_fps, flip, gst_pipeline),
    ) as opened:
        info = opened.pipeline.info
        stages = tuple(name for name, _ in info.stages)
        stats = RunStats(stages=stages, damage=opened.source.damage)
        facts = {"backend": info.backend, "schedule": info.schedule, "precision": info.precision}
        try:
            title = f"{info.name}: {info.schedule}, {info.backend} {info.precision}"
            with open_preview(address, info) as page, _live_table(title) as draw:
                if page is not None:
                    opened.sinks.append(page)

                def observe(stats: RunStats) -> None:
                    draw(stats)
                    if page is not None:
                        page.observe(stats)

                label_frames(
                    opened.pipeline,
                    opened.source,
                    opened.sinks,
                    stats,
                    limit=frames,
                    realtime=not as_fast_as_possible,
                    observe=observe,
                )
        except KeyboardInterrupt:
            if stats.frames:
                _print(report, {**stats.as_dict(), **facts}, opened.targets)
            raise
        _print(report, {**stats.as_dict(), **facts}, opened.targets)


@contextmanager
def _live_table(title: str) -> Iterator[Callable[[RunStats], None]]:
    """A table on stderr that follows the run; where stderr is no terminal, a line now and then."""
    if not show_bar():
        with log_lines("run") as say:

            def tell(stats: RunStats) -> None:
                say(lambda: _line(stats))

            yield tell
        return
    with Live(console=Console(stderr=True), refresh_per_second=8, transient=True) as live:

        def observe(stats: RunStats) -> None:
            if stats.frames % REDRAW_EVERY == 1:
                live.update(_lamps(title, stats))

        yield observe


def _line(stats: RunStats) -> str:
    from edge_vss.run_stats import percentiles

    latency = percentiles(list(stats.latency_ms)[-512:])
    dropped = sum(stats.dropped.values())
    return (
        f"{stats.frames} frames, {stats.fps:.1f} per second, latency p50 {latency['p50']:.1f} ms, "
        f"p99 {latency['p99']:.1f} ms" + (f", {dropped} dropped" if dropped else "")
    )


def _lamps(title: str, stats: RunStats) -> Table:
    from edge_vss.run_stats import percentiles

    latency, last = percentiles(list(stats.latency_ms)[-512:]), stats.last
    assert last is not None
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_row("frame", f"{stats.frames}  {stats.fps:.1f} per second")
    table.add_row("latency", f"p50 {latency['p50']:.1f} ms  p99 {latency['p99']:.1f} ms")
    lamps = [f"[green]● {stage}[/green]" if stage in last.fired else f"[dim]○ {stage}[/dim]" for stage in stats.stages]
    table.add_row("fired", "  ".join(lamps))
    ages = [f"{stage} {last.stage_age_frames[stage]}" for stage in stats.stages if stage in last.stage_age_frames]
    table.add_row("age", "  ".join(ages))
    if last.flags:
        table.add_row("flags", " ".join(last.flags))
    return table


def _print(report: Report, found: dict[str, Any], targets: list[str]) -> None:
    from edge_vss.profiling.figures import number

    latency, frames = found["latency_ms"], found["frames"]
    rows = [
        (stage, times["fired"], f"{times['fired'] / frames:.1%}", number(times["p50_ms"]), number(times["p99_ms"]))
        for stage, times in found["stages"].items()
    ]
    rate = f"{found['fps']:.1f} per second"
    if found["fps_without_waiting"] > found["fps"]:
        rate = f"played at {rate} ({found['fps_without_waiting']:.1f} without waiting for capture times)"
    title = f"{frames} frames, {rate}, {found['schedule']}, {found['backend']} {found['precision']}"
    report.print(make_table(title, ("stage", "fired", "share", "p50 ms", "p99 ms"), rows))
    report.print(
        f"latency ms: mean {latency['mean']:.2f}, p50 {latency['p50']:.2f}, p90 {latency['p90']:.2f}, "
        f"p99 {latency['p99']:.2f}, max {latency['max']:.2f}"
    )
    age = found["age_frames"]
    report.print(f"age of the label map: mean {age['mean']:.2f}, max {age['max']} frames")
    if flags := {flag: count for flag, count in found["flags"].items() if flag != "reset"}:
        report.print("flagged frames: " + ", ".join(f"{flag} {count}" for flag, count in flags.items()))
    if found["dropped"]:
        report.print("dropped: " + ", ".join(f"{reason} {count}" for reason, count in found["dropped"].items()))
    for target in targets:
        report.print(f"written: {target}")
    report.write_json(found)
