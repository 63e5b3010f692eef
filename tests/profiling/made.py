"""Recorded frames and pictures made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from graphs import chain_graph, chain_graph_schedules
from numpy.typing import NDArray
from runtime.plain_bundles import write_plain_bundle

from edge_vss.data.sources import FrameSource
from edge_vss.frame import Frame
from edge_vss.playing import Played
from edge_vss.profiling.recorder import Recorder
from edge_vss.runtime import Result

__all__ = ["STAGES", "chain_bundle", "picture", "played", "recorded", "source_of"]

STAGES = ("s1", "s2", "s3", "fuse")


def picture(index: int, fps: float = 100.0, size: tuple[int, int] = (32, 48)) -> Frame:
    """A grey frame that is a little lighter than the one before."""
    plane = np.full(size, index % 256, np.uint8)
    pts_us = round(index * 1e6 / fps)
    return Frame(format="grey", planes=(plane,), height=size[0], width=size[1], pts_us=pts_us, sequence=index)


def source_of(count: int | None, fps: float = 100.0, size: tuple[int, int] = (32, 48)) -> FrameSource:
    """So many frames; endless where None."""

    def start() -> Iterator[Frame]:
        index = 0
        while count is None or index < count:
            yield picture(index, fps, size)
            index += 1

    return FrameSource(start, fps=fps, height=size[0], width=size[1], length=count)


def chain_bundle(folder: Path, sleep_ms: dict[str, float] | None = None, names: Sequence[str] | None = None) -> Path:
    """The chain of stages, each of which sleeps so long."""
    graph = chain_graph()
    kept = [schedule for schedule in chain_graph_schedules(graph) if names is None or schedule.name in names]
    extra = {stage: {"sleep_us": round(ms * 1000)} for stage, ms in (sleep_ms or {}).items()}
    return write_plain_bundle(folder, graph, kept, extra=extra).path


def played(
    *, begin_s: float, ms: float, due_s: float | None = None, fired: Iterable[str] = STAGES, age_frames: int = 0
) -> Played:
    """A frame of four stages that took equally long."""
    names = tuple(fired)
    each = ms / (len(names) + 2)
    result = Result(
        labels={},
        sequence=0,
        pts_us=0,
        fired=names,
        changes={},
        age_frames={"logits": age_frames},
        age_ms={"logits": age_frames * 10.0},
        stage_age_frames={},
        stage_ms=dict.fromkeys(names, each),
        pre_ms=each,
        engines_ms=each * len(names),
        post_ms=each,
        latency_ms=ms,
        flags=(),
        stage_begin_ms={name: each * (1 + place) for place, name in enumerate(names)},
        pre_begin_ms=0.0,
        post_begin_ms=each * (len(names) + 1),
    )
    return Played(picture(0), result, due_s, 0.0, begin_s, begin_s + ms / 1000)


def recorded(frames: Iterable[Played], seams: Iterable[int] = ()) -> NDArray[Any]:
    """Rows of a recorder; frames of ``seams`` begin a lap."""
    listed, lap, starts = list(frames), 0, set(seams)
    recorder = Recorder(STAGES, len(listed))
    for index, one in enumerate(listed):
        lap += index in starts
        recorder.add(one, lap=lap, seam=index in starts)
    return recorder.rows()
