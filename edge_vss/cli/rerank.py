"""``edge-vss rerank``: train what picks one of several diverse solutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edge_vss.cli.common import (
    DATA_HELP,
    BackendOption,
    JsonOption,
    PrecisionOption,
    Report,
    ThreadsOption,
    check_output,
    make_table,
    progress_bar,
)
from edge_vss.errors import BadInput

__all__ = ["SegnetOption", "print_choices", "rerank"]

SegnetOption = Annotated[
    str | None,
    typer.Option(
        "--segnet", metavar="BUNDLE|CKPT", help="Second network, which the re-ranker listens to. Default: the same."
    ),
]


def rerank(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder, zip, checkpoint or zoo:NAME.")],
    data: Annotated[str, typer.Option(metavar="DATA", help=f"Labelled data, not that of the networks. {DATA_HELP}")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The re-ranker, a JSON file.")],
    proposals: Annotated[int, typer.Option(min=1, max=255, metavar="M", help="Solutions per frame.")] = 10,
    segnet: SegnetOption = None,
    diversity: Annotated[
        float, typer.Option(min=0, max=100, help="Nats by which each solution makes its labels dearer for the next.")
    ] = 0.2,
    smoothness: Annotated[
        float, typer.Option(min=0, max=100, help="Nats that a border between neighbours costs at most.")
    ] = 1.0,
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = 0,
    json: JsonOption = None,
) -> None:
    """Train the re-ranker of eval --rerank and data label --by rerank: which of M diverse solutions to take.

    Example: [bold]edge-vss rerank camvid.bundle --data 'camvid:data/camvid:val\\[:50]' -o camvid.json[/bold]
    """
    from edge_vss.proposals import CrfConfig
    from edge_vss.reranking import RerankOptions, train_reranker

    report = Report(json)
    if out.is_dir():
        raise BadInput(f"{out}: is a folder; --out wants the name of a file")
    for given in (bundle, segnet, data):
        check_output(out, given, "--out")
    options = RerankOptions(
        network=bundle, segnet=segnet, proposals=proposals, backend=backend, precision=precision, threads=threads
    )
    with progress_bar("proposals") as progress:
        found = train_reranker(
            options, data, out, CrfConfig(diversity=diversity, smoothness=smoothness), progress=progress
        )
    print_choices(report, found)
    if found["reg"] is None:
        report.print(f"{out}: nothing that was learnt did better than the most probable on frames that were left out")
    else:
        report.print(f"{out}: trained on these frames, so its own row flatters it; regulariser {found['reg']:g}")
    report.write_json(found)


def print_choices(report: Report, found: dict[str, Any]) -> None:
    """The table of ``rerank`` and ``eval --rerank``."""
    choices = {"network": found["network"], "most probable": found["map"], "re-ranked": found, "best": found["oracle"]}
    title = f"{found['frames']} frames, {found['proposals']} proposals each"
    rows = [(name, f"{one['miou']:.4f}", f"{one['pixel_accuracy']:.4f}") for name, one in choices.items()]
    report.print(make_table(title, ("label maps", "mIoU", "pixel acc."), rows))
    classes = [
        (
            name,
            *("-" if one["iou"][name] != one["iou"][name] else f"{one['iou'][name]:.3f}" for one in choices.values()),
        )
        for name in found["iou"]
    ]
    report.print(make_table("IoU", ("class", *choices), classes))
    report.print(f"proposals and choice: {found['seconds_per_frame']:.2f} s per frame")
