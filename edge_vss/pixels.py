"""The plain form of pre- and post-processing: a camera frame in, the network's input; scores in, a label map out.

It follows the manifest word for word in numpy and is what the native kernels are compared with. They work in fixed
point before the network (a level differs by less than 0.1) and in the same float32 operations after it. All
coordinates are pixel centres: pixel 0 lies at 0.0 and covers [-0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle.schema import InputSpec, OutputSpec
from edge_vss.frame import Frame

__all__ = [
    "AxisMap",
    "FitGeometry",
    "Rect",
    "fit_geometry",
    "frame_to_rgb",
    "label_map",
    "network_label_map",
    "positions_inside",
    "preprocess",
]

Floats = NDArray[np.float64]
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Matrix -> share of red and of blue in luma."""
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class AxisMap:
    """position -> position * scale + offset, along one axis."""

    scale: float
    offset: float

    def then(self, outer: AxisMap) -> AxisMap:
        """``outer(self(x))``."""
        return AxisMap(outer.scale * self.scale, self.offset * outer.scale + outer.offset)

    def at(self, count: int, begin: int = 0) -> Floats:
        """Where positions ``begin .. begin + count - 1`` land."""
        return np.arange(begin, begin + count, dtype=np.float64) * self.scale + self.offset


@dataclass(frozen=True)
class Rect:
    """Half-open rectangle of pixels: [y, y + height) by [x, x + width)."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class FitGeometry:
    """``source_rect`` of the frame fills ``network_rect`` of the network's input."""

    source_rect: Rect
    network_rect: Rect
    network_height: int
    network_width: int

    @property
    def valid(self) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of the picture inside the network's input, each as a share in [0, 1]."""
        inside, height, width = self.network_rect, self.network_height, self.network_width
        return (
            inside.y / height,
            inside.x / width,
            (inside.y + inside.height) / height,
            (inside.x + inside.width) / width,
        )

    def to_source(self) -> tuple[AxisMap, AxisMap]:
        """Network pixel -> source pixel, (y, x)."""
        return _rect_maps(self.source_rect, self.network_rect)

    def to_network(self) -> tuple[AxisMap, AxisMap]:
        """Source pixel -> network pixel, (y, x)."""
        return _rect_maps(self.network_rect, self.source_rect)


def fit_geometry(source_height: int, source_width: int, spec: InputSpec) -> FitGeometry:
    """How a source of this size goes into the network's input.

    ``letterbox`` shrinks the network's rectangle to the source's aspect, ``crop`` the source's to the network's; the
    adapted side is rounded half up, at least one pixel, and centred with the odd pixel after it.
    """
    source, network = (source_height, source_width), (spec.height, spec.width)
    wide = source_width * spec.height >= source_height * spec.width  # the source is the wider one
    if spec.fit == "letterbox":
        size = (_scaled(source_height, spec.width, source_width), spec.width)
        network_rect = _centred(
            size if wide else (spec.height, _scaled(source_width, spec.height, source_height)), network
        )
        return FitGeometry(Rect(0, 0, *source), network_rect, *network)
    if spec.fit == "crop":
        size = (source_height, min(source_width, _scaled(spec.width, source_height, spec.height)))
        other = (min(source_height, _scaled(spec.height, source_width, spec.width)), source_width)
        return FitGeometry(_centred(size if wide else other, source), Rect(0, 0, *network), *network)
    return FitGeometry(Rect(0, 0, *source), Rect(0, 0, *network), *network)


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


def frame_to_rgb(frame: Frame, height: int | None = None, width: int | None = None) -> NDArray[np.uint8]:
    """A frame as (height, width, 3) uint8 RGB, stretched bilinearly to that size; its own size where none is given."""
    spec = InputSpec(height=height or frame.height, width=width or frame.width)
    levels = _sample_rgb(frame, fit_geometry(frame.height, frame.width, spec))
    return np.ascontiguousarray(np.floor(levels + 0.5), np.uint8)


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
    maps = fit_geometry(source_height, source_width, spec).to_network()
    return _labels(tensor, output, spec, maps, (source_height, source_width))


def network_label_map(tensor: NDArray[Any], output: OutputSpec, spec: InputSpec) -> NDArray[np.uint8]:
    """An output tensor as a label map of the network's input size, (H, W) uint8."""
    identity = AxisMap(1.0, 0.0)
    return _labels(tensor, output, spec, (identity, identity), (spec.height, spec.width))


def _scaled(other: int, to_tight: int, from_tight: int) -> int:
    """``other * to_tight / from_tight``, rounded half up, at least 1."""
    return max(1, (2 * other * to_tight + from_tight) // (2 * from_tight))


def _centred(size: tuple[int, int], inside: tuple[int, int]) -> Rect:
    return Rect((inside[0] - size[0]) // 2, (inside[1] - size[1]) // 2, *size)


def _axis(from_begin: int, from_size: int, to_begin: int, to_size: int) -> AxisMap:
    scale = from_size / to_size
    return AxisMap(scale, (0.5 - to_begin) * scale + (from_begin - 0.5))


def _rect_maps(onto: Rect, of: Rect) -> tuple[AxisMap, AxisMap]:
    """Positions in ``of`` -> positions in ``onto``, (y, x), edges on edges."""
    return _axis(onto.y, onto.height, of.y, of.height), _axis(onto.x, onto.width, of.x, of.width)


def _sample_rgb(frame: Frame, geometry: FitGeometry) -> Floats:
    """The part of the frame that fills ``network_rect``, at its size: (height, width, 3) RGB levels in [0, 255]."""
    inside, source = geometry.network_rect, geometry.source_rect
    map_y, map_x = geometry.to_source()
    y = np.clip(map_y.at(inside.height, inside.y), source.y, source.y + source.height - 1)
    x = np.clip(map_x.at(inside.width, inside.x), source.x, source.x + source.width - 1)
    half_y = np.clip(y * 0.5 - 0.25, source.y // 2, (source.y + source.height - 1) // 2)
    half_x = np.clip(x * 0.5 - 0.25, source.x // 2, (source.x + source.width - 1) // 2)
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
    red, blue = LUMA_WEIGHTS[frame.matrix]
    limited = frame.range == "limited"
    y = (luma - 16.0) * (255.0 / 219.0) if limited else luma
    u, v = np.moveaxis((chroma - 128.0) * (255.0 / 224.0 if limited else 1.0), -1, 0)
    r, b = y + 2.0 * (1.0 - red) * v, y + 2.0 * (1.0 - blue) * u
    g = y - (2.0 * (1.0 - blue) * blue * u + 2.0 * (1.0 - red) * red * v) / (1.0 - red - blue)
    rgb: Floats = np.clip(np.stack([r, g, b], axis=-1), 0.0, 255.0)
    return rgb


def _labels(
    tensor: NDArray[Any],
    output: OutputSpec,
    spec: InputSpec,
    to_network: tuple[AxisMap, AxisMap],
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """Label map of ``size`` whose pixels lie on the network's input where ``to_network`` (y, x) says."""
    grid = tensor.shape[-2:]
    y, x = (
        np.clip(to_input.then(_to_grid(network, extent, output)).at(count), 0, extent - 1)
        for to_input, network, extent, count in zip(to_network, (spec.height, spec.width), grid, size)
    )
    if output.kind == "labels":
        return _nearest(tensor[0].astype(np.uint8), y, x)
    scores = tensor[0].astype(np.float32)
    kept = [channel for channel in range(len(scores)) if output.kind == "binary" or channel not in output.ignored]
    ids = np.array(kept, np.uint8)
    if output.upsampling == "nearest":
        return _nearest(_best(scores[kept], ids, output), y, x)
    slices = [y[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(y), ROWS_AT_ONCE)]
    return np.concatenate([_best(_grow(scores[kept], part, x), ids, output) for part in slices])


def _to_grid(network: int, grid: int, output: OutputSpec) -> AxisMap:
    """Network pixel -> sample of the score grid, along one axis."""
    if output.corners == "half_pixel":
        return _axis(0, grid, 0, network)
    return AxisMap((grid - 1) / (network - 1) if network > 1 else 0.0, 0.0)


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
