"""NYUDv2 with 40 classes: ``nyud:PATH[:SPLIT]``, an export of the labelled set as pictures.

The release is one MATLAB file of 894 raw labels, whose map to the 40 classes lies in another; what people train on are
exports of it, and those are read here, so that no HDF5 library is needed. Understood are

- ``images/NAME.jpg|png`` with ``segmentation/NAME.png`` and ``gt_sets/SPLIT.txt`` (or ``SPLIT.txt``) of names,
- other names of the two folders: ``image``, ``rgb``, ``RGB``; ``label40``, ``labels_40``, ``labels40``, ``label``,
  ``labels``, ``Label``,
- the same two folders inside ``SPLIT/``, with or without a list.

Label PNGs hold 0 = not labelled and 1-40.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo, some_colour
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_labels
from edge_vss.data.layout import Place, id_table, list_file, parse_place, pictures, recoded
from edge_vss.errors import BadInput

__all__ = ["NYUD_CLASSES", "open_nyud"]

_NAMES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
NYUD_CLASSES = tuple(ClassInfo(name, some_colour(index)) for index, name in enumerate(_NAMES))
_IMAGES = ("images", "image", "rgb", "RGB")
_LABELS = ("segmentation", "label40", "labels_40", "labels40", "label", "labels", "Label")
_TABLE = id_table({number: number - 1 for number in range(1, 41)}, (0,))


def open_nyud(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]]``; SPLIT is train (the default), val or test."""
    place = parse_place("nyud", rest, ("train", "val", "test"))
    images, labels = _folders(place)
    listing = _listing(place)
    by_stem = {path.stem: path for path in pictures(images, (".jpg", ".jpeg", ".png"))}
    stems = [_stem(line) for line in list_file(listing)] if listing else list(by_stem)
    items = []
    for position, stem in enumerate(place.keep(stems)):
        path = next((by_stem[name] for name in (stem, f"img_{stem}") if name in by_stem), None)
        if path is None:
            raise BadInput(f"nyud: {listing} names {stem}, but there is no such picture in {images}")
        truth = labels / f"{path.stem}.png"
        if not truth.is_file():
            form = "; .mat files are not read, export them as PNGs" if truth.with_suffix(".mat").is_file() else ""
            raise BadInput(f"nyud: no file {truth}{form}")
        items.append(FileItem(image=path, labels=truth, pts_us=position * 1_000_000))
    clip = FileClip(
        name=f"nyud-{place.split}", fps=None, items=tuple(items), num_classes=len(NYUD_CLASSES), recode=_recode
    )
    return Dataset(classes=NYUD_CLASSES, clips=(clip,))


def _folders(place: Place) -> tuple[Path, Path]:
    for base in (place.root / place.split, place.root):
        images = [base / name for name in _IMAGES if (base / name).is_dir()]
        labels = [base / name for name in _LABELS if (base / name).is_dir()]
        if images and labels:
            return images[0], labels[0]
    raise BadInput(f"nyud: {place.root} has no images/ and segmentation/ with pictures, nor has {place.split}/ in it")


def _listing(place: Place) -> Path | None:
    """The split's list; pictures in a folder of the split need none."""
    for path in (place.root / "gt_sets" / f"{place.split}.txt", place.root / f"{place.split}.txt"):
        if path.is_file():
            return path
    if any((place.root / place.split / name).is_dir() for name in _IMAGES):
        return None
    raise BadInput(f"nyud: no list gt_sets/{place.split}.txt or {place.split}.txt in {place.root}")


def _stem(line: str) -> str:
    """Lists hold names, or pairs of paths of which the picture comes first."""
    return Path(line.split()[0]).stem


def _recode(path: Path) -> NDArray[np.uint8]:
    stored = read_labels(path)
    if (stored == IGNORE).any():
        raise BadInput(f"{path}: holds 255, so this copy counts classes from 0; expected 0 = not labelled and 1-40")
    return recoded(stored, _TABLE, path)
