"""PASCAL VOC segmentation: ``voc:PATH[:SPLIT]`` with PATH a ``VOC2012`` folder, or a ``VOCdevkit`` with one inside.

Labels are palette PNGs of ``SegmentationClass`` whose borders of 255 are ignored, instances those of
``SegmentationObject``. The split ``trainaug`` takes ``SegmentationClassAug``, the larger set of SBD in this form.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_labels
from edge_vss.data.layout import Place, list_file, parse_place
from edge_vss.errors import BadInput

__all__ = ["VOC_CLASSES", "open_voc"]

_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def _colour(index: int) -> tuple[int, int, int]:
    """VOC's palette: bits of the index, three by three, from the top of each channel down."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


VOC_CLASSES = tuple(ClassInfo(name, _colour(index)) for index, name in enumerate(_NAMES))


def open_voc(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]]``; SPLIT is train (the default), val, trainval, trainaug or test."""
    place = parse_place("voc", rest, ("train", "val", "trainval", "trainaug", "test"))
    root = _release(place.root)
    listing = root / "ImageSets" / "Segmentation" / f"{place.split}.txt"
    if not listing.is_file():
        raise BadInput(f"voc: no file {listing}; expected one name a line")
    items = tuple(
        _item(root, place, name.split()[0], position) for position, name in enumerate(place.keep(list_file(listing)))
    )
    clip = FileClip(
        name=f"{root.name}-{place.split}", fps=None, items=items, num_classes=len(VOC_CLASSES), number=_instances
    )
    return Dataset(classes=VOC_CLASSES, clips=(clip,), things=frozenset(range(1, len(VOC_CLASSES))))


def _release(root: Path) -> Path:
    """The folder with ``JPEGImages``: ``root`` itself, or the newest release in it."""
    inside = sorted((*root.glob("VOC2*"), *root.glob("VOCdevkit/VOC2*")), key=lambda path: path.name, reverse=True)
    found = [path for path in (root, *inside) if (path / "JPEGImages").is_dir()]
    if not found:
        raise BadInput(f"voc: no folder {root / 'JPEGImages'}, nor VOC2012 inside; expected a VOCdevkit as released")
    return found[0]


def _item(root: Path, place: Place, name: str, position: int) -> FileItem:
    stem = Path(name).stem  # trainaug lists paths in some copies
    image = root / "JPEGImages" / f"{stem}.jpg"
    if not image.is_file():
        raise BadInput(f"voc: no file {image}")
    folder = "SegmentationClassAug" if place.split == "trainaug" else "SegmentationClass"
    labels: Path | None = root / folder / f"{stem}.png"
    assert labels is not None
    if not labels.is_file():
        if place.split != "test":
            raise BadInput(f"voc: no file {labels}")
        labels = None  # not public
    objects = root / "SegmentationObject" / f"{stem}.png"
    return FileItem(
        image=image,
        labels=labels,
        instances=objects if labels is not None and objects.is_file() else None,
        pts_us=position * 1_000_000,
    )


def _instances(path: Path) -> NDArray[np.uint16]:
    stored = read_labels(path)
    return np.where(stored == IGNORE, 0, stored).astype(np.uint16)
