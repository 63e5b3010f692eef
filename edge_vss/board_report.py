"""What one machine says of itself, in one file to send back: ``edge-vss doctor --board-report``.

``PARTS`` lists what is looked at, in this order; a part that cannot be looked at says why in its place.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_vss import __version__
from edge_vss.errors import DeviceError, EdgeVssError
from edge_vss.jetson.board import read_board, read_state
from edge_vss.jetson.doctor import examine
from edge_vss.jetson.power import PowerSampler, PowerTrace, find_power
from edge_vss.jetson.rails import module_total
from edge_vss.jetson.sysfs import numbered, read_text
from edge_vss.jetson.tegrastats import Tegrastats, read_tegrastats
from edge_vss.places import write_file

__all__ = ["IDLE_S", "PARTS", "PROFILE_S", "PROFILE_SOURCE", "Subject", "make_board_report", "write_board_report"]

FORMAT = 1
IDLE_S = 10.0
PROFILE_S = 60.0
PROFILE_SOURCE = "street:[frames=90,size=360x640]"
"""Played in laps; a few seconds of video that need no file on the board."""
TEGRASTATS_LINES, TEGRASTATS_INTERVAL_MS, TEGRASTATS_TIMEOUT_S = 3, 500, 15.0
MAX_FILE_CHARACTERS = 20_000
FILES = (
    "proc/device-tree/model", "proc/device-tree/compatible", "proc/version", "etc/os-release",
    "etc/nv_tegra_release", "etc/nvpmodel.conf", "var/lib/nvpmodel/status",
    "sys/class/hwmon/hwmon*/name", "sys/class/hwmon/hwmon*/*label", "sys/class/hwmon/hwmon*/in*_input",
    "sys/class/hwmon/hwmon*/curr*_input", "sys/class/hwmon/hwmon*/power*_input", "sys/class/hwmon/hwmon*/oc*_cnt",
    "sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*", "sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*",
    "sys/class/thermal/*/type", "sys/class/thermal/*/temp", "sys/class/thermal/*/cur_state",
    "sys/class/devfreq/*/cur_freq", "sys/class/devfreq/*/min_freq", "sys/class/devfreq/*/max_freq",
    "sys/devices/platform/bus@0/*.gpu/load", "sys/devices/platform/gpu.0/load", "sys/devices/gpu.0/load",
    "sys/class/powercap/*/name", "sys/class/video4linux/*/name", "usr/local/cuda/version.json",
)  # fmt: skip
"""What readers go by, as it stands there. No serial number, no address, nothing of a user."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is looked at."""

    root: Path = Path("/")
    bundle: Path | None = None
    idle_s: float = IDLE_S
    """How long power is watched while nothing is done."""
    source: str = PROFILE_SOURCE
    """SOURCE that the profile is made on."""
    profile_s: float = PROFILE_S
    """How long the profile measures."""
    progress: Callable[[float], None] = field(default=lambda share: None)
    """Called by a part with the share in [0, 1] of it that is behind."""


def make_board_report(
    subject: Subject, progress: Callable[[str, float], None] = lambda doing, share: None
) -> dict[str, Any]:
    """Look at every part.

    Returns:
        ``not_checked`` names the parts that could not be looked at, with the reason.
    """
    report: dict[str, Any] = {
        "format": FORMAT,
        "edge_vss": __version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    reasons = {}
    for place, (name, look) in enumerate(PARTS.items()):
        progress(name, place / len(PARTS))
        try:
            report[name] = look(subject)
        except EdgeVssError as error:
            report[name], reasons[name] = None, str(error)
        except Exception as error:  # the report is worth most where something unforeseen happens
            report[name], reasons[name] = None, f"unexpected {type(error).__name__}: {error}"
    return {**report, "not_checked": reasons}


def write_board_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report whole, or leave what is there.

    Raises:
        BadInput: It cannot be written.
    """
    write_file(path, (json.dumps(report, indent=1, ensure_ascii=False, default=str) + "\n").encode())


def _board(subject: Subject) -> dict[str, Any]:
    board = read_board(subject.root)
    if not board.is_jetson:
        return {**asdict(board), "is_jetson": False}
    return {**asdict(board), "is_jetson": True, "files": dict(_files(subject.root))}


def _files(root: Path) -> Iterator[tuple[str, str | None]]:
    for pattern in FILES:
        folder, _, name = pattern.rpartition("/")
        folders = root.glob(folder) if "*" in folder else (root / folder,)
        for found in sorted(folders):
            for file in numbered(found, name):
                text = read_text(file)
                yield str(file.relative_to(root)), None if text is None else text[:MAX_FILE_CHARACTERS]


def _state(subject: Subject) -> dict[str, Any]:
    state = read_state(subject.root)
    return {**asdict(state), "clocks_pinned": state.clocks_pinned}


def _checks(subject: Subject) -> list[dict[str, Any]]:
    return [check.as_dict() for check in examine(subject.root)]


def _idle_power(subject: Subject) -> dict[str, Any]:
    """Mean power while nothing is done."""
    source = find_power(subject.root)
    if source is None:
        raise DeviceError("no power sensor can be read here")
    with PowerSampler(source) as sampler:
        time.sleep(subject.idle_s)
    trace = sampler.trace()
    return {"kind": trace.kind, "label": trace.label, "total_rails": trace.total_rails, **_means(trace)}


def _means(trace: PowerTrace) -> dict[str, Any]:
    if trace.time_s.size < 2:
        raise DeviceError(f"power sensors do not answer: {trace.failed} reads failed")
    start_s, end_s = float(trace.time_s[0]), float(trace.time_s[-1])
    return {
        "seconds": end_s - start_s,
        "samples": int(trace.time_s.size),
        "failed": trace.failed,
        "longest_gap_s": trace.longest_gap_s,
        "total_mw": trace.mean_mw(start_s, end_s),
        "rails_mw": {rail: trace.mean_mw(start_s, end_s, rail) for rail in trace.rails_mw},
    }


def _tegrastats(subject: Subject) -> dict[str, Any]:
    """NVIDIA's own program beside our reading of the same sensors, at the same time."""
    program = shutil.which("tegrastats")
    if program is None:
        raise DeviceError("no tegrastats here, so rails were not compared with it")
    source = find_power(subject.root)
    if source is None:
        lines = _tegrastats_lines(program)
        return {"lines": [asdict(line) for line in lines], "ours": None}
    with PowerSampler(source) as sampler:
        lines = _tegrastats_lines(program)
    theirs = [sum(line.rails_mw[rail] for rail in total) for line in lines if (total := module_total(line.rails_mw))]
    return {
        "lines": [asdict(line) for line in lines],
        "their_total_mw": sum(theirs) / len(theirs) if theirs else None,
        "ours": _means(sampler.trace()),
    }


def _tegrastats_lines(program: str) -> list[Tegrastats]:
    command = ["timeout", str(TEGRASTATS_TIMEOUT_S), program, "--interval", str(TEGRASTATS_INTERVAL_MS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [line for _, line in zip(range(TEGRASTATS_LINES), read_tegrastats(process.stdout))]
        finally:
            process.terminate()
    if not lines:
        raise DeviceError("tegrastats prints nothing")
    return lines


def _verify(subject: Subject) -> dict[str, Any]:
    from edge_vss.verification import summarise_checks, verify_bundle

    if subject.bundle is None:
        raise DeviceError("no bundle was given; add --bundle BUNDLE")
    checks = verify_bundle(subject.bundle, progress=lambda done, total: subject.progress(done / total))
    return {**summarise_checks(subject.bundle, checks), "ok": all(check.report.passed for check in checks)}


def _profile(subject: Subject) -> dict[str, Any]:
    """The report of ``edge-vss profile``."""
    from edge_vss.profiling.outputs import plain
    from edge_vss.profiling.report import build_report
    from edge_vss.profiling.session import ProfileOptions, measure

    if subject.bundle is None:
        raise DeviceError("no bundle was given; add --bundle BUNDLE")
    options = ProfileOptions(duration_s=subject.profile_s, idle_s=subject.idle_s, root=subject.root)
    measured = measure(subject.bundle, subject.source, options, lambda doing, share: subject.progress(share))
    if measured.interrupted:
        raise KeyboardInterrupt
    report: dict[str, Any] = plain(build_report(measured))
    return report


PARTS: dict[str, Callable[[Subject], Any]] = {
    "board": _board,
    "state": _state,
    "checks": _checks,
    "idle_power": _idle_power,
    "tegrastats": _tegrastats,
    "verify": _verify,
    "profile": _profile,
    "state_after": _state,
}
"""Name in the report -> how it comes about. A new part is one line here."""
