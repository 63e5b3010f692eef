"""Run rules after MLPerf's single-stream scenario: how many frames a percentile needs, and an estimate that errs high.

A percentile p of n frames is estimated by early stopping: the t highest latencies but one are dropped and the highest
that is left is taken, where t is the largest number for which "at most t of n frames are slower" would have a chance
below 1 - c if the true share of slower frames were as large as 1 - p. With that confidence the true percentile is not
above the estimate. The rule takes frames as independent of each other, which those of a video are not quite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "MLPERF_S", "PERCENTILES", "Estimate", "Latencies", "allowed_slower", "frames_needed"]

CONFIDENCE = 0.99
MLPERF_S = 600.0
"""Shortest run that MLPerf accepts."""
PERCENTILES: Mapping[str, float] = {"p50": 0.50, "p90": 0.90, "p99": 0.99}


@dataclass(frozen=True)
class Estimate:
    """Early-stopping estimate of one percentile."""

    ms: float
    frames: int
    dropped: int
    """Highest latencies that lie above the estimate."""


@dataclass(frozen=True)
class Latencies:
    """Percentiles of durations, ms; what too few frames cannot tell is None."""

    mean: float | None
    max: float | None
    percentiles: dict[str, float | None]
    """Of the frames as measured, linearly interpolated."""
    estimates: dict[str, Estimate | None]
    null_because: dict[str, str]
    """Percentile that is None -> why."""

    @staticmethod
    def of(values_ms: NDArray[np.float64]) -> Latencies:
        """Percentiles of durations in any order."""
        ordered = np.sort(np.asarray(values_ms, np.float64))
        count = ordered.size
        estimates = {name: _estimate(ordered, share) for name, share in PERCENTILES.items()}
        return Latencies(
            mean=float(ordered.mean()) if count else None,
            max=float(ordered[-1]) if count else None,
            percentiles={
                name: float(np.percentile(ordered, share * 100)) if estimates[name] else None
                for name, share in PERCENTILES.items()
            },
            estimates=estimates,
            null_because={
                name: f"{count} frames; {name} at confidence {CONFIDENCE:g} needs {frames_needed(share)}"
                for name, share in PERCENTILES.items()
                if estimates[name] is None
            },
        )

    def as_dict(self) -> dict[str, float | None]:
        """mean, p50, p90, p99 and max."""
        return {"mean": self.mean, **self.percentiles, "max": self.max}


def allowed_slower(frames: int, share: float, confidence: float = CONFIDENCE) -> int:
    """Largest t with P(at most t of ``frames`` are slower) < 1 - confidence where each is with chance 1 - ``share``.

    Returns:
        0 where not even t = 1 holds: there are too few frames.
    """
    if frames < 1:
        return 0
    # Log of the binomial's terms, each from the one before: no overflow, whatever the count.
    k = np.arange(1, frames + 1, dtype=np.float64)
    steps = np.log((frames - k + 1) / k) + np.log((1 - share) / share)
    log_terms = frames * np.log(share) + np.concatenate(([0.0], np.cumsum(steps)))
    chance = np.cumsum(np.exp(log_terms))
    return max(0, int(np.searchsorted(chance, 1 - confidence, side="left")) - 1)


@lru_cache(maxsize=16)
def frames_needed(share: float, confidence: float = CONFIDENCE) -> int:
    """Fewest frames that percentile ``share`` can be estimated from: 64 for p90 and 662 for p99 at 0.99."""
    frames = 2
    while allowed_slower(frames, share, confidence) < 1:
        frames += 1
    return frames


def _estimate(ordered_ms: NDArray[np.float64], share: float) -> Estimate | None:
    allowed = allowed_slower(ordered_ms.size, share)
    if not allowed:
        return None
    return Estimate(float(ordered_ms[ordered_ms.size - allowed]), ordered_ms.size, allowed - 1)
