"""Options of the verbs that play frames, ``run`` and ``profile``: pacing, the deadline, the camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edge_vss.cli.common import parse_size

if TYPE_CHECKING:
    from edge_vss.data.cameras import CameraOptions

__all__ = [
    "MAX_FRAMES",
    "CameraFpsOption",
    "CameraSizeOption",
    "DeadlineOption",
    "FastOption",
    "FlipOption",
    "GstPipelineOption",
    "RealtimePriorityOption",
    "camera_options",
]

MAX_SIDE = 16384
MAX_FRAMES = 1 << 50
DeadlineOption = Annotated[
    float,
    typer.Option(
        "--deadline-ms", min=0.0, max=1e6, help="Take cheaper schedules of the ladder to keep within this; 0: none."
    ),
]
RealtimePriorityOption = Annotated[
    int,
    typer.Option(
        "--realtime-priority",
        min=0,
        max=99,
        help="SCHED_RR of the threads that label; needs root or rtprio; 0: as other programs.",
    ),
]
FastOption = Annotated[
    bool, typer.Option("--as-fast-as-possible", help="Do not wait for the capture times of the frames.")
]
CameraSizeOption = Annotated[
    str | None, typer.Option(metavar="HxW", help="Of a camera, before flipping; default 720x1280.")
]
CameraFpsOption = Annotated[float, typer.Option(min=0, max=1000, help="Of a camera; default 30.")]
FlipOption = Annotated[
    int, typer.Option(min=0, max=7, help="Of a camera, nvvidconv's numbers: 1 left, 2 upside down, 3 right.")
]
GstPipelineOption = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="A GStreamer pipeline that ends in an appsink; SOURCE then only names it."),
]


def camera_options(size: str | None, fps: float, flip: int, pipeline: str | None) -> CameraOptions:
    """What the options say of the camera."""
    from edge_vss.data.cameras import CameraOptions

    if pipeline is not None and not pipeline.strip():
        raise typer.BadParameter("--gst-pipeline is empty; give a pipeline that ends in an appsink, or leave it out")
    height, width = parse_size(size) if size is not None else (0, 0)
    if max(height, width) > MAX_SIDE:
        raise typer.BadParameter(f"--camera-size has at most {MAX_SIDE} pixels a side, got {size}")
    return CameraOptions(height=height, width=width, fps=fps, flip_method=flip, pipeline=pipeline)
