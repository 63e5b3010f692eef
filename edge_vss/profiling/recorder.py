"""Per-frame facts in memory that is taken once: a ring of numbers, the oldest frames making room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.runtime.pipeline import FLAGS

__all__ = ["MAX_FRAMES", "Recorder", "Rows", "row_type", "rows_of"]

MAX_FRAMES = 1 << 18

Rows = NDArray[Any]
"""Of ``row_type``: one per frame, in order."""
_COLUMNS = (
    *("pre_begin_ms", "pre_ms", "engines_ms", "post_begin_ms", "post_ms", "age_frames", "age_ms", "flags", "schedule"),
    *("stage_begin_ms", "stage_ms"),
)
"""Taken over from the loop as they are."""


def row_type(num_stages: int) -> np.dtype[np.void]:
    """What is kept of a frame."""
    per_stage = (num_stages,)
    return np.dtype(
        [
            ("lap", "u4"),  # times that the source began again
            ("seam", "?"),  # so close behind the beginning of a lap that it does not count
            ("due_s", "f8"),  # nan: nothing waits for capture times
            ("waited_s", "f8"),
            ("begin_s", "f8"),
            ("end_s", "f8"),
            ("pre_begin_ms", "f4"),
            ("pre_ms", "f4"),
            ("engines_ms", "f4"),
            ("post_begin_ms", "f4"),
            ("post_ms", "f4"),
            ("age_frames", "u4"),  # of the oldest label map
            ("age_ms", "f4"),
            ("flags", "u4"),  # bits
            ("schedule", "u4"),  # place among the bundle's; one more: the last label map was used again
            ("fired", "?", per_stage),
            ("stage_begin_ms", "f4", per_stage),
            ("stage_ms", "f4", per_stage),
            ("change", "f4", per_stage),  # nan: no adaptive clock, or no reference yet
        ]
    )


def rows_of(columns: Mapping[str, NDArray[Any]], *, lap: NDArray[Any], seam: NDArray[np.bool_]) -> Rows:
    """Rows of frames that a loop has recorded: the columns of ``Loop.records``."""
    num_stages = columns["stage_ms"].shape[1]
    rows = np.zeros(lap.size, row_type(num_stages))
    rows["lap"], rows["seam"] = lap, seam
    rows["due_s"] = np.where(columns["captured_ns"] > 0, columns["captured_ns"] / 1e9, np.nan)
    rows["waited_s"] = columns["waited_ms"] / 1000
    rows["end_s"] = columns["done_ns"] / 1e9
    rows["begin_s"] = rows["end_s"] - columns["latency_ms"] / 1000
    for name in _COLUMNS:
        rows[name] = columns[name]
    bits = np.arange(num_stages, dtype=np.uint64)
    rows["fired"] = (columns["fired"][:, None] >> bits) & np.uint64(1)
    rows["change"] = np.where(columns["change"] >= 0, columns["change"], np.nan)
    return rows


class Recorder:
    """Keeps the newest frames of a run.

    Args:
        num_stages: Of the graph.
        frames: To keep.
    """

    def __init__(self, num_stages: int, frames: int) -> None:
        self.added = 0
        """Frames that were recorded, forgotten ones included."""
        self._rows: Rows = np.zeros(min(max(1, frames), MAX_FRAMES), row_type(num_stages))
        self._rows.view(np.uint8)[::4096] = 0  # the memory is there from now on
        self.flags: dict[str, int] = {}

    def extend(self, rows: Rows) -> None:
        """Record frames that follow on."""
        newest = rows[-self._rows.size :]
        places = np.arange(self.added + rows.size - newest.size, self.added + rows.size) % self._rows.size
        self._rows[places] = newest
        for bit, flag in FLAGS.items():
            if count := int(np.count_nonzero(rows["flags"] & np.uint32(bit))):
                self.flags[flag] = self.flags.get(flag, 0) + count
        self.added += rows.size

    def clear(self) -> None:
        """Forget everything, as between warm-up and measurement."""
        self.added, self.flags = 0, {}

    def rows(self) -> Rows:
        """A copy of what is kept, oldest first."""
        if self.added <= self._rows.size:
            return np.array(self._rows[: self.added])
        first = self.added % self._rows.size
        kept: Rows = np.concatenate((self._rows[first:], self._rows[:first]))
        return kept
