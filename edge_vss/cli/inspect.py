"""``edge-vss inspect``: what is inside a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from json import loads
from pathlib import Path
from typing import Annotated

import typer

from edge_vss.cli.common import JsonOption, Report, make_table

__all__ = ["inspect"]


def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder or zip.")],
    lint: Annotated[
        bool, typer.Option("--lint", help="Check instead whether TensorRT takes its engine files.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Show what is inside a bundle: stages, tensors, schedules, variants, files.

    With --lint every engine file for TensorRT is checked against its rules, without a GPU; exit code 3 when one is
    broken.

    Example: [bold]edge-vss inspect street.bundle --json -[/bold]
    """
    from edge_vss.inspection import describe_bundle

    report = Report(json)
    if lint:
        _lint(report, bundle)
        return
    found = describe_bundle(bundle)
    picture = found["input"]
    report.print(
        f"[bold]{found['name']}[/bold]: {picture['height']}x{picture['width']} {picture['order']}, {picture['fit']}; "
        f"{found['macs'] / 1e6:.0f} M multiply-adds, {found['params'] / 1e6:.2f} M parameters, "
        f"{found['bytes'] / 1e6:.1f} MB in {len(found['files'])} files"
    )
    for output in found["outputs"]:
        report.print(f"output {output['name']}: {len(output['classes'])} classes: {', '.join(output['classes'])}")
    _print_tables(report, found)
    report.write_json(found)


def _lint(report: Report, path: Path) -> None:
    """Every rule that an engine file for TensorRT breaks, as a table and as JSON."""
    from edge_vss.bundle import load_bundle
    from edge_vss.calibration.lint import lint_bundle
    from edge_vss.errors import BadInput

    found = lint_bundle(load_bundle(path))
    rows = [finding.as_dict() for finding in found.findings]
    if not found.variants:
        report.print(f"{path}: no variant for TensorRT; make one with: edge-vss export ... --backend tensorrt")
    elif rows:
        columns = ("file", "node", "rule", "text")
        report.print(make_table("Findings", columns, [[row[column] for column in columns] for row in rows]))
    summary = f"{len(found.files)} files, {len(rows)} findings"
    if found.variants:
        report.print(summary)
    report.write_json({"variants": found.variants, "files": found.files, "findings": rows})
    if rows:
        first = rows[0]
        raise BadInput(
            f"{path}: {summary}; first: {first['file']}, node {first['node']!r}, rule {first['rule']}: {first['text']}"
        )


def _print_tables(report: Report, found: dict[str, object]) -> None:
    for key, title, columns in (
        ("stages", "Stages", ("name", "reads", "writes", "macs", "share", "params")),
        ("tensors", "Tensors", ("name", "shape", "dtype", "lives", "reset", "bytes")),
        ("schedules", "Schedules", ("name", "clocks", "delays", "macs_mean")),
        ("variants", "Variants", ("name", "backend", "precision", "goldens", "thresholds")),
        ("files", "Files", ("name", "bytes", "sha256")),
    ):
        rows = found[key]
        assert isinstance(rows, list)
        report.print(make_table(title, columns, [[_cell(row[column]) for column in columns] for row in rows]))
    for key in ("calibration", "provenance"):
        record = found[key]
        if isinstance(record, dict) and record:
            report.print(make_table(key.capitalize(), ("what", "value"), _flat(record)))


def _flat(record: Mapping[str, object], name: str = "") -> list[tuple[str, str]]:
    """(dotted name, text) rows of a record: one per value on top, one per record inside a record."""
    plain, inner = [], []
    for key, value in record.items():
        if isinstance(value, str) and value.startswith("{"):
            with suppress(ValueError):  # a record that was written down as text
                value = loads(value)
        if isinstance(value, dict):
            inner += _flat(value, f"{name}.{key}" if name else key)
        elif value is not None:
            plain.append((key, " ".join(map(str, value)) if isinstance(value, list) else str(value)))
    if name and plain:
        plain = [(name, ", ".join(f"{key} {text}" for key, text in plain))]
    return plain + inner


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
