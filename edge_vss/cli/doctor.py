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
        Path | None, typer.Option("--bundle", metavar="BUNDLE", help="With --board-report: replay its goldens.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Say what this machine has, what is missing, and the command that mends it.

    Example: [bold]edge-vss doctor --board-report board.json --bundle street.bundle[/bold]
    """
    report = Report(json)
    if board_report is not None:
        _board_report(report, board_report, bundle)
        return
    if bundle is not None:
        raise typer.BadParameter("--bundle goes with --board-report")
    from edge_vss.jetson.doctor import examine

    checks = examine()
    _print(report, checks)
    report.write_json({"checks": [check.as_dict() for check in checks]})


def _print(report: Report, checks: Sequence[Check]) -> None:
    rows = [(check.name, check.state, check.found, check.fix) for check in checks]
    report.print(make_table("This machine", ("what", "", "found", "to mend it"), rows))


def _board_report(report: Report, path: Path, bundle: Path | None) -> None:
    from edge_vss.board_report import Subject, make_board_report, write_board_report
    from edge_vss.bundle import load_bundle
    from edge_vss.errors import BadInput, GateRefused
    from edge_vss.jetson.checks import Check
    from edge_vss.places import check_place

    if path.is_dir():
        raise BadInput(f"{path}: is a folder; --board-report wants a file")
    check_place(path)
    if bundle is not None:
        load_bundle(bundle).check_files()
    with share_bar("board report") as progress:
        found: dict[str, Any] = make_board_report(Subject(bundle=bundle), progress)
    write_board_report(path, found)
    _print(report, [Check(**check) for check in found["checks"] or ()])
    for name, reason in found["not_checked"].items():
        report.print(f"not checked: {name}: {reason}")
    report.print(f"written: {path}")
    report.write_json(found)
    verified = found["verify"]
    if verified and not verified["ok"]:
        raise GateRefused(f"{bundle}: golden sequences do not come out; {path} says which")
