"""Where pixels lie: how a frame is fitted into the network's input, and label maps onto its output.

All coordinates are pixel centres: pixel 0 lies at 0.0 and covers [-0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle.schema import InputSpec, OutputSpec

__all__ = ["AxisMap", "AxisSamples", "FitGeometry", "Rect", "fit_geometry", "grid_samples", "plane_samples"]

Floats = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class AxisSamples:
    """Where on one axis of a plane the pixels of a picture lie: between samples ``begin .. begin + size - 1``."""

    begin: int
    size: int
    at: Floats
    """(count,), clamped to those samples."""


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


def plane_samples(geometry: FitGeometry, *, halved: bool = False) -> tuple[AxisSamples, AxisSamples]:
    """Where the pixels of ``network_rect`` lie in a plane of the source, (y, x).

    Args:
        halved: The plane has half the resolution, each sample in the middle of its two by two pixels.
    """
    source, inside = geometry.source_rect, geometry.network_rect
    map_y, map_x = geometry.to_source()
    return (
        _axis_samples(map_y.at(inside.height, inside.y), source.y, source.height, halved),
        _axis_samples(map_x.at(inside.width, inside.x), source.x, source.width, halved),
    )


def grid_samples(
    grid: tuple[int, int], output: OutputSpec, spec: InputSpec, source: tuple[int, int] | None = None
) -> tuple[AxisSamples, AxisSamples]:
    """Where the pixels of a label map lie in a grid of scores or labels, (y, x).

    Args:
        grid: (height, width) of the output tensor.
        source: (height, width) of the frame for a label map of its size, the fit undone; None for one of the
            network's input size.
    """
    network = (spec.height, spec.width)
    maps = fit_geometry(*source, spec).to_network() if source else (AxisMap(1.0, 0.0), AxisMap(1.0, 0.0))
    y, x = (
        AxisSamples(0, extent, np.clip(to_input.then(_to_grid(side, extent, output)).at(count), 0, extent - 1))
        for to_input, side, extent, count in zip(maps, network, grid, source or network)
    )
    return y, x


def _axis_samples(at: Floats, begin: int, size: int, halved: bool) -> AxisSamples:
    if halved:
        at, begin, size = at * 0.5 - 0.25, begin // 2, (begin + size + 1) // 2 - begin // 2
    return AxisSamples(begin, size, np.clip(at, begin, begin + size - 1))


def _to_grid(network: int, grid: int, output: OutputSpec) -> AxisMap:
    """Network pixel -> sample of the score grid, along one axis."""
    if output.corners == "half_pixel":
        return _axis(0, grid, 0, network)
    return AxisMap((grid - 1) / (network - 1) if network > 1 else 0.0, 0.0)


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
