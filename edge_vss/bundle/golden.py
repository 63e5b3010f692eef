"""Golden sequences: what a bundle's schedules gave on a short clip when it was written."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss import pixels
from edge_vss.bundle.files import Bundle
from edge_vss.bundle.schema import Golden, InputSpec, OutputSpec
from edge_vss.errors import BadInput
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.frame import Frame
from edge_vss.graph import Graph
from edge_vss.schedule import Schedule

__all__ = [
    "GOLDEN_FRAMES",
    "GOLDEN_FRAMES_FILE",
    "Clip",
    "Memory",
    "clip_of",
    "golden_file",
    "read_clip",
    "record_golden",
    "unpack",
]

GOLDEN_FRAMES = 12
GOLDEN_FRAMES_FILE = "golden/frames.npz"
TOLERANCE = 0.001
"""Share of pixels in which two exact implementations may differ: ties that rounding decides."""
MAX_SIDE = 480
MAX_UNPACKED_BYTES = 2 << 30


@dataclass(frozen=True)
class Clip:
    """A few frames to compare on."""

    frames: NDArray[np.uint8]
    """(n, H, W, 3) RGB."""
    pts_us: NDArray[np.int64]
    """(n,)."""

    def frame(self, index: int) -> Frame:
        """Frame ``index``; its sequence number is its place."""
        picture = self.frames[index]
        return Frame(
            format="rgb",
            planes=(picture,),
            height=picture.shape[0],
            width=picture.shape[1],
            pts_us=int(self.pts_us[index]),
            sequence=index,
        )

    def packed(self) -> bytes:
        """The content of the golden frames' file."""
        return _pack(frames=self.frames, pts_us=self.pts_us)


def clip_of(frames: Iterable[Frame], count: int = GOLDEN_FRAMES) -> Clip:
    """The first ``count`` frames of a stream as RGB, made smaller where a side is longer than 480 pixels.

    Raises:
        BadInput: There is no frame, or the size changes.
    """
    pictures: list[NDArray[np.uint8]] = []
    times: list[int] = []
    for frame, _ in zip(frames, range(count)):
        shrink = min(1.0, MAX_SIDE / max(frame.height, frame.width))
        picture = pixels.frame_to_rgb(frame, max(1, round(frame.height * shrink)), max(1, round(frame.width * shrink)))
        if pictures and picture.shape != pictures[0].shape:
            raise BadInput(f"frame {frame.sequence} of the clip has another size than those before it")
        pictures.append(picture)
        times.append(frame.pts_us)
    if not pictures:
        raise BadInput("the calibration source gave no frame")
    return Clip(np.ascontiguousarray(np.stack(pictures)), np.array(times, np.int64))


def golden_file(schedule: str, variant: str = "") -> str:
    """Where the golden labels of a schedule lie in a bundle; those of further variants in folders of their own."""
    return f"golden/{variant}/{schedule}.npz" if variant else f"golden/{schedule}.npz"


class Memory:
    """Results of functions of arrays, by the identity of their arguments."""

    def __init__(self) -> None:
        self._results: dict[tuple[Any, ...], tuple[Sequence[Any], Sequence[Any]]] = {}

    def remembered(self, name: str, function: StageFunction) -> StageFunction:
        """``function``, which computes anything only once; functions of one name are taken for equal."""

        def run(*inputs: Any) -> Sequence[Any]:
            key = (name, *(value if isinstance(value, int) else id(value) for value in inputs))
            if key not in self._results:  # the inputs are kept, so that nothing else gets their identity
                self._results[key] = (function(*inputs), inputs)
            return self._results[key][0]

        return run


def record_golden(
    graph: Graph,
    schedule: Schedule,
    functions: Mapping[str, StageFunction],
    spec: InputSpec,
    outputs: Sequence[OutputSpec],
    clip: Clip,
    file: str,
    memory: Memory | None = None,
) -> tuple[Golden, bytes]:
    """Play a schedule over a clip with the reference executor.

    Args:
        functions: Stage -> callable over numpy arrays.
        file: Path in the bundle that the labels will have.
        memory: Given to several calls with equal functions and clip, it saves them from computing anything twice.

    Returns:
        The manifest's entry and the content of ``file``.
    """
    height, width = clip.frames.shape[1:3]
    valid = pixels.fit_geometry(height, width, spec).valid
    memory = memory or Memory()
    once = {stage: memory.remembered(stage, function) for stage, function in functions.items()}
    executor = ReferenceExecutor(graph, schedule, once, valid=valid)
    picture = memory.remembered("picture", lambda index: (pixels.preprocess(clip.frame(index), spec),))
    labels: dict[str, list[NDArray[np.uint8]]] = {output.name: [] for output in outputs}
    steps = []
    for index in range(len(clip.frames)):
        step = executor.step(picture(index)[0], sequence=index, pts_us=int(clip.pts_us[index]))
        steps.append(step)
        for output in outputs:
            grow = memory.remembered(f"labels {output.name}", _grow(output, spec, height, width))
            labels[output.name].append(grow(step.outputs[output.tensor])[0])
    golden = Golden(
        labels=file,
        tolerance=TOLERANCE,
        fired=tuple(step.fired for step in steps),
        changes=tuple(step.changes for step in steps),
        age_frames=tuple(step.age_frames for step in steps),
    )
    return golden, _pack(**{name: np.stack(maps) for name, maps in labels.items()})


def _grow(output: OutputSpec, spec: InputSpec, height: int, width: int) -> StageFunction:
    return lambda tensor: (pixels.label_map(tensor, output, spec, height, width),)


def read_clip(bundle: Bundle) -> Clip:
    """The golden frames of a bundle.

    Raises:
        BadInput: There are none, or they are not what the manifest promises.
    """
    name = bundle.manifest.golden_frames
    if not name:
        raise BadInput(f"{bundle.path}: holds no golden frames, so there is nothing to replay; export it again")
    arrays = unpack(bundle, name)
    frames, times = arrays.get("frames"), arrays.get("pts_us")
    good = frames is not None and times is not None and frames.dtype == np.uint8 and times.dtype == np.int64
    if (
        not good
        or frames is None
        or times is None
        or frames.ndim != 4
        or frames.shape[3] != 3
        or len(frames) != len(times)
    ):
        raise BadInput(f"{bundle.path}: {name} does not hold frames (n, H, W, 3) uint8 and pts_us (n,) int64")
    return Clip(np.ascontiguousarray(frames), times)


def _pack(**arrays: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(bundle: Bundle, name: str) -> dict[str, NDArray[Any]]:
    data = bundle.read(name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise ValueError("it unpacks to more than 2 GiB")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"{bundle.path}: {name} is not a readable .npz file: {error}") from None
