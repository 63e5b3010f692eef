"""``edge-vss verify``: replay the golden sequences of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import JsonOption, Report, ThreadsOption, make_table, progress_bar

__all__ = ["verify"]


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    threads: ThreadsOption = 0,
    json: JsonOption = None,
) -> None:
    """Replay the golden sequences on the native runtime; exit code 5 when one does not come out.

    Example: [bold]edge-vss verify street.bundle[/bold]
    """
    from edge_vss.errors import GateRefused
    from edge_vss.verification import summarise_checks, verify_bundle

    report = Report(json)
    with progress_bar("golden sequences") as progress:
        found = verify_bundle(bundle, threads=threads, progress=progress)
    rows = []
    for check in found:
        facts = check.report
        clocks = "equal" if facts.fired_equal and facts.ages_equal else facts.difference
        rows.append((check.variant, facts.schedule, facts.frames, f"{facts.agreement:.4%}", clocks))
    report.print(make_table("Golden sequences", ("variant", "schedule", "frames", "agreement", "clocks"), rows))
    summary = summarise_checks(bundle, found)
    for name, reason in summary["skipped"].items():
        report.print(f"{name}: not replayed: {reason}")
    report.write_json(summary)
    wrong = [f"{check.variant}/{check.report.schedule}" for check in found if not check.report.passed]
    if wrong:
        raise GateRefused(f"{bundle}: golden sequences do not come out: {', '.join(wrong)}")
