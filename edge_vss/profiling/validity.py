"""What makes the figures of a run invalid, latency and energy apart, and what keeps them from being conclusive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.jetson.board import BoardState
from edge_vss.profiling.monitor import Watched
from edge_vss.profiling.rules import MLPERF_S, Latencies, frames_needed
from edge_vss.profiling.warm_up import WarmUp

__all__ = ["Verdict", "judge", "judge_conclusive"]

FOREIGN_CORES, FOREIGN_PEAK, PEAK_SHARE = 0.10, 0.5, 0.05
"""Mean load of other programs, in cores; and one that not more than this share of the seconds may reach."""
CLOCK_SHARE = 0.05
"""A clock that moves more than this has moved."""
DRIFT_C = 3.0
SWAPPED_PAGES = 256
DRIFT_SHARE = 0.10
"""Halves of a run whose medians differ by more are not the same run."""
BEHIND_MS = 100.0


@dataclass
class Verdict:
    """Reasons against the figures of a run; none = valid."""

    latency: list[str] = field(default_factory=list)
    energy: list[str] = field(default_factory=list)

    def both(self, reason: str) -> None:
        """A reason that concerns latency and energy."""
        self.latency.append(reason)
        self.energy.append(reason)


def judge(
    rows: NDArray[Any],
    watched: Watched,
    warm_up: WarmUp,
    *,
    power: str | None,
    realtime: bool,
    foreign_idle: bool,
    fallbacks: int = 0,
) -> Verdict:
    """Look for everything that makes a run invalid.

    Args:
        rows: Counted frames of a recorder.
        power: Why there is no energy; None = there is.
        foreign_idle: Whether other programs were busy during the idle baseline.
        fallbacks: How often an engine failed and another variant took over.
    """
    verdict = Verdict()
    needed = frames_needed(0.90)
    if rows.size < needed:
        verdict.both(f"{rows.size} frames are too few: p90 needs {needed}; measure longer")
    if not warm_up.settled:
        verdict.both(f"stage times or temperatures had not settled after {warm_up.seconds:.1f} s of warm-up")
    if fallbacks:
        verdict.both("an engine failed, and another variant took over")
    _neighbours(watched, verdict)
    _clocks(watched.states, verdict)
    _temperatures(watched.states, verdict)
    if realtime and rows.size >= 4:
        late_ms = (rows["begin_s"] - rows["due_s"]) * 1000
        quarter = rows.size // 4
        if float(np.median(late_ms[-quarter:])) > BEHIND_MS + float(np.median(late_ms[:quarter])):
            verdict.latency.append("the loop cannot keep up with its source: frames wait longer and longer")
    if power is not None:
        verdict.energy.append(f"power: {power}")
    elif foreign_idle:
        verdict.energy.append("busy neighbour during the idle baseline: other programs used the CPU")
    return verdict


def _neighbours(watched: Watched, verdict: Verdict) -> None:
    mean, seconds = watched.mean_foreign_cores(), watched.foreign_cores() or []
    peaks = sum(cores > FOREIGN_PEAK for cores in seconds)
    if mean is not None and (mean > FOREIGN_CORES or peaks > PEAK_SHARE * len(seconds)):
        most = max([mean, *seconds])
        verdict.both(f"busy neighbour: other programs used {mean:.2f} cores on average, {most:.2f} at most")
    stolen = watched.stolen_cores()
    if stolen and sum(stolen) / len(stolen) > FOREIGN_CORES:
        verdict.both(f"the hypervisor gave {sum(stolen) / len(stolen):.2f} cores to other machines")
    swapped = watched.swapped_pages()
    if swapped is not None and swapped > SWAPPED_PAGES:
        verdict.both(f"the machine swapped {swapped} pages")


def _clocks(states: tuple[BoardState, ...], verdict: Verdict) -> None:
    seen: dict[str, list[int]] = {}
    for state in states:
        for name, clock in (*state.cpus.items(), *([("gpu", state.gpu)] if state.gpu else [])):
            seen.setdefault(name, []).append(clock.current_hz)
    moved = {name: (min(hz), max(hz)) for name, hz in seen.items() if max(hz) > (1 + CLOCK_SHARE) * min(hz)}
    if moved:
        name, (low, high) = next(iter(moved.items()))
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        verdict.both(f"clocks moved: {name} between {low / 1e6:.0f} and {high / 1e6:.0f} MHz{more}; pin them")


def _temperatures(states: tuple[BoardState, ...], verdict: Verdict) -> None:
    if not states:
        return
    names = sorted({name for state in states for name in state.throttled})
    if names:
        verdict.both(f"throttled: {', '.join(names)}")
    events = Watched((), states).events()
    if events:
        verdict.both(f"throttle events during the run: {', '.join(f'{name} {n}' for name, n in events.items())}")
    first, last = states[0].temperatures_c, states[-1].temperatures_c
    drift = {zone: last[zone] - first[zone] for zone in first if zone in last}
    zone = max(drift, key=lambda name: abs(drift[name]), default="")
    if zone and abs(drift[zone]) > DRIFT_C:
        verdict.both(f"temperature drifted: {zone} by {drift[zone]:+.1f} °C")


def judge_conclusive(
    latencies: Latencies,
    values_ms: NDArray[np.float64],
    verdict: Verdict,
    *,
    seconds: float,
    wanted_s: float,
    mlperf: bool,
) -> list[str]:
    """Why the run does not suffice to judge by; empty = it does."""
    reasons = list(latencies.null_because.values())
    if verdict.latency:
        reasons.append("latency is not valid")
    least = max(MLPERF_S, wanted_s) if mlperf else wanted_s
    if seconds < least:
        reasons.append(f"measured {seconds:.1f} s of {least:g} s")
    half = values_ms.size // 2
    if half >= frames_needed(0.5):
        first, last = float(np.median(values_ms[:half])), float(np.median(values_ms[half:]))
        if abs(last - first) > DRIFT_SHARE * min(first, last):
            reasons.append(f"the run's halves differ: p50 {first:.2f} ms, then {last:.2f} ms")
    return reasons
