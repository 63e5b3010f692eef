"""Where results lie that can be computed again."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(name: str, variable: str) -> Path:
    """The folder that environment ``variable`` names, else ``edge-vss/NAME`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "edge-vss" / name
