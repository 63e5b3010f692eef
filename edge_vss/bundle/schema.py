"""The manifest: what a bundle says of itself. One schema for every reader and writer.

``manifest.json`` is these types, written by msgspec: unknown fields are refused, fields at their default may be left
out. The native reader accepts exactly the same files; ``tests/bundle/test_manifests.py`` shows good and bad ones to
both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from edge_vss.frame import ColourMatrix, ColourRange
from edge_vss.graph import DType, Graph, Tensor
from edge_vss.schedule import Schedule

__all__ = [
    "SCHEMA_VERSION",
    "ClassInfo",
    "EngineRef",
    "FileRecord",
    "Golden",
    "InputSpec",
    "Manifest",
    "OutputSpec",
    "PixelEngines",
    "Storage",
    "Variant",
]

SCHEMA_VERSION = 1


class _Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of the values below."""


class ClassInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One class of a label map; its id is its place in the list."""

    name: str
    colour: tuple[int, int, int]
    """RGB, each in 0..255."""


def repeated_class(classes: Sequence[ClassInfo]) -> str | None:
    """A name that several classes have, which scores listed by name cannot tell apart."""
    counts = Counter(info.name for info in classes)
    return next((name for name, count in counts.items() if count > 1), None)


class InputSpec(_Value, frozen=True, kw_only=True):
    """How a camera frame becomes the network's input: fit, colour, normalise."""

    height: int
    width: int
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    """``stretch`` fills the input; ``letterbox`` keeps the aspect and pads; ``crop`` keeps the aspect and cuts."""
    pad: float = 0.0
    """Level of every channel in letterbox borders, 0..255."""
    resampling: Literal["bilinear"] = "bilinear"
    """Half-pixel centres, no antialiasing."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Channel order of the network's input."""
    matrix: ColourMatrix = "bt601"
    """For YUV sources that do not say."""
    range: ColourRange = "limited"
    """For YUV sources that do not say."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted, channels in ``order``, in 0..255 units."""
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)
    """Divided by, channels in ``order``, in 0..255 units, > 0."""


class OutputSpec(_Value, frozen=True, kw_only=True):
    """How an output tensor becomes a label map."""

    name: str
    tensor: str
    kind: Literal["scores", "labels", "binary"] = "scores"
    """``scores`` (1, C, H, W): upsample and take the best class; ``labels`` (1, H, W) uint8, int32 or int64 as they
    are; ``binary`` (1, 1, H, W): one score, label 1 where it is > 0."""
    classes: tuple[ClassInfo, ...]
    """Label id -> class; one per score channel (two for ``binary``)."""
    ignored: tuple[int, ...] = ()
    """Score channels that never win."""
    upsampling: Literal["bilinear", "nearest"] = "bilinear"
    """How scores grow to the size of the label map; ``labels`` are always taken nearest."""
    corners: Literal["half_pixel", "align_corners"] = "half_pixel"
    """Which points of the two grids coincide."""


class Storage(_Value, frozen=True, kw_only=True):
    """How one variant stores a tensor that crosses from stage to stage: real = scale * (stored - zero_point)."""

    dtype: DType
    scale: float = 1.0
    zero_point: int = 0
    channels_last: bool = False
    """(1, C, H, W) lies in memory as (1, H, W, C), for engines that compute that way on both sides."""

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """The extents in memory of a tensor that is stored like this."""
        if not self.channels_last:
            return tensor.shape
        batch, channels, height, width = tensor.shape
        return batch, height, width, channels


class EngineRef(_Value, frozen=True, kw_only=True):
    """What computes a stage in one variant: an engine file, or an operation that the host registers by name."""

    file: str = ""
    operation: str = ""


class Golden(_Value, frozen=True, kw_only=True):
    """What a schedule must give on the golden frames."""

    labels: str
    """A .npz file: one (frames, H, W) uint8 array per output."""
    tolerance: float
    """Share of pixels that may differ."""
    fired: tuple[tuple[str, ...], ...]
    """Per frame, in graph order."""
    changes: tuple[dict[str, float], ...]
    """Per frame: stage -> signal, where there was a reference."""
    age_frames: tuple[dict[str, int], ...]
    """Per frame: output tensor -> age."""


class PixelEngines(_Value, frozen=True, kw_only=True):
    """Pre- and post-processing next to the network, for camera frames of one kind. Frames of another kind, size or
    matrix and range than the input's go through the host's kernels."""

    format: Literal["rgb", "bgr", "nv12"]
    height: int
    """Of the frame, pixels, as ``width``."""
    width: int
    pre: str
    """Engine file: the frame's uint8 planes to the image tensor as the variant stores it."""
    post: dict[str, str]
    """Output -> engine file: its tensor as the variant stores it to a (1, height, width) uint8 label map; for scores
    a second output, (1,) float32, which is finite as long as every score is."""


class Variant(_Value, frozen=True, kw_only=True):
    """One complete, self-consistent way to compute every stage."""

    name: str
    backend: str
    precision: str
    engines: dict[str, EngineRef]
    """One per stage."""
    tensors: dict[str, Storage] = {}
    """Tensors stored otherwise than as trained."""
    pixels: PixelEngines | None = None
    """Pre- and post-processing as engines; None: the host's kernels do them."""
    thresholds: dict[str, dict[str, float]] = {}
    """Schedule -> stage -> threshold, where this variant's differ from the clock's own."""
    golden: dict[str, Golden] = {}
    """Schedule -> what it must give."""


class FileRecord(_Value, frozen=True, kw_only=True):
    """Size and digest of a file, checked before anything reads it."""

    bytes: int
    sha256: str


class Manifest(_Value, frozen=True, kw_only=True):
    """Everything a runtime must know of a bundle."""

    schema: int
    name: str
    input: InputSpec
    graph: Graph
    outputs: tuple[OutputSpec, ...]
    schedules: tuple[Schedule, ...]
    ladder: tuple[str, ...] = ()
    """Schedules from the richest to the cheapest, for a deadline; the last re-uses the label map."""
    variants: tuple[Variant, ...]
    golden_frames: str = ""
    """A .npz file with ``frames`` (frames, H, W, 3) uint8 RGB and ``pts_us`` (frames,) int64."""
    calibration: dict[str, str | float | int] = {}
    """What thresholds and ranges were set on."""
    provenance: dict[str, str] = {}
    """Where the weights come from."""
    files: dict[str, FileRecord] = {}
    """Every other file of the bundle."""

    def schedule(self, name: str, variant: Variant | None = None) -> Schedule:
        """A schedule by name, with the thresholds of ``variant``; KeyError where there is none."""
        found = {schedule.name: schedule for schedule in self.schedules}[name]
        return found.with_thresholds(variant.thresholds.get(name, {})) if variant else found

    def storage(self, variant: Variant, tensor: str) -> Storage:
        """How ``variant`` stores ``tensor``."""
        return variant.tensors.get(tensor, Storage(dtype=self.graph.tensor(tensor).dtype))
