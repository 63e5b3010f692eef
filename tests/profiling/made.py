"""Recorded frames and pictures made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from graphs import chain_graph, chain_graph_schedules
from runtime.plain_bundles import write_plain_bundle

from edge_vss.data.sources import FrameSource
from edge_vss.frame import Frame
from edge_vss.profiling.recorder import Recorder, Rows, row_type

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
) -> Rows:
    """The row of a frame whose parts, those of stages that fired among them, took equally long."""
    row, names = np.zeros(1, row_type(len(STAGES))), tuple(fired)
    each = ms / (len(names) + 2)
    row["due_s"] = np.nan if due_s is None else due_s
    row["begin_s"], row["end_s"] = begin_s, begin_s + ms / 1000
    row["pre_ms"], row["engines_ms"], row["post_ms"] = each, each * len(names), each
    row["post_begin_ms"] = each * (len(names) + 1)
    row["age_frames"], row["age_ms"], row["change"] = age_frames, age_frames * 10.0, np.nan
    for place, name in enumerate(names):
        stage = STAGES.index(name)
        row["fired"][0, stage], row["stage_ms"][0, stage] = True, each
        row["stage_begin_ms"][0, stage] = each * (1 + place)
    return row


def recorded(frames: Iterable[Rows], seams: Iterable[int] = ()) -> Rows:
    """Rows of a recorder; frames of ``seams`` begin a lap."""
    rows, starts = np.concatenate(list(frames)), sorted(seams)
    recorder = Recorder(len(STAGES), rows.size)
    rows["seam"][starts] = True
    rows["lap"] = np.cumsum(rows["seam"])
    recorder.extend(rows)
    return recorder.rows()
