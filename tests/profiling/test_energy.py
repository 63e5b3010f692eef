"""Energy of stages: planted in a simulated board's sensor, found again by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board.machines import JETSONS, Machine
from board.simulated import SimulatedBoard
from numpy.typing import NDArray

from edge_vss.jetson.power import PowerSampler, PowerTrace, find_power
from edge_vss.profiling.energy import energy_windows, stage_energies, student_t

from .made import STAGES, played, recorded

IDLE_MW, FRAME_MJ, INTERVAL_S, FRAME_MS = 4000.0, 60.0, 1 / 30, 24.0


def driving(rates: Sequence[float], seconds: float, stages: Sequence[str], seed: int = 3) -> NDArray[Any]:
    """Frames of a run in which stages fire at a rate that changes every few seconds."""
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(int(seconds / INTERVAL_S)):
        begin_s = index * INTERVAL_S
        rate = rates[int(begin_s / 2.5) % len(rates)]
        fired = [stage for stage in STAGES if stage not in stages or rng.random() < rate]
        frames.append(played(begin_s=begin_s, ms=FRAME_MS, due_s=begin_s, fired=fired))
    return recorded(frames, seams=[0, len(frames) // 2])


def sampled(
    rows: NDArray[Any], planted: dict[str, float], root: Path, where: Machine = JETSONS[0], step_s: float = 0.1
) -> PowerTrace:
    """What the sensor of a simulated board shows while these frames run: its mean power between two readings."""
    begins = rows["begin_s"]
    energy = np.full(rows.size, FRAME_MJ)
    for stage, mj in planted.items():
        energy += mj * rows["fired"][:, STAGES.index(stage)]

    def used_mj(time_s: float) -> float:
        share = np.clip((time_s - begins) / (FRAME_MS / 1000), 0.0, 1.0)
        return float(IDLE_MW * time_s + energy @ share)

    board = SimulatedBoard(root, where, lambda t: (used_mj(t + step_s / 2) - used_mj(t - step_s / 2)) / step_s)
    clock = {"now": 0.0}
    source = find_power(board.root)
    assert source is not None
    sampler = PowerSampler(source, interval_s=step_s, clock=lambda: clock["now"])
    for index in range(int(begins[-1] / step_s) + 4):
        time_s = index * step_s
        board.step(time_s)
        clock["now"] = time_s
        sampler.sample()
    return sampler.trace()


@pytest.mark.parametrize("where", JETSONS, ids=lambda where: where.name)
def test_planted_energies_are_recovered_within_five_percent(tmp_path: Path, where: Machine) -> None:
    planted = {"s3": 180.0}
    rows = driving([0.15, 0.8, 0.4, 0.95], 30.0, ["s3"])
    windows = energy_windows(rows, sampled(rows, planted, tmp_path, where))
    found, why = stage_energies(windows, STAGES, IDLE_MW)
    assert found is not None, why
    assert set(found) == {"frame", "s3"}
    assert found["s3"].mj == pytest.approx(180.0, rel=0.05)
    assert found["frame"].mj == pytest.approx(FRAME_MJ, rel=0.05)
    for name, mj in (("s3", 180.0), ("frame", FRAME_MJ)):
        half = (found[name].high_mj - found[name].low_mj) / 2
        assert 0 < half < 0.15 * mj and abs(found[name].mj - mj) < 2 * half


def test_two_stages_that_fire_apart_are_told_apart(tmp_path: Path) -> None:
    planted = {"s2": 50.0, "s3": 120.0}
    rows = driving([0.1, 0.9, 0.5], 75.0, ["s2", "s3"])
    # s2 rests where s3 fires often, for a third of the time.
    rows["fired"][:, 1] &= (rows["begin_s"] % 7.5) > 2.5
    found, why = stage_energies(
        energy_windows(rows, sampled(rows, planted, tmp_path, step_s=0.05), 2.5), STAGES, IDLE_MW
    )
    assert found is not None, why
    assert found["s2"].mj == pytest.approx(50.0, rel=0.05) and found["s3"].mj == pytest.approx(120.0, rel=0.05)


def test_a_mix_that_does_not_vary_gives_none_and_says_so(tmp_path: Path) -> None:
    rows = driving([1.0], 12.0, [])
    windows = energy_windows(rows, sampled(rows, {}, tmp_path))
    found, why = stage_energies(windows, STAGES, IDLE_MW)
    assert found is None and "same mix" in why
    assert stage_energies(windows, STAGES, None) == (None, "there is no idle baseline")
    assert stage_energies([], STAGES, IDLE_MW)[0] is None


def test_stages_that_always_fire_together_are_not_told_apart(tmp_path: Path) -> None:
    rows = driving([0.1, 0.9, 0.5], 40.0, ["s3"])
    rows["fired"][:, 1] = rows["fired"][:, 2]
    found, why = stage_energies(energy_windows(rows, sampled(rows, {"s3": 100.0}, tmp_path)), STAGES, IDLE_MW)
    assert found is None and "together" in why


def test_power_that_does_not_follow_the_firings_gives_none(tmp_path: Path) -> None:
    rows = driving([0.1, 0.9, 0.5], 30.0, ["s3"])
    trace = sampled(rows, {"s3": 100.0}, tmp_path)
    rows["fired"][:, 2] = ~rows["fired"][:, 2]
    found, why = stage_energies(energy_windows(rows, trace), STAGES, IDLE_MW)
    assert found is None and "negative" in why


def test_windows_hold_no_seam_and_only_stretches_with_samples(tmp_path: Path) -> None:
    rows = driving([0.5], 12.0, ["s3"])
    trace = sampled(rows, {}, tmp_path)
    windows = energy_windows(rows, trace)
    seams = rows["begin_s"][rows["seam"]]
    assert windows and not any(window.start_s <= seam < window.end_s for window in windows for seam in seams)
    assert all(window.seconds >= 1.0 for window in windows)
    total = sum(window.frames for window in windows)
    assert rows.size - 2 * 31 - 2 <= total < rows.size
    late = rows.copy()
    for name in ("begin_s", "end_s", "due_s"):
        late[name] += 1000.0
    assert energy_windows(late, trace) == []


def test_the_quantile_of_student_is_that_of_the_tables() -> None:
    for freedom, value in ((4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)):
        assert student_t(0.95, freedom) == pytest.approx(value, rel=0.01)
