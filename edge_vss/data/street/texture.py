"""Textures: RGBA pictures that are read at a size that suits the screen, and the few strokes they are painted with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Texture", "noise_tile"]

SHADES = 16
"""Brightness steps of a surface: step s multiplies by (s + 1) / 12."""

Colour = tuple[float, float, float]


class Texture:
    """RGBA, uint8, alpha 0 = nothing there; read through ``level``."""

    def __init__(self, rgba: NDArray[np.uint8]) -> None:
        self.rgba = np.ascontiguousarray(rgba)
        self.height, self.width = rgba.shape[:2]
        self._shrunk: dict[tuple[int, int], NDArray[np.float32]] = {}
        self._levels: dict[tuple[int, int, int], tuple[NDArray[np.uint32], int, int]] = {}

    def level(self, halve_y: int, halve_x: int, shade: int) -> tuple[NDArray[np.uint32], int, int]:
        """The texture shrunk by powers of two and lit: ``(height * width,) uint32`` RGBA, height, width."""
        halve_y = max(0, min(halve_y, self.height.bit_length() - 1))
        halve_x = max(0, min(halve_x, self.width.bit_length() - 1))
        key = (halve_y, halve_x, shade)
        found = self._levels.get(key)
        if found is None:
            rgba = self._shrink(halve_y, halve_x).copy()
            rgba[..., :3] *= (shade + 1) / 12.0
            height, width = rgba.shape[:2]
            packed = np.clip(rgba + 0.5, 0, 255).astype(np.uint8)
            found = self._levels[key] = (packed.view(np.uint32).ravel(), height, width)
        return found

    def _shrink(self, halve_y: int, halve_x: int) -> NDArray[np.float32]:
        key = (halve_y, halve_x)
        found = self._shrunk.get(key)
        if found is None:
            found = self._shrunk[key] = _box_shrink(self.rgba, 1 << halve_y, 1 << halve_x)
        return found


def _box_shrink(rgba: NDArray[np.uint8], step_y: int, step_x: int) -> NDArray[np.float32]:
    """Means of boxes; colours weigh as their alpha does."""
    if step_y == step_x == 1:
        return rgba.astype(np.float32)
    height, width = max(1, rgba.shape[0] // step_y), max(1, rgba.shape[1] // step_x)
    boxes = rgba[: height * step_y, : width * step_x].astype(np.float32)
    boxes = boxes.reshape(height, step_y, width, step_x, 4)
    alpha = boxes[..., 3:]
    weight = alpha.sum((1, 3))
    colour = (boxes[..., :3] * alpha).sum((1, 3)) / np.maximum(weight, 1)
    return np.concatenate([colour, weight / (step_y * step_x)], -1)


@lru_cache(maxsize=16)
def noise_tile(seed: int, size: int = 512, octaves: int = 6, roughness: float = 0.6) -> NDArray[np.float32]:
    """(size, size) float32 noise that tiles, mean 0, standard deviation 1; ``size`` is a power of two."""
    rng = np.random.default_rng([seed, 77])
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = min(size, 4 << octave)
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        while grid.shape[0] < size:  # doubling with a binomial kernel: smooth, and it tiles
            grid = _double(_double(grid, 0), 1)
        total += grid * roughness**octave / max(float(grid.std()), 1e-6)
    total -= total.mean()
    total /= total.std()
    total.flags.writeable = False
    return total


def _double(grid: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    ahead, behind = np.roll(grid, -1, axis), np.roll(grid, 1, axis)
    pair = np.stack([0.75 * grid + 0.25 * behind, 0.75 * grid + 0.25 * ahead], axis + 1)
    shape = list(grid.shape)
    shape[axis] *= 2
    return pair.reshape(shape)


class Canvas:
    """A picture under the brush; coordinates run from 0 to 1, x to the right and y down."""

    def __init__(self, height: int, width: int, fill: Colour | None = None) -> None:
        self.rgba = np.zeros((height, width, 4), np.float32)
        self._y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        self._x = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None, :]
        self._aspect = width / height
        if fill is not None:
            self.rgba[..., :3], self.rgba[..., 3] = fill, 255

    def box(self, y0: float, x0: float, y1: float, x1: float, colour: Colour, alpha: float = 255) -> None:
        """Fill an upright rectangle."""
        height, width = self.rgba.shape[:2]
        rows = slice(max(0, round(y0 * height)), max(0, round(y1 * height), round(y0 * height) + 1))
        columns = slice(max(0, round(x0 * width)), max(0, round(x1 * width), round(x0 * width) + 1))
        self.rgba[rows, columns] = (*colour, alpha)

    def ellipse(self, y: float, x: float, radius_y: float, radius_x: float, colour: Colour, alpha: float = 255) -> None:
        """Fill an upright ellipse."""
        inside = ((self._y - y) / radius_y) ** 2 + ((self._x - x) / radius_x) ** 2 <= 1
        self.rgba[inside] = (*colour, alpha)

    def stroke(
        self, y0: float, x0: float, y1: float, x1: float, radius: float, colour: Colour, alpha: float = 255
    ) -> None:
        """Draw a thick line with round ends; ``radius`` in heights of the canvas."""
        dy, dx = y1 - y0, (x1 - x0) * self._aspect
        along = ((self._y - y0) * dy + (self._x - x0) * self._aspect * dx) / max(dy * dy + dx * dx, 1e-9)
        along = np.clip(along, 0, 1)
        gap = (self._y - y0 - along * dy) ** 2 + ((self._x - x0) * self._aspect - along * dx) ** 2
        self.rgba[gap <= radius * radius] = (*colour, alpha)

    def polygon(self, points: list[tuple[float, float]], colour: Colour, alpha: float = 255) -> None:
        """Fill a polygon given as (y, x) corners (even-odd rule)."""
        inside = np.zeros(self.rgba.shape[:2], bool)
        for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
            if y0 == y1:
                continue
            crosses = (self._y >= min(y0, y1)) & (self._y < max(y0, y1))
            inside ^= crosses & (self._x < x0 + (self._y - y0) * ((x1 - x0) / (y1 - y0)))
        self.rgba[inside] = (*colour, alpha)

    def speckle(self, rng: np.random.Generator, strength: float, coarse: int = 1) -> None:
        """Multiply the colours by noise: ``strength`` is its standard deviation, ``coarse`` its grain in pixels."""
        height, width = self.rgba.shape[:2]
        grain = rng.standard_normal((height // coarse + 1, width // coarse + 1)).astype(np.float32)
        grain = grain.repeat(coarse, 0).repeat(coarse, 1)[:height, :width]
        self.rgba[..., :3] *= 1 + strength * grain[..., None]

    def texture(self) -> Texture:
        """The finished picture."""
        return Texture(np.clip(self.rgba, 0, 255).astype(np.uint8))
