"""``edge-vss calibrate``: tune a bundle on video of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import SOURCE_HELP, JsonOption, Report, progress_bar

__all__ = ["calibrate"]


def calibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Rewritten in place.")],
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help=f"Unlabelled video of the kind to be labelled. {SOURCE_HELP}")
    ],
    clock_rate: Annotated[
        float,
        typer.Option("--clock-rate", metavar="R", help="Share of frames that fire the adaptive stages, in (0, 1]."),
    ],
    schedule: Annotated[str, typer.Option(help="The schedule whose thresholds are set.")] = "adaptive",
    json: JsonOption = None,
) -> None:
    """Set the clock thresholds of a bundle on unlabelled video.

    Example: [bold]edge-vss calibrate camvid.bundle drive.mp4 --clock-rate 0.34[/bold]
    """
    from edge_vss.calibration.clocks import calibrate_clock

    report = Report(json)
    with progress_bar("calibration") as progress:
        found = calibrate_clock(bundle, source, clock_rate, schedule, progress=progress)
    for stage, threshold in found.thresholds.items():
        rate = f"{found.update_rates[stage]:.1%} of {found.frames} frames"
        report.print(f"{schedule}: {stage} fires at a change of {threshold:.5f}, on {rate}")
    report.write_json(
        {"thresholds": found.thresholds, "update_rate_expected": found.update_rates, "frames": found.frames}
    )
