"""``edge-vss build``: TensorRT plans on the device that will run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from edge_vss.cli.common import JsonOption, Report, make_table, share_bar

if TYPE_CHECKING:
    from edge_vss.jetson.build import BuildReport

__all__ = ["build"]


def build(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip with a tensorrt variant.")],
    workspace: Annotated[
        int, typer.Option(metavar="MIB", min=1, help="Most scratch memory that a layer may take, MiB.")
    ] = 1024,
    dla: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Deep-learning accelerator to use; often slower than the GPU."),
    ] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Play the golden sequences; needs pycuda.")] = True,
    json: JsonOption = None,
) -> None:
    """Build the TensorRT plans of a bundle on this device and check what they compute.

    Exit code 5 when a plan comes out in FP32 where INT8 or FP16 was asked for, or a golden sequence does not come out.

    Example: [bold]edge-vss build street.bundle --workspace 2048[/bold]
    """
    from edge_vss.errors import DeviceError, GateRefused
    from edge_vss.jetson.build import build_bundle
    from edge_vss.jetson.plans import BuildOptions

    report = Report(json)
    options = BuildOptions(workspace_mib=workspace, dla=dla)
    with share_bar("plans") as progress:
        found = build_bundle(bundle, options, check=check, progress=progress)
    _print(report, found)
    report.write_json(_as_dict(found))
    if found.refused:
        raise GateRefused(f"{bundle}: {'; '.join(found.refused)}")
    if check and found.not_checked:
        raise DeviceError(
            f"{bundle}: plans are built, but the golden check was not run: {found.not_checked}; or add --no-check"
        )


def _print(report: Report, found: BuildReport) -> None:
    memory = "shared memory" if found.device.integrated else "memory of its own"
    report.print(escape(f"TensorRT {found.tensorrt} on {found.device.name} ({found.device.sm}, {memory})"))
    rows = [
        (
            plan.variant,
            plan.stage,
            f"{plan.origin}, refused" if plan.refused else plan.origin,
            f"{plan.seconds:.1f}",
            f"{plan.bytes / 1e6:.2f}",
            ", ".join(f"{name} {share:.0%}" for name, share in plan.types.items()),
            plan.dla_layers,
        )
        for plan in found.plans
    ]
    columns = ("variant", "stage", "plan", "seconds", "MB", "share of layers", "on DLA")
    report.print(make_table(f"Plans in {found.folder}", columns, rows))
    if found.checks:
        lines = [
            (check.variant, facts.schedule, facts.frames, f"{facts.agreement:.4%}", facts.difference or "equal")
            for check in found.checks
            for facts in (check.report,)
        ]
        heads = ("variant", "schedule", "frames", "agreement", "clocks")
        report.print(make_table("Golden sequences on these plans", heads, lines))
    else:
        report.print(escape(f"Golden sequences: not run ({found.not_checked})"))


def _as_dict(found: BuildReport) -> dict[str, object]:
    variants = dict.fromkeys(plan.variant for plan in found.plans)
    return {
        "tensorrt": found.tensorrt,
        "device": {"name": found.device.name, "sm": found.device.sm, "integrated": found.device.integrated},
        "folder": found.folder,
        "variants": {
            name: {
                "stages": {plan.stage: plan.as_dict() for plan in found.plans if plan.variant == name},
                "schedules": {
                    check.report.schedule: check.as_dict() for check in found.checks if check.variant == name
                },
            }
            for name in variants
        },
        "not_checked": found.not_checked,
        "refused": found.refused,
    }
