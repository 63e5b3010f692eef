"""``edge-vss profile``: latency and power, with what makes them trustworthy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_vss.cli.common import (
    SOURCE_HELP,
    BackendOption,
    JsonOption,
    PrecisionOption,
    Report,
    ThreadsOption,
    make_table,
    share_bar,
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

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["profile"]


def profile(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP)],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Gets report.html, report.json and trace.json.")
    ],
    schedule: Annotated[str | None, typer.Option(help="When stages fire; default: the bundle's first.")] = None,
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = 0,
    duration: Annotated[float, typer.Option(min=0.1, max=86400, metavar="S", help="Seconds to measure.")] = 60.0,
    idle: Annotated[
        float, typer.Option(min=0, max=3600, metavar="S", help="Seconds of idle baseline before anything is loaded.")
    ] = 10.0,
    warm_up: Annotated[
        float, typer.Option(min=0.1, max=3600, metavar="S", help="Longest warm-up; it ends when the machine settled.")
    ] = 60.0,
    frames: Annotated[
        int | None, typer.Option(min=1, max=MAX_FRAMES, help="Stop after this many, however short the time.")
    ] = None,
    deadline_ms: DeadlineOption = 0.0,
    realtime_priority: RealtimePriorityOption = 0,
    mlperf: Annotated[
        bool, typer.Option("--mlperf", help="MLPerf's single stream: at least 600 s, frame after frame.")
    ] = False,
    as_fast_as_possible: FastOption = False,
    camera_size: CameraSizeOption = None,
    camera_fps: CameraFpsOption = 0.0,
    flip: FlipOption = 0,
    gst_pipeline: GstPipelineOption = None,
    json: JsonOption = None,
) -> None:
    """Measure latency and power of a bundle, and say whether the figures can be trusted.

    An idle baseline, then a warm-up until stage times and temperatures settle, then the measurement, played by the
    loop of run. A source that is short begins again, with a reset; frames at the seam do not count. Latency counts
    from the moment a frame was due; with --as-fast-as-possible it is service time. Ctrl-C ends the measurement; what
    was measured is kept.

    Example: [bold]edge-vss profile street.bundle drive.mp4 -o profile --schedule adaptive[/bold]
    """
    from edge_vss.labelling import check_outputs
    from edge_vss.profiling.outputs import check_folder, plain, write_outputs
    from edge_vss.profiling.report import build_report
    from edge_vss.profiling.session import ProfileOptions, measure
    from edge_vss.profiling.trace import build_trace

    printed = Report(json)
    check_outputs(bundle, source, [f"{out}/report.html", f"{out}/report.json", f"{out}/trace.json"])
    check_folder(out)
    options = ProfileOptions(
        schedule=schedule,
        backend=backend,
        precision=precision,
        threads=threads,
        duration_s=duration,
        idle_s=idle,
        warm_up_s=warm_up,
        realtime=not as_fast_as_possible,
        deadline_ms=deadline_ms,
        realtime_priority=realtime_priority,
        frames=frames,
        mlperf=mlperf,
        camera=camera_options(camera_size, camera_fps, flip, gst_pipeline),
    )
    with share_bar("profile") as progress:
        measured = measure(bundle, source, options, progress)
        report = plain(build_report(measured))
        written = write_outputs(out, report, plain(build_trace(measured)))
    _print(printed, report)
    for path in written:
        printed.print(f"written: {path}")
    printed.write_json(report)
    if measured.interrupted:
        raise KeyboardInterrupt


def _print(printed: Report, report: Mapping[str, Any]) -> None:
    from edge_vss.profiling.figures import headline, tables, trust_lines

    printed.print(headline(report))
    for table in tables(report):
        printed.print(make_table(table.title, table.columns, table.rows))
        if table.note:
            printed.print(table.note)
    for what, verdict, reasons in trust_lines(report):
        printed.print(f"{what}: {verdict}")
        for reason in reasons:
            printed.print(f"  - {reason}")
