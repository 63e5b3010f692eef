"""What the parts of a frame cost under a schedule that need not be the one that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Manifest
from edge_vss.dry_run import ScriptedExecutor
from edge_vss.errors import BadInput
from edge_vss.profiling.frame_model import IMAGE, FrameWork, engines_ms
from edge_vss.profiling.pricing import lanes_of, sequential_schedule
from edge_vss.schedule import Schedule

__all__ = ["Prices", "work_of"]

SLOWEST, STEPS = 4.0, 40
"""Largest slowdown that is looked for, and halvings of the search."""
SAME_PACE = 1.1
"""Intervals that differ by less are one pace."""
SETTLE = 8
"""Frames until a schedule without adaptive clocks fires as it always will."""


class Prices:
    """Prices that a report holds.

    Raises:
        BadInput: The report lacks what this schedule needs.
    """

    def __init__(self, report: Mapping[str, Any], manifest: Manifest) -> None:
        self._manifest, self._report = manifest, report
        self._found = report["prices"]
        self._threads = int(report["environment"].get("threads") or 1)
        self._own = self._found.get("own")
        if not self._own:
            raise BadInput("the report counts no frame; there is nothing to price with")
        self._macs = {stage.name: stage.macs for stage in manifest.graph.stages}
        self._noise = _Noise(report["samples"], self._own)
        self.wake_ms = float(self._found.get("wake_ms", 0.0))
        """How late a loop that waits for a frame wakes up."""
        self.slowdown = self._fit_slowdown()
        """Factor on parts that run beside others."""

    def __len__(self) -> int:
        """Frames whose spread there is to draw from."""
        return len(self._noise)

    def workers(self, schedule: Schedule) -> int:
        """Threads that run stages beside the calling one."""
        return min(self._threads, len(self._macs)) - 1 if schedule.delays else 0

    def frame(
        self,
        schedule: Schedule,
        executor: ScriptedExecutor,
        fired: tuple[str, ...],
        number: int,
        since_ms: Mapping[str, float],
    ) -> float:
        """Time of the frame that the executor played last, from the moment the loop takes it to its label maps, ms.

        Args:
            number: Of the frame; it decides which measured frame's noise is put on it.
            since_ms: Stage -> time since it began last, and ``IMAGE`` -> since the last frame began.
        """
        parts, around = self._costs(schedule, fired, since_ms)
        noisy = {name: ms * self._noise.factor(name, number) for name, ms in parts.items()}
        work = frame_work(executor, fired, noisy, self._macs)
        written = {tensor for stage in fired for tensor in executor.graph.stage(stage).outputs}
        outputs = executor.graph.outputs
        # A label map that is re-used is not made again.
        made = sum(output in written for output in outputs) / len(outputs)
        return (
            engines_ms(work, self.workers(schedule), self.slowdown)
            + around["between"] * len(fired) / len(self._macs)
            + made * around["post"] * self._noise.factor("post", number)
            + around["rest"] * self._noise.factor("rest", number)
        )

    def _costs(
        self, schedule: Schedule, fired: Iterable[str], since_ms: Mapping[str, float]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Times when alone of the parts of a frame, and of what is around its engines."""
        frame_ms = since_ms[IMAGE]
        shared = self._alone(max(1, self._threads // lanes_of(schedule)) if schedule.delays else self._threads)
        image = self._alone(1) if schedule.delays else shared  # beside stages, pixels have one thread
        parts = {stage: shared.stage(stage, since_ms[stage]) for stage in fired}
        parts[IMAGE] = image.at(frame_ms, lambda found: found["pre"])
        if schedule.delays:
            late = self._own if self._is_late(self._report["schedule"]) else self._found.get("beside") or self._own
            return parts, {"post": late["post"], "rest": late["rest"], "between": 0.0}  # the slowdown has it
        return parts, {
            "post": shared.at(frame_ms, lambda found: found["post"]),
            "rest": shared.at(frame_ms, lambda found: found["rest"]),
            "between": shared.at(frame_ms, _between),
        }

    def _alone(self, threads: int) -> _Levels:
        found = self._found.get("alone", {}).get(str(threads))
        if not found:
            raise BadInput(f"the report has no stage times on {threads} threads; profile this bundle again")
        missing = [stage for stage in self._macs if any(stage not in level["stages"] for level in found)]
        if missing:
            raise BadInput(f"the report has no times of stage {', '.join(missing)}; profile this bundle again")
        sequential = sequential_schedule(self._manifest)
        if threads == self._threads and sequential and sequential.name == self._report["schedule"]:
            found = [*found, self._own]  # the measurement itself is one of them
        return _Levels(found)

    def _is_late(self, name: str) -> bool:
        return bool(self._manifest.schedule(name).delays)

    def _fit_slowdown(self) -> float:
        """The factor with which the model takes as long as the measured frames that had stages side by side."""
        beside = self._found.get("beside")
        if beside is None or self._threads < 2:
            return 1.0
        schedule = self._manifest.schedule(beside["schedule"])
        since_ms = dict.fromkeys((IMAGE, *self._macs), float(beside["interval_ms"]))
        parts, _ = self._costs(schedule, self._macs, since_ms)
        steady = work_of(ScriptedExecutor(self._manifest.graph, schedule, lambda stage, frame: True), parts, self._macs)
        work = [next(steady) for _ in range(SETTLE * 2)][SETTLE:]
        low, high = 0.5, SLOWEST
        for _ in range(STEPS):
            middle = (low + high) / 2
            mean = np.mean([engines_ms(one, self.workers(schedule), middle) for one in work])
            low, high = (middle, high) if mean < beside["pre_and_engines"] else (low, middle)
        return (low + high) / 2


def work_of(executor: ScriptedExecutor, parts: Mapping[str, float], macs: Mapping[str, int]) -> Iterator[FrameWork]:
    """The work of frame after frame, without drops."""
    sequence = 0
    while True:
        step = executor.step(None, sequence=sequence, pts_us=sequence)
        yield frame_work(executor, step.fired, parts, macs)
        sequence += 1


def frame_work(
    executor: ScriptedExecutor, fired: tuple[str, ...], parts: Mapping[str, float], macs: Mapping[str, int]
) -> FrameWork:
    """The work of the frame that the executor played last."""
    graph = executor.graph
    writers = {graph.image: IMAGE, **{tensor: stage for stage in fired for tensor in graph.stage(stage).outputs}}
    return FrameWork(
        ms={IMAGE: parts[IMAGE], **{stage: parts[stage] for stage in fired}},
        waits={
            stage: frozenset(writers[tensor] for tensor in executor.waited_for(stage) if tensor in writers)
            for stage in fired
        },
        macs=macs,
    )


class _Levels:
    """Mean times of parts that were measured at several paces."""

    def __init__(self, found: Sequence[Mapping[str, Any]]) -> None:
        self._paces: list[list[Mapping[str, Any]]] = []
        for level in sorted(found, key=lambda one: float(one["interval_ms"])):
            if self._paces and level["interval_ms"] <= SAME_PACE * self._paces[-1][0]["interval_ms"]:
                self._paces[-1].append(level)
            else:
                self._paces.append([level])
        self._intervals_ms = [float(np.mean([level["interval_ms"] for level in pace])) for pace in self._paces]

    def at(self, since_ms: float, read: Callable[[Mapping[str, Any]], float]) -> float:
        """A time at the pace at which a part runs again after ``since_ms``; beyond the measured ones that of the last.

        Threads that have slept for long and caches that others have used make a part slower. Measurements at the same
        pace are averaged: how a system spreads threads over cores differs from one start of a pipeline to the next.
        """
        times = [float(np.mean([read(level) for level in pace])) for pace in self._paces]
        return float(np.interp(since_ms, self._intervals_ms, times))

    def stage(self, name: str, since_ms: float) -> float:
        """Time of a stage."""
        return self.at(since_ms, lambda found: float(found["stages"][name]))


def _between(found: Mapping[str, Any]) -> float:
    """Time between the parts of a frame that run one after the other."""
    return max(0.0, float(found["pre_and_engines"] - found["pre"] - sum(found["stages"].values())))


class _Noise:
    """How the parts of measured frames spread around their means, frame by frame."""

    def __init__(self, samples: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        pre, post = np.array(samples["pre_ms"], float), np.array(samples["post_ms"], float)
        rest = np.array(samples["service_ms"], float) - np.array(samples["post_begin_ms"], float) - post
        self._size = pre.size
        self._factors: dict[str, NDArray[np.float64]] = {
            IMAGE: _ratio(pre, own["pre"]),
            "post": _ratio(post, own["post"]),
            "rest": _ratio(rest, own["rest"]),
        }
        for stage, found in samples["stages"].items():
            values = np.array([value for value in found["ms"] if value is not None], float)
            if values.size and stage in own["stages"]:
                # Frames on which the stage rested take the times of other frames.
                self._factors[stage] = _ratio(np.resize(values, self._size), own["stages"][stage])

    def __len__(self) -> int:
        return self._size

    def factor(self, part: str, frame: int) -> float:
        """Of a part on a frame; 1 on average."""
        found = self._factors.get(part)
        return 1.0 if found is None or not found.size else float(found[frame % found.size])


def _ratio(values: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """To a mean of 1, whatever part of the run the samples are from."""
    centre = float(values.mean()) if values.size else 0.0
    return values / centre if centre > 0 and mean > 0 else np.ones_like(values)
