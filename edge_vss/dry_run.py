"""Schedules played without values: whether one can be played at all, and which stages fire when signals are given.

The same executor plays, so that nothing here can disagree with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.graph import Graph
from edge_vss.schedule import Adaptive, Cycle, Every, Schedule, Signal, check_clocks

__all__ = ["ScriptedExecutor", "check_schedule"]


def check_schedule(graph: Graph, schedule: Schedule) -> None:
    """Check that a schedule can be played: play it, without values, long enough to meet every combination of clocks.

    Raises:
        ValueError: A clock is off, two stages write one tensor in one frame, or a stage reads what is not there.
    """
    check_clocks(graph, schedule)
    periods = [1]
    for clock in schedule.clocks.values():
        periods.append(clock.k if isinstance(clock, Every) else clock.count if isinstance(clock, Cycle) else 1)
    frames = min(int(np.lcm.reduce(periods)), 1024) + 2 * max(tensor.depth for tensor in graph.tensors) + 4
    for pattern in ((0,), (1,), (1, 0), (1, 1, 0, 0), (1, 1, 0)):  # adaptive clocks rest, fire, alternate, ...
        executor = ScriptedExecutor(graph, schedule, _by_turns(graph, pattern))
        for index in range(frames):
            executor.step(None, sequence=index, pts_us=index)


def _by_turns(graph: Graph, pattern: Sequence[int]) -> Callable[[str, int], bool]:
    """Neighbouring stages are one frame apart in the pattern."""
    places = {stage.name: place for place, stage in enumerate(graph.stages)}
    return lambda stage, frame: bool(pattern[(frame + places[stage]) % len(pattern)])


class ScriptedExecutor(ReferenceExecutor):
    """Plays without values; adaptive stages fire by a script instead of by what they see.

    Args:
        script: (stage, frames since the reset) -> whether its signal asks for a firing.
    """

    def __init__(self, graph: Graph, schedule: Schedule, script: Callable[[str, int], bool]) -> None:
        super().__init__(graph, schedule, {stage.name: _blank(len(stage.outputs)) for stage in graph.stages})
        self._script = script

    def waited_for(self, stage: str) -> set[str]:
        """Tensors of this frame that ``stage`` could not start without, whether or not anyone wrote them anew."""
        reads = [read.tensor for read in self.graph.stage(stage).inputs if read.version == 0]
        clock = self.schedule.clock(stage)
        if isinstance(clock, Adaptive):
            reads.append(clock.signal.tensor)
        return {tensor for tensor in reads if not self._delayed(stage, tensor)}

    def _change(self, stage: str, signal: Signal) -> float:
        self._read(stage, signal.tensor)
        return math.inf if self._script(stage, self.frames) else -math.inf


def _blank(count: int) -> StageFunction:
    return lambda *inputs: (None,) * count
