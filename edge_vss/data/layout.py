"""What readers of published layouts share: places and splits, lists, frame numbers, tables from their ids to ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE
from edge_vss.errors import BadInput

__all__ = [
    "Place",
    "id_table",
    "list_file",
    "need_folder",
    "packed_rgb",
    "parse_place",
    "pictures",
    "recoded",
    "since_first",
]

_UNKNOWN = 254
"""Entry of a table for a number that the layout does not have."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A parsed ``PATH[:SPLIT[a:b]][:CLASSES]``."""

    kind: str
    root: Path
    split: str
    kept: slice
    """Part of the split's list."""
    classes: int | None = None

    def keep(self, found: Sequence[T]) -> tuple[T, ...]:
        """The part of what was found that was asked for.

        Raises:
            BadInput: Nothing is left.
        """
        kept = tuple(found[self.kept])
        if not kept:
            raise BadInput(f"{self.kind}: nothing of split {self.split!r} in {self.root} is selected")
        return kept


def parse_place(
    kind: str, rest: str, splits: Sequence[str], *, default: str = "train", class_counts: Sequence[int] = ()
) -> Place:
    """Parse what follows ``kind:``, and see that the folder is there.

    Args:
        splits: Known ones; each may be followed by ``[a:b]``, as in Python.
        class_counts: Sets of classes that may be asked for by their number.

    Raises:
        BadInput: No path, no such folder, an unknown split or set of classes.
    """
    found = re.fullmatch(
        r"(?P<path>.+?)(?::(?P<split>[a-z][\w-]*)(?:\[(?P<start>-?\d*):(?P<stop>-?\d*)\])?)?(?::(?P<classes>\d+))?",
        rest,
    )
    if found is None:
        raise BadInput(f"{kind}: expected {kind}:PATH[:SPLIT], got no path")
    split = found["split"] or default
    if split not in splits:
        raise BadInput(f"{kind}: unknown split {split!r}; known: {', '.join(splits)}, each with an optional [a:b]")
    classes = int(found["classes"]) if found["classes"] else None
    if classes is not None and classes not in class_counts:
        known = " or ".join(map(str, class_counts)) or "none to choose from"
        raise BadInput(f"{kind}: no set of {classes} classes; known: {known}")
    root = Path(found["path"]).expanduser()
    if not root.is_dir():
        raise BadInput(f"{kind}: no folder {root}")
    start, stop = (int(found[key]) if found[key] else None for key in ("start", "stop"))
    return Place(kind=kind, root=root, split=split, kept=slice(start, stop), classes=classes)


def need_folder(kind: str, folder: Path, wanted: str) -> Path:
    """``folder``, or BadInput that says what is expected there."""
    if not folder.is_dir():
        raise BadInput(f"{kind}: no folder {folder}; expected {wanted}")
    return folder


def pictures(folder: Path, suffixes: Iterable[str]) -> Iterator[Path]:
    """Files with one of the suffixes, sorted by name; hidden ones left out."""
    allowed = tuple(suffixes)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in allowed and not path.name.startswith("."):
            yield path


def list_file(path: Path) -> list[str]:
    """Lines of a list without the empty ones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as a list of names ({error})") from None
    return [line.strip() for line in lines if line.strip()]


def since_first(numbers: Sequence[int], camera_hz: float) -> list[int]:
    """Frame numbers -> microseconds since the first of them; missing frames leave gaps."""
    return [round((number - numbers[0]) * 1e6 / camera_hz) for number in numbers]


def id_table(ours: Mapping[int, int], known: Iterable[int]) -> NDArray[np.uint8]:
    """(256,) a layout's id -> class id; the other ``known`` ids are ignored, all else is none of the layout's."""
    table = np.full(256, _UNKNOWN, np.uint8)
    table[list(known)] = IGNORE
    table[list(ours)] = list(ours.values())
    return table


def recoded(stored: NDArray[Any], table: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Class ids by an ``id_table``.

    Raises:
        BadInput: A number that the layout does not have.
    """
    if stored.size and stored.max() > 255:
        raise BadInput(f"{path}: holds the number {stored.max()}, which is no class of this layout")
    labels: NDArray[np.uint8] = table.take(stored)
    odd = labels == _UNKNOWN
    if odd.any():
        raise BadInput(f"{path}: holds the number {stored[odd].max()}, which is no class of this layout")
    return labels


def packed_rgb(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(..., 3) colours -> 65536 red + 256 green + blue."""
    wide = rgb.astype(np.int64)
    packed: NDArray[np.int64] = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return packed
