"""The schedules of a network that was cut into parts by someone who knows nothing of clocks."""

from __future__ import annotations

from edge_vss.dry_run import check_schedule
from edge_vss.graph import Graph
from edge_vss.schedule import Adaptive, Clock, Edge, Every, Never, Schedule, Signal

__all__ = ["part_schedules"]

FIRST_THRESHOLD, FIRST_MAX_AGE = 0.1, 6


def part_schedules(graph: Graph) -> tuple[Schedule, ...]:
    """What the parts allow.

    The dearest part behind the first is clocked, with all that follows from it alone. ``alternate`` fires it on every
    second frame (or everything, where no fresh tensor would reach an output), ``pipeline-2`` runs it beside the parts
    before it, and ``adaptive`` fires it when the tensor that it reads has changed enough.
    """
    names = [stage.name for stage in graph.stages]
    clocked = _clocked(graph) if len(names) > 1 else set(names)
    final = {writer.name for output in graph.outputs for writer in graph.writers(output)}
    resting = set(names) if final <= clocked else clocked
    found = [
        Schedule(name="full"),
        Schedule(name="alternate", clocks={name: Every(k=2) for name in names if name in resting}),
    ]
    if len(names) > 1:
        deep = next(name for name in names if name in clocked)
        between = [read.tensor for read in graph.stage(deep).inputs if read.tensor != graph.image]
        if len(between) == len(graph.stage(deep).inputs):
            found.append(Schedule(name="pipeline-2", delays=tuple(Edge(deep, tensor) for tensor in between)))
        watched = [name for name in between if graph.tensor(name).dtype == "float32"]
        if watched:
            signal = Signal(
                tensor=max(watched, key=lambda name: graph.stages.index(graph.writers(name)[0])), kind="relative"
            )
            clock: Clock = Adaptive(signal=signal, threshold=FIRST_THRESHOLD, max_age=FIRST_MAX_AGE)
            found.append(Schedule(name="adaptive", clocks={name: clock for name in names if name in clocked}))
    found.append(Schedule(name="reuse", clocks={name: Never() for name in names}))
    return tuple(schedule for schedule in found if _playable(graph, schedule))


def _clocked(graph: Graph) -> set[str]:
    """The dearest part behind the first, and the parts that read nothing but what it and these give."""
    deep = max(graph.stages[1:], key=lambda stage: stage.macs)
    clocked, stale = {deep.name}, set(deep.outputs)
    for stage in graph.stages[graph.stages.index(deep) + 1 :]:
        if all(read.tensor in stale for read in stage.inputs):
            clocked.add(stage.name)
            stale |= set(stage.outputs)
    return clocked


def _playable(graph: Graph, schedule: Schedule) -> bool:
    try:
        check_schedule(graph, schedule)
    except ValueError:
        return False
    return True
