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
    from edge_vss.verification import verify_bundle

    report = Report(json)
    with progress_bar("golden frames") as progress:
        found = verify_bundle(bundle, threads=threads, progress=progress)
    columns = ("variant", "schedule", "frames", "agreement", "fired", "")
    rows = [
        (check.variant, check.schedule, check.frames, f"{check.agreement:.4%}", _fired(check.fired_equal), check.note)
        for check in found
    ]
    report.print(make_table("Golden sequences", columns, rows))
    first = found[0].variant
    report.write_json(
        {
            "schedules": {check.schedule: check.as_dict() for check in found if check.variant == first},
            "variants": {
                name: {check.schedule: check.as_dict() for check in found if check.variant == name}
                for name in dict.fromkeys(check.variant for check in found)
            },
        }
    )
    wrong = [f"{check.variant}/{check.schedule}" for check in found if not check.ok]
    if wrong:
        raise GateRefused(f"{bundle}: golden sequences do not come out: {', '.join(wrong)}; export the bundle again")


def _fired(equal: bool) -> str:
    return "equal" if equal else "differs"
