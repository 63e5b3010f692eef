"""What a verb left behind: tests call verbs through the ``cli`` fixture."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Cli", "Done", "assert_one_line", "change_manifest"]


@dataclass(frozen=True)
class Done:
    """What a verb left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Done]


def assert_one_line(done: Done, code: int, *parts: str) -> None:
    """One line on stderr with all of ``parts``, and that exit code."""
    assert done.code == code, done.err
    assert done.err.startswith("edge-vss: ") and done.err.count("\n") == 1, done.err
    assert "Traceback" not in done.err and "unexpected" not in done.err
    for part in parts:
        assert part in done.err


def change_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a bundle's manifest."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    change(manifest)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
