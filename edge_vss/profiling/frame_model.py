"""How long a frame takes whose stages run as the native scheduler would run them: on this thread and some workers.

The scheduler hands the dearest ready stage to an idle worker as long as its own thread has something else to do, which
is the image first. Stages that run at the same time slow each other down by a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IMAGE", "FrameWork", "engines_ms"]

IMAGE = "pre"
"""Name of the part that writes the image."""


@dataclass(frozen=True)
class FrameWork:
    """What one frame has to do."""

    ms: Mapping[str, float]
    """Part (``IMAGE`` and the stages that fire) -> time when nothing runs beside it."""
    waits: Mapping[str, frozenset[str]]
    """Stage -> parts of this frame that it waits for."""
    macs: Mapping[str, int]


def engines_ms(work: FrameWork, workers: int, slowdown: float) -> float:
    """Time from the frame's start to the end of its last stage.

    Args:
        workers: Threads beside the calling one; 0 = one part after the other.
        slowdown: Factor on the time of parts while others run.
    """
    return _Play(work, workers, slowdown).play()


class _Play:
    def __init__(self, work: FrameWork, workers: int, slowdown: float) -> None:
        self._work, self._workers, self._slowdown = work, workers, slowdown
        self._now = 0.0
        self._pending, self._started = set(work.ms), set[str]()
        self._running: dict[str, float] = {}  # on workers: part -> work left

    def play(self) -> float:
        while self._pending:
            stage = self._next()
            while stage and len(self._running) < self._workers:
                self._started.add(stage)
                other = self._next()
                if other is None and IMAGE not in self._pending:
                    self._started.discard(stage)
                    break
                self._running[stage] = self._work.ms[stage]
                stage = other
            if IMAGE in self._pending:
                self._here(IMAGE)
            elif stage:
                self._started.add(stage)
                self._here(stage)
            elif self._running:
                self._advance(min(self._running.values()), here=0)
            else:
                raise ValueError(f"{', '.join(sorted(self._pending))} wait for each other")
            for part in [part for part, left in self._running.items() if left <= 1e-9]:
                del self._running[part]
                self._pending.discard(part)
        return self._now

    def _next(self) -> str | None:
        ready = [
            stage
            for stage in self._work.ms
            if stage in self._pending
            and stage not in self._started
            and stage != IMAGE
            and not self._work.waits[stage] & self._pending
        ]
        return max(ready, key=lambda stage: self._work.macs[stage], default=None)

    def _here(self, part: str) -> None:
        """Run a part on the calling thread to its end."""
        left = self._work.ms[part]
        while left > 1e-9:
            busy = [other for other in self._running.values() if other > 1e-9]
            step = min([left, *busy])
            self._advance(step, here=1)
            left -= step
        self._pending.discard(part)

    def _advance(self, work_ms: float, here: int) -> None:
        """Everything that runs gets on by this much, ``here`` of it on the calling thread."""
        busy = here + sum(left > 1e-9 for left in self._running.values())
        self._now += work_ms * (self._slowdown if busy > 1 else 1.0)
        self._running = {part: max(0.0, left - work_ms) for part, left in self._running.items()}
