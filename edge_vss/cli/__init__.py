"""The command line: one module per verb, each of which parses, calls and prints.

Nothing but Typer and Rich is imported before a verb is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; see ``edge_vss.cli.app.main``. An interrupt is answered from the first moment on."""
    for name in ("stdout", "stderr"):  # None where whoever started us has closed them
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    try:
        from edge_vss.cli.app import main as run

        return run(arguments)
    except KeyboardInterrupt:
        print("edge-vss: interrupted", file=sys.stderr)
        return INTERRUPTED
