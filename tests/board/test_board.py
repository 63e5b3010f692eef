"""Identity and state of every simulated board."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from board.machines import JETSONS, Machine, machine
from board.simulated import SimulatedBoard
from edge_vss.jetson.board import Clocks, PowerMode, read_board, read_state

every_board = pytest.mark.parametrize("spec", JETSONS, ids=lambda spec: spec.name)


@every_board
def test_every_board_is_recognised(spec: Machine, tmp_path: Path) -> None:
    board = read_board(SimulatedBoard(tmp_path, spec).root)
    assert board.is_jetson
    assert (board.model, board.module, board.module_name) == (spec.model, spec.module, spec.module_name)
    assert (board.l4t, board.jetpack, board.capability) == (spec.l4t, spec.jetpack, spec.capability)
    assert board.power_mode == PowerMode(spec.mode, spec.modes[spec.mode])


@pytest.mark.parametrize(
    ("revision", "l4t", "jetpack"),
    [
        ("R36 (release), REVISION: 4.7", "36.4.7", "6.2.1"),
        ("R36 (release), REVISION: 5.0", "36.5.0", "6.2.2"),
        ("R36 (release), REVISION: 4.0", "36.4.0", "6.1"),
        ("R38 (release), REVISION: 4.0", "38.4.0", "7.1"),
        ("R35 (release), REVISION: 6.1", "35.6.1", "5.1.4 to 5.1.6"),
        ("R36 (release), REVISION: 4.9", "36.4.9", None),
        ("R41 (release), REVISION: 1.0", "41.1.0", None),
    ],
)
def test_the_release_gives_the_jetpack_where_it_is_known(
    revision: str, l4t: str, jetpack: str | None, tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").write_text(f"# {revision}, GCID: 1, BOARD: generic\n")
    board = read_board(tmp_path)
    assert (board.l4t, board.jetpack) == (l4t, jetpack)


def test_a_mode_without_a_name_keeps_its_number(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"))
    board.write(tmp_path / "var/lib/nvpmodel/status", "pmode:0012")
    assert read_board(tmp_path).power_mode == PowerMode(12, None)
    board.fail(tmp_path / "var/lib/nvpmodel/status")
    assert read_board(tmp_path).power_mode is None


@every_board
def test_the_state_follows_the_board(spec: Machine, tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, spec)
    before = read_state(tmp_path, lambda: 7.5)
    assert before.time_s == 7.5
    assert before.gpu_load == (0.12 if spec.gpu_load else None)
    assert before.gpu == Clocks(306_000_000, 306_000_000, spec.gpu_hz)
    assert before.clocks_pinned is False and len(before.cpus) == spec.cores
    assert before.temperatures_c == {zone: celsius for zone, celsius in spec.zones.items() if celsius is not None}
    assert before.events == {"oc1": 0, "oc2": 0, "oc3": 0} and before.throttled == ()
    assert before.memory_mib == pytest.approx(7619.1, abs=0.1)
    assert before.memory_available_mib == pytest.approx(5000.0)
    board.pin_clocks()
    board.throttle(4)
    board.set_memory(7_802_000, 1_024_000)
    after = read_state(tmp_path)
    assert after.clocks_pinned is True and after.cpus["cpu0"].current_hz == spec.core_khz * 1000
    assert after.gpu_load == (0.99 if spec.gpu_load else None)
    assert after.events["oc3"] == 4 and after.throttled == ("gpu-throttle-alert",)
    assert after.memory_available_mib == pytest.approx(1000.0)


def test_a_pinned_gpu_beside_free_cores_is_not_pinned_clocks(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"))
    board.set_gpu(load=0, current_hz=board.machine.gpu_hz, min_hz=board.machine.gpu_hz)
    state = read_state(tmp_path)
    assert state.gpu is not None and state.gpu.pinned and state.clocks_pinned is False


def test_cores_that_are_off_have_no_clock(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nx-jetpack6"))
    board.write(tmp_path / "sys/devices/system/cpu/cpu5/online", 0)
    state = read_state(tmp_path)
    assert "cpu5" not in state.cpus and list(state.cpus) == [f"cpu{core}" for core in range(8) if core != 5]


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    board = SimulatedBoard(tmp_path, machine("orin-nano-jetpack6"))
    board.fail(tmp_path / "sys/class/devfreq/17000000.gpu/cur_freq")
    board.fail(tmp_path / "sys/devices/platform/bus@0/17000000.gpu/load")
    board.fail(tmp_path / "sys/class/thermal/thermal_zone0/temp")
    board.fail(tmp_path / "proc/meminfo")
    state = read_state(tmp_path)
    assert state.gpu is None and state.gpu_load is None and state.memory_mib is None
    assert "cpu-thermal" not in state.temperatures_c


def test_a_pc_is_no_jetson(tmp_path: Path) -> None:
    for path, text in (
        ("sys/class/dmi/id/product_name", "ThinkPad X1\n"),
        ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "3\n"),
        ("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "2\n"),
        ("sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "9\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    board, state = read_board(tmp_path), read_state(tmp_path)
    assert board.model == "ThinkPad X1" and not board.is_jetson
    assert (board.module, board.l4t, board.jetpack, board.capability, board.power_mode) == (None,) * 5
    assert state.events == {"core_throttle": 5, "package_throttle": 9}
    assert (state.gpu, state.gpu_load, state.clocks_pinned) == (None, None, None)


def test_an_empty_machine_says_nothing(tmp_path: Path) -> None:
    board, state = read_board(tmp_path), read_state(tmp_path)
    assert board.model is None and not board.is_jetson
    assert state.temperatures_c == {} and state.events == {} and state.memory_mib is None


def test_reading_the_state_is_cheap_enough_for_once_a_second(tmp_path: Path) -> None:
    SimulatedBoard(tmp_path, machine("thor-jetpack7"))
    took_s = []
    for _ in range(9):
        begin_s = time.perf_counter()
        read_state(tmp_path)
        took_s.append(time.perf_counter() - begin_s)
    assert sorted(took_s)[4] < 0.02
