"""Puts the verbs together, and turns every failure into one line and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated

import typer

from edge_vss import __version__
from edge_vss.cli import (
    INTERRUPTED,
    build,
    calibrate,
    compare,
    data,
    doctor,
    evaluate,
    export,
    inspect,
    profile,
    rerank,
    run,
    simulate,
    train,
    verify,
)
from edge_vss.cli.common import Report, drop_stdout
from edge_vss.cli.preview_option import PreviewCommand
from edge_vss.cli.verb import Verb
from edge_vss.errors import EdgeVssError, WrongUsage, shortened

__all__ = ["app", "main"]

TRAINING_MODULES = ("torch", "onnx", "onnxscript", "onnxslim", "safetensors", "scipy", "cv2", "tomli")

app = typer.Typer(
    name="edge-vss",
    help="Video semantic segmentation for small machines: train, export stage by stage, run natively.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-vss {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


for _name, _verb in (
    ("train", train.train),
    ("export", export.export),
    ("calibrate", calibrate.calibrate),
    ("build", build.build),
    ("run", run.run),
    ("profile", profile.profile),
    ("compare", compare.compare),
    ("simulate", simulate.simulate),
    ("eval", evaluate.evaluate),
    ("rerank", rerank.rerank),
    ("verify", verify.verify),
    ("inspect", inspect.inspect),
    ("doctor", doctor.doctor),
):
    app.command(_name, cls=PreviewCommand if _name == "run" else Verb)(_verb)
app.add_typer(data.app, name="data")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: Without the program's name; ``None`` = those of the process.

    Returns:
        The exit code: 0 done, 1 unexpected failure, 2 wrong usage, 3 bad input, 4 camera or device, 5 a gate said
        no, 130 interrupted.
    """
    Report.arguments = tuple(sys.argv[1:] if arguments is None else arguments)
    with contextlib.suppress(ValueError):  # only the main thread may; elsewhere the caller decides
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _warnings():
            code = app(None if arguments is None else list(arguments), prog_name="edge-vss", standalone_mode=False)
        if code == INTERRUPTED:  # some versions of Typer swallow the interrupt and give this
            raise KeyboardInterrupt
        sys.stdout.flush()
    except BrokenPipeError:
        drop_stdout()
        return 0
    except BaseException as error:
        if isinstance(error, SystemExit):
            if isinstance(error.__context__, BrokenPipeError):  # how Rich ends a --help that nobody reads
                return 0
            raise
        code, line = _explain(error)
        if line:
            print(f"edge-vss: {shortened(line)}", file=sys.stderr)
        if code == 1 and os.environ.get("EDGE_VSS_TRACEBACK"):
            traceback.print_exception(error)
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def _warnings() -> Iterator[None]:
    """Our own warnings as lines on stderr, while a verb runs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("edge-vss: warning: %(message)s"))
    logger = logging.getLogger("edge_vss")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A service that is stopped ends like Ctrl-C: outputs are finished, nothing temporary stays behind."""
    raise KeyboardInterrupt


def _verb_called() -> str:
    """``edge-vss VERB``, as far as the command line has it."""
    called, commands = ["edge-vss"], typer.main.get_command(app)
    for argument in Report.arguments:
        known = getattr(commands, "commands", {})
        if argument not in known:
            break
        called.append(argument)
        commands = known[argument]
    return " ".join(called)


def _refused_value(error: BaseException) -> str:
    """Which option got what, and what Typer says of it; "" where the error is not about a value that was given."""
    options: Sequence[str] = getattr(getattr(error, "param", None), "opts", ())
    given = ""
    for word, following in zip(Report.arguments, [*Report.arguments[1:], ""]):
        name, equals, value = word.partition("=")
        if name in options:
            given = value if equals else following
    said = str(getattr(error, "message", "")).rstrip(".")
    if not given or not said.startswith("Input should be"):
        return ""
    if given.lower().lstrip("+-") == "nan":
        return f"{options[0]} wants a number, got {given!r}"
    return f"{options[0]} {given}: {said[0].lower()}{said[1:]}"


def _explain(error: BaseException) -> tuple[int, str]:
    """Exit code and line of a failure."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED, "interrupted"
    if isinstance(error, WrongUsage):
        return 2, f"{error}; see: {_verb_called()} --help"
    if isinstance(error, EdgeVssError):
        return error.exit_code, str(error)
    if hasattr(error, "format_message"):  # click's own, which some versions of Typer carry inside
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "edge-vss"
        message = _refused_value(error) or str(error.format_message()).rstrip(".")
        return 2, f"{message}; see: {where} --help" if message else ""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAINING_MODULES:
        return 1, f"this needs {error.name}, which is not installed; pip install 'edge-vss[train]'"
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return 3, f"{name}{error.strerror[0].lower()}{error.strerror[1:]}"
    if isinstance(error, UnicodeEncodeError):
        return 3, f"{error.object!r} is not UTF-8: names are"
    if isinstance(error, MemoryError):
        return 3, f"not enough memory: {error}"
    hint = "" if os.environ.get("EDGE_VSS_TRACEBACK") else " (EDGE_VSS_TRACEBACK=1 shows where)"
    return 1, f"unexpected {type(error).__name__}: {error}{hint}"
