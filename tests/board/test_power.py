"""Power of every simulated board: the right rails, the right total, and energy that agrees with calculus."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from board.machines import JETSONS, Machine, machine
from board.simulated import SimulatedBoard, steady
from edge_vss.jetson.power import PowerSampler, PowerSource, find_power
from edge_vss.jetson.rails import module_total

every_board = pytest.mark.parametrize("spec", JETSONS, ids=lambda spec: spec.name)


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def found(root: Path, clock: Callable[[], float] = time.monotonic) -> PowerSource:
    source = find_power(root, clock)
    assert source is not None
    return source


def wave_mw(time_s: float) -> float:
    """Between 4 and 26 W: a slow sway with a faster one on it."""
    return 15_000 + 8_000 * math.sin(2 * math.pi * 0.3 * time_s) + 3_000 * math.sin(2 * math.pi * 1.7 * time_s)


def wave_integral_mj(start_s: float, end_s: float) -> float:
    def primitive(time_s: float) -> float:
        slow, fast = 2 * math.pi * 0.3, 2 * math.pi * 1.7
        return 15_000 * time_s - 8_000 / slow * math.cos(slow * time_s) - 3_000 / fast * math.cos(fast * time_s)

    return primitive(end_s) - primitive(start_s)


def sample_steps(board: SimulatedBoard, sampler: PowerSampler, clock: Clock, seconds: float, step_s: float) -> None:
    for step in range(round(seconds / step_s) + 1):
        clock.now_s = step * step_s
        board.step(clock.now_s)
        sampler.sample()


@every_board
@pytest.mark.parametrize("start", range(3))
def test_the_rails_of_every_board_are_found_however_sensors_are_numbered(
    spec: Machine, start: int, tmp_path: Path
) -> None:
    source = found(SimulatedBoard(tmp_path, spec, start=start).root)
    assert (source.kind, source.label) == (spec.kind, "module rails, not wall")
    assert sorted(source.rails) == sorted(spec.rails)
    assert sorted(source.total_rails) == sorted(spec.total)


@every_board
def test_the_module_total_counts_nothing_twice(spec: Machine, tmp_path: Path) -> None:
    source = found(SimulatedBoard(tmp_path, spec, steady(20_000.0)).root)
    power = source.read()
    assert sum(power[rail] for rail in source.total_rails) == pytest.approx(20_000, rel=0.005)


def test_adding_up_all_rails_of_an_agx_orin_would_count_memory_twice(tmp_path: Path) -> None:
    power = found(SimulatedBoard(tmp_path, machine("agx-orin-jetpack6"), steady(20_000.0)).root).read()
    assert sum(power.values()) == pytest.approx(22_400, rel=0.005)


@every_board
def test_energy_agrees_with_the_integral(spec: Machine, tmp_path: Path) -> None:
    clock = Clock()
    board = SimulatedBoard(tmp_path, spec, wave_mw)
    sampler = PowerSampler(found(board.root), clock=clock)
    sample_steps(board, sampler, clock, 8.0, 0.05)
    trace = sampler.trace()
    for start_s, end_s in ((0.0, 8.0), (1.234, 5.678), (2.0, 2.03), (3.333, 3.334)):
        assert trace.energy_mj(start_s, end_s) == pytest.approx(wave_integral_mj(start_s, end_s), rel=0.01)
    rail, share = spec.chips[0].channels[0]
    assert trace.energy_mj(1.0, 7.0, rail) == pytest.approx(share * wave_integral_mj(1.0, 7.0), rel=0.01)
    assert trace.mean_mw(0.0, 8.0) == pytest.approx(wave_integral_mj(0.0, 8.0) / 8, rel=0.01)


def test_a_thread_samples_a_board_that_changes_meanwhile(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"), wave_mw)
    with board.running(), PowerSampler(found(board.root), interval_s=0.01) as sampler:
        start_s = time.monotonic()
        time.sleep(1.5)
        end_s = time.monotonic()
    trace = sampler.trace()
    assert trace.failed == 0
    assert trace.time_s.size > 30 and np.all(np.diff(trace.time_s) > 0)
    assert trace.energy_mj(start_s, end_s) == pytest.approx(wave_integral_mj(start_s, end_s), rel=0.01)


def test_nothing_is_told_of_times_that_were_not_sampled(tmp_path: Path) -> None:
    clock = Clock()
    board = SimulatedBoard(tmp_path, machine("orin-nx-jetpack6"), wave_mw)
    sampler = PowerSampler(found(board.root), clock=clock)
    assert sampler.trace().energy_mj(0.0, 0.0) is None
    sample_steps(board, sampler, clock, 1.0, 0.05)
    trace = sampler.trace()
    assert trace.energy_mj(-0.01, 0.5) is None and trace.energy_mj(0.5, 1.01) is None
    assert trace.energy_mj(0.5, 0.5) == 0.0 and trace.mean_mw(0.5, 0.5) is None
    with pytest.raises(ValueError, match="before start_s"):
        trace.energy_mj(0.6, 0.5)


def test_a_failed_read_is_counted_and_a_long_failure_is_not_bridged(tmp_path: Path) -> None:
    clock = Clock()
    board = SimulatedBoard(tmp_path, machine("agx-orin-jetpack7"), wave_mw)
    sampler = PowerSampler(found(board.root), clock=clock)
    current = board.channel("VDD_CPU_CV")
    for step in range(101):
        clock.now_s = step * 0.05
        if step in (20, 60):
            board.fail(current)
        if step in (21, 75):
            board.heal(current)
        board.step(clock.now_s)
        assert sampler.sample() is not current.is_dir()
    trace = sampler.trace()
    assert trace.failed == 16 and trace.time_s.size == 101 - 16
    assert trace.longest_gap_s == pytest.approx(0.8)
    assert trace.energy_mj(0.5, 1.5) == pytest.approx(wave_integral_mj(0.5, 1.5), rel=0.01)
    assert trace.energy_mj(2.5, 4.0) is None and trace.energy_mj(0.0, 5.0) is None
    assert trace.energy_mj(4.0, 5.0) == pytest.approx(wave_integral_mj(4.0, 5.0), rel=0.01)


def test_a_sensor_that_answers_nonsense_has_failed(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"))
    source = found(board.root)
    board.write(board.channel("VDD_IN"), "busy")
    with pytest.raises(OSError, match="holds no whole number"):
        source.read()


@every_board
def test_unreadable_sensors_are_not_available(spec: Machine, tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, spec)
    for rail in spec.rails:
        if rail != "VIN":
            board.fail(board.channel(rail))
    assert find_power(board.root) is None


def test_a_total_with_a_rail_missing_is_not_available(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("agx-orin-jetpack6"))
    board.fail(board.channel("VDD_GPU_SOC"))
    source = found(board.root)
    assert source.total_rails == () and "VDD_CPU_CV" in source.rails
    clock = Clock()
    sampler = PowerSampler(source, clock=clock)
    sample_steps(board, sampler, clock, 1.0, 0.1)
    trace = sampler.trace()
    assert np.all(np.isnan(trace.total_mw)) and trace.energy_mj(0.0, 1.0) is None
    assert trace.energy_mj(0.0, 1.0, "VDD_CPU_CV") == pytest.approx(2_500, rel=0.01)


def test_rails_that_no_board_is_known_for_have_no_total() -> None:
    assert module_total(("VIN", "VDD_1", "VDD_2")) == ()
    assert module_total(("VDD_IN", "VDD_CPU_GPU_CV")) == ("VDD_IN",)


def test_the_newest_samples_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"))
    sampler = PowerSampler(found(board.root), clock=clock, max_samples=5)
    sample_steps(board, sampler, clock, 1.0, 0.1)
    assert sampler.trace().time_s.tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0])


def test_an_empty_machine_has_no_power_sensors(tmp_path: Path) -> None:
    assert find_power(tmp_path) is None


# ---- energy counters of PCs ------------------------------------------------------------------------------------------

RANGE_UJ = 10_000_000


def write_zone(root: Path, zone: str, name: str, energy_uj: float) -> None:
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ - 1}\n")
    (folder / "energy_uj").write_text(f"{round(energy_uj) % RANGE_UJ}\n")


def step_pc(root: Path, time_s: float) -> None:
    """Two packages, one with its core and memory; the counters begin close to their end."""
    energy_uj = wave_integral_mj(0.0, time_s) * 1000 + RANGE_UJ - 1_000_000
    for zone, name, share in (
        ("intel-rapl:0", "package-0", 0.6),
        ("intel-rapl:0:0", "core", 0.5),
        ("intel-rapl:0:1", "dram", 0.1),
        ("intel-rapl:1", "package-1", 0.3),
        ("intel-rapl:2", "psys", 1.4),
        ("intel-rapl-mmio:0", "package-0", 0.6),
    ):
        write_zone(root, zone, name, energy_uj * share)


def test_energy_counters_wrap_and_their_differences_are_taken(tmp_path: Path) -> None:
    clock = Clock()
    step_pc(tmp_path, 0.0)
    source = found(tmp_path, clock)
    assert source.kind == "rapl" and source.counts_energy
    assert source.rails == ("package-0", "core-0", "dram-0", "package-1", "psys")
    assert source.total_rails == ("package-0", "dram-0", "package-1")
    sampler = PowerSampler(source, clock=clock)
    for step in range(21):
        clock.now_s = step * 0.4
        step_pc(tmp_path, clock.now_s)
        assert sampler.sample()
    trace = sampler.trace()
    assert trace.time_s.size == 20 and trace.energy_mj(0.0, 8.0) == pytest.approx(wave_integral_mj(0.0, 8.0), rel=1e-6)
    assert trace.energy_mj(2.0, 4.4) == pytest.approx(wave_integral_mj(2.0, 4.4), rel=1e-6)
    assert trace.total_mw[3] == pytest.approx(wave_integral_mj(1.2, 1.6) / 0.4, rel=1e-5)
    assert trace.energy_mj(-0.1, 4.0) is None


def test_counters_tell_the_mean_power_since_the_read_before(tmp_path: Path) -> None:
    clock = Clock()
    step_pc(tmp_path, 0.0)
    source = found(tmp_path, clock)
    with pytest.raises(OSError, match="need time"):
        source.read()
    clock.now_s = 1.0
    step_pc(tmp_path, 1.0)
    assert source.read()["package-1"] == pytest.approx(0.3 * wave_integral_mj(0.0, 1.0), rel=1e-5)
    clock.now_s = 1.5
    step_pc(tmp_path, 1.5)
    assert source.read()["core-0"] == pytest.approx(wave_integral_mj(1.0, 1.5), rel=1e-5)


def test_counters_that_may_not_be_read_are_not_available(tmp_path: Path) -> None:
    step_pc(tmp_path, 0.0)
    for file in tmp_path.glob("sys/class/powercap/*/energy_uj"):
        file.unlink()
        file.mkdir()
    assert find_power(tmp_path) is None
