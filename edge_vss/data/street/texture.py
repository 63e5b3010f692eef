"""Textures: RGBA pictures that are read at a size that suits the screen, and the few strokes they are painted with."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "Texture", "muted", "noise_tile"]

SHADES = 16
"""Brightness steps of a surface: step s multiplies by (s + 1) / 12."""

Colour = tuple[float, float, float]


class Texture:
    """RGBA, uint8, alpha 0 = nothing there; read through ``level``."""

    def __init__(self, rgba: NDArray[np.uint8]) -> None:
        self.rgba = np.ascontiguousarray(rgba)
        self.height, self.width = rgba.shape[:2]
        self._shrunk: dict[tuple[int, int], NDArray[np.uint8]] = {(0, 0): self.rgba}
        self._levels: dict[tuple[int, int, int], tuple[NDArray[np.uint32], int, int]] = {}

    def level(self, halve_y: int, halve_x: int, shade: int) -> tuple[NDArray[np.uint32], int, int]:
        """The texture shrunk by powers of two and lit: ``(height * width,) uint32`` RGBA, height, width."""
        halve_y = min(halve_y, self.height.bit_length() - 1)
        halve_x = min(halve_x, self.width.bit_length() - 1)
        key = (halve_y, halve_x, shade)
        found = self._levels.get(key)
        if found is None:
            rgba = self._shrink(halve_y, halve_x)
            height, width = rgba.shape[:2]
            lit = np.minimum(np.arange(256) * ((shade + 1) / 12.0) + 0.5, 255).astype(np.uint8).take(rgba)
            lit[..., 3] = rgba[..., 3]
            found = self._levels[key] = (lit.view(np.uint32).ravel(), height, width)
        return found

    def _shrink(self, halve_y: int, halve_x: int) -> NDArray[np.uint8]:
        key = (halve_y, halve_x)
        found = self._shrunk.get(key)
        if found is None:
            if halve_y:
                found = _halve(self._shrink(halve_y - 1, halve_x), 0)
            else:
                found = _halve(self._shrink(0, halve_x - 1), 1)
            self._shrunk[key] = found
        return found


def _halve(rgba: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Means of neighbours along an axis; colours weigh as their alpha does."""
    packed = np.ascontiguousarray(rgba).view(np.uint32)[..., 0]
    count = rgba.shape[axis] // 2
    one, other = (packed[start : 2 * count : 2] if axis == 0 else packed[:, start : 2 * count : 2] for start in (0, 1))
    # Four bytes at once: a + b = 2 (a & b) + (a ^ b), and no carry crosses into the next byte.
    mean = (one & other) + (((one ^ other) & np.uint32(0xFEFEFEFE)) >> np.uint32(1))
    out = np.ascontiguousarray(mean)[..., None].view(np.uint8)
    if packed.min() < 0xFF000000:
        left, right = ((half >> np.uint32(24)).astype(np.float32) for half in (one, other))
        weight = np.maximum(left + right, 1)
        for shift, channel in ((0, 0), (8, 1), (16, 2)):
            first, second = ((half >> np.uint32(shift)) & np.uint32(255) for half in (one, other))
            out[..., channel] = (first * left + second * right) / weight
    return out


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


def muted(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A random colour between two levels; most are dull, few are bright."""
    colour = rng.uniform(low, high, 3)
    red, green, blue = colour.mean() + (colour - colour.mean()) * rng.uniform(0.1, 1.0) ** 2
    return float(red), float(green), float(blue)


@lru_cache(maxsize=1)
def _white_noise() -> NDArray[np.float32]:
    return np.random.default_rng(7).standard_normal((640, 640), np.float32)


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
        rows, columns = self._window(y - radius_y, x - radius_x, y + radius_y, x + radius_x)
        inside = ((self._y[rows] - y) / radius_y) ** 2 + ((self._x[:, columns] - x) / radius_x) ** 2 <= 1
        self.rgba[rows, columns][inside] = (*colour, alpha)

    def stroke(
        self, y0: float, x0: float, y1: float, x1: float, radius: float, colour: Colour, alpha: float = 255
    ) -> None:
        """Draw a thick line with round ends; ``radius`` in heights of the canvas."""
        side = radius / self._aspect
        rows, columns = self._window(min(y0, y1) - radius, min(x0, x1) - side, max(y0, y1) + radius, max(x0, x1) + side)
        y, x = self._y[rows] - y0, (self._x[:, columns] - x0) * self._aspect
        dy, dx = y1 - y0, (x1 - x0) * self._aspect
        along = np.clip((y * dy + x * dx) / max(dy * dy + dx * dx, 1e-9), 0, 1)
        gap = (y - along * dy) ** 2 + (x - along * dx) ** 2
        self.rgba[rows, columns][gap <= radius * radius] = (*colour, alpha)

    def _window(self, y0: float, x0: float, y1: float, x1: float) -> tuple[slice, slice]:
        """The pixels that a shape within these bounds can touch."""
        height, width = self.rgba.shape[:2]
        rows = slice(max(0, int(y0 * height)), max(0, int(y1 * height) + 1))
        return rows, slice(max(0, int(x0 * width)), max(0, int(x1 * width) + 1))

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
        y, x = rng.integers(0, 256, 2)
        grain = _white_noise()[y : y + height // coarse + 1, x : x + width // coarse + 1]
        grain = grain.repeat(coarse, 0).repeat(coarse, 1)[:height, :width]
        factor = 1 + strength * grain
        for channel in range(3):  # broadcasting over the last axis would run loops of length three
            self.rgba[..., channel] *= factor

    def texture(self) -> Texture:
        """The finished picture."""
        return Texture(np.clip(self.rgba, 0, 255).astype(np.uint8))
