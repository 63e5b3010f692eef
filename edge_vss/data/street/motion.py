"""Exact optical flow of the street: where every point that one frame shows lies in another, and whether it is seen

A surface is flat, so its way from frame to frame is a homography: with ``M = [U V P]`` in the camera's axes (see
raster) a ray ``d`` of frame t becomes ``M_s inv(M_t) d`` in frame s. That holds for houses, for the ground, for cars
that drive and for figures that turn to the camera alike. Sky and skyline are painted by direction and move with the
camera's turning alone. The looks change colours, not places: a lens of the camera look blurs but does not bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.ground import ground_matrix
from edge_vss.data.street.path import Pose
from edge_vss.data.street.raster import INSTANCE, SKY, Screen, camera_matrices
from edge_vss.data.warp import FlowField

__all__ = ["Trace", "exact_flow"]

_SKY, _SKYLINE, _GROUND, _FIRST = 0, 1, 2, 3
"""Rows of a table per pixel: what is no surface, then the surfaces."""
_TOLERANCE = 2e-3
"""Relative: what differs less in inverse depth lies at one place."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What a frame shows, pixel by pixel."""

    pose: Pose
    screen: Screen
    """Drawn with ``traced``."""
    quads: NDArray[np.float64]
    """(N, COLUMNS) surfaces of the frame."""
    moving: int
    """How many of them move: the last ones, in the same order in all frames of a clip."""

    def rows(self) -> NDArray[np.int32]:
        """(H, W) what each pixel shows, as rows of tables."""
        assert self.screen.surfaces is not None
        rows: NDArray[np.int32] = self.screen.surfaces - np.int32(SKY)
        return rows

    def seen(self, rows: NDArray[np.int32]) -> NDArray[np.int64]:
        """Numbers of the surfaces that some pixel shows, (K,)."""
        return np.flatnonzero(np.bincount(rows.ravel(), minlength=_FIRST)[_FIRST:])


def exact_flow(here: Trace, there: Trace) -> FlowField:
    """Flow from one frame of a clip to another: where in ``there`` each point of ``here`` lies."""
    rows = here.rows()
    seen = here.seen(rows)
    onto, known = _moved(here, there, seen)
    inverses = np.linalg.inv(camera_matrices(here.quads[seen], here.pose))
    ground = np.linalg.inv(ground_matrix(here.pose))
    size = _FIRST + len(here.quads)
    ways, planes = np.zeros((size, 9), np.float32), np.zeros((size, 3), np.float32)
    ways[_SKY] = _turned_sky(here.pose, there.pose)
    ways[_GROUND] = (ground_matrix(there.pose, here.pose) @ ground).ravel()
    ways[_FIRST + seen[known]] = (onto[known] @ inverses[known]).reshape(-1, 9)
    planes[_GROUND], planes[_FIRST + seen] = ground[2], inverses[:, 2]
    screen = here.screen
    ray_x, ray_y = screen.ray_x, screen.ray_y[:, None]
    x, y, z = (_linear(ways[:, 3 * i : 3 * i + 3], rows, ray_x, ray_y) for i in range(3))
    nearness = _linear(planes, rows, ray_x, ray_y)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(z > 0, np.reciprocal(z), np.float32(np.nan))  # nan: behind the camera, or nowhere
        x *= scale
        y *= scale
        nearness *= scale
    skyline = rows == _SKYLINE
    x[skyline], y[skyline] = _along_skyline(here.pose, there.pose, screen, skyline)
    nearness[skyline] = 0
    flow = np.empty((*rows.shape, 2), np.float32)
    flow[..., 0] = (x - ray_x) * np.float32(screen.focal_px)
    flow[..., 1] = (y - ray_y) * np.float32(screen.focal_px)
    return FlowField(flow=flow, visible=_visible(there, rows, flow, x, y, nearness))


def _moved(here: Trace, there: Trace, seen: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Matrices of surfaces of ``here`` in ``there``, (K, 3, 3), and which of them still are the same thing."""
    quads = here.quads[seen].copy()
    known = np.ones(len(seen), bool)
    moving = seen >= len(here.quads) - here.moving
    after = there.quads[seen[moving] - len(here.quads) + len(there.quads)]
    known[moving] = quads[moving, INSTANCE] == after[:, INSTANCE]
    quads[moving] = after
    return camera_matrices(quads, there.pose), known


def _turned_sky(here: Pose, there: Pose) -> NDArray[np.float64]:
    """The sky shifts as the camera turns, as ``draw_sky`` paints it."""
    across, down = here.yaw - there.yaw, np.tan(here.pitch) - np.tan(there.pitch)
    return np.array([1, 0, across, 0, 1, down, 0, 0, 1])


def _along_skyline(
    here: Pose, there: Pose, screen: Screen, skyline: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rays of the skyline's pixels after the camera has turned."""
    lines, columns = np.nonzero(skyline)
    azimuth = np.arctan(screen.ray_x) + np.float32(here.yaw - there.yaw)
    down = np.float32(np.tan(here.pitch) - np.tan(there.pitch))
    return np.tan(azimuth)[columns], screen.ray_y[lines] + down


def _linear(
    table: NDArray[np.float32], rows: NDArray[np.int32], ray_x: NDArray[np.float32], ray_y: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``a ray_x + b ray_y + c`` with the (a, b, c) that the table, (N, 3), has for each pixel's row."""
    value = table[:, 0].take(rows)
    value *= ray_x
    value += table[:, 1].take(rows) * ray_y
    value += table[:, 2].take(rows)
    return value


def _visible(
    there: Trace,
    rows: NDArray[np.int32],
    flow: NDArray[np.float32],
    ray_x: NDArray[np.float32],
    ray_y: NDArray[np.float32],
    nearness: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Where the pixel of ``there`` that is nearest to a point shows a surface that passes through that point."""
    height, width = rows.shape
    with np.errstate(invalid="ignore"):
        column = np.floor(flow[..., 0] + np.arange(width, dtype=np.float32) + np.float32(0.5))
        line = np.floor(flow[..., 1] + np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5))
        inside = (column >= 0) & (column < width) & (line >= 0) & (line < height)
        at = np.where(inside, line * width + column, 0).astype(np.int64)
    shown = there.rows()
    seen = there.seen(shown)
    planes = np.zeros((_FIRST + len(there.quads), 3), np.float32)
    planes[_GROUND] = np.linalg.inv(ground_matrix(there.pose))[2]
    planes[_FIRST + seen] = np.linalg.inv(camera_matrices(there.quads[seen], there.pose))[:, 2]
    shown = shown.ravel().take(at)
    front = _linear(planes, shown, ray_x, ray_y)
    with np.errstate(invalid="ignore"):
        same = np.abs(front - nearness) <= _TOLERANCE * np.maximum(front, nearness)
    same &= ((rows >= _GROUND) & (shown >= _GROUND)) | (rows == shown)
    visible: NDArray[np.bool_] = inside & same
    return visible
