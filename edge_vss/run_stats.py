"""What a run has seen so far: rates, latency, ages, flags."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.video_file import VideoDamage

if TYPE_CHECKING:
    from edge_vss.runtime import LoopStats, Result

__all__ = ["RunStats", "percentiles"]

KEPT = 100_000
"""Newest frames that percentiles are taken from, so that an endless run does not grow."""


def percentiles(times_ms: Iterable[float]) -> dict[str, float]:
    """mean, p50, p90, p99 and max; nan of nothing."""
    values = np.fromiter(times_ms, np.float64)
    if not values.size:
        return dict.fromkeys(("mean", "p50", "p90", "p99", "max"), float("nan"))
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {
        "mean": float(values.mean()),
        "p50": p50.item(),
        "p90": p90.item(),
        "p99": p99.item(),
        "max": float(values.max()),
    }


@dataclass
class RunStats:
    """What a run has seen so far."""

    stages: tuple[str, ...]
    """In graph order."""
    frames: int = 0
    seconds: float = 0.0
    """Wall time from the first frame to the end of the newest one."""
    waited_s: float = 0.0
    """Of these, spent waiting for the capture times of frames."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> frames given up on."""
    damage: VideoDamage = field(default_factory=VideoDamage)
    """What was wrong with the source: its own count, which goes on as frames are read."""
    last: Result | None = None
    """The newest result; its labels are not kept."""
    fired: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    age_sum: int = 0
    age_max: int = 0
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    stage_ms: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count one result."""
        self.frames += 1
        self.last = result
        self.latency_ms.append(result.latency_ms)
        age = max(result.age_frames.values(), default=0)
        self.age_sum, self.age_max = self.age_sum + age, max(self.age_max, age)
        self.fired.update(result.fired)
        self.flags.update(flag.partition(":")[0] for flag in result.flags)
        self.flags.update(f"suspect_{reason}" for reason in result.suspect)
        for stage, ms in result.stage_ms.items():
            self.stage_ms.setdefault(stage, deque(maxlen=KEPT)).append(ms)

    def settle(self, found: LoopStats, records: Mapping[str, NDArray[Any]]) -> None:
        """Take over what the loop itself has counted: also the frames that were labelled but never handed on.

        Args:
            records: Columns of ``Loop.records``.
        """
        self.frames, self.seconds, self.waited_s = found.frames, found.seconds, found.waited_s
        self.dropped, self.flags, self.fired = found.dropped, Counter(found.flags), Counter(found.fired)
        self.age_sum, self.age_max = found.age_sum, found.age_max
        self.latency_ms = deque(records["latency_ms"].tolist(), maxlen=KEPT)
        for place, stage in enumerate(self.stages):
            fired = (records["fired"] >> np.uint64(place)) & np.uint64(1) == 1
            self.stage_ms[stage] = deque(records["stage_ms"][fired, place].tolist(), maxlen=KEPT)

    @property
    def fps(self) -> float:
        """Frames labelled per second of wall time: at most the source's own rate where the run keeps to it."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def fps_without_waiting(self) -> float:
        """Frames per second of work: what the machine could do."""
        busy_s = self.seconds - self.waited_s
        return self.frames / busy_s if busy_s > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``run --json`` promises."""
        stages = {}
        for stage in self.stages:
            times = percentiles(self.stage_ms.get(stage, ()))
            stages[stage] = {"fired": self.fired[stage], "p50_ms": times["p50"], "p99_ms": times["p99"]}
        mean_age = self.age_sum / self.frames if self.frames else 0.0
        return {
            "frames": self.frames,
            "dropped": self.dropped,
            "damage": self.damage.as_dict(),
            "fps": self.fps,
            "fps_without_waiting": self.fps_without_waiting,
            "latency_ms": percentiles(self.latency_ms),
            "stages": stages,
            "age_frames": {"mean": mean_age, "max": self.age_max},
            "flags": dict(self.flags),
        }
