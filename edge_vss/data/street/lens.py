"""The camera look: lens blur, exposure, colour cast, tone curve, vignette, sensor noise; drawn once per clip."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.texture import noise_tile

__all__ = ["Lens"]

_TILE = 512


class Lens:
    """One camera on one day. Pictures pass through as planes, (3, H, W), in whole numbers: that is quick in numpy.

    ``daylight`` is the light on an upright surface, 1 = full.
    """

    def __init__(self, seed: int, height: int, width: int, daylight: float) -> None:
        rng = np.random.default_rng([seed, 301])
        self._seed = seed
        # The camera meters the scene: what the hour takes away it mostly gives back.
        self._exposure = float(np.exp(rng.normal(0.2, 0.25))) * min(1.6, daylight**-0.7)
        self._breath = rng.uniform(0, 0.12)
        self._rate, self._phase = rng.uniform(0.2, 1.5), rng.uniform(0, 6.28)
        self._cast = np.exp(rng.normal(0, 0.035, 3))
        self._gamma = float(np.exp(rng.normal(0.4, 0.25)))
        self._black = rng.uniform(0, 14)
        self._noise = round(float(np.exp(rng.uniform(-0.3, 1.7))) * 4)
        self._grey_noise = rng.random() < 0.5
        self._blur_passes = int(rng.choice([0, 1, 1, 2], p=[0.35, 0.3, 0.25, 0.1]) * max(1, round(height / 360)))
        self._sharpen = round(max(0.0, rng.uniform(-0.4, 1.3)) * 16)
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        self._vignette = (256 - np.float32(rng.uniform(0, 45)) * (x * x + y * y)).astype(np.uint16)

    def apply(self, planes: NDArray[np.uint8], sequence: int, time_s: float) -> NDArray[np.uint8]:
        """(3, H, W) uint8 -> the same, as this camera would have taken it."""
        image = planes.astype(np.uint16)
        for _ in range(self._blur_passes):
            image = _soften(image)
        if self._sharpen:
            edges = image.view(np.int16) - _soften(image).view(np.int16)
            edges *= self._sharpen
            edges >>= 4
            edges += image.view(np.int16)
            image = np.clip(edges, 0, 255, out=edges).view(np.uint16)
        image *= self._vignette
        image >>= 8
        noisy = image.view(np.int16)
        noisy += self._grain(sequence, planes.shape[1], planes.shape[2])
        np.clip(noisy, 0, 255, out=noisy)
        table = self._tone(time_s)
        return np.stack([table[channel].take(noisy[channel]) for channel in range(3)])

    def _tone(self, time_s: float) -> NDArray[np.uint8]:
        """(3, 256) output code per input code."""
        gain = self._exposure * (1 + self._breath * np.sin(self._rate * time_s + self._phase))
        level = np.arange(256) / 255 * gain
        bent = level**self._gamma
        bent = np.where(bent > 0.75, 0.75 + (1 - np.exp(-(bent - 0.75) * 3)) * 0.3, bent)  # a soft shoulder
        codes = self._black + bent[None, :] * self._cast[:, None] * (255 - self._black)
        table: NDArray[np.uint8] = np.clip(codes, 0, 255).astype(np.uint8)
        return table

    def _grain(self, sequence: int, height: int, width: int) -> NDArray[np.int16]:
        """(1 or 3, H, W) noise: a window of a tile, elsewhere for every frame and channel."""
        rng = np.random.default_rng([self._seed, 302, sequence])
        tile = _grain_tile(height, width)
        corners = rng.integers(0, _TILE, (1 if self._grey_noise else 3, 2))
        grain = np.stack([tile[y : y + height, x : x + width] for y, x in corners])
        grain *= self._noise
        grain >>= 6
        return grain


@lru_cache(maxsize=2)
def _grain_tile(height: int, width: int) -> NDArray[np.int16]:
    """Noise of standard deviation 16, wrapped: a window of (height, width) fits at every corner in the tile."""
    tile = np.rint(noise_tile(99, _TILE, 8, 1.9) * 16).astype(np.int16)
    return np.pad(tile, ((0, height), (0, width)), mode="wrap")


def _soften(image: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Binomial 3x3 over planes of 8-bit values, (3, H, W); the rim keeps its rows and columns."""
    rows: NDArray[np.uint16] = image * np.uint16(2)
    rows[:, 1:-1] += image[:, :-2]
    rows[:, 1:-1] += image[:, 2:]
    rows[:, 0] <<= 1
    rows[:, -1] <<= 1
    out: NDArray[np.uint16] = rows * np.uint16(2)
    out[..., 1:-1] += rows[..., :-2]
    out[..., 1:-1] += rows[..., 2:]
    out[..., 0] <<= 1
    out[..., -1] <<= 1
    out += 8
    out >>= 4
    return out
