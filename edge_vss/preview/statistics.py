"""The figures of the page: gathered on the loop's thread in microseconds, worked out by those who ask."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_vss.jetson.power import PowerSampler
from edge_vss.run_stats import RunStats, percentiles
from edge_vss.runtime import PipelineInfo, Result

__all__ = ["RECENT", "StatsBoard", "power_figures"]

RECENT = 300
"""Newest frames that are charted, and that percentiles are taken from."""
RATE_WINDOW_S = 3.0
POWER_INTERVAL_S, POWER_SAMPLES = 0.5, 240
STALE_S = 3.0
"""Age of a power sample from which on it is not the present."""


@dataclass(frozen=True)
class _Seen:
    """One frame as the loop finished it."""

    when_s: float
    sequence: int
    latency_ms: float
    fired: tuple[str, ...]
    stage_ms: Mapping[str, float]
    schedule: str


@dataclass(frozen=True)
class _Gathered:
    """What the run looked like at one moment; nothing in it changes any more."""

    recent: list[_Seen]
    counts: dict[str, Any]


class StatsBoard:
    """Where the loop notes each frame, and where askers find the newest figures. One writer, any number of readers."""

    def __init__(self, info: PipelineInfo, clock: Callable[[], float] = time.monotonic) -> None:
        self._info, self._clock = info, clock
        self._stages = [name for name, _ in info.stages]
        self._recent: deque[_Seen] = deque(maxlen=RECENT)
        self._reasons: dict[str, dict[str, Any]] = {}
        self._gathered = _Gathered([], {**_counts(RunStats(stages=tuple(self._stages)), self._stages), "reasons": {}})

    def note(self, stats: RunStats) -> None:
        """Called by the loop after every frame; all of them, since any rule which to look at would favour some."""
        result, now_s = stats.last, self._clock()
        if result is None:
            return
        self._recent.append(
            _Seen(now_s, result.sequence, result.latency_ms, result.fired, result.stage_ms, result.schedule)
        )
        for flag, why in _reasons(result).items():
            self._reasons[flag] = {"why": why, "sequence": result.sequence}
        self._gathered = _Gathered(list(self._recent), {**_counts(stats, self._stages), "reasons": dict(self._reasons)})

    def figures(self) -> dict[str, Any]:
        """The keys that ``docs/preview.md`` lists, those of power, classes and the page itself left out."""
        gathered, info = self._gathered, self._info
        recent = gathered.recent
        counts = dict(gathered.counts)
        flags_now, stage_age, fired = counts.pop("flags_now"), counts.pop("stage_age"), counts.pop("fired")
        stages = {}
        for name in self._stages:
            times = percentiles(seen.stage_ms[name] for seen in recent if name in seen.stage_ms)
            stages[name] = {
                "fired": fired[name],
                "fired_now": bool(recent) and name in recent[-1].fired,
                "age_frames": stage_age.get(name, -1),
                "p50_ms": times["p50"],
                "p99_ms": times["p99"],
            }
        return {
            "bundle": info.name,
            "schedule": info.schedule,
            "schedule_now": recent[-1].schedule if recent else None,
            "backend": info.backend,
            "backend_version": info.backend_version,
            "precision": info.precision,
            "threads": info.threads,
            "since_frame_ms": (self._clock() - recent[-1].when_s) * 1e3 if recent else None,
            **counts,
            "fps_now": _rate(recent),
            "latency_ms": percentiles(seen.latency_ms for seen in recent),
            "stages": stages,
            "flags_now": flags_now,
            "recent": {
                "sequence": [seen.sequence for seen in recent],
                "latency_ms": [round(seen.latency_ms, 3) for seen in recent],
                "fired": [[self._stages.index(stage) for stage in seen.fired] for seen in recent],
                "schedule": [seen.schedule for seen in recent],
            },
        }


def _counts(stats: RunStats, stages: list[str]) -> dict[str, Any]:
    """Copies of what the run has counted; the names are those of ``run --json`` where it has them."""
    last = stats.last
    return {
        "frames": stats.frames,
        "seconds": stats.seconds,
        "sequence": last.sequence if last else None,
        "pts_us": last.pts_us if last else None,
        "dropped": stats.dropped,
        "fps": stats.fps,
        "fps_without_waiting": stats.fps_without_waiting,
        "age_frames": {
            "now": max(last.age_frames.values(), default=0) if last else 0,
            "mean": stats.age_sum / stats.frames if stats.frames else 0.0,
            "max": stats.age_max,
        },
        "flags": dict(stats.flags),
        "flags_now": list(last.flags) if last else [],
        "fired": {stage: stats.fired[stage] for stage in stages},
        "stage_age": dict(last.stage_age_frames) if last else {},
    }


def _reasons(result: Result) -> dict[str, str]:
    """Flag -> why the newest frame has it, for those that come with a reason."""
    suspect = {"suspect": ", ".join(result.suspect)} if result.suspect else {}
    return {**result.reasons, **suspect}


def _rate(recent: list[_Seen]) -> float | None:
    """Frames per second over the newest ``RATE_WINDOW_S``; None of fewer than two."""
    if len(recent) < 2:
        return None
    first = next(place for place, seen in enumerate(recent) if seen.when_s >= recent[-1].when_s - RATE_WINDOW_S)
    first = min(first, len(recent) - 2)
    passed_s = recent[-1].when_s - recent[first].when_s
    return (len(recent) - 1 - first) / passed_s if passed_s > 0 else None


def power_figures(sampler: PowerSampler | None, now_s: float) -> dict[str, Any]:
    """Power in watts; ``available`` is False where no sensor can be read, and a figure None where it is not known."""
    if sampler is None:
        return {"available": False}
    trace = sampler.trace()
    fresh = trace.time_s.size > 0 and now_s - float(trace.time_s[-1]) < STALE_S
    return {
        "available": True,
        "kind": trace.kind,
        "label": trace.label,
        "total_w": float(trace.total_mw[-1]) / 1e3 if fresh else None,
        "rails_w": {rail: float(values[-1]) / 1e3 if fresh else None for rail, values in trace.rails_mw.items()},
        "mean_w": float(np.mean(trace.total_mw)) / 1e3 if trace.total_mw.size else None,
        "recent_w": [round(float(value) / 1e3, 3) for value in trace.total_mw],
        "recent_interval_s": sampler.interval_s,
    }


def plain(value: Any) -> Any:
    """Numbers that JSON has no word for become null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
