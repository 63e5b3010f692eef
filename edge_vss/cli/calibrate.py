"""``edge-vss calibrate``: tune a bundle on video of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_vss.cli.common import SOURCE_HELP, JsonOption, Report, make_table, progress_bar, share_bar

if TYPE_CHECKING:
    from edge_vss.calibration.integers import IntegerReport

__all__ = ["calibrate"]


def calibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Rewritten in place.")],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help=f"Unlabelled video of the kind to be labelled. {SOURCE_HELP}"),
    ] = None,
    clock_rate: Annotated[
        float | None,
        typer.Option("--clock-rate", metavar="R", help="Share of frames that fire the adaptive stages, in (0, 1]."),
    ] = None,
    schedule: Annotated[str, typer.Option(help="The schedule whose thresholds are set.")] = "adaptive",
    int8: Annotated[bool, typer.Option("--int8", help="Collect ranges from SOURCE and write INT8 anew.")] = False,
    method: Annotated[
        str | None, typer.Option(metavar="M", help="How ranges are cut: mse, minmax, percentile, entropy.")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option("--max-drop", metavar="P", help="Most mIoU points that INT8 may lose on DATA.")
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="DATA", help="Labelled data, such as camvid:PATH:val.")] = None,
    backend: Annotated[
        str, typer.Option(metavar="B,…", help="Of the INT8 variants; default: those that are there.")
    ] = "",
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Draw mIoU against compute over clock rates; the bundle stays as it is.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where --sweep draws; FILE.json beside it.")] = Path(
        "sweep.png"
    ),
    json: JsonOption = None,
) -> None:
    """Set clock thresholds on unlabelled video, write INT8 engines, hold them to an accuracy.

    Nodes whose integers cost too much go back to float; exit code 5 when the bound cannot be kept.

    Example: [bold]edge-vss calibrate camvid.bundle drive.mp4 --clock-rate 0.34[/bold]

    Example: [bold]edge-vss calibrate camvid.bundle drive.mp4 --sweep --data camvid:data/camvid:val[/bold]

    Example: [bold]edge-vss calibrate camvid.bundle drive.mp4 --int8 --max-drop 1.0 --data camvid:data/camvid:val[/bold]
    """
    if sweep:
        if clock_rate is not None or int8 or max_drop is not None or data is None:
            raise typer.BadParameter("--sweep wants --data DATA, and none of --clock-rate, --int8 and --max-drop")
        return _sweep(Report(json), bundle, source, data, schedule, out)
    from edge_vss.bundle.files import MANIFEST, check_target

    _check(clock_rate, source, int8, method, max_drop, data)
    report = Report(json)
    if (bundle / MANIFEST).exists():  # before the work; what is no bundle is told apart below
        check_target(bundle)
    values: dict[str, Any] = {}
    if int8 or max_drop is not None:
        values |= _integers(report, bundle, source if int8 else None, method, max_drop, data, backend)
    if clock_rate is not None:
        assert source is not None
        values |= _clocks(report, bundle, source, clock_rate, schedule)
    report.write_json(values)


def _sweep(report: Report, bundle: Path, source: str | None, data: str, schedule: str, out: Path) -> None:
    import json

    from edge_vss.calibration.sweep import sweep
    from edge_vss.calibration.sweep_chart import chart
    from edge_vss.places import check_place, write_file

    if out.suffix != ".png":
        raise typer.BadParameter(f"--out {out}: want a name that ends in .png")
    for path in (out, out.with_suffix(".json")):
        check_place(path)
    with progress_bar("sweep") as progress:
        points = sweep(bundle, source, data, schedule=schedule, progress=progress)
    values = {"points": [point.as_dict() for point in points]}
    rows = [
        (
            point.schedule,
            "-" if point.clock_rate is None else f"{point.clock_rate:g}",
            f"{point.update_rate:.1%}",
            f"{point.macs_per_frame / 1e6:.0f}",
            f"{point.miou:.4f}",
        )
        for point in points
    ]
    report.print(make_table(f"{bundle} on {data}", ("schedule", "rate asked", "fires", "M macs mean", "mIoU"), rows))
    write_file(out.with_suffix(".json"), json.dumps(values, indent=1).encode() + b"\n")
    write_file(out, chart(points, f"{bundle.name} on {data}"))
    report.print(f"{out}, {out.with_suffix('.json')}")
    report.write_json(values)


def _check(
    clock_rate: float | None,
    source: str | None,
    int8: bool,
    method: str | None,
    max_drop: float | None,
    data: str | None,
) -> None:
    if clock_rate is None and not int8 and max_drop is None:
        raise typer.BadParameter("want something to do: --clock-rate R, --int8 or --max-drop P")
    if source is None and (clock_rate is not None or int8):
        raise typer.BadParameter("--clock-rate and --int8 want a SOURCE")
    if (max_drop is None) != (data is None):
        raise typer.BadParameter("--max-drop P and --data DATA belong together")
    if max_drop is not None and not 0.0 <= max_drop <= 100.0:
        raise typer.BadParameter(f"--max-drop wants mIoU points in 0..100, got {max_drop}")
    if method is not None and not int8 and max_drop is None:
        raise typer.BadParameter("--method belongs to --int8")
    if method is not None:
        from edge_vss.calibration.ranges import METHODS

        if method not in METHODS:
            raise typer.BadParameter(f"--method {method}: want one of {', '.join(METHODS)}")


def _clocks(report: Report, bundle: Path, source: str, clock_rate: float, schedule: str) -> dict[str, Any]:
    from edge_vss.calibration.clocks import calibrate_clock

    with progress_bar("calibration") as progress:
        found = calibrate_clock(bundle, source, clock_rate, schedule, progress=progress)
    for stage, threshold in found.thresholds.items():
        rate = f"{found.update_rates[stage]:.1%} of {found.frames} frames"
        report.print(f"{schedule}: {stage} fires at a change of {threshold:.5f}, on {rate}")
    return {"thresholds": found.thresholds, "update_rate_expected": found.update_rates, "frames": found.frames}


def _integers(
    report: Report,
    bundle: Path,
    source: str | None,
    method: str | None,
    max_drop: float | None,
    data: str | None,
    backend: str,
) -> dict[str, Any]:
    from edge_vss.calibration.integers import calibrate_int8

    backends = [part.strip() for part in backend.split(",") if part.strip()]
    if not set(backends) <= {"onnxruntime", "tensorrt"}:
        raise typer.BadParameter(f"--backend {backend}: want onnxruntime, tensorrt or both")
    with share_bar("calibration") as progress:
        found = calibrate_int8(
            bundle,
            source,
            backends=backends,
            method=method,
            data=data,
            max_drop=1.0 if max_drop is None else max_drop,
            progress=progress,
        )
    for one in found:
        _print(report, one)
    values = {one.variant: _as_json(one) for one in found}
    return {**values[found[0].variant], "variants": values}


def _as_json(one: IntegerReport) -> dict[str, Any]:
    from dataclasses import asdict

    values: dict[str, Any] = {"int8_macs_share": one.int8_macs_share, "observed_under": one.observed_under}
    if one.gate is not None:
        values |= {"reverted": list(one.gate.reverted), "drop": one.gate.drop}
        values |= {name: getattr(one.gate, name) for name in ("miou_before", "miou_int8", "miou_after", "trials")}
        values["stages"] = {stage: asdict(facts) for stage, facts in one.gate.stages.items()}
    return values


def _print(report: Report, one: IntegerReport) -> None:
    gate = one.gate
    if gate is not None:
        rows = [
            (
                stage,
                f"{facts.macs_share:.1%}",
                f"{facts.miou_alone:.4f}",
                "-" if facts.ms_float is None else f"{facts.ms_float:.2f}",
                "-" if facts.ms_int8 is None else f"{facts.ms_int8:.2f}",
                f"{facts.worst_snr_db:.1f}",
                facts.worst_node,
            )
            for stage, facts in gate.stages.items()
        ]
        heads = ("stage", "macs in int8", "mIoU, it alone", "float ms", "int8 ms", "worst SNR dB", "node")
        report.print(make_table(f"{gate.variant}: each stage alone in int8", heads, rows))
        scores = [
            (schedule, *(f"{found[schedule]:.4f}" for found in (gate.miou_before, gate.miou_int8, gate.miou_after)))
            for schedule in gate.miou_before
        ]
        report.print(make_table("mIoU", ("schedule", "float32", "all int8", "written"), scores))
        back = ", ".join(gate.reverted) or "nothing"
        report.print(f"{gate.variant}: {gate.drop:.2f} points lost of {gate.max_drop:g} allowed; back to float: {back}")
    report.print(
        f"{one.variant}: {one.int8_macs_share:.1%} of the multiply-adds on integers, ranges observed under "
        f"{one.observed_under}"
    )
