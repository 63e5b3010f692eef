"""What every data set looks like to training and evaluation: classes, clips, samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.flow_file import read_flow
from edge_vss.data.images import read_image, read_index_image, read_labels
from edge_vss.data.warp import FlowField
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = ["FAR_CM", "Clip", "Dataset", "FileClip", "FileItem", "FlowFiles", "MeasuredClip", "Sample", "check_labels"]

FAR_CM = 65535
"""Stored depth of what is too far to count, the sky included."""


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


@runtime_checkable
class MeasuredClip(Clip, Protocol):
    """A clip that knows flow and depth; nothing is read or computed before it is asked for."""

    def flow(self, index: int, other: int, /) -> FlowField | None:
        """Flow from frame ``index`` to frame ``other``; ``None`` where it is not known for this pair."""

    def depth(self, index: int, /) -> NDArray[np.float32] | None:
        """(H, W) metres along the optical axis, ``inf`` = too far to count; ``None`` where not known."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An opened data set."""

    classes: tuple[ClassInfo, ...]
    clips: Sequence[Clip]
    things: frozenset[int] = frozenset()
    """Ids of the classes whose objects have instance numbers; empty where the data set has none."""

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return sum(len(clip) for clip in self.clips)


@dataclass(frozen=True, kw_only=True)
class FlowFiles:
    """Where the flow to a neighbouring frame is stored; see flow_file."""

    flow: Path
    occlusion: Path
    """8-bit PNG: 0 where the other frame shows the point."""


@dataclass(frozen=True, kw_only=True)
class FileItem:
    """The files of one sample."""

    image: Path
    labels: Path | None = None
    instances: Path | None = None
    pts_us: int = 0
    depth: Path | None = None
    """16-bit PNG, centimetres; ``FAR_CM`` = too far to count."""
    forward: FlowFiles | None = None
    """Flow to the next frame."""
    backward: FlowFiles | None = None
    """Flow to the frame before."""


def read_instances(path: Path) -> NDArray[np.uint16]:
    """(H, W) instance numbers as stored in an 8- or 16-bit PNG."""
    return read_index_image(path).astype(np.uint16)


@dataclass(frozen=True, kw_only=True)
class FileClip:
    """A clip whose samples are image files."""

    name: str
    fps: float | None
    items: tuple[FileItem, ...]
    num_classes: int
    recode: Callable[[Path], NDArray[np.uint8]] = read_labels
    """Reads one label file as class ids."""
    number: Callable[[Path], NDArray[np.uint16]] = read_instances
    """Reads one instance file as instance numbers, 0 = none."""
    stretch: bool = False
    """Bring labels of another size to that of their image, by the nearest pixel; otherwise they are refused."""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int, /) -> Sample:
        item = self._item(index)
        frame = read_image(item.image, pts_us=item.pts_us, sequence=index)
        labels = instances = None
        if item.labels is not None:
            labels = self.recode(item.labels)
            if self.stretch:
                labels = _stretched(labels, frame)
            check_labels(labels, frame, item.labels, self.num_classes)
        if item.instances is not None:
            instances = self.number(item.instances)
            _check_size(instances.shape, frame, item.instances)
        return Sample(frame=frame, labels=labels, instances=instances)

    def flow(self, index: int, other: int, /) -> FlowField | None:
        """Stored flow to a neighbouring frame, ``None`` where there is none."""
        item, _ = self._item(index), self._item(other)
        files = {1: item.forward, -1: item.backward}.get(other - index)
        if files is None:
            return None
        hidden = read_labels(files.occlusion)
        flow = read_flow(files.flow)
        if flow.shape[:2] != hidden.shape:
            raise BadInput(f"{files.flow} and {files.occlusion} differ in size")
        return FlowField(flow=flow, visible=hidden == 0)

    def depth(self, index: int, /) -> NDArray[np.float32] | None:
        """(H, W) metres, ``inf`` = too far to count; ``None`` where none is stored."""
        path = self._item(index).depth
        if path is None:
            return None
        centimetres = read_index_image(path)
        metres: NDArray[np.float32] = centimetres.astype(np.float32) / np.float32(100)
        metres[centimetres == FAR_CM] = np.inf
        return metres

    def _item(self, index: int) -> FileItem:
        if not 0 <= index < len(self.items):
            raise IndexError(f"clip {self.name!r} has {len(self.items)} frames, no frame {index}")
        return self.items[index]


def _stretched(labels: NDArray[np.uint8], frame: Frame) -> NDArray[np.uint8]:
    height, width = labels.shape
    rows = (2 * np.arange(frame.height) + 1) * height // (2 * frame.height)
    columns = (2 * np.arange(frame.width) + 1) * width // (2 * frame.width)
    stretched: NDArray[np.uint8] = labels[rows[:, None], columns]
    return stretched


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
