"""``edge-vss doctor``: what this machine has and lacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_vss.cli.common import JsonOption, Report, make_table, share_bar

if TYPE_CHECKING:
    from edge_vss.jetson.checks import Check

__all__ = ["doctor"]


def doctor(
    board_report: Annotated[
        Path | None,
        typer.Option("--board-report", metavar="FILE", help="Check the hardware too, and write one file to send back."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="BUNDLE", help="With --board-report: replay and profile it."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="SOURCE", help="With --bundle: what to profile on; default: a street."),
    ] = None,
    duration: Annotated[
        float, typer.Option(min=0.1, max=86400, metavar="S", help="With --bundle: seconds to profile.")
    ] = 60.0,
    json: JsonOption = None,
) -> None:
    """Say what this machine has, what is missing, and the command that mends it.

    Example: [bold]edge-vss doctor --board-report board.json --bundle street.bundle[/bold]
    """
    report = Report(json)
    if board_report is not None:
        _board_report(report, board_report, bundle, source, duration)
        return
    if bundle is not None:
        raise typer.BadParameter("--bundle goes with --board-report")
    if source is not None:
        raise typer.BadParameter("--source goes with --board-report and --bundle")
    from edge_vss.jetson.doctor import examine

    checks = examine()
    _print(report, checks)
    report.write_json({"checks": [check.as_dict() for check in checks]})


def _print(report: Report, checks: Sequence[Check]) -> None:
    rows = [(check.name, check.state, check.found, check.fix) for check in checks]
    report.print(make_table("This machine", ("what", "", "found", "to mend it"), rows))


def _board_report(report: Report, path: Path, bundle: Path | None, source: str | None, duration: float) -> None:
    from edge_vss.board_report import IDLE_S, PROFILE_SOURCE, Subject, make_board_report, write_board_report
    from edge_vss.bundle import load_bundle
    from edge_vss.data.sources import open_source
    from edge_vss.errors import BadInput, GateRefused
    from edge_vss.jetson.checks import Check
    from edge_vss.labelling import check_outputs
    from edge_vss.places import check_place

    if path.is_dir():
        raise BadInput(f"{path}: is a folder; --board-report wants a file")
    check_place(path)
    source = source or PROFILE_SOURCE
    if bundle is not None:
        load_bundle(bundle).check_files()
        check_outputs(bundle, source, [str(path)])
    if bundle is not None:
        open_source(source).close()
    subject = Subject(bundle=bundle, source=source, profile_s=duration, idle_s=min(IDLE_S, duration))
    with share_bar("board report") as progress:
        found: dict[str, Any] = make_board_report(subject, progress)
    write_board_report(path, found)
    _print(report, [Check(**check) for check in found["checks"] or ()])
    for name, reason in found["not_checked"].items():
        report.print(f"not checked: {name}: {reason}")
    report.print(f"written: {path}")
    report.write_json(found)
    verified = found["verify"]
    if verified and not verified["ok"]:
        raise GateRefused(f"{bundle}: golden sequences do not come out; {path} says which")
