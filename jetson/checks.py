"""One line of ``edge-vss doctor``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NOT_AVAILABLE", "Check"]

NOT_AVAILABLE = "not available"


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found of one thing."""

    name: str
    ok: bool
    found: str
    """What is there, or "not available"."""
    fix: str = ""
    """The command that mends it; empty where nothing is to be done."""

    @property
    def state(self) -> str:
        """``ok``, ``missing`` where something mends it, else ``not available``: a PC lacks nothing of a Jetson."""
        return "ok" if self.ok else "missing" if self.fix else NOT_AVAILABLE

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``doctor --json`` promises."""
        return asdict(self)
