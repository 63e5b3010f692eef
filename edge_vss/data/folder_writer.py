"""Writes data sets in the layout that ``folder:`` reads: classes and facts first, then clip by clip, each one whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_vss.data.classes import ClassInfo
from edge_vss.errors import BadInput
from edge_vss.places import make_folder

__all__ = ["begin_folder", "clip_folder", "picture_name", "write_json"]


def begin_folder(root: Path, classes: Sequence[ClassInfo], facts: dict[str, Any]) -> None:
    """Make ``root`` with ``classes.json`` and ``dataset.json``, or go on in one that was begun with equal facts.

    Raises:
        BadInput: It holds something else, or cannot be written.
    """
    path = root / "dataset.json"
    if path.is_file() and _facts(path) != facts:
        raise BadInput(f"{root}: holds a data set made with another spec; choose another folder or remove it")
    if not path.is_file() and root.is_dir() and any(root.iterdir()):
        raise BadInput(f"{root}: is not empty; choose another folder")
    make_folder(root)
    write_json(root / "classes.json", [{"name": info.name, "colour": list(info.colour)} for info in classes])
    write_json(path, facts)


def _facts(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


@contextmanager
def clip_folder(place: Path, kinds: Sequence[str], facts: dict[str, Any]) -> Iterator[Path]:
    """A folder under a temporary name, with one folder per kind in it, that becomes ``place`` when the block ends well.

    Args:
        kinds: Such as ``images`` and ``labels``.
        facts: What its ``dataset.json`` says.
    """
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        for kind in kinds:
            (part / kind).mkdir(parents=True)
        yield part
        write_json(part / "dataset.json", facts)
        part.replace(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def picture_name(index: int) -> str:
    """Of a frame's files, in each of the folders of its kinds; names sort in order of time."""
    return f"{index:06d}.png"


def write_json(path: Path, content: Any) -> None:
    """Write a file whole, indented."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.replace(path)
