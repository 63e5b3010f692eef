"""Cityscapes: ``cityscapes:PATH[:SPLIT][:15]`` with the folders of the official archives.

``leftImg8bit/SPLIT/CITY`` and ``gtFine/SPLIT/CITY`` (``gtCoarse`` for ``train_extra``) hold single pictures;
``SPLIT-sequence`` reads ``leftImg8bit_sequence``: snippets of 30 frames at 17 Hz whose 20th frame is labelled. 19
classes, or the 15 that VIPER has too.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_index_image, read_labels
from edge_vss.data.layout import Place, id_table, need_folder, parse_place, recoded, since_first
from edge_vss.errors import BadInput

__all__ = [
    "CAMERA_HZ",
    "CITYSCAPES_CLASSES",
    "FIFTEEN_CLASSES",
    "TO_FIFTEEN",
    "class_set",
    "open_cityscapes",
]

CAMERA_HZ = 17.0
BEFORE_LABEL, AFTER_LABEL = 19, 10
"""Frames of a snippet before and after the labelled one."""

# fmt: off
CITYSCAPES_CLASSES: tuple[ClassInfo, ...] = tuple(ClassInfo(name, colour) for name, colour in (
    ("road", (128, 64, 128)), ("sidewalk", (244, 35, 232)), ("building", (70, 70, 70)), ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)), ("pole", (153, 153, 153)), ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)), ("vegetation", (107, 142, 35)), ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)), ("person", (220, 20, 60)), ("rider", (255, 0, 0)), ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)), ("bus", (0, 60, 100)), ("train", (0, 80, 100)), ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
))
"""By train id."""
_TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13,
              27: 14, 28: 15, 31: 16, 32: 17, 33: 18}
TO_FIFTEEN = {0: 0, 1: 1, 2: 2, 4: 3, 6: 4, 7: 5, 8: 6, 9: 7, 10: 8, 11: 9, 12: 9, 13: 10, 14: 11, 15: 12, 17: 13,
              18: 14}
"""Train id -> class shared with VIPER. Riders are persons there; walls, poles and trains are ignored."""
# fmt: on
FIFTEEN_CLASSES = tuple(
    CITYSCAPES_CLASSES[next(train for train, ours in TO_FIFTEEN.items() if ours == number)] for number in range(15)
)
_LABEL_IDS = range(35)  # 34 is the licence plate, which some tools write
_SPLITS = ("train", "val", "test", "train_extra")


def class_set(place: Place) -> tuple[tuple[ClassInfo, ...], frozenset[int], NDArray[np.uint8]]:
    """Classes, things among them, and the table from train ids, for the set that was asked for."""
    ours = TO_FIFTEEN if place.classes == 15 else {train: train for train in range(19)}
    things = frozenset(ours[train] for train in range(11, 19) if train in ours)
    classes = FIFTEEN_CLASSES if place.classes == 15 else CITYSCAPES_CLASSES
    return classes, things, id_table(ours, (*range(19), IGNORE))


def open_cityscapes(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]][:15]``; SPLIT is train, val, test or train_extra, or one with ``-sequence``."""
    splits = (*_SPLITS, *(f"{split}-sequence" for split in _SPLITS))
    place = parse_place("cityscapes", rest, splits, class_counts=(15, 19))
    classes, things, table = class_set(place)
    split = place.split.removesuffix("-sequence")
    labels = _Labels(place.root, split)
    clips = _snippets(place, split, labels) if split != place.split else _cities(place, split, labels)
    made = tuple(
        FileClip(
            name=name,
            fps=fps,
            items=items,
            num_classes=len(classes),
            recode=partial(_recode, table=table),
            number=_instances,
        )
        for name, fps, items in clips
    )
    return Dataset(classes=classes, clips=made, things=things)


Clips = list[tuple[str, float | None, tuple[FileItem, ...]]]
"""Name, frames per second, items."""


class _Labels:
    """The label files of a split."""

    def __init__(self, root: Path, split: str) -> None:
        self._kind = "gtCoarse" if split == "train_extra" else "gtFine"
        self._root, self._needed = root / self._kind / split, split != "test"

    def of(self, city: str, stem: str) -> tuple[Path | None, Path | None]:
        """Labels and instances of ``CITY_SEQUENCE_FRAME``; none in the test split, whose labels are not public."""
        base = self._root / city
        found = [base / f"{stem}_{self._kind}_{form}.png" for form in ("labelTrainIds", "labelIds", "instanceIds")]
        labels = next((path for path in found[:2] if path.is_file()), None)
        if labels is None and self._needed:
            polygons = base / f"{stem}_{self._kind}_polygons.json"
            hint = "only its polygons are there; cityscapesscripts draws them" if polygons.is_file() else "expected it"
            raise BadInput(f"cityscapes: no file {found[1]}, nor labelTrainIds; {hint}")
        return labels, found[2] if found[2].is_file() else None

    def numbers(self) -> dict[tuple[str, str], list[int]]:
        """(city, sequence) -> sorted numbers of the labelled frames."""
        found: dict[tuple[str, str], list[int]] = {}
        for path in sorted(self._root.glob(f"*/*_{self._kind}_label*Ids.png")):
            city, sequence, number = _parts(path)
            numbers = found.setdefault((city, sequence), [])
            if number not in numbers:
                numbers.append(number)
        return found


def _parts(path: Path) -> tuple[str, str, int]:
    """``aachen_000003_000019_leftImg8bit.png`` -> city, sequence, frame number."""
    found = re.match(r"(.+)_(\d{6})_(\d{6})_", path.name)
    if found is None:
        raise BadInput(f"{path}: expected a name like aachen_000003_000019_leftImg8bit.png")
    return found[1], found[2], int(found[3])


def _images(root: Path, kind: str, split: str) -> list[Path]:
    wanted = f"{kind}/{split}/CITY/*_leftImg8bit.png as in {kind}_trainvaltest.zip"
    return sorted(need_folder("cityscapes", root / kind / split, wanted).glob("*/*_leftImg8bit.png"))


def _cities(place: Place, split: str, labels: _Labels) -> Clips:
    """Single pictures, a clip without order per city."""
    images = place.keep(_images(place.root, "leftImg8bit", split))
    clips: dict[str, list[FileItem]] = {}
    for path in images:
        there, numbers = labels.of(path.parent.name, path.name.removesuffix("_leftImg8bit.png"))
        items = clips.setdefault(path.parent.name, [])
        items.append(FileItem(image=path, labels=there, instances=numbers, pts_us=len(items) * 1_000_000))
    return [(city, None, tuple(items)) for city, items in clips.items()]


def _snippets(place: Place, split: str, labels: _Labels) -> Clips:
    """Video around each labelled frame; frames that are missing leave gaps in time."""
    frames: dict[tuple[str, str], dict[int, Path]] = {}
    for path in _images(place.root, "leftImg8bit_sequence", split):
        city, sequence, number = _parts(path)
        frames.setdefault((city, sequence), {})[number] = path
    labelled = labels.numbers()
    clips = []
    for (city, sequence), there in frames.items():
        for numbers in _runs(there, labelled.get((city, sequence), [])):
            items = []
            for number, pts_us in zip(numbers, since_first(numbers, CAMERA_HZ)):
                stem = f"{city}_{sequence}_{number:06d}"
                is_labelled = number in labelled.get((city, sequence), [])
                files = labels.of(city, stem) if is_labelled else (None, None)
                items.append(FileItem(image=there[number], labels=files[0], instances=files[1], pts_us=pts_us))
            clips.append((f"{city}_{sequence}_{numbers[0]:06d}", CAMERA_HZ, tuple(items)))
    return list(place.keep(clips))


def _runs(there: dict[int, Path], labelled: list[int]) -> list[list[int]]:
    """Frame numbers of one recording cut into snippets: around labels, and unbroken runs of what is left."""
    left, runs = set(there), []
    for number in labelled:
        run = [n for n in range(number - BEFORE_LABEL, number + AFTER_LABEL + 1) if n in left]
        left.difference_update(run)
        if run:
            runs.append(run)
    for number in sorted(left):
        if runs and runs[-1][-1] == number - 1 and not set(runs[-1]) & set(labelled):
            runs[-1].append(number)
        else:
            runs.append([number])
    return sorted(runs)


def _recode(path: Path, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stored = read_labels(path)
    if path.name.endswith("_labelIds.png"):
        stored = recoded(stored, id_table(_TRAIN_IDS, (*_LABEL_IDS, IGNORE)), path)
    return recoded(stored, table, path)


def _instances(path: Path) -> NDArray[np.uint16]:
    """16-bit ``instanceIds``: 1000 times the class plus a number, or the class alone where there is no telling."""
    stored = read_index_image(path).astype(np.uint16)
    return np.where(stored >= 1000, stored, np.uint16(0))
