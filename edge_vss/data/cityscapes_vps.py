"""Cityscapes-VPS: ``vps:PATH[:SPLIT][:15]`` with the folders that its preparation scripts make.

``SPLIT/img`` holds the labelled frames (every 5th of a snippet of 30), ``SPLIT/img_all`` all of them. Labels come from
``labelmap`` (train ids), ``panoptic_inst`` (16-bit, 1000 times the class plus a number) or ``panoptic_video`` (colours
that are segment ids, explained by ``panoptic_gt_SPLIT_city_vps.json``); the last two have instances too.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.cityscapes import CAMERA_HZ, class_set
from edge_vss.data.classes import IGNORE
from edge_vss.data.dataset import Dataset, FileClip, FileItem
from edge_vss.data.images import read_index_image, read_labels, read_rgb
from edge_vss.data.layout import need_folder, parse_place, recoded, since_first
from edge_vss.errors import BadInput

__all__ = ["open_vps"]

_LABEL_EVERY = 5
Segments = dict[int, tuple[int, int]]
"""Segment id -> train id and instance number (0 = a crowd, or no thing)."""


def open_vps(rest: str) -> Dataset:
    """Open ``PATH[:SPLIT[a:b]][:15]``; SPLIT is val (the default), train or test; [a:b] counts videos."""
    place = parse_place("vps", rest, ("train", "val", "test"), default="val", class_counts=(15, 19))
    classes, things, table = class_set(place)
    base = need_folder("vps", place.root / place.split, "SPLIT/img, SPLIT/img_all and SPLIT/panoptic_video")
    labels = _LabelFiles(place.root, place.split)
    clips = [
        FileClip(
            name=f"{video}_{frames[0].recording}",
            fps=fps,
            items=items,
            num_classes=len(classes),
            recode=partial(labels.recode, table=table),
            number=labels.number,
        )
        for video, frames in _videos(base).items()
        for fps, items in (_items(base, frames, labels),)
    ]
    return Dataset(classes=classes, clips=place.keep(clips), things=things)


class _Labelled:
    """One labelled frame by its name: ``VIDEO_INDEX_CITY_SEQUENCE_FRAME_newImg8bit.png``."""

    def __init__(self, path: Path) -> None:
        found = re.fullmatch(r"(\d{4})_(\d{4})_(.+_\d{6})_(\d{6})_(newImg8bit|leftImg8bit)", path.stem)
        if found is None:
            raise BadInput(f"{path}: expected a name like 0005_0025_frankfurt_000000_001736_newImg8bit.png")
        self.path, self.video, self.recording, self.number = path, found[1], found[3], int(found[4])
        # Frames that Cityscapes labelled itself keep its names.
        form = "final_mask" if found[5] == "newImg8bit" else "gtFine_color"
        self.label_name = path.name.replace(f"_{found[5]}.png", f"_{form}.png")


def _videos(base: Path) -> dict[str, list[_Labelled]]:
    frames = [_Labelled(path) for path in sorted(need_folder("vps", base / "img", "the labelled frames").glob("*.png"))]
    videos: dict[str, list[_Labelled]] = {}
    for frame in frames:
        videos.setdefault(frame.video, []).append(frame)
    for found in videos.values():
        found.sort(key=lambda frame: frame.number)
    return videos


def _items(base: Path, frames: list[_Labelled], labels: _LabelFiles) -> tuple[float, tuple[FileItem, ...]]:
    """All frames of a video where they are there, else the labelled ones; and frames per second."""
    labelled = {frame.number: frame for frame in frames}
    first, last = frames[0].number - _LABEL_EVERY + 1, frames[-1].number
    everything = base / "img_all"
    between = {
        number: everything / f"{frames[0].recording}_{number:06d}_leftImg8bit.png" for number in range(first, last + 1)
    }
    paths = {number: path for number, path in between.items() if path.is_file()}
    dense = len(paths) > len(labelled)
    paths.update((number, frame.path) for number, frame in labelled.items())
    numbers = sorted(paths) if dense else sorted(labelled)
    items = []
    for number, pts_us in zip(numbers, since_first(numbers, CAMERA_HZ)):
        files = labels.of(labelled[number].label_name) if number in labelled else (None, None)
        items.append(FileItem(image=paths[number], labels=files[0], instances=files[1], pts_us=pts_us))
    return CAMERA_HZ if dense else CAMERA_HZ / _LABEL_EVERY, tuple(items)


class _LabelFiles:
    """Finds and reads labels in whichever of the three forms are there."""

    def __init__(self, root: Path, split: str) -> None:
        self._base, self._needed = root / split, split != "test"
        self._forms = [form for form in ("labelmap", "panoptic_inst", "panoptic_video") if (self._base / form).is_dir()]
        if not self._forms and self._needed:
            raise BadInput(f"vps: {self._base} has none of labelmap/, panoptic_inst/ and panoptic_video/")
        self._segments: dict[str, Segments] = {}
        if "panoptic_video" in self._forms and "panoptic_inst" not in self._forms:
            self._segments = _segments(root / f"panoptic_gt_{split}_city_vps.json")

    def of(self, name: str) -> tuple[Path | None, Path | None]:
        """Labels and instances of a frame."""
        found = [self._base / form / name for form in self._forms]
        numbered = [path for path in found if path.parent.name != "labelmap"]
        for path in (*found[:1], *numbered[:1]):
            if not path.is_file():
                raise BadInput(f"vps: no file {path}")
        return found[0] if found else None, numbered[0] if numbered else None

    def recode(self, path: Path, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class ids of a file of any form."""
        if path.parent.name == "labelmap":
            return recoded(read_labels(path), table, path)
        if path.parent.name == "panoptic_inst":
            stored = read_index_image(path).astype(np.uint16)
            return recoded(np.where(stored >= 1000, stored // 1000, stored), table, path)
        return recoded(self._looked_up(path, 0), table, path)

    def number(self, path: Path) -> NDArray[np.uint16]:
        """Instance numbers of a file of the two panoptic forms."""
        if path.parent.name == "panoptic_inst":
            stored = read_index_image(path).astype(np.uint16)
            return np.where(stored >= 1000, stored, np.uint16(0))
        return self._looked_up(path, 1)

    def _looked_up(self, path: Path, which: int) -> NDArray[np.uint16]:
        """Class or number of each pixel's segment; a colour is red + 256 green + 65536 blue, black is void."""
        known = self._segments.get(path.name)
        if known is None:
            raise BadInput(f"{path}: panoptic_gt JSON says nothing of it")
        rgb = read_rgb(path).astype(np.int64)
        segments = rgb[..., 0] | (rgb[..., 1] << 8) | (rgb[..., 2] << 16)
        ids, place = np.unique(segments, return_inverse=True)
        values = np.zeros(len(ids), np.uint16)
        for i, segment in enumerate(ids.tolist()):
            if segment and segment not in known:
                raise BadInput(f"{path}: segment {segment} is not in the panoptic_gt JSON")
            values[i] = known[segment][which] if segment else (IGNORE, 0)[which]
        return values[place].reshape(segments.shape)


def _segments(path: Path) -> dict[str, Segments]:
    """Label file -> its segments; instance numbers count a video's segments, so that they fit into 16 bits."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        things = {one["id"] for one in content["categories"] if one["isthing"]}
        found: dict[str, Segments] = {}
        numbers: dict[tuple[str, int], int] = {}
        for annotation in content["annotations"]:
            name = str(annotation["file_name"])
            segments = found[name] = {}
            for one in annotation["segments_info"]:
                segment, train = int(one["id"]), int(one["category_id"])
                told_apart = train in things and not one.get("iscrowd", 0)
                number = numbers.setdefault((name[:4], segment), len(numbers) % 65000 + 1) if told_apart else 0
                segments[segment] = train, number
    except (OSError, ValueError) as error:
        raise BadInput(f"vps: {path} cannot be read ({error})") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"vps: {path} is not a panoptic JSON: {type(error).__name__} {error}") from None
    return found
