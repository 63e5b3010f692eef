"""Per-frame facts in memory that is taken once: a ring of numbers, the oldest frames making room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.playing import Played

__all__ = ["MAX_FRAMES", "Recorder"]

MAX_FRAMES = 1 << 18

Rows = NDArray[Any]


class Recorder:
    """Keeps the newest frames of a run.

    Args:
        stages: In graph order.
        frames: To keep.
    """

    def __init__(self, stages: Sequence[str], frames: int) -> None:
        self.stages = tuple(stages)
        self.added = 0
        """Frames that were recorded, forgotten ones included."""
        per_stage = (len(self.stages),)
        kept = min(max(1, frames), MAX_FRAMES)
        self._rows: Rows = np.zeros(
            kept,
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
                ("fired", "?", per_stage),
                ("stage_begin_ms", "f4", per_stage),
                ("stage_ms", "f4", per_stage),
                ("change", "f4", per_stage),  # nan: no adaptive clock, or no reference yet
            ],
        )
        self._rows.view(np.uint8)[::4096] = 0  # the memory is there from now on
        self.flags: dict[str, int] = {}

    def add(self, played: Played, *, lap: int, seam: bool) -> None:
        """Record one frame."""
        row, result = self._rows[self.added % self._rows.size], played.result
        row["lap"], row["seam"] = lap, seam
        row["due_s"] = np.nan if played.due_s is None else played.due_s
        row["waited_s"], row["begin_s"], row["end_s"] = played.waited_s, played.begin_s, played.end_s
        row["pre_begin_ms"], row["pre_ms"], row["engines_ms"] = result.pre_begin_ms, result.pre_ms, result.engines_ms
        row["post_begin_ms"], row["post_ms"] = result.post_begin_ms, result.post_ms
        row["age_frames"] = max(result.age_frames.values(), default=0)
        row["age_ms"] = max(result.age_ms.values(), default=0.0)
        for place, stage in enumerate(self.stages):
            row["fired"][place] = stage in result.stage_ms
            row["stage_ms"][place] = result.stage_ms.get(stage, 0.0)
            row["stage_begin_ms"][place] = result.stage_begin_ms.get(stage, 0.0)
            row["change"][place] = result.changes.get(stage, np.nan)
        for flag in result.flags:
            self.flags[flag] = self.flags.get(flag, 0) + 1
        self.added += 1

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
