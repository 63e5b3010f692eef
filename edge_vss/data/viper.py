"""VIPER: ``viper:PATH[:SPLIT]`` with ``SPLIT/img``, ``SPLIT/cls`` and perhaps ``SPLIT/inst``, a folder per sequence.

Frames are ``SEQUENCE_NUMBER.jpg`` or ``.png`` at 15 Hz, of which a download may have every tenth only; labels are PNGs
of VIPER's ids, or of its colours. The classes are the 15 that Cityscapes has too (``cityscapes:PATH:SPLIT:15``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.cityscapes import FIFTEEN_CLASSES
from edge_vss.data.classes import IGNORE
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_numbers_or_rgb, read_rgb
from edge_vss.data.layout import id_table, need_folder, packed_rgb, parse_place, pictures, recoded, since_first
from edge_vss.errors import BadInput

__all__ = ["open_viper"]

_CAMERA_HZ = 15.0
# fmt: off
_TO_FIFTEEN = {3: 0, 4: 1, 9: 2, 11: 3, 13: 4, 14: 5, 7: 6, 8: 6, 6: 7, 2: 8, 20: 9, 24: 10, 27: 11, 26: 12, 23: 13,
               22: 14}
"""VIPER's id -> class; the pairing that adaptation from VIPER to Cityscapes is scored with."""
_COLOURS = ((0, 0, 0), (111, 74, 0), (70, 130, 180), (128, 64, 128), (244, 35, 232), (230, 150, 140), (152, 251, 152),
            (87, 182, 35), (35, 142, 35), (70, 70, 70), (153, 153, 153), (190, 153, 153), (150, 20, 20),
            (250, 170, 30), (220, 220, 0), (180, 180, 100), (173, 153, 153), (168, 153, 153), (81, 0, 21), (81, 0, 81),
            (220, 20, 60), (255, 0, 0), (119, 11, 32), (0, 0, 230), (0, 0, 142), (0, 80, 60), (0, 60, 100), (0, 0, 70),
            (0, 0, 90), (0, 80, 100), (0, 100, 100), (50, 0, 90))
"""By VIPER's id, as its classes.csv has them."""
# fmt: on
_TABLE = id_table(_TO_FIFTEEN, (*range(32), IGNORE))
_THINGS = frozenset(range(9, 15))


def open_viper(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]]``; SPLIT is train (the default), val or test; [a:b] counts sequences."""
    place = parse_place("viper", rest, ("train", "val", "test"))
    base = place.root / place.split
    images = need_folder("viper", base / "img", "SPLIT/img/SEQUENCE/SEQUENCE_NUMBER.jpg")
    if place.split != "test":
        need_folder("viper", base / "cls", "SPLIT/cls/SEQUENCE/SEQUENCE_NUMBER.png")
    folders = place.keep([path for path in sorted(images.iterdir()) if path.is_dir()])
    clips = tuple(clip for clip in (_clip(base, folder) for folder in folders) if clip.items)
    if not clips:
        raise BadInput(f"viper: no pictures in {images}")
    if place.split != "test" and not any(item.labels for clip in clips for item in clip.items):
        raise BadInput(f"viper: no picture in {images} has a label in {base / 'cls'}")
    return Dataset(classes=FIFTEEN_CLASSES, clips=clips, things=_THINGS)


def _clip(base: Path, folder: Path) -> FileClip:
    found: dict[int, Path] = {}
    for path in pictures(folder, (".png", ".jpg")):
        sequence, _, digits = path.stem.rpartition("_")
        if not sequence or not digits.isdigit():
            raise BadInput(f"{path}: expected a name like 001_00010.jpg")
        found[int(digits)] = path  # both forms of one frame: the later, .png, is without loss
    numbers = sorted(found)
    items = []
    for number, pts_us in zip(numbers, since_first(numbers, _CAMERA_HZ)):
        labels, instances = (base / kind / folder.name / f"{found[number].stem}.png" for kind in ("cls", "inst"))
        there = labels if labels.is_file() else None
        numbered = instances if there and instances.is_file() else None
        items.append(FileItem(image=found[number], labels=there, instances=numbered, pts_us=pts_us))
    step = float(np.median(np.diff(numbers))) if len(numbers) > 1 else 1.0
    return FileClip(
        name=folder.name,
        fps=_CAMERA_HZ / step,
        items=tuple(items),
        num_classes=len(FIFTEEN_CLASSES),
        recode=_recode,
        number=_instances,
    )


def _recode(path: Path) -> NDArray[np.uint8]:
    stored: NDArray[Any] = read_numbers_or_rgb(path)
    return recoded(stored if stored.ndim == 2 else _ids_of_colours(stored, path), _TABLE, path)


def _ids_of_colours(stored: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    packed, known = packed_rgb(stored), packed_rgb(np.array(_COLOURS, np.uint8))
    order = np.argsort(known)
    ids: NDArray[np.int64] = order[np.searchsorted(known, packed, sorter=order).clip(max=len(known) - 1)]
    odd = known[ids] != packed
    if odd.any():
        raise BadInput(f"{path}: the colour {stored[odd][0].tolist()} is none of VIPER's classes")
    return ids.astype(np.uint8)


def _instances(path: Path) -> NDArray[np.uint16]:
    """The class in red, the number in 256 green + blue."""
    return (packed_rgb(read_rgb(path)) & 0xFFFF).astype(np.uint16)
