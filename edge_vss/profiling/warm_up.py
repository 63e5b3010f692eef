"""When a machine has settled: stage times and temperatures of one stretch of frames are those of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Settling", "WarmUp"]

TIME_SHARE = 0.05
"""Stage times of two stretches may differ by this much."""
TEMPERATURE_C = 1.0
STEADY = 3
"""Stretches in a row that must agree."""
STRETCH_S, STRETCH_FRAMES = 0.5, 16
"""Shortest stretch: this long, and this many frames."""


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went."""

    seconds: float
    frames: int
    settled: bool


class Settling:
    """Is told of stretches of frames and says when they have settled."""

    def __init__(self) -> None:
        self._times: NDArray[np.float64] | None = None
        self._temperatures: Mapping[str, float] = {}
        self._alike = 0

    def add(self, rows: NDArray[Any], temperatures_c: Mapping[str, float]) -> bool:
        """Look at one more stretch.

        Args:
            rows: Of a recorder, those of the stretch.

        Returns:
            Whether it and those before agree: their frames cost the same, stage by stage, and no zone warms up.
        """
        times = typical_times(rows)
        if self._times is not None:
            both = ~np.isnan(times) & ~np.isnan(self._times)
            now, before = times[both].sum(), self._times[both].sum()
            warmer = any(
                abs(value - self._temperatures.get(zone, value)) > TEMPERATURE_C
                for zone, value in temperatures_c.items()
            )
            alike = bool(both.any()) and abs(now - before) <= TIME_SHARE * max(now, before) and not warmer
            self._alike = self._alike + 1 if alike else 0
            times = np.where(np.isnan(times), self._times, times)
        self._times, self._temperatures = times, dict(temperatures_c)
        return self._alike >= STEADY - 1


def typical_times(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Medians of pre, post and every stage, ms; nan for a stage that did not fire. Shape ``(2 + stages,)``."""
    stages = rows["stage_ms"].shape[1]
    found = np.full(2 + stages, np.nan)
    if rows.size:
        found[0], found[1] = np.median(rows["pre_ms"]), np.median(rows["post_ms"])
        for place in range(stages):
            fired = rows["fired"][:, place]
            if fired.any():
                found[2 + place] = np.median(rows["stage_ms"][fired, place])
    return found
