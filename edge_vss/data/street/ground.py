"""Ground and sky: what fills the picture before anything stands in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.config import BUILDING, PAVEMENT, ROAD, TREE
from edge_vss.data.street.path import CentreLine, Pose
from edge_vss.data.street.raster import GROUND, SKYLINE, Screen
from edge_vss.data.street.texture import noise_tile
from edge_vss.data.street.theme import Theme

__all__ = ["CrossSection", "draw_ground", "draw_sky", "ground_matrix"]

_STEP_M = 0.04
_REACH_M = 60.0
_FAR_M = 320.0


class CrossSection:
    """Colour and class across the street, for the four cases of side streets: none, left, right, both."""

    def __init__(self, theme: Theme) -> None:
        d = np.arange(-_REACH_M, _REACH_M, _STEP_M) + _STEP_M / 2
        self.labels = np.zeros((4, d.size), np.uint8)
        self.colour = np.zeros((3, 4, d.size), np.float32)
        for case in range(4):
            self.labels[case], colour = _cross_section(d, theme, bool(case & 1), bool(case & 2))
            self.colour[:, case] = colour.T
        self.grain = np.where(self.labels == ROAD, theme.road_grain, theme.pavement_grain).astype(np.float32)


def _cross_section(
    d: NDArray[np.float64], theme: Theme, left: bool, right: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    side = np.abs(d)
    kerb, path = theme.half_road_m, theme.half_road_m + theme.pavement_m
    labels = np.full(d.size, PAVEMENT, np.uint8)
    colour = np.empty((d.size, 3), np.float32)
    colour[:] = theme.pavement_colour
    colour[np.abs(side - kerb) < 0.09] = theme.kerb_colour
    beyond = side > path
    labels[beyond] = TREE if theme.verge else PAVEMENT
    colour[beyond] = theme.verge_colour
    joints = (side > kerb + 0.3) & (side % 0.6 < _STEP_M)
    colour[joints & ~(beyond & theme.verge)] *= theme.joint_shade
    road = side < kerb
    lines = np.zeros(d.size, bool)
    for lined in theme.edge_lines_m:
        lines |= road & (np.abs(kerb - lined - side) < 0.05)
    colour[lines] = theme.edge_colour
    labels[road] = ROAD
    colour[road & ~lines] = theme.road_colour
    for opened, there in ((left, d < 0), (right, d > 0)):
        if opened:
            mouth = there & (side > kerb - 0.5)
            labels[mouth], colour[mouth] = ROAD, theme.road_colour
    return labels, colour


def ground_matrix(pose: Pose, origin: Pose | None = None) -> NDArray[np.float64]:
    """(3, 3) [x axis, z axis, origin - eye] in the camera's axes: the ground as a surface of raster.

    Its origin lies below ``origin``, another place of the camera; below the camera itself where there is none.
    """
    rotation, origin = pose.rotation(), origin or pose
    foot = np.array([origin.x - pose.x, -pose.height_m, origin.z - pose.z])
    return np.stack([rotation[:, 0], rotation[:, 2], rotation @ foot], 1)


def draw_ground(
    screen: Screen, pose: Pose, line: CentreLine, section: CrossSection, openings: NDArray[np.int64], theme: Theme
) -> None:
    """Fill everything below the horizon.

    Args:
        openings: Case of the cross-section per half metre of z from ``floor(pose.z) - 20``, shape ``(K,)``.
    """
    inverse = np.linalg.inv(ground_matrix(pose)).astype(np.float32)
    top = _first_ground_row(screen, inverse)
    if top >= screen.height:
        return
    ray_x, ray_y = screen.ray_x, screen.ray_y[top:, None]
    (ax, ay, a1), (bx, by, b1), (wx, wy, w1) = inverse
    nearness = wx * ray_x + (wy * ray_y + w1)
    np.maximum(nearness, 1 / _FAR_M / 4, out=nearness)
    depth = 1 / nearness
    x = (ax * ray_x + (ay * ray_y + a1)) * depth
    z = (bx * ray_x + (by * ray_y + b1)) * depth
    x += np.float32(pose.x)
    base = np.floor(pose.z) - 20
    table_z = base + np.arange(int(_FAR_M + 40) * 2) * 0.5
    row = np.clip((z + np.float32(pose.z - base)) * 2, 0, table_z.size - 1.001)
    step = row.astype(np.int32)
    row -= step
    centre = line.x(np.append(table_z, table_z[-1] + 0.5)).astype(np.float32)
    d = x - (centre[:-1].take(step) + np.diff(centre).take(step) * row)
    d *= np.cos(line.heading(table_z)).astype(np.float32).take(step)
    column = np.clip((d + np.float32(_REACH_M)) * np.float32(1 / _STEP_M), 0, section.labels.shape[1] - 1).astype(
        np.int32
    )
    column += openings.astype(np.int32).take(step, mode="clip") * np.int32(section.labels.shape[1])
    z += np.float32(pose.z % 4096)
    rough = section.grain.ravel().take(column)
    rough *= _grain(x, z, depth, theme)
    rough += 1
    for channel in range(3):
        lit = section.colour[channel].ravel().take(column)
        lit *= rough
        screen.colour[top:, :, channel] = np.clip(lit, 0, 255, out=lit)
    screen.labels[top:] = section.labels.ravel().take(column)
    screen.nearness[top:] = nearness
    if screen.surfaces is not None:
        screen.surfaces[top:] = GROUND


def _first_ground_row(screen: Screen, inverse: NDArray[np.float32]) -> int:
    nearness = inverse[2, 0] * 0 + inverse[2, 1] * screen.ray_y + inverse[2, 2]
    return int(np.argmax(nearness > 1 / _FAR_M)) if (nearness > 1 / _FAR_M).any() else screen.height


def _grain(
    x: NDArray[np.float32], z: NDArray[np.float32], depth: NDArray[np.float32], theme: Theme
) -> NDArray[np.float32]:
    """Roughness of the ground: fine grain that fades with distance over coarse stains, (H, W) float32."""
    tile = noise_tile(theme.seed % 8)
    size = tile.shape[0] - 1
    fine: NDArray[np.float32] = tile.ravel().take(
        ((x * 23).astype(np.int32) & size) * (size + 1) + ((z * 23).astype(np.int32) & size)
    )
    coarse = tile.ravel().take(((x * 3).astype(np.int32) & size) * (size + 1) + ((z * 1).astype(np.int32) & size))
    fine *= 6 / (6 + depth)
    fine += coarse
    return fine


def draw_sky(screen: Screen, pose: Pose, theme: Theme) -> None:
    """Fill the picture above the horizon with sky and, along it, a far row of trees and houses."""
    elevation = -(screen.ray_y + np.float32(np.tan(pose.pitch)))
    rows = int(np.count_nonzero(elevation > -0.06))
    elevation = elevation[:rows, None]
    cover = _clouds(screen, pose, theme, elevation) if theme.cloud > 0 else np.zeros((rows, screen.width), np.float32)
    share = np.clip(elevation / np.float32(0.7), 0, 1)
    for channel in range(3):
        low, high, cloud = (np.float32(c[channel]) for c in (theme.sky_low, theme.sky_high, theme.cloud_colour))
        clear = low + (high - low) * share
        screen.colour[:rows, :, channel] = np.clip(clear + (cloud - clear) * cover, 0, 255)
    screen.colour[..., 3] = 255
    _skyline(screen, pose, theme, elevation)


def _clouds(screen: Screen, pose: Pose, theme: Theme, elevation: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much cloud hides each pixel, 0-1: a layer of noise seen in perspective."""
    tile = noise_tile(8 + theme.seed % 8)
    size = tile.shape[0] - 1
    reach = 60 / np.maximum(elevation, np.float32(0.04))
    across = (reach * (screen.ray_x + np.float32(pose.yaw))).astype(np.int32) & size
    along = (reach + np.float32(theme.cloud_shift)).astype(np.int32) & size
    cover: NDArray[np.float32] = tile.ravel().take(across * (size + 1) + along)
    cover += np.float32(theme.cloud_cover)
    cover *= np.float32(theme.cloud)
    return np.clip(cover, 0, 1, out=cover)


def _skyline(screen: Screen, pose: Pose, theme: Theme, elevation: NDArray[np.float32]) -> None:
    rows, steps = len(elevation), theme.skyline.shape[0]
    azimuth = (np.arctan2(screen.ray_x, 1) + pose.yaw) % (2 * np.pi)
    column = (azimuth / (2 * np.pi) * steps).astype(np.int64) % steps
    behind = elevation < theme.skyline[column][None, :]
    tint = np.full((screen.width, 4), 255, np.uint8)
    tint[:, :3] = np.clip(theme.skyline_colour[column], 0, 255)
    np.copyto(screen.packed[:rows], tint.view(np.uint32)[:, 0][None, :], where=behind)
    kind = np.where(theme.skyline_wood[column], TREE, BUILDING).astype(np.uint8)
    np.copyto(screen.labels[:rows], kind[None, :], where=behind)
    screen.nearness[:rows][behind] = 1 / _FAR_M
    if screen.surfaces is not None:
        screen.surfaces[:rows][behind] = SKYLINE
