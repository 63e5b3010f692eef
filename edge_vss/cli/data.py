"""``edge-vss data``: make data, and label it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from edge_vss.cli.common import JsonOption, Report, ThreadsOption, parse_size, progress_bar
from edge_vss.cli.rerank import SegnetOption
from edge_vss.cli.verb import Verb
from edge_vss.errors import EdgeVssError

__all__ = ["app"]

app = typer.Typer(
    help="Make data: generated street video with exact labels, or frames labelled by a network.\n\n"
    "Example: [bold]edge-vss data generate street/ --clips 8 --seed 1 --json -[/bold]",
    no_args_is_help=True,
)


@app.callback()
def _data() -> None:
    pass


@app.command("generate", cls=Verb)
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


@app.command("label", cls=Verb)
def label(
    network: Annotated[
        str, typer.Argument(metavar="CHECKPOINT|BUNDLE", help="Whose label maps they are; may be zoo:NAME.")
    ],
    frames: Annotated[str, typer.Argument(metavar="SOURCE|DATA", help="Its own labels are not looked at.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write, or to go on with.")],
    by: Annotated[
        str | None, typer.Option(help="argmax, flow or rerank. Default: rerank with --reranker, else argmax.")
    ] = None,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, metavar="P", help="Leave out pixels whose label is less probable.")
    ] = 0.0,
    rerank: Annotated[
        int | None, typer.Option(min=1, max=255, metavar="M", help="Solutions per frame. Default: as it was trained.")
    ] = None,
    reranker: Annotated[Path | None, typer.Option(metavar="FILE", help="What edge-vss rerank wrote.")] = None,
    segnet: SegnetOption = None,
    before: Annotated[
        int, typer.Option(min=0, max=32, metavar="N", help="--by flow: earlier frames that have a say.")
    ] = 2,
    coverage: Annotated[
        float, typer.Option(min=0, max=1, metavar="S", help="--by flow: share of each class in a frame that is kept.")
    ] = 1.0,
    limit: Annotated[
        int | None, typer.Option("--frames", min=1, metavar="N", help="Of each clip, the first ones.")
    ] = None,
    threads: ThreadsOption = 0,
    json: JsonOption = None,
) -> None:
    """Label frames that nobody has labelled, as a data set to train on.

    Example: [bold]edge-vss data label zoo:clockwork-street drive.mp4 -o labelled/ --min-confidence 0.8[/bold]
    """
    from edge_vss.label_writer import write_labels
    from edge_vss.labellers import LabelOptions

    report = Report(json)
    options = LabelOptions(
        network=network,
        by=by or ("argmax" if reranker is None else "rerank"),
        min_confidence=min_confidence,
        reranker=reranker,
        proposals=rerank,
        segnet=segnet,
        before=before,
        coverage=coverage,
        threads=threads,
    )
    with progress_bar("labels") as progress:
        found = write_labels(options, frames, out, limit=limit, progress=progress)
    report.print(
        f"{out}: {found['frames']} frames in {found['clips']} clips, {found['coverage']:.1%} of the pixels labelled by "
        f"{found['by']}; use it as --data folder:{out}"
    )
    report.write_json(found)
