"""What ``doctor`` says of the board itself: identity, mode, clocks, heat, memory, power sensors."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from edge_vss.jetson.board import Board, BoardState, read_state
from edge_vss.jetson.checks import NOT_AVAILABLE, Check
from edge_vss.jetson.power import find_power
from edge_vss.jetson.sysfs import hwmon_devices, numbered

__all__ = ["examine_board"]

OLDEST_JETPACK = (6, 1)
"""The first with TensorRT 10.3, which bundles need."""
MHZ = 1_000_000


def examine_board(root: Path, board: Board) -> Iterator[Check]:
    """Look at the board under ``root``."""
    state = read_state(root)
    yield _machine(board)
    yield _jetpack(board)
    yield _power_mode(board)
    yield _clocks(board, state)
    yield _heat(state)
    yield _memory(state)
    yield _power(root)


def _machine(board: Board) -> Check:
    facts = [platform.machine(), f"{len(os.sched_getaffinity(0))} cores", board.model or "of unknown make"]
    if board.is_jetson:
        facts.append(f"module {board.module_name or 'unknown'} ({board.module or 'no part number'})")
        facts.append("compute capability {}.{}".format(*board.capability) if board.capability else "unknown chip")
    else:
        facts.append("no Jetson")
    return Check(name="machine", ok=True, found=", ".join(facts))


def _jetpack(board: Board) -> Check:
    if board.l4t is None:
        fix = "mount /etc/nv_tegra_release into the container" if board.is_jetson else ""
        return Check(name="jetpack", ok=False, found=NOT_AVAILABLE, fix=fix)
    found = f"{board.jetpack or 'of unknown version'} (Jetson Linux {board.l4t})"
    release = tuple(int(number) for number in (board.jetpack or "99.0").split(" ")[0].split(".")[:2] if number != "x")
    fresh = release >= OLDEST_JETPACK
    fix = "" if fresh else "flash JetPack 6.1 or newer: bundles need its TensorRT 10.3"
    return Check(name="jetpack", ok=fresh, found=found, fix=fix)


def _power_mode(board: Board) -> Check:
    mode = board.power_mode
    if mode is None:
        fix = "sudo nvpmodel -q" if board.is_jetson else ""
        return Check(name="power mode", ok=False, found=NOT_AVAILABLE, fix=fix)
    return Check(name="power mode", ok=True, found=f"{mode.id} ({mode.name or 'of unknown name'})")


def _clocks(board: Board, state: BoardState) -> Check:
    if state.clocks_pinned is None:
        return Check(name="clocks", ok=False, found=NOT_AVAILABLE)
    parts = []
    if state.gpu:
        parts.append(f"GPU {state.gpu.current_hz // MHZ} of {state.gpu.max_hz // MHZ} MHz")
    if state.cpus:
        fastest = max(state.cpus.values(), key=lambda clock: clock.max_hz)
        parts.append(f"{len(state.cpus)} cores up to {fastest.max_hz // MHZ} MHz")
    pinned = "pinned" if state.clocks_pinned else "not pinned, so times vary with the load"
    fix = "before measuring: sudo jetson_clocks" if board.is_jetson and not state.clocks_pinned else ""
    return Check(name="clocks", ok=True, found=f"{', '.join(parts)}; {pinned}", fix=fix)


def _heat(state: BoardState) -> Check:
    if not state.temperatures_c and not state.events and not state.throttled:
        return Check(name="heat", ok=False, found=NOT_AVAILABLE)
    parts = []
    if state.temperatures_c:
        zone, celsius = max(state.temperatures_c.items(), key=lambda item: item[1])
        parts.append(f"hottest {zone} {celsius:.1f} °C")
    if state.events:
        counts = ", ".join(f"{name} {count}" for name, count in state.events.items())
        parts.append(f"events since the start of the machine: {counts}")
    parts.append(f"slowed down: {', '.join(state.throttled)}" if state.throttled else "nothing slowed down")
    fix = "cool the machine, or choose a lower power mode" if state.throttled else ""
    return Check(name="heat", ok=not state.throttled, found="; ".join(parts), fix=fix)


def _memory(state: BoardState) -> Check:
    if state.memory_mib is None or state.memory_available_mib is None:
        return Check(name="memory", ok=False, found=NOT_AVAILABLE)
    found = f"{state.memory_mib:.0f} MiB, {state.memory_available_mib:.0f} of them available"
    return Check(name="memory", ok=True, found=found)


def _power(root: Path) -> Check:
    source = find_power(root)
    if source is not None:
        total = " + ".join(source.total_rails) or "no total known of these rails"
        found = f"{source.kind}: {', '.join(source.rails)}; total: {total} ({source.label})"
        return Check(name="power sensors", ok=bool(source.total_rails), found=found)
    if any(hwmon_devices(root, "ina3221")):
        fix = "sudo dmesg | grep ina3221"
        return Check(name="power sensors", ok=False, found="INA3221, which does not answer", fix=fix)
    if numbered(root / "sys/class/powercap", "intel-rapl:*"):
        fix = "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        return Check(name="power sensors", ok=False, found="RAPL, no permission to read it", fix=fix)
    return Check(name="power sensors", ok=False, found=NOT_AVAILABLE)
