"""``edge-vss eval``: accuracy, consistency, update rates and latency on the native runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_vss.cli.common import (
    DATA_HELP,
    BackendOption,
    JsonOption,
    PrecisionOption,
    Report,
    ThreadsOption,
    make_table,
    progress_bar,
)
from edge_vss.cli.rerank import SegnetOption, print_choices
from edge_vss.errors import WrongUsage

if TYPE_CHECKING:
    from edge_vss.evaluation import Evaluation

__all__ = ["evaluate"]


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    data: Annotated[str, typer.Option(metavar="DATA", help=f"Labelled data. {DATA_HELP}")],
    schedule: Annotated[
        list[str] | None, typer.Option(help="May be repeated; 'all' takes every schedule. Default: the bundle's first.")
    ] = None,
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    threads: ThreadsOption = 0,
    vpq: Annotated[
        bool, typer.Option("--vpq", help="Score video panoptic quality too, over windows of 1 to 4 labelled frames.")
    ] = False,
    boundary_px: Annotated[
        int,
        typer.Option(min=1, max=1000, metavar="PX", help="Width of the band along borders for the boundary IoU."),
    ] = 3,
    emulate: Annotated[
        bool,
        typer.Option("--emulate", help="Judge engines of a back end that is not here; slow, timings mean nothing."),
    ] = False,
    rerank: Annotated[
        int | None,
        typer.Option(min=1, max=255, metavar="M", help="Score what --reranker picks out of M solutions."),
    ] = None,
    reranker: Annotated[Path | None, typer.Option(metavar="FILE", help="What edge-vss rerank wrote.")] = None,
    segnet: SegnetOption = None,
    json: JsonOption = None,
) -> None:
    """Score a bundle on labelled data, at label resolution, on the native runtime.

    Example: [bold]edge-vss eval camvid.bundle --data camvid:data/camvid:val --schedule all[/bold]
    """
    from edge_vss.evaluation import EvalOptions, evaluate_bundle

    report = Report(json)
    if rerank is not None or reranker is not None or segnet is not None:
        if rerank is None or reranker is None:
            raise WrongUsage("--rerank M, --reranker FILE and perhaps --segnet go together")
        if schedule or vpq or emulate:
            raise WrongUsage("--rerank scores single frames under the first schedule; leave out the options of video")
        _score_choices(
            report,
            data,
            reranker,
            network=bundle,
            segnet=segnet,
            proposals=rerank,
            backend=backend,
            precision=precision,
            threads=threads,
        )
        return
    options = EvalOptions(
        schedules=tuple(schedule or ()),
        backend=backend,
        precision=precision,
        threads=threads,
        emulate=emulate,
        vpq=vpq,
        boundary_px=boundary_px,
    )
    with progress_bar("evaluation") as progress:
        found = evaluate_bundle(bundle, data, options, progress=progress)
    _print(report, found)
    if len(found) == 1:
        report.write_json(found[0].as_dict())
    else:
        report.write_json({"schedules": {one.schedule: one.as_dict() for one in found}})


def _score_choices(report: Report, data: str, reranker: Path, **options: Any) -> None:
    from edge_vss.reranking import RerankOptions, evaluate_reranked

    with progress_bar("proposals") as progress:
        scores = evaluate_reranked(RerankOptions(**options), data, reranker, progress=progress)
    print_choices(report, scores)
    report.write_json(scores)


def _print(report: Report, found: list[Evaluation]) -> None:
    first = found[0]
    # Stages that rest now and then; a schedule that re-uses everything says nothing about single stages.
    clocked = [stage for stage in first.update_rate if any(0 < one.update_rate[stage] < 1 for one in found)]
    quality = {"VPQ": [one.vpq for one in found], "VPQ inst.": [one.vpq_instances for one in found]}
    quality = {name: values for name, values in quality.items() if values[0] is not None}
    columns = (
        "schedule",
        "mIoU",
        "pixel acc.",
        f"border {first.boundary_px} px",
        "TC",
        "TC masked",
        *quality,
        *clocked,
        "M macs mean",
        "max",
        "p50 ms",
        "p99",
        "max",
    )
    rows = [
        (
            one.schedule,
            f"{one.miou:.4f}",
            f"{one.pixel_accuracy:.4f}",
            f"{one.boundary_iou:.4f}",
            f"{one.temporal_consistency:.4f}",
            f"{one.temporal_consistency_masked:.4f}",
            *(f"{values[place]:.4f}" for values in quality.values()),
            *(f"{one.update_rate[stage]:.1%}" for stage in clocked),
            f"{one.macs_per_frame['mean'] / 1e6:.0f}",
            f"{one.macs_per_frame['max'] / 1e6:.0f}",
            *(f"{one.latency_ms[key]:.1f}" for key in ("p50", "p99", "max")),
        )
        for place, one in enumerate(found)
    ]
    report.print(make_table(f"{first.frames} frames, {first.backend} {first.precision}", columns, rows))
    classes = [
        (name, *("-" if one.iou[name] != one.iou[name] else f"{one.iou[name]:.3f}" for one in found))
        for name in first.iou
    ]
    report.print(make_table("IoU", ("class", *(one.schedule for one in found)), classes))
    flow = first.flow or "none: temporal consistency needs ordered frames and, for real video, OpenCV"
    report.print(f"optical flow: {flow}")
