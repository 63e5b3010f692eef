"""What every verb does with its command line before it looks at the values."""

from __future__ import annotations

import typer
from typer.core import TyperCommand

from edge_vss.errors import BadInput, WrongUsage

__all__ = ["Verb"]


class Verb(TyperCommand):
    """A verb none of whose values may be empty: as a path that would be the current folder, elsewhere none at all."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Refuse an empty value: WrongUsage of an option, BadInput of what the verb works on."""
        given = self.make_parser(ctx).parse_args(list(args))[0]
        for parameter in self.params:
            value = given.get(parameter.name or "")
            if value == "" or (isinstance(value, list | tuple) and "" in value):
                if parameter.param_type_name == "option":
                    raise WrongUsage(f"{parameter.opts[0]} is empty")
                raise BadInput(f"{parameter.metavar or parameter.opts[0]} is empty")
        return super().parse_args(ctx, args)
