"""``edge-vss compare``: the regression gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import JsonOption, Report, make_table

__all__ = ["compare"]


def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="A report.json of edge-vss profile.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="Another one.")],
    tolerance_p50: Annotated[
        float, typer.Option("--tolerance-p50", min=0, metavar="%", help="Percent that p50 may grow by.")
    ] = 10.0,
    tolerance_p99: Annotated[
        float, typer.Option("--tolerance-p99", min=0, metavar="%", help="Percent that p99 may grow by.")
    ] = 25.0,
    json: JsonOption = None,
) -> None:
    """Compare two reports and exit with 5 where the new one is slower than the tolerances allow.

    Says where the reports are hard to compare: other machines or settings, figures that are not valid.

    Example: [bold]edge-vss compare main/report.json mine/report.json --tolerance-p50 5[/bold]
    """
    from edge_vss.errors import GateRefused
    from edge_vss.profiling.compare import compare_reports
    from edge_vss.profiling.figures import number
    from edge_vss.profiling.outputs import read_report

    report = Report(json)
    found = compare_reports(
        read_report(old), read_report(new), tolerance_p50=tolerance_p50, tolerance_p99=tolerance_p99
    )
    rows = [
        (
            line.name,
            number(line.old),
            number(line.new),
            "–" if line.change is None else f"{line.change:+.1f} %",
            "" if line.tolerance is None else f"{line.tolerance:g} %",
            "worse" if line.worse else "",
        )
        for line in found.lines
    ]
    report.print(make_table("old against new", ("figure", "old", "new", "change", "tolerance", ""), rows))
    for note in found.notes:
        report.print(f"note: {note}")
    report.write_json(found.as_dict())
    if found.worse:
        what = ", ".join(f"{line.name.partition(',')[0]} by {line.change:.1f} %" for line in found.worse)
        raise GateRefused(f"{new}: slower than {old}: {what}")
