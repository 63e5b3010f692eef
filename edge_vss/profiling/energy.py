"""Energy per frame over windows of a run, and an estimate per stage from windows whose stages fired unequally often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.jetson.power import PowerTrace

__all__ = ["StageEnergy", "Window", "energy_windows", "stage_energies", "student_t"]

WINDOW_S = 1.0
CONFIDENCE = 0.95
MIN_SPREAD = 0.02
"""Stages whose share of frames differs less than this between windows tell nothing apart."""
MAX_CONDITION = 1e3


@dataclass(frozen=True)
class Window:
    """A stretch of a run from the beginning of one frame to the beginning of another."""

    start_s: float
    end_s: float
    frames: int
    fired: NDArray[np.int64]
    """(stages,) firings."""
    energy_mj: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class StageEnergy:
    """What a firing of some stages costs above the idle machine."""

    mj: float
    low_mj: float
    high_mj: float
    """Ends of the confidence interval."""


def energy_windows(rows: NDArray[Any], trace: PowerTrace, window_s: float = WINDOW_S) -> list[Window]:
    """Cut a run into windows that hold no seam, and whose energy is known.

    Args:
        rows: Of a recorder.
    """
    found: list[Window] = []
    counted = ~rows["seam"]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], counted.astype(np.int8), [0]))))
    for first, last in zip(edges[::2], edges[1::2]):
        start = int(first)
        for index in range(int(first) + 1, int(last)):
            # A frame's time begins when the loop begins to wait for it.
            start_s, end_s = _turn_s(rows[start]), _turn_s(rows[index])
            if end_s - start_s < window_s:
                continue
            energy_mj = trace.energy_mj(start_s, end_s)
            if energy_mj is not None and np.isfinite(energy_mj):
                fired = rows["fired"][start:index].sum(axis=0)
                found.append(Window(start_s, end_s, index - start, fired, energy_mj))
            start = index
    return found


def _turn_s(row: Any) -> float:
    return float(row["begin_s"] - row["waited_s"])


def stage_energies(
    windows: Sequence[Window], stages: Sequence[str], idle_mw: float | None
) -> tuple[dict[str, StageEnergy] | None, str]:
    """Least squares over windows: energy above idle = frames * rest + firings of the stages whose share varies.

    Returns:
        Stage -> what a firing costs, and ``frame`` -> what every frame costs besides (stages that always fire
        included); or None and the reason.
    """
    if not windows:
        return None, "no window of the run has a known energy"
    if idle_mw is None:
        return None, "there is no idle baseline"
    frames = np.array([window.frames for window in windows], np.float64)
    shares = np.array([window.fired for window in windows]) / frames[:, None]
    varying = [place for place in range(len(stages)) if np.std(shares[:, place]) >= MIN_SPREAD]
    if not varying:
        return None, "every window fires the stages in the same mix; an adaptive schedule varies it"
    names = ["frame", *(stages[place] for place in varying)]
    # Per frame, so that every window has about the same noise; weighed by the frames that the mean is over.
    weight = np.sqrt(frames)
    design = np.column_stack([np.ones(len(windows)), shares[:, varying]])
    target = np.array([(window.energy_mj - idle_mw * window.seconds) / window.frames for window in windows])
    if len(windows) < len(names) + 3:
        return None, f"{len(windows)} windows of energy for {len(names)} unknowns; measure longer"
    if np.linalg.matrix_rank(design) < len(names) or np.linalg.cond(design) > MAX_CONDITION:
        return None, "stages fire together; their shares of the energy cannot be told apart"
    scaled = design * weight[:, None]
    solution, *_ = np.linalg.lstsq(scaled, target * weight, rcond=None)
    if float(solution.min()) < 0:
        return None, "the power does not follow the firings: an energy came out negative"
    freedom = len(windows) - len(names)
    variance = float(np.sum((target * weight - scaled @ solution) ** 2)) / freedom
    error = np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled)) * variance) * student_t(CONFIDENCE, freedom)
    return {
        name: StageEnergy(float(mj), float(mj - half), float(mj + half))
        for name, mj, half in zip(names, solution, error)
    }, ""


def student_t(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t, by Cornish and Fisher's series; within 1 % from 4 degrees of freedom on."""
    z, v = NormalDist().inv_cdf(0.5 + confidence / 2), float(freedom)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )
