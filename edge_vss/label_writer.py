"""Writes a data set of labels that a network gave: what ``edge-vss data label`` does."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edge_vss.data.classes import IGNORE
from edge_vss.data.colour import to_rgb
from edge_vss.data.dataset import Clip
from edge_vss.data.datasets import READERS, open_dataset
from edge_vss.data.folder_writer import begin_folder, clip_folder, picture_name
from edge_vss.data.sources import open_source
from edge_vss.data.video import write_png
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.labellers import Labeller, LabelOptions, Seen, open_labeller

__all__ = ["write_labels"]

COUNTS = ("frames", "pixels", "labelled")
"""What the ``dataset.json`` of a clip counts."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recording:
    """A clip of a data set, or a source."""

    name: str
    frames: Callable[[], Generator[Seen, None, None]]
    length: int
    """0 = not known."""
    fps: float | None
    """None: pictures without order, each of which stands alone."""


def write_labels(
    options: LabelOptions,
    frames: str,
    out: Path,
    *,
    limit: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Label every frame and write pictures and labels as ``folder:`` reads them, a folder per clip.

    A clip appears under its name only when it is whole, and one that is there is kept, so an interrupted run goes on.

    Args:
        frames: SOURCE or DATA of the command line. Labels that DATA has are not looked at.
        limit: Frames of each clip, the first ones; a camera wants it.

    Returns:
        The keys that ``data label --json`` promises.

    Raises:
        BadInput: Something does not load or fit, there is no frame, or ``out`` cannot be written or holds other data.
        WrongUsage: An option is missing.
    """
    recordings = _recordings(frames, limit)
    labeller = open_labeller(options)
    facts = {"generator": "label", "of": frames, "limit": limit, **options.as_dict()}
    total = sum(one.length for one in recordings) if all(one.length for one in recordings) else 0
    counted = dict.fromkeys(COUNTS, 0)
    try:
        begin_folder(out, labeller.classes, facts)
        for place, recording in enumerate(recordings):
            clip = out / f"clip-{place:04d}"
            if not clip.is_dir():
                _write_clip(clip, recording, labeller, partial(_report, progress, counted["frames"], total))
            written = _counts(clip)
            counted = {name: counted[name] + written[name] for name in COUNTS}
            progress(counted["frames"], total)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from error
    coverage = counted["labelled"] / counted["pixels"]
    return {"out": out, "by": options.by, "clips": len(recordings), "frames": counted["frames"], "coverage": coverage}


def _report(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _counts(clip: Path) -> dict[str, int]:
    """What a clip that was written says of itself."""
    try:
        facts = json.loads((clip / "dataset.json").read_text(encoding="utf-8"))
        return {name: int(facts[name]) for name in COUNTS}
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{clip}: was not written by this; remove it or choose another folder") from None


def _recordings(uri: str, limit: int | None) -> list[Recording]:
    if uri.partition(":")[0] in READERS:
        dataset = open_dataset(uri)
        return [_of_clip(clip, limit) for clip in dataset.clips]
    return [_of_source(uri, limit)]


def _of_clip(clip: Clip, limit: int | None) -> Recording:
    length = len(clip) if limit is None else min(limit, len(clip))
    return Recording(
        clip.name, lambda: (Seen(clip[index].frame, index, clip) for index in range(length)), length, clip.fps
    )


def _of_source(uri: str, limit: int | None) -> Recording:
    with open_source(uri) as source:
        if source.live and limit is None:
            raise WrongUsage(f"{uri} never ends; say how many frames with --frames")
        length, fps = source.length or limit or 0, source.fps

    def frames() -> Generator[Seen, None, None]:
        with open_source(uri) as source:
            for index, frame in enumerate(islice(source, limit)):
                yield Seen(frame, index)

    return Recording(uri, frames, min(length, limit or length), fps)


def _write_clip(place: Path, recording: Recording, labeller: Labeller, step: Callable[[int], None]) -> None:
    facts: dict[str, Any] = {"of": recording.name, "frames": 0, "pixels": 0, "labelled": 0}
    if recording.fps is not None:
        facts["fps"] = recording.fps
    with clip_folder(place, ("images", "labels"), facts) as part, closing(recording.frames()) as frames:
        runs: Iterable[Iterable[Seen]] = [frames] if recording.fps is not None else ([seen] for seen in frames)
        for run in runs:
            for seen, labels in labeller.label(run):
                name = picture_name(facts["frames"])
                write_png(part / "images" / name, to_rgb(seen.frame))
                write_png(part / "labels" / name, labels)
                facts["frames"] += 1
                facts["pixels"] += labels.size
                facts["labelled"] += int(np.count_nonzero(labels != IGNORE))
                step(facts["frames"])
        if not facts["frames"]:
            raise BadInput(f"{recording.name}: holds no frames")
