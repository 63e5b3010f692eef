"""Paints house fronts, side walls and roofs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge_vss.data.street.texture import Canvas, Colour, Texture, muted

__all__ = ["facade", "gable", "roof", "side_wall"]

_WALLS: tuple[Colour, ...] = (
    (150, 92, 70), (128, 84, 66), (176, 148, 110), (196, 176, 138), (206, 198, 182), (222, 218, 208),
    (120, 110, 100), (160, 156, 150), (92, 80, 74), (186, 160, 120), (140, 136, 140), (210, 190, 160),
)  # fmt: skip
_TRIMS: tuple[Colour, ...] = ((235, 232, 225), (60, 55, 50), (200, 195, 180), (40, 60, 50), (110, 75, 50))


def _wall(rng: np.random.Generator, height: int, width: int) -> tuple[Canvas, Colour]:
    base = np.array(_WALLS[rng.integers(len(_WALLS))]) * rng.uniform(0.75, 1.15) + rng.normal(0, 8, 3)
    base = base.mean() + (base - base.mean()) * rng.uniform(0.3, 1.0)
    colour = (float(base[0]), float(base[1]), float(base[2]))
    canvas = Canvas(height, width, colour)
    canvas.speckle(rng, rng.uniform(0.02, 0.12))
    canvas.speckle(rng, rng.uniform(0.02, 0.1), 3)
    canvas.speckle(rng, rng.uniform(0.01, 0.05), 9)
    if rng.random() < 0.6:  # courses of bricks or slabs
        step = int(rng.choice([3, 3, 4, 12, 24]))
        canvas.rgba[::step, :, :3] *= rng.uniform(0.6, 1.15)
    return canvas, colour


def _window(
    canvas: Canvas, rng: np.random.Generator, box: tuple[float, float, float, float], trim: Colour, pane: Colour
) -> None:
    y0, x0, y1, x1 = box
    h, w = y1 - y0, x1 - x0
    canvas.box(y0 - 0.08 * h, x0 - 0.06 * w, y1 + 0.1 * h, x1 + 0.06 * w, trim)
    glow = rng.uniform(0.6, 1.5)
    canvas.box(y0, x0, y1, x1, (pane[0] * glow, pane[1] * glow, pane[2] * glow))
    if rng.random() < 0.4:  # a curtain or the sky's reflection
        pale = rng.uniform(110, 215)
        canvas.box(y0, x0, y0 + h * rng.uniform(0.2, 0.7), x1, (pale, pale, pale * rng.uniform(0.9, 1.1)))
    canvas.box(y0, (x0 + x1) / 2 - 0.02 * w, y1, (x0 + x1) / 2 + 0.02 * w, trim)
    if rng.random() < 0.6:
        canvas.box((y0 + y1) / 2 - 0.01, x0, (y0 + y1) / 2, x1, trim)


def _shop(canvas: Canvas, rng: np.random.Generator, top: float) -> None:
    """Glass, posters and a fascia with letters over the ground floor, from ``top`` to the foot."""
    x = 0.0
    while x < 1.0:
        width = rng.uniform(0.3, 0.6)
        right = min(1.0, x + width)
        fascia = muted(rng, 20, 230) if rng.random() < 0.6 else muted(rng, 20, 90)
        glass = rng.uniform(15, 80)
        canvas.box(top, x, 1, right, (glass, glass * 1.05, glass * 1.1))
        for _ in range(rng.integers(2, 9)):  # what stands in the window
            px, py = rng.uniform(x, right), rng.uniform(top + 0.3 * (1 - top), 0.95)
            box_colour = muted(rng, 20, 240)
            canvas.box(
                py, px, min(1, py + rng.uniform(0.01, 0.08)), min(right, px + rng.uniform(0.01, 0.06)), box_colour
            )
        for frame in np.arange(x, right, rng.uniform(0.08, 0.2)):
            canvas.box(top, frame, 1, frame + 0.008, fascia)
        canvas.box(top, x, top + 0.25 * (1 - top), right, fascia)
        ink = 240.0 if sum(fascia) < 380 else 30.0
        letter = x + 0.05
        while letter < right - 0.06:
            canvas.box(
                top + 0.07 * (1 - top),
                letter,
                top + 0.18 * (1 - top),
                letter + rng.uniform(0.006, 0.018),
                (ink, ink, ink),
            )
            letter += rng.uniform(0.02, 0.035)
        x = right


@lru_cache(maxsize=256)
def facade(seed: int, floors: int, columns: int) -> Texture:
    """A front of ``floors`` x ``columns`` windows; about 3 m each way."""
    rng = np.random.default_rng([seed, 1])
    canvas, _ = _wall(rng, 56 * floors, 44 * columns)
    trim, pane_level = _TRIMS[rng.integers(len(_TRIMS))], rng.uniform(25, 95)
    pane = (pane_level * 0.9, pane_level, pane_level * rng.uniform(1.0, 1.25))
    tall, wide = rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.85)
    shop = rng.random() < 0.5
    for floor in range(floors):
        if shop and floor == floors - 1:
            break
        for column in range(columns):
            if rng.random() < 0.06:
                continue
            y, x = (floor + 0.5 - tall / 2) / floors, (column + 0.5 - wide / 2) / columns
            _window(canvas, rng, (y, x, y + tall / floors, x + wide / columns), trim, pane)
    if rng.random() < 0.5:
        for floor in range(1, floors):
            canvas.box(floor / floors - 0.008, 0, floor / floors + 0.008, 1, trim)
    if shop:
        _shop(canvas, rng, 1 - 1 / floors)
    else:
        x = (rng.integers(columns) + 0.35) / columns
        canvas.box(1 - 0.72 / floors, x, 1, x + 0.32 / columns, muted(rng, 20, 180))
    canvas.box(0, 0, 0.02, 1, trim)
    canvas.rgba[..., :3] *= np.linspace(1.04, 0.88, canvas.rgba.shape[0], dtype=np.float32)[:, None, None]
    return canvas.texture()


@lru_cache(maxsize=128)
def side_wall(seed: int) -> Texture:
    """A gable or a blank flank with few windows; shares its colour with ``facade`` of the same seed."""
    rng = np.random.default_rng([seed, 1])
    canvas, _ = _wall(rng, 96, 96)
    for _ in range(rng.integers(0, 4)):
        y, x = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.8)
        _window(canvas, rng, (y, x, y + 0.15, x + 0.1), (225, 222, 215), (60, 65, 70))
    return canvas.texture()


@lru_cache(maxsize=64)
def gable(seed: int) -> Texture:
    """The triangle between a flank and the roof; shares its colour with ``facade`` of the same seed."""
    rng = np.random.default_rng([seed, 1])
    canvas, _ = _wall(rng, 48, 96)
    y = (np.arange(48)[:, None] + 0.5) / 48
    x = (np.arange(96)[None, :] + 0.5) / 96
    canvas.rgba[..., 3] = np.where(np.abs(x - 0.5) * 2 <= y, 255, 0)
    return canvas.texture()


@lru_cache(maxsize=64)
def roof(seed: int) -> Texture:
    """Tiles or slates."""
    rng = np.random.default_rng([seed, 2])
    base = [(92, 62, 52), (78, 74, 76), (110, 84, 70), (64, 62, 66), (128, 120, 112)][rng.integers(5)]
    canvas = Canvas(48, 128, base)
    canvas.speckle(rng, 0.08)
    canvas.rgba[::4, :, :3] *= 0.8
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 3)):
            x = rng.uniform(0.1, 0.8)
            canvas.box(0.3, x, 0.7, x + 0.1, (150, 165, 180))
    return canvas.texture()
