"""Means and spread over seeds, and claims as differences between arms that share a seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claims.world import Scale

Seeds = Sequence[float]


@dataclass(frozen=True)
class Claim:
    """``better`` is expected to score more than ``worse`` by more than ``margin``, in points of 0.01."""

    text: str
    better: Seeds
    worse: Seeds
    margin: float = 0.0

    def row(self) -> dict[str, Any]:
        """Shown = the paired difference exceeds ``margin`` by more than its standard error."""
        mean, error = paired(self.better, self.worse)
        shown = mean - self.margin > error
        known = error if math.isfinite(error) else None
        return {"claim": self.text, "points": mean, "error": known, "at_least": self.margin, "shown": bool(shown)}


def seeds_of(
    results: Mapping[str, Mapping[str, Any]], job: str, scale: Scale, scores: Sequence[str], *within: str
) -> dict[str, list[float]]:
    """Each score's values, one per seed.

    Args:
        job: Its name, with braces for the seed.
        within: Where in what the job remembered the scores are.
    """
    found = []
    for seed in range(scale.seeds):
        scored: Any = results[job.format(seed)]
        for key in within:
            scored = scored[key]
        found.append(scored)
    return {score: [each[score] for each in found] for score in scores}


def native_row(name: str, native: float, in_torch: float) -> dict[str, Any]:
    """The mIoU of an arm's first seed on the native runtime, and how far it is off torch's."""
    return {"arm": f"{name}, seed 0, native", "seeds": 1, "miou": 100 * native, "off_torch": 100 * (native - in_torch)}


def paired(better: Seeds, worse: Seeds) -> tuple[float, float]:
    """Mean difference and its standard error, in points."""
    differences = [100 * (a - b) for a, b in zip(better, worse, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences)) if len(differences) > 1 else math.inf
    return statistics.fmean(differences), error


def arm_row(name: str, values: Mapping[str, Seeds]) -> dict[str, Any]:
    """One arm: mean over the seeds and standard deviation of each score, in points."""
    row: dict[str, Any] = {"arm": name, "seeds": len(next(iter(values.values())))}
    for score, seeds in values.items():
        points = [100 * value for value in seeds]
        row[score] = statistics.fmean(points)
        row[f"{score}_spread"] = statistics.stdev(points) if len(points) > 1 else 0.0
    return row
