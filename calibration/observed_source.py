"""What is seen of a network's activations on a SOURCE: clips told apart, results kept for the next time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_vss.bundle import InputSpec
from edge_vss.calibration.observe import Observations, observe
from edge_vss.calibration.range_cache import load_observations, observation_key, store_observations
from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.graph import Graph
from edge_vss.pixels import preprocess
from edge_vss.schedule import Schedule

__all__ = ["RANGE_FRAMES", "Observed", "clips_of", "observe_source"]

RANGE_FRAMES = 100
"""How many frames of a source are observed."""
SLOWEST_FPS = 5.0
"""Below this, frames are taken for unordered images: no schedule would see such a stream."""
GAP_FRAMES = 5
"""So many frames missing, or time going back, is where one clip ends and another begins."""


@dataclass(frozen=True)
class Observed:
    """What was seen of a network's activations."""

    schedule: str
    """The schedule through which; ``full`` where the source is no video."""
    seen: Observations


def clips_of(frames: Iterable[Frame], fps: float) -> Iterator[Iterator[Frame]]:
    """Frames in order, as clips: a new one begins where time goes back or jumps. Each is used up before the next."""
    number, before = 0, None

    def place(frame: Frame) -> int:
        nonlocal number, before
        if before is not None and not 0 < (frame.pts_us - before) * fps <= GAP_FRAMES * 1e6:
            number += 1
        before = frame.pts_us
        return number

    return (clip for _, clip in itertools.groupby(frames, place))


def observe_source(
    graph: Graph,
    schedules: Sequence[Schedule],
    engines: Mapping[str, bytes],
    spec: InputSpec,
    source: str,
    progress: Callable[[int], None] | None = None,
) -> Observed:
    """Watch float32 engines on a SOURCE of unlabelled frames.

    Video is watched under what a stage will mostly be fed by: ``adaptive`` where there is one, else the first schedule.
    Stages that this one never fires are watched under the first other one that does.

    Raises:
        BadInput: The source gives nothing to learn from.
    """
    named = {schedule.name: schedule for schedule in schedules}
    with open_source(source) as frames:
        name = "adaptive" if frames.fps >= SLOWEST_FPS else "full"
        schedule = named.get(name, schedules[0])
    seen: Observations = {}
    for played in (schedule, *(other for other in schedules if other != schedule)):
        if all(seen.get(stage) for stage in engines):
            break
        found = _observe_under(played, graph, engines, spec, source, progress)
        seen |= {stage: tensors for stage, tensors in found.items() if not seen.get(stage)}
    if missing := [stage for stage in engines if not seen.get(stage)]:
        raise BadInput(f"{source}: is too short, stage {missing[0]!r} never fires on it; give more frames")
    return Observed(schedule.name, seen)


def _observe_under(
    schedule: Schedule,
    graph: Graph,
    engines: Mapping[str, bytes],
    spec: InputSpec,
    source: str,
    progress: Callable[[int], None] | None,
) -> Observations:
    with open_source(source) as frames:
        key = observation_key(graph, schedule, engines, spec, itertools.islice(frames, RANGE_FRAMES))
    seen = load_observations(key)
    if seen is None:
        with open_source(source) as frames:
            clips = clips_of(itertools.islice(frames, RANGE_FRAMES), frames.fps)
            images = ((preprocess(frame, spec) for frame in clip) for clip in clips)
            seen = observe(graph, schedule, engines, images, progress)
        store_observations(key, seen)
    return seen
