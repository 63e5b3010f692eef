"""Parses ``street:[seed=1,clips=4,frames=30,size=360x480,fps=15,look=camera,motion=mixed]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_vss.data.street.config import StreetConfig
from edge_vss.errors import BadInput

__all__ = ["StreetSpec", "parse_size", "parse_street"]


MAX_CLIPS, MAX_FRAMES = 100_000, 1_000_000
"""Clips of one data set, each of which is known from the start, and frames of one clip."""


@dataclass(frozen=True, kw_only=True)
class StreetSpec:
    """A parsed spec."""

    config: StreetConfig
    """The first clip; clip i has its seed plus i."""
    clips: int | None = None
    """>= 1; ``None`` = not said."""
    frames: int | None = None
    """Frames per clip, >= 1; ``None`` = not said."""

    def clip_config(self, clip: int) -> StreetConfig:
        """The config of clip ``clip``."""
        c = self.config
        return StreetConfig(seed=c.seed + clip, height=c.height, width=c.width, fps=c.fps, look=c.look, motion=c.motion)


def parse_size(text: str) -> tuple[int, int]:
    """``HxW`` -> height, width."""
    height, cross, width = text.lower().partition("x")
    if not cross:
        raise ValueError(f"expected HEIGHTxWIDTH, got {text!r}")
    return int(height), int(width)


_KEYS: Mapping[str, Callable[[str], Any]] = {
    "seed": int, "clips": int, "frames": int, "size": parse_size, "fps": float, "look": str, "motion": str,
}  # fmt: skip


_WANTED = {int: "a whole number", float: "a number", parse_size: "HEIGHTxWIDTH such as 360x480"}


def parse_street(spec: str) -> StreetSpec:
    """Parse what follows ``street:``; nothing at all means all defaults.

    Raises:
        BadInput: An unknown key, a value that does not fit, or brackets that do not match.
    """
    text = spec.strip()
    if text.startswith("[") != text.endswith("]"):
        raise BadInput(f"street:{spec}: brackets do not match; expected street:[key=value,...]")
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.strip("[]").split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals and key in _KEYS:
            raise BadInput(f"street: {key} has no value; expected {key}=VALUE")
        if key not in _KEYS:
            raise BadInput(f"street: unknown key {key!r}; known: {', '.join(_KEYS)}")
        if key in values:
            raise BadInput(f"street: {key} is given twice")
        try:
            values[key] = _KEYS[key](value)
        except ValueError as error:
            raise BadInput(f"street: {key} wants {_WANTED[_KEYS[key]]}, got {value!r}") from error
    return _checked(values)


def _checked(values: dict[str, Any]) -> StreetSpec:
    clips, frames = values.pop("clips", None), values.pop("frames", None)
    for name, count, most in (("clips", clips, MAX_CLIPS), ("frames", frames, MAX_FRAMES)):
        if count is not None and not 1 <= count <= most:
            raise BadInput(f"street: {name} must be in [1, {most}], got {count}")
    if "size" in values:
        values["height"], values["width"] = values.pop("size")
    try:
        return StreetSpec(config=StreetConfig(**values), clips=clips, frames=frames)
    except ValueError as error:
        raise BadInput(f"street: {error}") from error
