"""``edge-vss data``: make data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from edge_vss.cli.common import JsonOption, Report, parse_size, progress_bar
from edge_vss.errors import EdgeVssError

__all__ = ["app"]

app = typer.Typer(help="Make data: generated street video with exact labels.", no_args_is_help=True)


@app.callback()
def _data() -> None:
    pass


@app.command("generate")
def generate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; must not exist or be empty.")],
    clips: Annotated[int, typer.Option(min=1, help="Clips, each with a world of its own.")] = 4,
    frames: Annotated[int, typer.Option(min=1, help="Frames per clip.")] = 60,
    size: Annotated[str, typer.Option(metavar="HxW", help="Height and width in pixels.")] = "360x480",
    fps: Annotated[float, typer.Option(min=0.1, help="Frames per second.")] = 15.0,
    look: Annotated[str, typer.Option(help="simulated (clean) or camera (lens, light, noise, blur).")] = "camera",
    motion: Annotated[str, typer.Option(help="stopped, steady, turning, fast or mixed.")] = "mixed",
    seed: Annotated[int, typer.Option(help="The same seed gives the same video.")] = 0,
    flow: Annotated[bool, typer.Option("--flow/--no-flow", help="Write optical flow and occlusion too.")] = True,
    json: JsonOption = None,
) -> None:
    """Write generated street video with labels, instances, depth and flow.

    Example: [bold]edge-vss data generate street/ --clips 8 --frames 120 --look camera --seed 1[/bold]
    """
    from edge_vss.data.generate import generate as write_street

    report = Report(json)
    height, width = parse_size(size)
    try:
        with progress_bar("street video") as progress:
            write_street(
                out,
                clips=clips,
                frames=frames,
                size=(height, width),
                fps=fps,
                look=cast(Any, look),
                motion=cast(Any, motion),
                seed=seed,
                flow=flow,
                progress=progress,
            )
    except EdgeVssError:
        raise
    except ValueError as error:  # a look, motion or size that there is not
        raise typer.BadParameter(str(error)) from None
    report.print(f"{out}: {clips} clips of {frames} frames, {height}x{width}; use it as --data folder:{out}")
    report.write_json({"out": out, "clips": clips, "frames": clips * frames, "height": height, "width": width})
