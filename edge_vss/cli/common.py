"""What every verb shares: where text goes, JSON, progress bars, options of the same meaning."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from edge_vss.errors import BadInput

__all__ = [
    "BackendOption",
    "JsonOption",
    "PrecisionOption",
    "Report",
    "ThreadsOption",
    "make_table",
    "parse_numbers",
    "parse_size",
    "progress_bar",
    "share_bar",
    "show_bar",
]

NUMBER = re.compile(r"-|nan|[-+]?[\d,.]+(e[-+]?\d+)?( ?[%M])?")
FILE_WIDTH = 200
"""Columns of tables that go into a file or a pipe, where nothing says how wide it is."""

ProgressCallback = Callable[[int, int], None]
"""Gets how many steps are done, and how many there are."""

JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Also write the result as JSON; - prints it alone on stdout."),
]
BackendOption = Annotated[str, typer.Option("--backend", help="What computes the stages: auto, onnxruntime, ...")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="Variant of the bundle: auto, fp32, fp16, int8.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, max=256, help="Threads per engine set; 0 = one per core.")
]


class Report:
    """Where a verb's result goes: tables for people, JSON for scripts.

    With ``--json -`` only the JSON is on stdout and everything else on stderr.
    """

    def __init__(self, json_target: str | None) -> None:
        self._target = json_target
        if json_target not in (None, "-"):
            _check_place(Path(str(json_target)))
        self.console = Console(stderr=json_target == "-", highlight=False)
        if not self.console.is_terminal:
            self.console = Console(stderr=json_target == "-", highlight=False, width=FILE_WIDTH)

    def print(self, *things: Any) -> None:
        """Print text or Rich tables for people."""
        self.console.print(*things)

    def write_json(self, value: Any) -> None:
        """Write ``value`` where ``--json`` says; nan and inf become null.

        Raises:
            BadInput: The file cannot be written; an earlier one stays as it was.
        """
        if self._target is None:
            return
        text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if self._target == "-":
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            _write_whole(Path(self._target), text)


def _check_place(path: Path) -> None:
    """Refuse a file that cannot be written, before the work rather than after it."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInput(f"{path}: cannot write here; --json wants a file in a folder that exists")


def _write_whole(path: Path, text: str) -> None:
    try:
        if path.exists() and not path.is_file():  # a pipe or /dev/stdout
            path.write_text(text, encoding="utf-8")
            return
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):  # numpy scalars
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def make_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Group:
    """A table whose columns of numbers stand to the right; text is shown as it is, without markup."""
    table = Table()
    cells = [[str(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        numbers = all(NUMBER.fullmatch(row[place]) for row in cells)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(cell) for cell in row))
    return Group(Text(title, style="bold"), table)


def show_bar() -> bool:
    """Whether progress bars and live tables are drawn: on terminals only."""
    return sys.stderr.isatty()


@contextmanager
def progress_bar(what: str) -> Iterator[ProgressCallback]:
    """A progress bar on stderr, gone when done; nothing at all where stderr is not a terminal."""
    if not show_bar():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)


@contextmanager
def share_bar(what: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar for work that reports what it does and the share in [0, 1] that is behind."""
    if not show_bar():
        yield lambda doing, share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda doing, share: progress.update(task, completed=share, description=doing)


def parse_size(text: str) -> tuple[int, int]:
    """``HxW`` -> (height, width), pixels."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise typer.BadParameter(f"want HEIGHTxWIDTH such as 352x480, got {text!r}")
    return int(height), int(width)


def parse_numbers(text: str, option: str) -> tuple[float, float, float]:
    """``R,G,B`` or one number for all three channels."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise typer.BadParameter(f"{option} wants one or three numbers such as 123.7,116.3,103.5, got {text!r}")
    red, green, blue = values * 3 if len(values) == 1 else values
    return red, green, blue
