"""A folder of the user's own: ``images/`` with ``labels/`` of the same stems, or one such pair per sub-folder (clip).

Beside them, all optional: ``instances/`` (8- or 16-bit PNG), what ``data generate`` writes of flow and depth (see
generate; a frame may lack them), ``classes.json`` or ``classes.txt`` (see class_list; CamVid's 11 classes where there
is neither), and ``dataset.json`` with ``{"fps": 15}`` and perhaps ``{"things": ["Car"]}``. Labels are 8-bit grey or
palette PNGs of class ids, 255 = ignore.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edge_vss.data.class_list import ALL, read_classes
from edge_vss.data.classes import CAMVID_CLASSES, ClassInfo
from edge_vss.data.dataset import Dataset, FileClip, FileItem, FlowFiles
from edge_vss.data.images import IMAGE_SUFFIXES
from edge_vss.errors import BadInput

__all__ = ["open_folder"]


def open_folder(rest: str) -> Dataset:
    """Open ``PATH``."""
    root = Path(rest).expanduser()
    if not rest or not root.is_dir():
        raise BadInput(f"folder: no folder {rest!r}")
    classes = _classes(root)
    places = (
        [root] if (root / "images").is_dir() else sorted(path.parent for path in root.glob("*/images") if path.is_dir())
    )
    if not places:
        raise BadInput(f"{root}: expected images/ (and labels/), or sub-folders with images/")
    fps = _fps(root)
    clips = tuple(_clip(place, root, fps, len(classes)) for place in places)
    return Dataset(classes=classes, clips=clips, things=_things(root, classes))


def _clip(place: Path, root: Path, fps: float | None, num_classes: int) -> FileClip:
    images = _by_stem(place / "images", IMAGE_SUFFIXES)
    if not images:
        raise BadInput(f"{place / 'images'}: no pictures ({', '.join(IMAGE_SUFFIXES)})")
    labels = _partners(place / "labels", images)
    instances = _partners(place / "instances", images)
    rate = _fps(place) or fps
    depth, forward, backward = _found(place / "depth"), _flows(place, ""), _flows(place, "-back")
    items = tuple(
        FileItem(
            image=path,
            labels=labels.get(stem),
            instances=instances.get(stem),
            pts_us=round(i * 1e6 / (rate or 1.0)),
            depth=depth.get(stem),
            forward=forward.get(stem),
            backward=backward.get(stem),
        )
        for i, (stem, path) in enumerate(images.items())
    )
    return FileClip(name=root.name if place == root else place.name, fps=rate, items=items, num_classes=num_classes)


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise BadInput(f"{path}: two pictures with the stem {path.stem!r}")
            found[path.stem] = path
    return found


def _partners(folder: Path, images: dict[str, Path]) -> dict[str, Path]:
    """Label or instance files by stem; none at all is fine, a gap is not."""
    if not folder.is_dir():
        return {}
    found = _by_stem(folder, (".png",))
    for stem, path in images.items():
        if stem not in found:
            raise BadInput(f"{path}: no partner {folder / (stem + '.png')}")
    for stem, path in found.items():
        if stem not in images:
            raise BadInput(f"{path}: no picture with the stem {stem!r} in {folder.parent / 'images'}")
    return found


def _found(folder: Path) -> dict[str, Path]:
    return _by_stem(folder, (".png",)) if folder.is_dir() else {}


def _flows(place: Path, suffix: str) -> dict[str, FlowFiles]:
    """Flow files by the stem of the frame they start from."""
    flows, occlusions = _found(place / f"flow{suffix}"), _found(place / f"occlusion{suffix}")
    for stem, path in flows.items():
        if stem not in occlusions:
            raise BadInput(f"{path}: no partner {place / f'occlusion{suffix}' / (stem + '.png')}")
    return {stem: FlowFiles(flow=path, occlusion=occlusions[stem]) for stem, path in flows.items()}


def _things(root: Path, classes: tuple[ClassInfo, ...]) -> frozenset[int]:
    """Classes whose objects are told apart, as ``dataset.json`` names them."""
    path = root / "dataset.json"
    facts = _json(path) if _stands(path) else {}
    listed = facts.get("things", []) if isinstance(facts, dict) else []
    names = [info.name for info in classes]
    if not isinstance(listed, list) or any(name not in names for name in listed):
        raise BadInput(f"{path}: things should list names of classes ({', '.join(names[:12])}), got {listed!r}")
    return frozenset(names.index(name) for name in listed)


def _classes(root: Path) -> tuple[ClassInfo, ...]:
    for path in (root / "classes.json", root / "classes.txt"):
        if _stands(path):
            lists = read_classes(path)
            if set(lists) != {ALL}:
                raise BadInput(f"{path}: want one list of classes, got an object")
            return lists[ALL]
    return CAMVID_CLASSES


def _fps(folder: Path) -> float | None:
    path = folder / "dataset.json"
    if not _stands(path):
        return None
    facts = _json(path)
    fps = facts.get("fps") if isinstance(facts, dict) else None
    if fps is None:
        return None
    if isinstance(fps, bool) or not isinstance(fps, (int, float)) or not 0 < fps <= 1000:
        raise BadInput(f"{path}: fps should be a number in (0, 1000], got {fps!r}")
    return float(fps)


def _stands(path: Path) -> bool:
    """Whether there is such a file; a link to nothing counts, a pipe would never end."""
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: is no file")
    return os.path.lexists(path)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not valid JSON ({error})") from error
