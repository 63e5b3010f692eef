"""CamVid: the 480x360 copy of the SegNet tutorial, and the original 960x720 release.

``camvid:PATH[:SPLIT]``, where SPLIT is ``train`` (the default), ``val``, ``test`` or ``all``; ``SPLIT[a:b]`` keeps the
frames a to b-1 of the split's list, as in Python (``camvid:PATH:train[50:]`` holds out the first fifty).
"""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import CAMVID_CLASSES, IGNORE
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_labels, read_rgb
from edge_vss.data.layout import packed_rgb, parse_place
from edge_vss.errors import BadInput

__all__ = ["open_camvid"]

_CAMERA_HZ = 30.0
"""Frame numbers in the file names count at the camera's rate."""
_VOID = 11
_SPLITS = ("train", "val", "test", "all")

# The 32 original classes by colour, grouped as is usual for the 11; the others (Void among them) are ignored.
_ORIGINAL_COLOURS: dict[int, tuple[tuple[int, int, int], ...]] = {
    0: ((128, 128, 128),),
    1: ((0, 128, 64), (128, 0, 0), (64, 192, 0), (64, 0, 64), (192, 0, 128)),
    2: ((192, 192, 128), (0, 0, 64)),
    3: ((128, 64, 128), (128, 0, 192), (192, 0, 64)),
    4: ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    5: ((128, 128, 0), (192, 192, 0)),
    6: ((192, 128, 128), (128, 128, 64), (0, 64, 64)),
    7: ((64, 64, 128),),
    8: ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    9: ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),
    10: ((0, 128, 192), (192, 0, 192)),
}


def open_camvid(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]]``."""
    place = parse_place("camvid", rest, _SPLITS)
    root, split = place.root, place.split
    original = root / "701_StillsRaw_full"
    pairs = _original_pairs(root, split) if original.is_dir() else _listed_pairs(root, split)
    pairs = pairs[place.kept]
    if not pairs:
        raise BadInput(f"camvid: {rest!r} selects no frame")
    recode = _from_colours if original.is_dir() else _from_ids
    clips = []
    for drive, group in groupby(pairs, lambda pair: _drive_and_number(pair[0])[0]):
        clips.append(_clip(drive, list(group), recode))
    return Dataset(classes=CAMVID_CLASSES, clips=tuple(clips))


def _listed_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    splits = [name for name in _SPLITS[:3] if (root / f"{name}.txt").is_file()] if split == "all" else [split]
    pairs = []
    for name in splits:
        path = root / f"{name}.txt"
        if not path.is_file():
            raise BadInput(
                f"camvid: {path} not found; expected lines of 'image label' (or 701_StillsRaw_full/ beside it)"
            )
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                pairs.append(_pair(root, path, number, line.split()))
    return pairs


def _pair(root: Path, path: Path, number: int, names: list[str]) -> tuple[Path, Path]:
    if len(names) != 2:
        raise BadInput(f"{path}:{number}: expected 'image label', got {len(names)} words")
    found = []
    for name in names:
        # Copies of the lists carry absolute paths of other machines: their last two parts are what counts.
        candidates = [root / name.lstrip("/"), root / Path(*Path(name).parts[-2:])]
        there = [candidate for candidate in candidates if candidate.is_file()]
        if not there:
            raise BadInput(f"{path}:{number}: no file {candidates[0]}")
        found.append(there[0])
    return found[0], found[1]


def _original_pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    images = {path.stem: path for path in sorted((root / "701_StillsRaw_full").glob("*.png"))}
    listing = root / f"{split}.txt"
    if listing.is_file():
        stems = [
            Path(line.split()[0]).stem for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    elif split in ("train", "all"):
        stems = list(images)
    else:
        raise BadInput(f"camvid: {listing} not found; only camvid:{root}:all works without lists")
    pairs = []
    for stem in stems:
        labels = root / "LabeledApproved_full" / f"{stem}_L.png"
        if stem not in images or not labels.is_file():
            raise BadInput(
                f"camvid: no file {labels if stem in images else root / '701_StillsRaw_full' / (stem + '.png')}"
            )
        pairs.append((images[stem], labels))
    return pairs


def _drive_and_number(image: Path) -> tuple[str, int]:
    found = re.fullmatch(r"(.+?)_?f?(\d+)", image.stem)
    return (found[1].rstrip("_"), int(found[2])) if found else (image.parent.name, 0)


def _clip(drive: str, pairs: list[tuple[Path, Path]], recode: object) -> FileClip:
    numbers = [_drive_and_number(image)[1] for image, _ in pairs]
    steps = np.diff(numbers)
    ordered = len(numbers) > 1 and bool((steps > 0).all())
    step = float(np.median(steps)) if ordered else _CAMERA_HZ
    items = tuple(
        FileItem(
            image=image,
            labels=labels,
            pts_us=round((number - numbers[0]) * 1e6 / _CAMERA_HZ) if ordered else i * 1_000_000,
        )
        for i, ((image, labels), number) in enumerate(zip(pairs, numbers, strict=True))
    )
    fps = _CAMERA_HZ / step if ordered else None
    assert callable(recode)
    return FileClip(name=drive, fps=fps, items=items, num_classes=len(CAMVID_CLASSES), recode=recode)


def _from_ids(path: Path) -> NDArray[np.uint8]:
    labels = read_labels(path)
    return np.where(labels == _VOID, np.uint8(IGNORE), labels)


def _from_colours(path: Path) -> NDArray[np.uint8]:
    packed = packed_rgb(read_rgb(path))
    labels = np.full(packed.shape, IGNORE, np.uint8)
    for label, colours in _ORIGINAL_COLOURS.items():
        known = [(r << 16) | (g << 8) | b for r, g, b in colours]
        labels[np.isin(packed, known)] = label
    return labels
