"""What a schedule would do at a frame rate: latency, misses, ages, update rates and energy, from a report.

A camera is played on paper. The newest frame wins, frames that nobody took are dropped; the reference executor says
what fires, the model of the native scheduler how long that takes. Update rates of fixed clocks are exact; adaptive
clocks fire as they did when the report was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_vss.bundle import Bundle, Manifest
from edge_vss.dry_run import ScriptedExecutor
from edge_vss.errors import BadInput
from edge_vss.profiling.frame_model import IMAGE
from edge_vss.profiling.prices import Prices
from edge_vss.profiling.pricing import clocks_digest, engine_digests, seam_frames_of
from edge_vss.profiling.rules import Latencies
from edge_vss.schedule import Adaptive, Schedule

__all__ = ["Simulation", "check_match", "simulate_schedule"]

FRAMES = 2000
"""Camera frames that are played."""


@dataclass(frozen=True)
class Simulation:
    """What one schedule would do; None = not known."""

    schedule: str
    fps: float
    latency: Latencies
    frames: int
    """Frames that would be labelled, of those that the camera gave."""
    dropped: int
    update_rate: dict[str, float]
    age_frames: dict[str, float]
    age_ms: dict[str, float]
    deadline_ms: float | None
    misses: int | None
    busy: float
    """Share of the time that the loop works."""
    mj_per_frame: float | None
    mean_w: float | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What ``simulate --json`` writes for a schedule."""
        return {
            "fps": self.fps,
            "frames": self.frames,
            "dropped": {"newer": self.dropped} if self.dropped else {},
            "latency_ms": self.latency.as_dict(),
            "update_rate": self.update_rate,
            "age_frames": self.age_frames,
            "age_ms": self.age_ms,
            "deadline": None
            if self.deadline_ms is None
            else {"ms": self.deadline_ms, "misses": self.misses, "share": (self.misses or 0) / max(1, self.frames)},
            "busy": self.busy,
            "power": {"mj_per_frame": self.mj_per_frame, "mean_w": self.mean_w},
            "notes": list(self.notes),
        }


def check_match(report: Mapping[str, Any], manifest: Manifest) -> None:
    """Refuse a report of another network.

    Raises:
        BadInput: Name, stages or the schedule differ.
    """
    theirs, ours = list(report["stages"]), [stage.name for stage in manifest.graph.stages]
    if theirs != ours:
        raise BadInput(
            f"the report is of a bundle with stages {', '.join(theirs)}, this one has {', '.join(ours)}; profile it"
        )
    if report.get("deadline"):
        raise BadInput("the report was made under a deadline, which mixes schedules; profile without --deadline-ms")
    known = [schedule.name for schedule in manifest.schedules]
    if report.get("schedule") not in known:
        raise BadInput(f"the report is of schedule {report.get('schedule')!r}, which this bundle lacks; profile it")
    timed = report.get("engines")  # not in reports of old
    if isinstance(timed, Mapping) and timed != engine_digests(manifest, str(report.get("variant"))):
        raise BadInput("the report is of other engines than this bundle has; profile it")
    if report.get("clocks") not in (None, clocks_digest(manifest)):  # not in reports of old
        raise BadInput("the report is of other clocks than this bundle has now; profile it again")
    if report.get("bundle") != manifest.name:
        raise BadInput(f"the report is of bundle {report.get('bundle')!r}, this one is {manifest.name!r}; profile it")


def simulate_schedule(
    bundle: Bundle,
    report: Mapping[str, Any],
    schedule: str,
    *,
    fps: float,
    deadline_ms: float | None = None,
    frames: int = FRAMES,
) -> Simulation:
    """Play a camera at ``fps`` under one schedule.

    Raises:
        BadInput: The report lacks what this schedule needs.
    """
    try:
        return _simulated(bundle.manifest, report, schedule, fps, deadline_ms, frames)
    except BadInput:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"the report is not as profile wrote it ({error!r}); profile this bundle again") from error


def _simulated(
    manifest: Manifest, report: Mapping[str, Any], schedule: str, fps: float, deadline_ms: float | None, frames: int
) -> Simulation:
    played, prices = manifest.schedule(schedule), Prices(report, manifest)
    script, notes = _script(manifest, report, played)
    shown = _play_camera(manifest, played, prices, script, fps, frames)
    interval_ms = 1000 / fps
    found, fired = np.array(shown.latency_ms), shown.fired
    rates = {
        stage.name: sum(stage.name in one for one in fired) / max(1, len(fired)) for stage in manifest.graph.stages
    }
    mj_per_frame, why = _energy(manifest, report, played, rates, interval_ms * frames / max(1, shown.processed))
    return Simulation(
        schedule=schedule,
        fps=fps,
        latency=Latencies.of(found),
        frames=len(fired),
        dropped=shown.dropped,
        update_rate=rates,
        age_frames=_mean_max([age for age, _ in shown.ages]),
        age_ms=_mean_max([age for _, age in shown.ages]),
        deadline_ms=deadline_ms,
        misses=None if deadline_ms is None else int((found > deadline_ms).sum()),
        busy=shown.busy_ms / (interval_ms * frames),
        mj_per_frame=mj_per_frame,
        mean_w=None if mj_per_frame is None else mj_per_frame * shown.processed / (interval_ms * frames),
        notes=(*notes, *([f"energy: {why}"] if why else [])),
    )


@dataclass
class _Shown:
    """What a camera that was played on paper gave; frames at the seam are left out of the lists."""

    latency_ms: list[float] = field(default_factory=list)
    fired: list[tuple[str, ...]] = field(default_factory=list)
    ages: list[tuple[int, float]] = field(default_factory=list)
    """(frames, ms) of the oldest label map."""
    processed: int = 0
    dropped: int = 0
    busy_ms: float = 0.0


def _play_camera(
    manifest: Manifest,
    schedule: Schedule,
    prices: Prices,
    script: Callable[[str, int], bool],
    fps: float,
    frames: int,
) -> _Shown:
    """Play so many camera frames; the loop takes the newest one whenever it is free."""
    executor, shown = ScriptedExecutor(manifest.graph, schedule, script), _Shown()
    seam, interval_ms = seam_frames_of(manifest, schedule), 1000 / fps
    free_ms, sequence = 0.0, -1
    began_ms = {IMAGE: -interval_ms, **{stage.name: -interval_ms for stage in manifest.graph.stages}}
    while True:
        # The newest frame that has come since the last one, or the next one that will come.
        newest = max(sequence + 1, int(free_ms / interval_ms))
        if newest >= frames:
            return shown
        shown.dropped += newest - sequence - 1
        sequence, arrival_ms = newest, newest * interval_ms
        start_ms = free_ms if free_ms > arrival_ms else arrival_ms + prices.wake_ms
        step = executor.step(None, sequence=sequence, pts_us=round(arrival_ms * 1000))
        since_ms = {part: start_ms - began for part, began in began_ms.items()}
        service_ms = prices.frame(schedule, executor, step.fired, shown.processed, since_ms)
        began_ms |= dict.fromkeys((IMAGE, *step.fired), start_ms)
        free_ms = start_ms + service_ms
        shown.busy_ms += service_ms
        shown.processed += 1
        if shown.processed > seam:
            shown.latency_ms.append(free_ms - arrival_ms)
            shown.fired.append(step.fired)
            shown.ages.append((max(step.age_frames.values()), max(step.age_ms.values())))


def _mean_max(values: list[Any]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "max": float(max(values))} if values else {"mean": 0.0, "max": 0.0}


def _script(
    manifest: Manifest, report: Mapping[str, Any], schedule: Schedule
) -> tuple[Callable[[str, int], bool], list[str]]:
    """How the adaptive stages of a schedule fire, and what is to be said about it."""
    adaptive = [stage for stage, clock in schedule.clocks.items() if isinstance(clock, Adaptive)]
    if not adaptive:
        return lambda stage, frame: False, []
    patterns: Mapping[str, str] = report["prices"].get("firings", {}).get(schedule.name) or {}
    if any(not patterns.get(stage) for stage in adaptive):
        raise BadInput(f"the report has no firings of schedule {schedule.name!r}; profile this bundle again")
    shortest = min(len(patterns[stage]) for stage in adaptive)
    return (
        lambda stage, frame: patterns[stage][frame % len(patterns[stage])] == "1",
        [f"{schedule.name} fires as on the {shortest} frames that the report saw of it"],
    )


def _energy(
    manifest: Manifest, report: Mapping[str, Any], schedule: Schedule, rates: Mapping[str, float], turn_ms: float
) -> tuple[float | None, str]:
    """mJ of a labelled frame, or None and why."""
    power = report["power"]
    known, idle_w = power.get("stages_mj"), power.get("idle_w")
    if known is None or idle_w is None:
        return None, str(report.get("null_because", {}).get("power.stages_mj", "the report knows no energy of stages"))
    always = [stage for stage, rate in report["update_rate"].items() if stage not in known]
    other = [stage for stage in always if abs(rates[stage] - report["update_rate"][stage]) > 1e-3]
    if other:
        return None, f"the energy of {', '.join(other)} alone is not known: the report's schedule did not vary it"
    fired = sum(found["mj"] * rates[stage] for stage, found in known.items() if stage != "frame")
    return float(idle_w * turn_ms + known["frame"]["mj"] + fired), ""
