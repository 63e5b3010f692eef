"""Draws textured parallelograms with a depth buffer.

A pixel's ray ``d`` meets the parallelogram ``P + a U + b V`` where ``z d = [U V P] (a, b, 1)``; so
``(a, b, 1) / z = inv([U V P]) d`` is linear over the screen: three planes per surface, no per-pixel Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.path import Pose
from edge_vss.data.street.texture import Texture

__all__ = ["GROUND", "SKY", "SKYLINE", "Screen", "camera_matrices", "quad", "turned"]

# Columns of a surface: origin (top left seen from outside), right edge, down edge, then what it is.
P, U, V = slice(0, 3), slice(3, 6), slice(6, 9)
TEXTURE, LABEL, INSTANCE, SHADE, KIND, COLUMNS = 9, 10, 11, 12, 13, 14
SOLID, SHEER, DECAL, FACING, FACING_SHEER = range(5)
"""Kinds: closed surface · seen-through (labelled wherever alpha > 0) · lies on the ground · turns to the camera."""

NEAR_M = 0.3

SKY, SKYLINE, GROUND = -3, -2, -1
"""What a traced pixel shows where it is no surface, see ``Screen.surfaces``."""


def quad(
    origin: Sequence[float],
    u: Sequence[float],
    v: Sequence[float],
    texture: int,
    label: int,
    kind: int = SOLID,
    shade: float = -1.0,
) -> list[float]:
    """One surface as a row of numbers; ``shade`` -1 is lit by the sun when placed."""
    return [*origin, *u, *v, texture, label, 0, shade, kind]


def turned(quads: NDArray[np.float64], x: float, z: float, heading: float, instance: int = 0) -> NDArray[np.float64]:
    """A copy of a model's surfaces, turned about the vertical and moved to (x, z)."""
    out: NDArray[np.float64] = quads.copy()
    c, s = np.cos(heading), np.sin(heading)
    for start in (0, 3, 6):
        px, pz = quads[:, start], quads[:, start + 2]
        out[:, start], out[:, start + 2] = px * c + pz * s, pz * c - px * s
    out[:, 0] += x
    out[:, 2] += z
    out[:, INSTANCE] = instance
    return out


class Screen:
    """Colour, inverse depth, label and instance of one frame under construction; where traced, also what is seen."""

    def __init__(self, height: int, width: int, focal_px: float, horizon: float, traced: bool = False) -> None:
        self.height, self.width, self.focal_px = height, width, focal_px
        self.centre_x, self.centre_y = width / 2, height * horizon
        self.ray_x = ((np.arange(width) + 0.5 - self.centre_x) / focal_px).astype(np.float32)
        self.ray_y = ((np.arange(height) + 0.5 - self.centre_y) / focal_px).astype(np.float32)
        self.colour = np.zeros((height, width, 4), np.uint8)
        self.packed = self.colour.view(np.uint32)[..., 0]
        self.nearness = np.zeros((height, width), np.float32)
        """1 / depth in 1/m; 0 is infinitely far."""
        self.labels = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint16)
        self.surfaces = np.full((height, width), SKY, np.int32) if traced else None
        """Which row of the surfaces given to ``draw`` a pixel shows, or SKY, SKYLINE, GROUND; ``None`` = not traced."""

    def draw(self, quads: NDArray[np.float64], textures: Sequence[Texture], pose: Pose) -> None:
        """Draw surfaces: ground decals, then what is solid from near to far, then what is seen through, far to near."""
        rotation = pose.rotation()
        eye = np.array([pose.x, pose.height_m, pose.z])
        quads = _face_camera(quads, rotation)
        outward = _cross(quads[:, U], quads[:, V])
        toward = np.einsum("ij,ij->i", outward, eye - quads[:, P])
        rows = np.flatnonzero((toward > 0) | (quads[:, KIND] != SOLID))
        quads = quads[rows]
        matrices = _matrices(quads, rotation, eye)
        boxes, centres = self._boxes(matrices)
        keep = (boxes[:, 1] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 2])
        keep &= np.abs(np.linalg.det(matrices)) > 1e-7
        index = np.flatnonzero(keep)
        kind, distance = quads[index, KIND], np.linalg.norm(centres[index], axis=1)
        sheer = (kind == SHEER) | (kind == FACING_SHEER)
        index = index[np.lexsort((np.where(sheer, -distance, distance), sheer, kind != DECAL))]
        inverses = np.linalg.inv(matrices[index])
        sizes = np.array([(texture.height, texture.width) for texture in textures])[
            quads[index, TEXTURE].astype(np.int64)
        ]
        halvings = _halvings(inverses, sizes, np.maximum(centres[index, 2], 1.0) / self.focal_px).tolist()
        for number, row, inverse, box, halve in zip(
            rows[index].tolist(),
            quads[index].tolist(),
            inverses.astype(np.float32),
            boxes[index].tolist(),
            halvings,
            strict=True,
        ):
            level = textures[int(row[TEXTURE])].level(halve[0], halve[1], int(row[SHADE]))
            self._draw_one(number, row, inverse, box, level)

    def _boxes(self, matrices: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Screen boxes (N, 4) as row0, row1, column0, column1 (half-open), and the centres (N, 3)."""
        u, v, p = matrices[..., 0], matrices[..., 1], matrices[..., 2]
        corners = np.stack([p, p + u, p + u + v, p + v], 1)
        depth = corners[..., 2]
        boxes = np.zeros((len(matrices), 4), np.int64)
        whole = depth.min(1) > NEAR_M
        boxes[whole] = self._bounds(corners[whole])
        for i in np.flatnonzero(~whole & (depth.max(1) > NEAR_M)):
            boxes[i] = self._bounds(_clip_near(corners[i])[None])[0]
        return boxes, corners.mean(1)

    def _bounds(self, corners: NDArray[np.float64]) -> NDArray[np.int64]:
        x = np.clip(corners[..., 0] / corners[..., 2] * self.focal_px + self.centre_x, -9, self.width + 9)
        y = np.clip(corners[..., 1] / corners[..., 2] * self.focal_px + self.centre_y, -9, self.height + 9)
        low = np.stack([y.min(1), x.min(1)], -1)
        high = np.stack([y.max(1), x.max(1)], -1)
        low = np.maximum(np.ceil(low - 0.5), 0)
        high = np.minimum(np.floor(high - 0.5) + 1, [self.height, self.width])
        return np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], -1).astype(np.int64)

    def _draw_one(
        self,
        number: int,
        row: list[float],
        inverse: NDArray[np.float32],
        box: list[int],
        level: tuple[NDArray[np.uint32], int, int],
    ) -> None:
        r0, r1, c0, c1 = box
        kind = int(row[KIND])
        window = np.s_[r0:r1, c0:c1]
        ray_x, ray_y = self.ray_x[c0:c1], self.ray_y[r0:r1, None]
        (ax, ay, a1), (bx, by, b1), (wx, wy, w1) = inverse
        nearness = wx * ray_x + (wy * ray_y + w1)
        far = self.nearness[window]
        seen = nearness > (far * np.float32(0.9999) if kind == DECAL else far)
        if not seen.any():
            return
        texels, height, width = level
        depth = np.reciprocal(np.where(seen, nearness, np.float32(1)))
        depth_x = depth * np.float32(width)
        depth *= np.float32(height)
        # Where nothing is seen the coordinates mean nothing, but they stay finite.
        column = np.multiply((ax * ray_x + (ay * ray_y + a1)), depth_x, out=depth_x)
        line = np.multiply((bx * ray_x + (by * ray_y + b1)), depth, out=depth)
        seen &= column >= 0
        seen &= column < width
        seen &= line >= 0
        seen &= line < height
        at = line.astype(np.int32)
        at *= width
        at += column.astype(np.int32)
        picked = texels.take(at, mode="clip")
        if kind in (SHEER, DECAL, FACING_SHEER):
            seen &= picked >= 0x04000000
            _blend(self.colour[window], picked, seen)
            if kind == DECAL:
                return
        else:
            seen &= picked >= 0x80000000
            np.copyto(self.packed[window], picked, where=seen)
        np.copyto(far, nearness, where=seen)
        np.copyto(self.labels[window], np.uint8(row[LABEL]), where=seen)
        np.copyto(self.instances[window], np.uint16(row[INSTANCE]), where=seen)
        if self.surfaces is not None:
            np.copyto(self.surfaces[window], np.int32(number), where=seen)


def camera_matrices(quads: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """[U V P] in the camera's axes, (N, 3, 3), of surfaces as ``Screen.draw`` takes them."""
    rotation = pose.rotation()
    eye = np.array([pose.x, pose.height_m, pose.z])
    return _matrices(_face_camera(quads, rotation), rotation, eye)


def _matrices(
    quads: NDArray[np.float64], rotation: NDArray[np.float64], eye: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrices: NDArray[np.float64] = np.stack(
        [quads[:, U] @ rotation.T, quads[:, V] @ rotation.T, (quads[:, P] - eye) @ rotation.T], -1
    )
    return matrices


def _halvings(
    inverses: NDArray[np.floating[Any]], sizes: NDArray[np.int64], metres_per_px: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(N, 2): how often to halve each texture in y and x so that a texel is about a pixel in the surface's middle."""
    step_x = np.hypot(inverses[:, 0, 0], inverses[:, 0, 1]) * sizes[:, 1]
    step_y = np.hypot(inverses[:, 1, 0], inverses[:, 1, 1]) * sizes[:, 0]
    texels_per_px = np.stack([step_y, step_x], -1) * metres_per_px[:, None]
    return np.floor(np.log2(np.maximum(texels_per_px, 1)) + 0.3).astype(np.int64)


def _cross(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products of rows; ``np.cross`` spends longer on its checks than on these."""
    ux, uy, uz = u.T
    vx, vy, vz = v.T
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], -1)


def _blend(under: NDArray[np.uint8], picked: NDArray[np.uint32], seen: NDArray[np.bool_]) -> None:
    """Mix texels over the picture by their alpha, in place; only where ``seen``."""
    rows, columns = np.nonzero(seen)
    over = picked[rows, columns][:, None].view(np.uint8).astype(np.int32)
    below = under[rows, columns].astype(np.int32)
    below += ((over - below) * over[:, 3:] + 127) // 255
    under[rows, columns] = below


def _face_camera(quads: NDArray[np.float64], rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the facing surfaces: their origin is the middle of the top edge, their right edge only a width."""
    facing = quads[:, KIND] >= FACING
    out: NDArray[np.float64] = quads.copy()
    right = rotation[0]
    width = np.linalg.norm(quads[facing, U], axis=1)[:, None] * np.sign(quads[facing, 3] + 1e-9)[:, None]
    out[facing, U] = width * right
    out[facing, P] -= 0.5 * width * right
    return out


def _clip_near(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of a polygon (K, 3) beyond the near plane."""
    kept: list[NDArray[np.float64]] = []
    for one, other in zip(corners, np.roll(corners, -1, 0), strict=True):
        if one[2] > NEAR_M:
            kept.append(one)
        if (one[2] > NEAR_M) != (other[2] > NEAR_M):
            share = (NEAR_M * 1.001 - one[2]) / (other[2] - one[2])
            kept.append(one + share * (other - one))
    return np.array(kept)
