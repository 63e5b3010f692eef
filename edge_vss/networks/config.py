"""The description of a network: small, checked, and written into every checkpoint."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["NetworkConfig"]


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Widths and depths of a network built from the common blocks; the defaults are the clockwork student's.

    Raises:
        ValueError: From construction, when a field is out of range.
    """

    kind: str = "clockwork"
    """Which builder: a name of ``network_kinds()``."""
    classes: int = 11
    """Number of scores, in [2, 254]."""
    stem: tuple[int, int] = (16, 32)
    """Channels at 1/2 and 1/4 of the input size."""
    stem_blocks: int = 0
    """Residual blocks at 1/4."""
    fine: int = 64
    """Channels at 1/8; also of the deep stage's output."""
    fine_blocks: int = 1
    """Residual blocks at 1/8 in the always-on path."""
    middle: int = 96
    """Channels at 1/16."""
    middle_blocks: int = 1
    """Residual blocks at 1/16 in the always-on path."""
    deep: int = 96
    """Channels of the deep stage's context blocks at 1/16."""
    deep_dilations: tuple[int, ...] = (1, 2, 4, 8, 4)
    """Dilation of each context block."""
    decoder_blocks: int = 3
    """Residual blocks at 1/8 in the deep stage."""
    turns: int = 1
    """Sub-networks that take turns, in [1, 8]; each has as many of ``deep_dilations``."""
    keys: int = 64
    """Channels of the queries and keys of attention between frames, in [8, 64]."""
    key_stride: int = 4
    """Every so-manieth row and column of a past frame at 1/8 is kept as keys and values, in [1, 8]."""

    carry: Literal["attention", "near", "sum"] = "attention"
    """How a frame takes over what older ones found: where it looks alike, where it looks alike near by, or where it
    was."""

    def __post_init__(self) -> None:
        if not 2 <= self.classes <= 254:
            raise ValueError(f"a network has 2 to 254 classes, got {self.classes}")
        widths = (*self.stem, self.fine, self.middle, self.deep)
        if min(widths) < 8 or max(widths) > 2048:
            raise ValueError(f"widths lie in [8, 2048], got {widths}")
        counts = (self.stem_blocks, self.fine_blocks, self.middle_blocks, len(self.deep_dilations), self.decoder_blocks)
        if min(counts) < 0 or max(counts) > 64:
            raise ValueError(f"numbers of blocks lie in [0, 64], got {counts}")
        if any(not 1 <= dilation <= 64 for dilation in self.deep_dilations):
            raise ValueError(f"dilations lie in [1, 64], got {self.deep_dilations}")
        if not 1 <= self.turns <= 8 or not 8 <= self.keys <= 64 or not 1 <= self.key_stride <= 8:
            got = f"{self.turns}, {self.key_stride} and {self.keys}"
            raise ValueError(f"turns and key_stride lie in [1, 8], keys in [8, 64], got {got}")
        if len(self.deep_dilations) % self.turns:
            raise ValueError(f"{len(self.deep_dilations)} dilations do not share out among {self.turns} sub-networks")
