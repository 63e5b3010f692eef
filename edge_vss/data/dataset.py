"""What every data set looks like to training and evaluation: classes, clips, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.images import read_image, read_index_image, read_labels
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = ["Clip", "Dataset", "FileClip", "FileItem", "Sample", "check_labels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One frame with what is known about it."""

    frame: Frame
    labels: NDArray[np.uint8] | None = None
    """(H, W) class ids, 255 = ignore; ``None`` where the frame is not labelled."""
    instances: NDArray[np.uint16] | None = None
    """(H, W), 0 = none; ``None`` where the data set has none."""


class Clip(Protocol):
    """Frames of one recording in their order. ``[i]`` reads; i outside is an IndexError."""

    @property
    def name(self) -> str:
        """Unique within the data set."""

    @property
    def fps(self) -> float | None:
        """Frames per second; ``None`` = images without order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An opened data set."""

    classes: tuple[ClassInfo, ...]
    clips: Sequence[Clip]

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return sum(len(clip) for clip in self.clips)


@dataclass(frozen=True, kw_only=True)
class FileItem:
    """The files of one sample."""

    image: Path
    labels: Path | None = None
    instances: Path | None = None
    pts_us: int = 0


@dataclass(frozen=True, kw_only=True)
class FileClip:
    """A clip whose samples are image files."""

    name: str
    fps: float | None
    items: tuple[FileItem, ...]
    num_classes: int
    recode: Callable[[Path], NDArray[np.uint8]] = read_labels
    """Reads one label file as class ids."""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < len(self.items):
            raise IndexError(f"clip {self.name!r} has {len(self.items)} frames, no frame {index}")
        item = self.items[index]
        frame = read_image(item.image, pts_us=item.pts_us, sequence=index)
        labels = instances = None
        if item.labels is not None:
            labels = self.recode(item.labels)
            check_labels(labels, frame, item.labels, self.num_classes)
        if item.instances is not None:
            instances = read_index_image(item.instances).astype(np.uint16)
            _check_size(instances.shape, frame, item.instances)
        return Sample(frame=frame, labels=labels, instances=instances)


def check_labels(labels: NDArray[np.uint8], frame: Frame, path: Path, num_classes: int) -> None:
    """Raise BadInput unless the labels fit their frame and name known classes."""
    _check_size(labels.shape, frame, path)
    beyond = labels[(labels >= num_classes) & (labels != IGNORE)]
    if beyond.size:
        known = f"0-{num_classes - 1} or {IGNORE} (ignore)"
        raise BadInput(f"{path}: label {int(beyond.max())} with {num_classes} classes; expected {known}")


def _check_size(shape: tuple[int, ...], frame: Frame, path: Path) -> None:
    if shape != (frame.height, frame.width):
        got = "x".join(map(str, shape))
        raise BadInput(f"{path}: is {got} (height x width), its image is {frame.height}x{frame.width}")
