"""What makes a run invalid: a neighbour, clocks, throttling, heat, too few frames, a loop that falls behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board.machines import JETSONS
from board.simulated import SimulatedBoard
from numpy.typing import NDArray

from edge_vss.jetson.board import read_state
from edge_vss.profiling.monitor import HostSample, Monitor, Watched, memory_high_water_mib, read_host
from edge_vss.profiling.rules import Latencies
from edge_vss.profiling.validity import Verdict, judge, judge_conclusive
from edge_vss.profiling.warm_up import Settling, WarmUp

from .made import played, recorded

SETTLED = WarmUp(1.0, 30, True)


def steady_rows(count: int = 100, late_ms: float = 0.0, growing_ms: float = 0.0) -> NDArray[Any]:
    frames = []
    for index in range(count):
        due_s = index / 30
        begin_s = due_s + (late_ms + growing_ms * index) / 1000
        frames.append(played(begin_s=begin_s, ms=12.0, due_s=due_s))
    return recorded(frames)


def hosts(foreign: float, seconds: int = 10, stolen: float = 0.0, swapped: int = 0) -> tuple[HostSample, ...]:
    """A second each, our own process using 0.6 cores."""
    return tuple(
        HostSample(float(s), (foreign + 0.6) * s, stolen * s, 0.6 * s, swapped * s) for s in range(seconds + 1)
    )


def verdict_of(watched: Watched, rows: NDArray[Any] | None = None, **changes: Any) -> Verdict:
    facts: dict[str, Any] = {"power": None, "realtime": True, "foreign_idle": False, **changes}
    return judge(steady_rows() if rows is None else rows, watched, facts.pop("warm_up", SETTLED), **facts)


def test_a_quiet_machine_with_enough_frames_is_valid() -> None:
    found = verdict_of(Watched(hosts(0.03), ()))
    assert not found.latency and not found.energy


@pytest.mark.parametrize(
    ("watched", "reason"),
    [
        (Watched(hosts(0.4), ()), "busy neighbour"),
        (Watched(hosts(0.0, stolen=0.3), ()), "hypervisor"),
        (Watched(hosts(0.0, swapped=100), ()), "swapped 1000 pages"),
    ],
)
def test_whatever_disturbs_makes_both_invalid(watched: Watched, reason: str) -> None:
    found = verdict_of(watched)
    assert any(reason in line for line in found.latency) and any(reason in line for line in found.energy)


def test_a_neighbour_for_a_tenth_of_the_run_is_noticed() -> None:
    quiet = list(hosts(0.0, 20))
    extra = [0.0] * 10 + [0.8, 1.6] + [1.6] * 9
    busy = tuple(
        HostSample(one.time_s, (one.busy_s or 0.0) + more, 0.0, one.own_s, 0) for one, more in zip(quiet, extra)
    )
    assert "busy neighbour" in verdict_of(Watched(busy, ())).latency[0]


def test_a_real_neighbour_is_measured_and_an_idle_machine_is_not(tmp_path: Path) -> None:
    watched = Watched((read_host(), (time.sleep(0.3), read_host())[1]), ())
    if watched.mean_foreign_cores() is None:
        pytest.skip("the kernel does not tell its load here")
    code = "import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass"
    neighbour = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.2)
        with Monitor(tmp_path, interval_s=0.5) as monitor:
            time.sleep(1.6)
        found = monitor.watched().mean_foreign_cores()
    finally:
        neighbour.kill()
        neighbour.wait()
    assert found is not None and found > 0.4
    own_start = read_host()
    end_s = time.monotonic() + 0.5
    while time.monotonic() < end_s:
        pass
    assert read_host().own_s - own_start.own_s > 0.2, "our own load is not a neighbour's"


def test_clocks_that_move_throttling_and_heat_are_noticed_on_a_board(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, JETSONS[0])
    board.pin_clocks()
    before = read_state(tmp_path)
    assert not verdict_of(Watched((), (before, read_state(tmp_path)))).latency
    board.set_cores(729_600, 729_600)
    assert "clocks moved: cpu0" in verdict_of(Watched((), (before, read_state(tmp_path)))).latency[0]
    board.pin_clocks()
    zone = next(iter(before.temperatures_c))
    board.write(tmp_path / "sys/class/thermal/thermal_zone0/temp", round(before.temperatures_c[zone] * 1000) + 4500)
    assert "drifted: " in verdict_of(Watched((), (before, read_state(tmp_path)))).energy[0]
    board.throttle(3)
    found = verdict_of(Watched((), (before, read_state(tmp_path)))).latency
    assert any("throttle" in reason for reason in found)


def test_too_few_frames_an_unsettled_warm_up_and_a_loop_that_falls_behind() -> None:
    quiet = Watched(hosts(0.0), ())
    assert "63 frames are too few" in verdict_of(quiet, steady_rows(63)).latency[0]
    assert "not settled" in verdict_of(quiet, warm_up=WarmUp(9.0, 99, False)).latency[0]
    behind = verdict_of(quiet, steady_rows(100, growing_ms=8.0))
    assert "cannot keep up" in behind.latency[0] and not behind.energy
    assert not verdict_of(quiet, steady_rows(100, late_ms=80.0)).latency


def test_energy_alone_is_invalid_without_a_sensor_or_with_a_busy_baseline() -> None:
    quiet = Watched(hosts(0.0), ())
    found = verdict_of(quiet, power="not available")
    assert not found.latency and found.energy == ["power: not available"]
    assert "idle baseline" in verdict_of(quiet, foreign_idle=True).energy[0]


def test_a_run_is_conclusive_only_when_long_steady_and_valid() -> None:
    values = np.random.default_rng(2).normal(12.0, 0.2, 700)

    def doubts(values_ms: NDArray[np.float64], seconds: float = 60.0, mlperf: bool = False, bad: bool = False) -> str:
        verdict = Verdict(["throttled"] if bad else [])
        found = judge_conclusive(
            Latencies.of(values_ms), values_ms, verdict, seconds=seconds, wanted_s=60.0, mlperf=mlperf
        )
        return "; ".join(found)

    assert doubts(values) == ""
    assert "needs 662" in doubts(values[:661])
    assert "of 600 s" in doubts(values, mlperf=True)
    assert "59.0 s of 60 s" in doubts(values, seconds=59.0)
    assert "not valid" in doubts(values, bad=True)
    assert "halves differ" in doubts(np.concatenate([values, values * 1.2]))


def test_settling_takes_three_stretches_alike_and_notices_heat() -> None:
    def stretch(ms: float) -> NDArray[Any]:
        return recorded(played(begin_s=index / 30, ms=ms) for index in range(16))

    settling = Settling()
    assert [settling.add(stretch(ms), {}) for ms in (30.0, 20.0, 12.0, 12.1, 12.0)] == [False] * 4 + [True]
    warming = Settling()
    assert not any(warming.add(stretch(12.0), {"gpu": 40.0 + 2 * step}) for step in range(6))
    assert [warming.add(stretch(12.0), {"gpu": 50.5}) for _ in range(2)] == [False, True]


def test_memory_high_water_is_that_of_the_kernel() -> None:
    found = memory_high_water_mib()
    assert found is not None and 20 < found < 1 << 20
