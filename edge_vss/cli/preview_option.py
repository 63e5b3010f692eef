"""``--preview [HOST:PORT]``: an option whose value may be left out, which Typer has no word for."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from edge_vss.cli.verb import Verb

__all__ = ["PreviewCommand", "PreviewOption"]

OPTION = "--preview"
ADDRESS = re.compile(r"(\[[^\]]*\]|[\w.-]+):[0-9]+|localhost|[0-9]+(\.[0-9]+){3}|:?[0-9]+")
"""What behind the option is meant as its value, whether it can be used or not; everything else is an argument."""

PreviewOption = Annotated[
    str | None,
    typer.Option(
        OPTION,
        metavar="[HOST:PORT]",
        help="Serve a page with the live picture and figures, by default for this machine alone, at 127.0.0.1:8077; "
        "bound elsewhere it wants the token that is printed.",
    ),
]


class PreviewCommand(Verb):
    """A verb that knows ``--preview`` with and without a value."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Give the option its usual value where none follows it."""
        from edge_vss.preview import DEFAULT_ADDRESS

        end = args.index("--") if "--" in args else len(args)
        for place in range(end):
            if args[place] == OPTION and not (place + 1 < end and ADDRESS.fullmatch(args[place + 1])):
                args = [*args[:place], f"{OPTION}={DEFAULT_ADDRESS}", *args[place + 1 :]]
        return super().parse_args(ctx, args)
