"""``edge-vss train``: train or distil a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import DATA_HELP, JsonOption, Report, share_bar

__all__ = ["train"]


def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="supervised, distill, qat, clockwork, tdnet, etc, weclick, uda or iou."),
    ],
    data: Annotated[list[str], typer.Option(metavar="DATA", help=f"What to train on; may be repeated. {DATA_HELP}")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for checkpoint, resume point and log.")],
    teacher: Annotated[
        str | None, typer.Option(metavar="CKPT|MODEL.onnx", help="Teacher of the recipes that take one.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="DATA", help="uda: frames of another look; their labels are not used.")
    ] = None,
    init: Annotated[str | None, typer.Option(metavar="CKPT", help="Weights to start from; may be zoo:NAME.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Network, sizes, rates, augmentation; keys: docs/training.md.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the configuration's.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Fixes weights, order and views.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed run of the same kind stopped.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Train or distil a network.

    Example: [bold]edge-vss train supervised --data camvid:data/camvid:train --out runs/camvid --epochs 100[/bold]
    """
    from edge_vss.training import TrainOptions
    from edge_vss.training import train as run_training

    report = Report(json)
    options = TrainOptions(
        recipe=recipe,
        data=tuple(data),
        target=tuple(target or ()),
        out=out,
        teacher=teacher,
        init=init,
        config=config,
        epochs=epochs,
        seed=seed,
        resume=resume,
    )
    with share_bar("training") as progress:
        result = run_training(options, progress=progress)
    held_out = "" if result.held_out_miou is None else f", mIoU on the held-out part {result.held_out_miou:.4f}"
    report.print(f"{result.checkpoint}{held_out}")
    report.write_json({"checkpoint": result.checkpoint, "held_out_miou": result.held_out_miou})
