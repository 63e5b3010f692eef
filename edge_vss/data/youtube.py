"""YouTube-Objects with segmentations: ``youtube:PATH[:CLASS]``, the two archives side by side.

``v1/CLASS/data/VIDEO/shots/SHOT/frameNNNN.jpg`` holds the video,
``youtube_masks/CLASS/data/VIDEO/shots/SHOT/labels/NNNNN.jpg`` a mask for some of its frames. Masks are JPEGs: what is
brighter than 15 is the object, and they may differ in size from their frame. Only shots with masks are read; frames
without one are there unlabelled.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import ClassInfo
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_luma
from edge_vss.data.layout import need_folder, parse_place, pictures, since_first
from edge_vss.data.voc import VOC_CLASSES
from edge_vss.errors import BadInput

__all__ = ["YOUTUBE_CLASSES", "open_youtube"]

_NAMES = ("background", "aeroplane", "bird", "boat", "car", "cat", "cow", "dog", "horse", "motorbike", "train")
YOUTUBE_CLASSES = tuple(ClassInfo(info.name, info.colour) for info in VOC_CLASSES if info.name in _NAMES)
"""In VOC's order, which is the alphabet, and in its colours."""
_VIDEO_HZ = 30.0
"""Not stored with the frames; the usual rate of the site's videos."""
_THRESHOLD = 15
"""JPEG leaves noise where a mask is black."""


def open_youtube(rest: str) -> Dataset:
    """Open ``PATH[:CLASS[a:b]]``; all ten classes unless one is named; [a:b] counts shots."""
    place = parse_place("youtube", rest, ("all", *_NAMES[1:]), default="all")
    masks = need_folder("youtube", place.root / "youtube_masks", "youtube_masks/CLASS/data/VIDEO/shots/SHOT/labels")
    video = need_folder("youtube", place.root / "v1", "v1/CLASS/data/VIDEO/shots/SHOT/frameNNNN.jpg")
    names = _NAMES[1:] if place.split == "all" else (place.split,)
    clips = [
        clip
        for name in names
        for labels in sorted((masks / name).glob("data/*/shots/*/labels"))
        for clip in (_clip(name, labels, video / labels.parent.relative_to(masks)),)
        if clip.items
    ]
    if not clips:
        raise BadInput(f"youtube: no shot of {place.split} in {masks} has frames in {video}")
    return Dataset(classes=YOUTUBE_CLASSES, clips=place.keep(clips))


def _clip(name: str, labels: Path, shot: Path) -> FileClip:
    """A shot; one whose frames were not downloaded is empty, a mask without its frame is left out."""
    masks = {_number(path): path for path in pictures(labels, (".jpg",))}
    frames = {_number(path): path for path in pictures(shot, (".jpg",))} if shot.is_dir() else {}
    numbers = sorted(frames)
    items = tuple(
        FileItem(image=frames[number], labels=masks.get(number), pts_us=pts_us)
        for number, pts_us in zip(numbers, since_first(numbers, _VIDEO_HZ))
    )
    return FileClip(
        name=f"{name}-{shot.parents[1].name}-{shot.name}",
        fps=_VIDEO_HZ,
        items=items,
        num_classes=len(YOUTUBE_CLASSES),
        recode=partial(_recode, label=_NAMES.index(name)),
        stretch=True,
    )


def _number(path: Path) -> int:
    found = re.fullmatch(r"(?:frame)?(\d+)", path.stem)
    if found is None:
        raise BadInput(f"{path}: expected a name like frame0001.jpg, or 00001.jpg for a mask")
    return int(found[1])


def _recode(path: Path, label: int) -> NDArray[np.uint8]:
    labels: NDArray[np.uint8] = np.where(read_luma(path) > _THRESHOLD, np.uint8(label), np.uint8(0))
    return labels
