"""What goes wrong, sorted by who can mend it; the command line turns each kind into one line and an exit code."""

from __future__ import annotations

import re

__all__ = ["BadInput", "DeviceError", "EdgeVssError", "GateRefused", "WrongUsage", "shortened"]

MAX_QUOTED, MAX_LINE = 80, 600
"""Characters of a quoted value, and of a whole line, that people are shown."""
_QUOTED = re.compile(rf"""(?<!\w)(['"])((?:(?!\1).){{{MAX_QUOTED + 1},}})\1(?!\w)""")


class EdgeVssError(Exception):
    """Base of the errors that carry a message for the user: what is wrong, where, what to do."""

    exit_code = 1


class WrongUsage(EdgeVssError, ValueError):
    """An option's value that could never be right, whatever it is used on (exit code 2)."""

    exit_code = 2


class BadInput(EdgeVssError, ValueError):
    """Something that does not load: a bundle, a checkpoint, data or video (exit code 3)."""

    exit_code = 3


class DeviceError(EdgeVssError, RuntimeError):
    """A camera, an accelerator or a back end that fails or is not there (exit code 4)."""

    exit_code = 4


class GateRefused(EdgeVssError):
    """A gate said no: accuracy, regression or golden mismatch (exit code 5)."""

    exit_code = 5


def shortened(text: str) -> str:
    """``text`` as one line of at most ``MAX_LINE`` characters, no quoted value longer than ``MAX_QUOTED``.

    What is left out, an ellipsis stands for; a line keeps its end, where it says what to do.
    """
    line = _QUOTED.sub(lambda found: found[1] + found[2][: MAX_QUOTED - 1] + "…" + found[1], " ".join(text.split()))
    if len(line) <= MAX_LINE:
        return line
    head = MAX_LINE * 2 // 3
    return f"{line[:head]} … {line[head + 3 - MAX_LINE :]}"
