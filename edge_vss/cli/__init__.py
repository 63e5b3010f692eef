"""The command line: one module per verb, each of which parses, calls and prints.

Nothing but Typer and Rich is imported before a verb is called.
"""

from edge_vss.cli.app import main

__all__ = ["main"]
