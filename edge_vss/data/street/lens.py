"""The camera look: lens blur, exposure, colour cast, tone curve, vignette, sensor noise; drawn once per clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.texture import noise_tile

__all__ = ["Lens"]


class Lens:
    """One camera on one day."""

    def __init__(self, seed: int, height: int, width: int) -> None:
        rng = np.random.default_rng([seed, 301])
        self._seed = seed
        self._exposure = float(np.exp(rng.normal(0.0, 0.28)))
        self._breath = rng.uniform(0, 0.12)
        self._rate, self._phase = rng.uniform(0.2, 1.5), rng.uniform(0, 6.28)
        self._cast = np.exp(rng.normal(0, 0.05, 3))
        self._gamma = float(np.exp(rng.normal(0, 0.2)))
        self._black = rng.uniform(0, 22)
        self._noise = rng.uniform(1.0, 7.0)
        self._blur_passes = int(rng.choice([1, 1, 2]) * max(1, round(height / 360)))
        self._sharpen = rng.uniform(0.0, 0.9)
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        self._vignette = (1 - np.float32(rng.uniform(0, 0.16)) * (x * x + y * y))[..., None]

    def apply(self, rgb: NDArray[np.uint8], sequence: int, time_s: float) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 -> the same, as this camera would have taken it."""
        image = rgb.astype(np.float32)
        for _ in range(self._blur_passes):
            image = _soften(image)
        if self._sharpen > 0.3:
            image += self._sharpen * (image - _soften(image))
        image *= self._vignette
        image += self._grain(sequence, image.shape[0], image.shape[1])
        np.clip(image, 0, 255, out=image)
        table = self._tone(time_s)
        codes = image.astype(np.uint8)
        return np.stack([table[channel].take(codes[..., channel]) for channel in range(3)], -1)

    def _tone(self, time_s: float) -> NDArray[np.uint8]:
        """(3, 256) output code per input code."""
        gain = self._exposure * (1 + self._breath * np.sin(self._rate * time_s + self._phase))
        level = np.arange(256) / 255 * gain
        bent = level**self._gamma
        bent = np.where(bent > 0.75, 0.75 + (1 - np.exp(-(bent - 0.75) * 3)) * 0.3, bent)  # a soft shoulder
        codes = self._black + bent[None, :] * self._cast[:, None] * (255 - self._black)
        table: NDArray[np.uint8] = np.clip(codes, 0, 255).astype(np.uint8)
        return table

    def _grain(self, sequence: int, height: int, width: int) -> NDArray[np.float32]:
        """(H, W, 1 or 3) noise from a tile that is shifted anew for every frame."""
        rng = np.random.default_rng([self._seed, 302, sequence])
        tile = noise_tile(99, 512, 8, 1.9)
        parts = []
        for _ in range(3):
            y, x = rng.integers(0, 512, 2)
            rows = (np.arange(height) + y) & 511
            columns = (np.arange(width) + x) & 511
            parts.append(tile[rows][:, columns])
        return np.asarray(np.stack(parts, -1) * np.float32(self._noise), np.float32)


def _soften(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binomial 3x3, edges kept."""
    out: NDArray[np.float32] = image.copy()
    out[1:-1] = 0.25 * (image[:-2] + image[2:]) + 0.5 * image[1:-1]
    rows = out.copy()
    out[:, 1:-1] = 0.25 * (rows[:, :-2] + rows[:, 2:]) + 0.5 * rows[:, 1:-1]
    return out
