"""What every verb shares: where text goes, JSON, progress bars, options of the same meaning."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
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
    "DATA_HELP",
    "LIMIT",
    "SOURCE_HELP",
    "BackendOption",
    "JsonOption",
    "PrecisionOption",
    "Report",
    "ThreadsOption",
    "drop_stdout",
    "log_lines",
    "make_table",
    "parse_numbers",
    "parse_size",
    "progress_bar",
    "share_bar",
    "show_bar",
]

LIMIT = 1e6
"""Of mean and std, as in the bundle's schema."""
NUMBER = re.compile(r"-|nan|[-+]?[\d,.]+(e[-+]?\d+)?( ?[%M])?")
LINE_EVERY_S, SIGN_EVERY_S = 2.0, 60.0
"""Shortest time between two lines of progress, where what is being done changed, and where it did not."""
FIRST_SIGN_S = 10.0
"""Until the first line of work without an end."""
FILE_WIDTH = 200
"""Columns of tables that go into a file or a pipe, where nothing says how wide it is."""

ProgressCallback = Callable[[int, int], None]
"""Gets how many steps are done, and how many there are."""

JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Also write the result as JSON; - prints it alone on stdout."),
]
SOURCE_HELP = escape(
    "A video file, a folder or glob of images, street:[seed=1,size=360x480,...], csi://0, /dev/video0, rtsp://... or "
    "test:; see docs/sources-and-data.md."
)
DATA_HELP = escape(
    "street:[seed=1,clips=4,...], folder:PATH or camvid:PATH[:SPLIT], and cityscapes, nyud, viper, voc, vps or youtube "
    "as camvid; see docs/sources-and-data.md."
)
"""Escaped: help texts are Rich markup."""
BackendOption = Annotated[
    str, typer.Option("--backend", help="auto, or one that the bundle holds; see: edge-vss inspect.")
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="auto, or one that the bundle holds: fp32; fp16, int8 where exported.")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, max=256, help="Threads per engine set; 0 = one per core.")
]


def drop_stdout() -> None:
    """Whoever read our output has left, as ``head`` does: the rest goes nowhere, also what is flushed at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


class _Console(Console):
    """Rich's own would end the program with exit code 1 before the JSON is written or a gate has spoken."""

    def on_broken_pipe(self) -> None:
        drop_stdout()


class Report:
    """Where a verb's result goes: tables for people, JSON for scripts.

    With ``--json -`` only the JSON is on stdout and everything else on stderr.
    """

    arguments: Sequence[str] = ()
    """The command line, so that the JSON replaces nothing that it names."""

    def __init__(self, json_target: str | None) -> None:
        self._target = json_target
        if json_target not in (None, "-"):
            _check_apart(Path(str(json_target)), self.arguments)
            _check_place(Path(str(json_target)))
        self.console = _Console(stderr=json_target == "-", highlight=False)
        if not self.console.is_terminal:
            self.console = _Console(stderr=json_target == "-", highlight=False, width=FILE_WIDTH)

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
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except BrokenPipeError:
                drop_stdout()
        else:
            _write_whole(Path(self._target), text)


def _check_place(path: Path) -> None:
    """Refuse a file that cannot be written, before the work rather than after it."""
    from edge_vss.places import check_place

    if path.is_dir() or not path.parent.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise BadInput(f"{path}: cannot write here; --json wants a file in a folder that exists")
    if not path.exists() or path.is_file():  # not a pipe or /dev/stdout
        check_place(path)


def _check_apart(path: Path, arguments: Sequence[str]) -> None:
    """Refuse a file for ``--json`` that another argument names, or that lies inside a bundle that one names."""
    own = False
    for argument in arguments:
        value = argument.partition("=")[2] if argument.startswith("--") else argument
        if not own and not argument.startswith("--json="):
            check_output(path, value, "--json")
        own = argument == "--json"


def check_output(path: Path, given: str | None, option: str) -> None:
    """Refuse an output that is what the command was given, or lies inside a bundle that it was given.

    Raises:
        BadInput: One line that names both.
    """
    if given and _holds(given.removeprefix("file://"), path.resolve()):
        raise BadInput(f"{path}: belongs to {given}, which this command was given; {option} wants another file")


def _holds(given: str, target: Path) -> bool:
    """Whether ``given`` is the path of ``target``, or of a bundle with ``target`` inside."""
    try:
        path = Path(given).expanduser()
        if path.resolve() == target:  # whether or not it is there yet: two outputs of one name
            return True
        if not path.exists():
            return False
        return (path / "manifest.json").is_file() and path.resolve() in target.parents
    except (OSError, ValueError, RuntimeError):  # most arguments are no paths
        return False


def _write_whole(path: Path, text: str) -> None:
    from edge_vss.places import write_file

    try:
        if path.exists() and not path.is_file():  # a pipe or /dev/stdout
            path.write_text(text, encoding="utf-8")
        else:
            write_file(path, text.encode())
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


class _Lines:
    """Progress for log files: a line when something else is being done, and a sign of life in between."""

    def __init__(self, what: str) -> None:
        self._what, self._doing, self._last_s = what, "", time.monotonic()
        self._begun = False

    def say(self, doing: str, share: float) -> None:
        """Tell what is done and the share in [0, 1] that is behind."""
        now_s = time.monotonic()
        if not self._begun:  # what was loaded until here says nothing about the work
            self._begun, self._last_s = True, now_s
            return
        due_s = LINE_EVERY_S if doing != self._doing else SIGN_EVERY_S
        ended = share >= 1.0 and self._doing  # what has begun to speak says that it is done
        if ended or now_s - self._last_s >= due_s:
            print(f"{self._what}: {share:4.0%}  {doing}", file=sys.stderr, flush=True)
            self._doing, self._last_s = doing, now_s


@contextmanager
def log_lines(what: str) -> Iterator[Callable[[Callable[[], str]], None]]:
    """Signs of life of work without an end, for log files: the first one soon, then one a minute.

    Yields what is called at every step, with a function that words a line.
    """
    due_s = time.monotonic() + FIRST_SIGN_S

    def say(word: Callable[[], str]) -> None:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + SIGN_EVERY_S
            print(f"{what}: {word()}", file=sys.stderr, flush=True)

    yield say


@contextmanager
def share_bar(what: str) -> Iterator[Callable[[str, float], None]]:
    """Progress of work that reports what it does and the share in [0, 1] that is behind.

    A bar on terminals, now and then a line on stderr elsewhere; work that is over in a moment says nothing there.
    """
    if not show_bar():
        yield _Lines(what).say
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


def parse_numbers(text: str, option: str, *, above: float) -> tuple[float, float, float]:
    """``R,G,B`` or one number for all three channels; each greater than ``above`` and less than a million."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if values and not all(above < value < LIMIT for value in values):
        raise typer.BadParameter(f"{option} wants numbers above {above:g} and below {LIMIT:g}, got {text!r}")
    if len(values) not in (1, 3):
        raise typer.BadParameter(f"{option} wants one or three numbers such as 123.7,116.3,103.5, got {text!r}")
    red, green, blue = values * 3 if len(values) == 1 else values
    return red, green, blue
