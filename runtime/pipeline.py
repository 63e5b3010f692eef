"""The Python face of the native pipeline: named values around the C functions of ``edge_vss.h``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput, DeviceError, EdgeVssError
from edge_vss.frame import SUSPECT, Frame
from edge_vss.program import onnxruntime_library, program_path
from edge_vss.runtime import _native

FORMATS = {"nv12": 0, "i420": 1, "yuyv": 2, "bgr": 3, "rgb": 4, "grey": 5}
MATRICES = {"bt601": 0, "bt709": 1}
RANGES = {"limited": 0, "full": 1}
FLAGS = {
    1: "reset",
    2: "reused",
    4: "recomputed",
    8: "host_pixels",
    16: "suspect",
    32: "scene_cut",
    64: "fell_back",
    128: "degraded",
    256: "late",
}

# In the order of the negative statuses of edge_vss.h.
_native.set_error_types((ValueError, DeviceError, BadInput, DeviceError, EdgeVssError, DeviceError))


@dataclass(frozen=True, kw_only=True)
class OutputInfo:
    """One label map that a pipeline gives."""

    name: str
    classes: tuple[tuple[str, tuple[int, int, int]], ...]
    """Label id -> (name, RGB colour)."""

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(classes, 3) uint8 RGB."""
        return np.array([colour for _, colour in self.classes], np.uint8)


@dataclass(frozen=True, kw_only=True)
class PipelineInfo:
    """What a pipeline runs, and on what."""

    name: str
    variant: str
    backend: str
    backend_version: str
    precision: str
    schedule: str
    schedules: tuple[str, ...]
    stages: tuple[tuple[str, int], ...]
    """(name, multiply-adds of one firing), in graph order."""
    outputs: tuple[OutputInfo, ...]
    input_height: int
    input_width: int
    threads: int
    simd: str
    """Instruction set of the pixel kernels."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one frame gave."""

    labels: dict[str, NDArray[np.uint8]]
    """Output -> (H, W) uint8 class ids. The arrays are yours."""
    sequence: int
    pts_us: int
    fired: tuple[str, ...]
    """Stages that ran, in graph order."""
    changes: dict[str, float]
    """Stage with an adaptive clock -> its signal, in [0, 1]; absent where it had no reference yet."""
    age_frames: dict[str, int]
    """Output -> how far the camera frame it was computed from lies behind, dropped frames included."""
    age_ms: dict[str, float]
    stage_age_frames: dict[str, int]
    """Stage -> age of its newest output; -1 where it has not fired since the reset."""
    stage_ms: dict[str, float]
    """Stage that fired -> milliseconds."""
    pre_ms: float
    engines_ms: float
    """From the first stage's start to the last one's end."""
    post_ms: float
    latency_ms: float
    """From the frame's arrival to the label maps."""
    stage_begin_ms: dict[str, float]
    """Stage that fired -> when it began, milliseconds after the frame's arrival."""
    pre_begin_ms: float
    """Late stages may run before the image is written."""
    post_begin_ms: float
    flags: tuple[str, ...]
    """``reset``: first frame after a reset; ``reused``: a label map was re-used; ``recomputed``: scores were not
    finite and the frame was computed again from scratch; ``host_pixels``: not by the variant's pixel engines;
    ``degraded``, ``late``: see ``reasons``; ``suspect``: see below; ``scene_cut``: another scene, the state was
    reset; ``fell_back``: an engine failed, another variant computes."""
    captured_ns: int = 0
    """Of the frame."""
    done_ns: int = 0
    """CLOCK_MONOTONIC when the label maps were there."""
    suspect: tuple[str, ...] = ()
    """Of the frame."""
    landed: tuple[str, ...] = ()
    """Of ``fired``: those that ran in the background and are used from this frame on."""
    started: tuple[str, ...] = ()
    """Stages that started in the background."""
    schedule: str = ""
    """That was played: with a deadline one of the ladder's."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Flag -> why, for ``degraded`` and ``late``."""


class Pipeline:
    """A loaded bundle that takes frames.

    Args:
        bundle: A folder, or an uncompressed zip.
        schedule: One of the bundle's; the first where None.
        backend: Of the variant to run; ``auto`` takes the first that is available (see ``info``).
        precision: Of the variant to run; ``auto`` takes any.
        threads: For engines and pixels together; 0 = one per core.
        label_size: ``source``: label maps have the frame's size, the fit undone; ``network``: the input's.
        deadline_ms: From the frame's arrival to its label maps; 0 = none. See ``set_deadline``.
        max_age: Frames that a label map may grow old under a deadline; 0 = as the bundle's adaptive clocks have it.
        background: A stage that is too dear for one frame may run in the background, with two threads and more.
        realtime_priority: SCHED_RR, 1 to 99, of the threads that engines and pixels use and of a ``Loop``'s, but for
            stages in the background; 0 = as the caller. A thread that calls ``process`` itself keeps its own.
        operations: Name -> callable for variants whose stages name host operations: it takes the stage's inputs as
            arrays and returns one array per output. Meant for experiments: it runs Python in the frame loop.

    Raises:
        BadInput: The bundle is missing, changed, of another version or inconsistent.
        DeviceError: The backend or variant is not there, or the system does not permit the priority.
        ValueError: There is no schedule of that name.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        schedule: str | None = None,
        backend: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        label_size: Literal["source", "network"] = "source",
        deadline_ms: float = 0.0,
        max_age: int = 0,
        background: bool = True,
        realtime_priority: int = 0,
        operations: Mapping[str, Callable[..., Sequence[NDArray[Any]]]] | None = None,
    ) -> None:
        if label_size not in ("source", "network"):
            raise ValueError(f"label_size is 'source' or 'network', got {label_size!r}")
        if not 0 <= threads <= 256:
            raise ValueError(f"threads must be in 0..256, got {threads}")
        if not 0 <= realtime_priority <= 99:
            raise ValueError(f"realtime_priority must be in 0..99, got {realtime_priority}")
        for name, function in (operations or {}).items():
            _native.register_operation(name, function)
        self._native = _native.Pipeline(
            os.fspath(bundle),
            schedule,
            backend,
            precision,
            threads,
            label_size == "network",
            onnxruntime_library(),
            deadline_ms,
            max_age,
            background,
            realtime_priority,
        )

    @property
    def native(self) -> _native.Pipeline:
        """What the loop works with."""
        return self._native

    def try_send(self, frame: Frame) -> bool:
        """Process a frame; False where the last result was not received yet.

        Raises:
            ValueError: The frame cannot be used, or time or sequence do not increase; no clock advances.
            DeviceError: An engine failed; the stream state was reset.
        """
        return bool(self._native.try_send(*native_frame(frame)))

    def receive(self) -> Result | None:
        """The result of the last frame, once; None where there is none."""
        found: Any = self._native.receive()
        return None if found is None else result_of(found)

    def process(self, frame: Frame) -> Result:
        """``try_send`` and ``receive`` in one."""
        if not self.try_send(frame):
            raise ValueError("a result is waiting; receive it first")
        result = self.receive()
        assert result is not None
        return result

    def reset(self) -> None:
        """Scene cut or restart: every state becomes invalid; time and sequence may start again."""
        self._native.reset()

    def set_schedule(self, name: str) -> None:
        """Change the schedule between two frames; state survives, adaptive clocks take a new reference."""
        self._native.set_schedule(name)

    def set_deadline(self, deadline_ms: float, *, max_age: int = 0) -> None:
        """From the next frame on keep label maps within this time of their frame's arrival; 0 ends that.

        Frame by frame the richest schedule of the bundle's ladder is taken whose stages are foreseen to end in time.
        """
        self._native.set_deadline(deadline_ms, max_age)

    def read_tensor(self, name: str, shape: Sequence[int], dtype: str = "float32") -> NDArray[Any]:
        """A copy of the value a graph tensor had after the last frame, as stored.

        Raises:
            ValueError: No such tensor, no value yet, or another size.
        """
        count = math.prod(shape) * np.dtype(dtype).itemsize
        return self._native.read_tensor(name, count).view(dtype).reshape(shape)

    @property
    def info(self) -> PipelineInfo:
        """What runs, and on what."""
        found = self._native.info()
        found["outputs"] = tuple(OutputInfo(name=name, classes=classes) for name, classes in found["outputs"])
        return PipelineInfo(**found)

    def close(self) -> None:
        """Release the engines. Closing twice is harmless."""
        self._native.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def result_of(found: dict[str, Any]) -> Result:
    """A result from the extension's plain values."""
    bits, suspect, reasons = found.pop("flags"), found.pop("suspect"), found.pop("reasons")
    return Result(
        reasons=dict(part.split(": ", 1) for part in reasons.split("; ")) if reasons else {},
        flags=tuple(name for bit, name in FLAGS.items() if bits & bit),
        suspect=tuple(name for bit, name in SUSPECT.items() if suspect & bit),
        **found,
    )


def native_frame(frame: Frame) -> tuple[int, int, int, list[NDArray[np.uint8]], int, int, int, int, int, int, bool]:
    """The arguments that stand for a frame in the extension."""
    return (
        FORMATS[frame.format],
        frame.height,
        frame.width,
        list(frame.planes),
        MATRICES[frame.matrix],
        RANGES[frame.range],
        frame.pts_us,
        frame.sequence,
        frame.captured_ns,
        sum(bit for bit, name in SUSPECT.items() if name in frame.suspect),
        frame.restart,
    )


def check_bundle(path: str | Path) -> None:
    """Check manifest, sizes and digests with the native reader; BadInput where something is wrong."""
    _native.bundle_check(os.fspath(path))


def backends() -> dict[str, str]:
    """Backend -> "available VERSION", or why it is not."""
    lines = _native.backends(onnxruntime_library()).splitlines()
    return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}


def overlay(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], palette: NDArray[np.uint8], alpha: float = 0.5
) -> NDArray[np.uint8]:
    """Blend class colours over an image.

    Args:
        rgb: (H, W, 3) uint8.
        labels: (H, W) uint8; labels without a colour leave the image as it is.
        palette: (classes, 3) uint8 RGB, at most 256.
        alpha: Share of the colour, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    out = np.empty(rgb.shape, np.uint8)
    _native.overlay(np.ascontiguousarray(rgb), np.ascontiguousarray(labels), np.ascontiguousarray(palette), alpha, out)
    return out


def include_dir() -> Path:
    """Folder of ``edge_vss.h``, for C and C++ programs."""
    return Path(__file__).parent / "include"


def library_path() -> Path:
    """The shared library behind ``edge_vss.h``."""
    return Path(_native.__file__).parent / "lib" / "libedge_vss.so.0"


def run_program() -> Path:
    """``edge-vss-run``, the frame loop without Python."""
    return Path(program_path())
