"""``edge-vss doctor``: what this machine has and lacks."""

from __future__ import annotations

from edge_vss.cli.common import JsonOption, Report, make_table

__all__ = ["doctor"]


def doctor(json: JsonOption = None) -> None:
    """Say what this machine has, what is missing, and the command that mends it.

    Example: [bold]edge-vss doctor --json machine.json[/bold]
    """
    from edge_vss.jetson.doctor import examine

    report = Report(json)
    checks = examine()
    rows = [(check.name, check.state, check.found, check.fix) for check in checks]
    report.print(make_table("This machine", ("what", "", "found", "to mend it"), rows))
    report.write_json({"checks": [check.as_dict() for check in checks]})
