"""The plain form of pre- and post-processing: a camera frame in, the network's input; scores in, a label map out.

It follows the manifest word for word in numpy and is what the native kernels are compared with. They work in fixed
point before the network (a level differs by less than 0.1) and in the same float32 operations after it. All
coordinates are pixel centres: pixel 0 lies at 0.0 and covers [-0.5, 0.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle.schema import InputSpec, OutputSpec
from edge_vss.frame import ColourMatrix, ColourRange, Frame
from edge_vss.geometry import AxisSamples, FitGeometry, fit_geometry, grid_samples, plane_samples

__all__ = [
    "fit_geometry",
    "frame_to_rgb",
    "kept_channels",
    "label_map",
    "network_label_map",
    "positions_inside",
    "preprocess",
    "yuv_to_rgb",
]

Floats = NDArray[np.float64]
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Matrix -> share of red and of blue in luma."""
ROWS_AT_ONCE = 64


def preprocess(frame: Frame, spec: InputSpec) -> NDArray[np.float32]:
    """A camera frame as the network's input.

    Bilinear at half-pixel centres without antialiasing; YUV planes are sampled first and then converted, with half
    resolution chroma centred on its pixels. Letterbox borders hold the pad colour.

    Returns:
        (1, 3, H, W) float32, normalised with the manifest's mean and std, channels in its order.
    """
    geometry = fit_geometry(frame.height, frame.width, spec)
    levels = np.empty((spec.height, spec.width, 3))
    levels[:] = spec.pad
    inside = geometry.network_rect
    rgb = _sample_rgb(frame, geometry)
    levels[inside.y : inside.y + inside.height, inside.x : inside.x + inside.width] = (
        rgb if spec.order == "rgb" else rgb[..., ::-1]
    )
    normal = (levels - np.array(spec.mean)) / np.array(spec.std)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


def yuv_to_rgb(matrix: ColourMatrix, range: ColourRange) -> tuple[Floats, Floats]:
    """Weights (3, 3) and black levels (3,): rgb = weights @ (yuv - black), all in 0..255 levels, not clipped."""
    red, blue = LUMA_WEIGHTS[matrix]
    green = 1.0 - red - blue
    from_v, from_u = 2.0 * (1.0 - red), 2.0 * (1.0 - blue)
    weights = np.array([[1.0, 0.0, from_v], [1.0, -from_u * blue / green, -from_v * red / green], [1.0, from_u, 0.0]])
    if range == "full":
        return weights, np.array([0.0, 128.0, 128.0])
    return weights * (255.0 / np.array([219.0, 224.0, 224.0])), np.array([16.0, 128.0, 128.0])


def frame_to_rgb(frame: Frame, height: int | None = None, width: int | None = None) -> NDArray[np.uint8]:
    """A frame as (height, width, 3) uint8 RGB, stretched bilinearly to that size; its own size where none is given."""
    spec = InputSpec(height=height or frame.height, width=width or frame.width)
    levels = _sample_rgb(frame, fit_geometry(frame.height, frame.width, spec))
    return np.ascontiguousarray(np.floor(levels + 0.5), np.uint8)


def kept_channels(output: OutputSpec, count: int) -> list[int]:
    """Of ``count`` score channels, those that can win."""
    return [channel for channel in range(count) if output.kind == "binary" or channel not in output.ignored]


def positions_inside(shape: tuple[int, ...], valid: tuple[float, float, float, float]) -> int:
    """How many positions of a (..., H, W) label tensor have their centre inside ``valid`` and count in a signal."""
    top, left, bottom, right = valid
    y, x = ((np.arange(extent) + 0.5) / extent for extent in shape[-2:])
    return int(((y >= top) & (y < bottom)).sum() * ((x >= left) & (x < right)).sum())


def label_map(
    tensor: NDArray[Any], output: OutputSpec, spec: InputSpec, source_height: int, source_width: int
) -> NDArray[np.uint8]:
    """An output tensor as a label map of the source's size, the fit undone.

    Scores grow bilinearly and the best class wins, the lowest id in a tie. Where ``crop`` cut the source off, the
    nearest edge continues.

    Returns:
        (source_height, source_width) uint8.
    """
    return _labels(tensor, output, grid_samples(_grid(tensor), output, spec, (source_height, source_width)))


def network_label_map(tensor: NDArray[Any], output: OutputSpec, spec: InputSpec) -> NDArray[np.uint8]:
    """An output tensor as a label map of the network's input size, (H, W) uint8."""
    return _labels(tensor, output, grid_samples(_grid(tensor), output, spec))


def _grid(tensor: NDArray[Any]) -> tuple[int, int]:
    height, width = tensor.shape[-2:]
    return height, width


def _sample_rgb(frame: Frame, geometry: FitGeometry) -> Floats:
    """The part of the frame that fills ``network_rect``, at its size: (height, width, 3) RGB levels in [0, 255]."""
    y, x = (axis.at for axis in plane_samples(geometry))
    half_y, half_x = (axis.at for axis in plane_samples(geometry, halved=True))
    planes = frame.planes
    if frame.format in ("rgb", "bgr"):
        sampled = _bilinear(planes[0], y, x)
        return sampled if frame.format == "rgb" else sampled[..., ::-1]
    if frame.format == "grey":
        return np.repeat(_bilinear(planes[0], y, x)[..., None], 3, axis=-1)
    if frame.format == "nv12":
        luma, chroma = _bilinear(planes[0], y, x), _bilinear(planes[1], half_y, half_x)
    elif frame.format == "i420":
        luma = _bilinear(planes[0], y, x)
        chroma = np.stack([_bilinear(plane, half_y, half_x) for plane in planes[1:]], axis=-1)
    else:
        luma = _bilinear(planes[0][..., 0], y, x)
        pairs = np.stack([planes[0][:, 0::2, 1], planes[0][:, 1::2, 1]], axis=-1)
        chroma = _bilinear(pairs, y, half_x)
    return _yuv_to_rgb(luma, chroma, frame)


def _bilinear(plane: NDArray[np.uint8], y: Floats, x: Floats) -> Floats:
    """Samples at (y, x), which lie inside the plane: (len(y), len(x)) or with the plane's channels behind."""
    top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    share_y, share_x = y - top, x - left
    bottom, right = np.minimum(top + 1, plane.shape[0] - 1), np.minimum(left + 1, plane.shape[1] - 1)
    trailing = (1,) * (plane.ndim - 2)
    share_y, share_x = share_y.reshape(-1, 1, *trailing), share_x.reshape(-1, *trailing)
    rows = plane[top] * (1.0 - share_y) + plane[bottom] * share_y
    sampled: Floats = rows[:, left] * (1.0 - share_x) + rows[:, right] * share_x
    return sampled


def _yuv_to_rgb(luma: Floats, chroma: Floats, frame: Frame) -> Floats:
    """(H, W) luma and (H, W, 2) chroma levels -> (H, W, 3) RGB levels, clipped to [0, 255]."""
    weights, black = yuv_to_rgb(frame.matrix, frame.range)
    yuv = np.concatenate([luma[..., None], chroma], axis=-1)
    rgb: Floats = np.clip((yuv - black) @ weights.T, 0.0, 255.0)
    return rgb


def _labels(tensor: NDArray[Any], output: OutputSpec, samples: tuple[AxisSamples, AxisSamples]) -> NDArray[np.uint8]:
    """Label map whose pixels lie on the tensor where ``samples`` (y, x) say."""
    y, x = (axis.at for axis in samples)
    if output.kind == "labels":
        return _nearest(tensor[0].astype(np.uint8), y, x)
    scores = tensor[0].astype(np.float32)
    kept = kept_channels(output, len(scores))
    ids = np.array(kept, np.uint8)
    if output.upsampling == "nearest":
        return _nearest(_best(scores[kept], ids, output), y, x)
    slices = [y[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(y), ROWS_AT_ONCE)]
    return np.concatenate([_best(_grow(scores[kept], part, x), ids, output) for part in slices])


def _nearest(labels: NDArray[np.uint8], y: Floats, x: Floats) -> NDArray[np.uint8]:
    return labels[np.floor(y + 0.5).astype(np.int64)][:, np.floor(x + 0.5).astype(np.int64)]


def _best(scores: NDArray[np.float32], ids: NDArray[np.uint8], output: OutputSpec) -> NDArray[np.uint8]:
    """(C, H, W) scores -> (H, W) ids of the best channel, or 1 where the only one is above 0."""
    best: NDArray[np.uint8] = (
        (scores[0] > 0).astype(np.uint8) if output.kind == "binary" else ids[scores.argmax(axis=0)]
    )
    return best


def _grow(scores: NDArray[np.float32], y: Floats, x: Floats) -> NDArray[np.float32]:
    """Bilinear samples of (C, H, W) at (y, x), in float32: w0x (w0y a + w1y c) + w1x (w0y b + w1y d)."""
    height, width = scores.shape[1:]
    top = np.minimum(np.floor(y).astype(np.int64), max(0, height - 2))
    left = np.minimum(np.floor(x).astype(np.int64), max(0, width - 2))
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    after_y, after_x = (y - top).astype(np.float32)[:, None], (x - left).astype(np.float32)
    before_y, before_x = np.float32(1) - after_y, np.float32(1) - after_x
    rows = before_y * scores[:, top] + after_y * scores[:, bottom]
    grown: NDArray[np.float32] = before_x * rows[:, :, left] + after_x * rows[:, :, right]
    return grown
