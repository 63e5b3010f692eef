"""From the loop's newest frame to a JPEG: one slot, one copy, one encoding, and all of it only when somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from edge_vss.data.images import plane_rows
from edge_vss.frame import Frame
from edge_vss.runtime import OutputInfo, overlay
from edge_vss.sinks import OVERLAY_ALPHA

__all__ = ["MAX_WIDTH", "PICTURES_PER_S", "VIEWS", "PictureSlot", "Taken", "encode_jpeg"]

PICTURES_PER_S, MAX_WIDTH = 10.0, 960
VIEWS = {"overlay": OVERLAY_ALPHA, "camera": 0.0, "labels": 1.0}
"""How a frame may be looked at -> share of the colours of the classes."""
QUALITY = 4
"""Quantiser of the encoder, 2 (best) to 31."""
_LAYOUTS = {"rgb": "rgb24", "bgr": "bgr24", "grey": "gray", "nv12": "nv12", "i420": "yuv420p", "yuyv": "yuyv422"}
_YUV = ("nv12", "i420", "yuyv")
_MATRICES = {"bt601": "itu601", "bt709": "itu709"}
_RANGES = {"limited": "MPEG", "full": "JPEG"}


class Taken:
    """A copy of one labelled frame, and the pictures made of it.

    Args:
        outputs: What the labels may be; the first is shown unless another is asked for.
    """

    def __init__(
        self, frame: Frame, labels: Mapping[str, NDArray[np.uint8]], outputs: Sequence[OutputInfo], when_s: float
    ) -> None:
        self.sequence, self.when_s = frame.sequence, when_s
        self._picture, self._matrix = _copy(frame), _MATRICES[frame.matrix]
        self._range = _RANGES[frame.range] if frame.format in _YUV else "JPEG"
        self._labels = {output.name: labels[output.name].copy() for output in outputs}
        self._outputs = {output.name: output for output in outputs}
        self._lock = threading.Lock()
        self._rgb: NDArray[np.uint8] | None = None
        self._jpegs: dict[tuple[str, str], bytes] = {}
        self._shares: dict[str, list[float]] = {}

    def jpeg(self, output: str, view: str) -> bytes:
        """The picture as ``VIEWS`` has it; made once, whoever asks first waits for it."""
        with self._lock:
            if (output, view) not in self._jpegs:
                self._jpegs[output, view] = encode_jpeg(self._shown(output, VIEWS[view]))
            return self._jpegs[output, view]

    def shares(self, output: str) -> list[float]:
        """Share of the pixels per class of this output, in [0, 1]; counted once."""
        with self._lock:
            if output not in self._shares:
                labels, classes = self._labels[output], len(self._outputs[output].classes)
                counts = np.bincount(labels.ravel(), minlength=256)[:classes]
                self._shares[output] = (counts / labels.size).tolist()
            return self._shares[output]

    def _shown(self, output: str, alpha: float) -> NDArray[np.uint8]:
        """(h, w, 3) uint8 RGB, at most ``MAX_WIDTH`` wide."""
        rgb, labels = self._scaled(), self._labels[output]
        if alpha == 0.0:
            return rgb
        rows, columns = (
            ((np.arange(size) + 0.5) * whole / size).astype(np.intp) for size, whole in zip(rgb.shape, labels.shape)
        )
        return overlay(rgb, labels[rows[:, None], columns], self._outputs[output].palette, alpha)

    def _scaled(self) -> NDArray[np.uint8]:
        if self._rgb is None:
            width = min(self._picture.width, MAX_WIDTH)
            scaled = self._picture.reformat(
                width=width,
                height=max(1, round(self._picture.height * width / self._picture.width)),
                format="rgb24",
                src_colorspace=self._matrix,
                src_color_range=self._range,
                dst_color_range="JPEG",
                interpolation="AREA",
            )
            self._rgb = np.asarray(scaled.to_ndarray(), np.uint8)
        return self._rgb


class PictureSlot:
    """Holds the newest frame that somebody wanted to see: one place, the newest wins."""

    def __init__(self, outputs: Sequence[OutputInfo], clock: Callable[[], float] = time.monotonic) -> None:
        self.outputs = {output.name: output for output in outputs}
        self.copies = 0
        """Frames copied so far."""
        self._changed, self._clock = threading.Condition(), clock
        self._wanted, self._closed, self._next_s = False, False, 0.0
        self._taken: Taken | None = None

    @property
    def newest(self) -> Taken | None:
        """What was copied last."""
        return self._taken

    def offer(self, frame: Frame, labels: Mapping[str, NDArray[np.uint8]]) -> None:
        """Take the loop's newest frame where somebody waits for one; neither keeps the arrays nor waits for anybody."""
        if not self._wanted or self._clock() < self._next_s or not self._changed.acquire(blocking=False):
            return
        try:
            now_s = self._clock()
            self._taken = Taken(frame, labels, list(self.outputs.values()), now_s)
            self._next_s, self._wanted = now_s + 1 / PICTURES_PER_S, False
            self.copies += 1
            self._changed.notify_all()
        finally:
            self._changed.release()

    def wait(self, timeout_s: float) -> Taken | None:
        """The next frame of the loop; the newest there is when the time is up, None where there was none at all."""
        with self._changed:
            before, self._wanted = self.copies, True
            self._changed.wait_for(lambda: self.copies > before or self._closed, timeout_s)
            return self._taken

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def encode_jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 as a JPEG file."""
    context = VideoCodecContext.create("mjpeg", "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width, context.pix_fmt = rgb.shape[0], rgb.shape[1], "yuv420p"
    context.color_range, context.colorspace = 2, 5  # what a JPEG is: full range, BT.601
    context.time_base = Fraction(1, 25)
    context.options = {"qmin": str(QUALITY), "qmax": str(QUALITY)}
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
        format="yuv420p", dst_colorspace="itu601", src_color_range="JPEG", dst_color_range="JPEG"
    )
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode()])


def _copy(frame: Frame) -> VideoFrame:
    """The pixels in FFmpeg's own memory, which scales and converts them without Python."""
    picture = VideoFrame(frame.width, frame.height, _LAYOUTS[frame.format])
    for plane, source in zip(picture.planes, frame.planes):
        rows = source.reshape(source.shape[0], -1)
        target = plane_rows(plane)
        width = min(rows.shape[1], target.shape[1])
        target[: rows.shape[0], :width] = rows[:, :width]
    return picture
