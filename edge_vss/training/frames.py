"""Training frames in memory: what is known of each labelled frame and of those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.colour import to_rgb
from edge_vss.data.dataset import Clip, Sample
from edge_vss.data.datasets import Dataset, open_dataset
from edge_vss.data.flow import flow_between
from edge_vss.errors import BadInput
from edge_vss.training.clicks import click_labels

__all__ = ["ALONE", "Example", "FrameStore", "Looks", "Motion", "load_frames"]

RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Looks:
    """What a recipe looks at besides a labelled frame."""

    before: int = 0
    """How many frames before it."""
    flow: bool = False
    """Flow from it to each of those."""
    one: bool = False
    """A step sees one of them at random, or the frame itself, instead of all."""


ALONE = Looks()
FARTHEST_PX = 32768.0
"""Longer flow leads out of every picture, and half precision ends soon after."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the points of one frame lie in another."""

    flow: NDArray[np.floating[Any]]
    """(H, W, 2) pixels (dx, dy), half precision in memory."""
    visible: NDArray[np.bool_]
    """(H, W) True where the other frame shows the point and flow is known."""


@dataclass(frozen=True, eq=False)
class Example:
    """One frame to train on."""

    rgb: RGB
    """(H, W, 3)."""
    labels: NDArray[np.uint8]
    """(H, W), 255 = not labelled."""
    before: tuple[RGB, ...] = ()
    """The frames before, labelled or not, oldest first; the first of a clip stands for those that it lacks."""
    flows: tuple[Motion, ...] = ()
    """From this frame to each of ``before``."""


@dataclass(frozen=True)
class FrameStore:
    """Decoded frames, kept in memory: decoding costs more than everything else that is done to them."""

    classes: tuple[ClassInfo, ...]
    train: Sequence[Example]
    held_out: Sequence[Example] = ()
    """The end of every clip, for choosing between checkpoints."""
    target: Sequence[Example] = ()
    """Frames of another look, without labels."""
    points: bool = False
    """Labels of ``train`` are single pixels, which move as points."""

    def pixel_counts(self) -> Tensor:
        """Labelled pixels per class in the training frames, (C,) int64."""
        counts = np.zeros(256, np.int64)
        for example in self.train:
            counts += np.bincount(example.labels.reshape(-1), minlength=256)
        return torch.from_numpy(counts[: len(self.classes)])


def load_frames(
    uris: Sequence[str],
    held_out: float,
    looks: Looks = ALONE,
    *,
    every: int = 1,
    clicks: bool = False,
    target: Sequence[str] = (),
) -> FrameStore:
    """Reads every labelled frame of one or several data sets with the same classes.

    Args:
        uris: DATA of the command line.
        held_out: Share of every clip, its end, that goes to ``held_out``.
        looks: What is kept with each; images without order are taken for standing scenes.
        every: Every so-manieth frame of a clip counts as labelled; of a shorter clip, the last.
        clicks: Training frames keep one labelled pixel per object; held-out ones keep all.
        target: DATA of which every frame is kept without labels; classes and sizes may differ.

    Raises:
        BadInput: A data set does not load, has no frames, or has other classes than the first.
        FlowError: Flow is looked at, a clip has none of its own, and OpenCV is absent.
    """
    classes: tuple[ClassInfo, ...] | None = None
    train: list[Example] = []
    kept: list[Example] = []
    for uri in uris:
        dataset: Dataset = open_dataset(uri)
        if classes is None:
            classes = tuple(dataset.classes)
        elif tuple(dataset.classes) != classes:
            raise BadInput(f"{uri} has {len(dataset.classes)} other classes than {uris[0]}")
        for clip in dataset.clips:
            last = len(clip) - round(len(clip) * held_out)
            for index, sample, rgb, before in _walk(clip, looks.before):
                if sample.labels is None or index % every != min(every, len(clip)) - 1:
                    continue
                labels = np.ascontiguousarray(sample.labels)
                if clicks and index < last:
                    labels = click_labels(labels, sample.instances, seed=(len(train), index))
                example = Example(rgb, labels, before, _motions(clip, index, rgb.shape, looks))
                (train if index < last else kept).append(example)
    if classes is None or not train:
        thinned = f" once labelled_every = {every} has left its share" if every > 1 else ""
        raise BadInput(f"no labelled frames to train on in {', '.join(uris) or 'an empty list of data sets'}{thinned}")
    if all((example.labels == IGNORE).all() for example in train):
        raise BadInput(f"no labelled pixel in {', '.join(uris)}: all are {IGNORE}, ignore")
    return FrameStore(classes, train, kept, _unlabelled(target, looks), points=clicks)


def _unlabelled(uris: Sequence[str], looks: Looks) -> list[Example]:
    found: list[Example] = []
    for uri in uris:
        for clip in open_dataset(uri).clips:
            for _, _, rgb, before in _walk(clip, looks.before, labelled=False):
                found.append(Example(rgb, np.full(rgb.shape[:2], IGNORE, np.uint8), before))
    if uris and not found:
        raise BadInput(f"no frames in {', '.join(uris)}")
    return found


def _walk(clip: Clip, before: int, labelled: bool = True) -> Iterator[tuple[int, Sample, RGB, tuple[RGB, ...]]]:
    """(index, sample, RGB, the frames before, oldest first) of every frame that is wanted.

    Args:
        labelled: Frames without labels are wanted only as those before others.
    """
    earlier: tuple[RGB, ...] = ()
    for index in range(len(clip)):
        sample = clip[index]
        if labelled and sample.labels is None and not before:
            continue
        rgb = to_rgb(sample.frame)
        if clip.fps is None or not earlier:
            earlier = (rgb,) * before
        yield index, sample, rgb, earlier
        earlier = (*earlier, rgb)[-before:] if before else ()


def _motions(clip: Clip, index: int, shape: tuple[int, ...], looks: Looks) -> tuple[Motion, ...]:
    """Flow from frame ``index`` to those before it; where there are none, the frame itself stands for them."""
    found = []
    for age in range(looks.before if looks.flow else 0, 0, -1):
        other = max(0, index - age) if clip.fps is not None else index
        if other == index:
            found.append(Motion(np.zeros((*shape[:2], 2), np.float16), np.ones(shape[:2], np.bool_)))
            continue
        field, _ = flow_between(clip, index, other)
        known = np.isfinite(field.flow).all(axis=2)
        flow = np.clip(np.nan_to_num(field.flow), -FARTHEST_PX, FARTHEST_PX).astype(np.float16)
        found.append(Motion(flow, field.visible & known))
    return tuple(found)
