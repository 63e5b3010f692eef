"""``edge-vss export``: a checkpoint, or an ONNX file of the user's own, becomes a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_vss.cli.common import LIMIT, SOURCE_HELP, JsonOption, Report, make_table, parse_numbers, parse_size, share_bar

if TYPE_CHECKING:
    from edge_vss.export import Parity
    from edge_vss.export.pixel_stages import PixelKind
    from edge_vss.export_report import ExportReport

__all__ = ["export"]


def export(
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="BUNDLE", help="Folder, or .zip, to write; one that is there is replaced."),
    ],
    checkpoint: Annotated[str | None, typer.Argument(metavar="CHECKPOINT", help="File or zoo:NAME.")] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Network input, pixels; default: as trained.")] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE", help=f"Unlabelled frames for clocks and goldens; default: street. {SOURCE_HELP}"
        ),
    ] = None,
    clock_rate: Annotated[
        float, typer.Option("--clock-rate", metavar="R", help="Share of frames that fire the adaptive stages, (0, 1].")
    ] = 0.5,
    precision: Annotated[str, typer.Option(metavar="P,…", help="Of fp32, fp16 (tensorrt only) and int8.")] = "fp32",
    backend: Annotated[str, typer.Option(metavar="B,…", help="Of onnxruntime and tensorrt.")] = "onnxruntime",
    int8_boundaries: Annotated[
        bool,
        typer.Option("--int8-boundaries", help="For tensorrt in int8: int8 between stages, too; default: float16."),
    ] = False,
    pixels: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT:HxW",
            help="Pre- and post-processing as engines for rgb, bgr or nv12 frames of this size, in every variant; "
            "none: in no variant; default: nv12:720x1280, for tensorrt alone.",
        ),
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="ONNX file to use instead of a checkpoint.")
    ] = None,
    cut: Annotated[str, typer.Option(metavar="TENSOR,…", help="Where to cut the ONNX file into stages.")] = "",
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Classes of the ONNX file: JSON, or a name per line.")
    ] = None,
    mean: Annotated[
        str, typer.Option(metavar="R,G,B", help="Subtracted from pixels of 0-255, for the ONNX file.")
    ] = "0",
    std: Annotated[str, typer.Option(metavar="R,G,B", help="Divides pixels of 0-255, for the ONNX file.")] = "255",
    json: JsonOption = None,
) -> None:
    """Write a bundle: one engine per stage, schedules, thresholds, golden sequences.

    Example: [bold]edge-vss export zoo:clockwork-street -o street.bundle[/bold]

    Example: [bold]edge-vss export --onnx net.onnx --cut mid --classes names.txt -o mine.bundle[/bold]
    """
    if (checkpoint is None) == (onnx is None):
        raise typer.BadParameter("want either a CHECKPOINT or --onnx MODEL")
    if onnx is not None and classes is None:
        raise typer.BadParameter("--onnx wants --classes FILE as well")
    precisions = _choices(precision, "--precision", ("fp32", "fp16", "int8"))
    backends = _choices(backend, "--backend", ("onnxruntime", "tensorrt"))
    if "fp16" in precisions and "tensorrt" not in backends:
        raise typer.BadParameter("--precision fp16 wants --backend tensorrt: ONNX Runtime's CPU computes it in float32")
    if onnx is None and (cut or classes or mean != "0" or std != "255"):
        raise typer.BadParameter("--cut, --classes, --mean and --std belong to --onnx; a checkpoint brings its own")
    means, stds = parse_numbers(mean, "--mean", above=-LIMIT), parse_numbers(std, "--std", above=0.0)
    frames = _frames(pixels) if pixels is not None else None
    report = Report(json)
    height, width = parse_size(size) if size else (None, None)
    with share_bar("export") as progress:
        if checkpoint is not None:
            from edge_vss.deploy import deploy

            found = deploy(
                checkpoint,
                out,
                height=height,
                width=width,
                calibration=calibration,
                clock_rate=clock_rate,
                precisions=precisions,
                backends=backends,
                pixels=frames,
                int8_boundaries=int8_boundaries,
                progress=progress,
            )
        else:
            from edge_vss.deploy import deploy_onnx

            assert onnx is not None and classes is not None
            found = deploy_onnx(
                onnx,
                out,
                cut=tuple(filter(None, (part.strip() for part in cut.split(",")))),
                classes=classes,
                mean=means,
                std=stds,
                height=height,
                width=width,
                calibration=calibration,
                clock_rate=clock_rate,
                precisions=precisions,
                backends=backends,
                pixels=frames,
                int8_boundaries=int8_boundaries,
                progress=progress,
            )
    _print(report, found)


def _frames(text: str) -> PixelKind | Literal["none"]:
    if text == "none":
        return "none"
    kind, _, size = text.partition(":")
    for known in ("rgb", "bgr", "nv12"):
        if kind == known and size:
            return (known, *parse_size(size))
    raise typer.BadParameter(f"--pixels {text}: want rgb, bgr or nv12 and the frame's size, such as nv12:720x1280")


def _choices(text: str, option: str, known: tuple[str, ...]) -> list[str]:
    found = [part.strip() for part in text.split(",")]
    if not set(found) <= set(known):
        raise typer.BadParameter(f"{option} {text}: want some of {', '.join(known)}, separated by commas")
    return list(dict.fromkeys(found))


def _print(report: Report, found: ExportReport) -> None:
    import msgspec

    rows = []
    for name, stage in found.stages.items():
        rows.append(
            (name, f"{stage.macs / 1e6:.1f}", f"{stage.params / 1e3:.0f}", _parity_text(stage.parity), stage.files[0])
        )
    report.print(make_table("Stages", ("stage", "M macs", "k params", "parity", "file"), rows))
    if found.cost_of_cutting is not None:
        report.print(f"cost of cutting: {found.cost_of_cutting:.3f} (sum of stages / one engine)")
    for name, variant in found.variants.items():
        if variant.int8_macs_share is not None:
            report.print(f"{name}: {variant.int8_macs_share:.1%} of the multiply-adds on integers")
        for where, nodes in variant.islands.items():
            report.print(f"{name}: {where} computes {', '.join(nodes)} in float32, for its large values")
    if found.observed_under is not None:
        report.print(f"ranges observed under {found.observed_under}")
        if found.observed_under == "full" and found.thresholds:
            report.print(
                "the source is no video: set the clocks on one with edge-vss calibrate BUNDLE VIDEO --clock-rate R"
            )
    for schedule, thresholds in found.thresholds.items():
        for name, threshold in thresholds.items():
            rate = found.update_rate_expected[schedule][name]
            report.print(f"{schedule}: {name} fires at a change of {threshold:.5f}, on {rate:.1%} of the frames")
    report.print(f"{found.bundle}: schedules {', '.join(found.schedules)}")
    report.write_json(msgspec.to_builtins(found))


def _parity_text(parity: Parity) -> str:
    """Largest difference over the largest magnitude; equal labels where the stage gives labels."""
    labels = "" if parity.labels is None else f", labels {parity.labels:.3%}"
    return f"{parity.relative:.1e}{labels}"
