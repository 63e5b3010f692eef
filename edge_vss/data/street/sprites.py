"""Paints what stands upright and faces the camera: people, cyclists, trees, signs, lamps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge_vss.data.street.texture import Canvas, Colour, Texture, muted

__all__ = ["cyclist", "fence", "hedge", "paint", "pedestrian", "pole", "sign", "tree"]


def _cloth(rng: np.random.Generator) -> Colour:
    """Mostly dark and dull, now and then bright."""
    if rng.random() < 0.65:
        grey = rng.uniform(15, 90)
        tone = grey * (1 + rng.normal(0, 0.15, 3))
        return float(tone[0]), float(tone[1]), float(tone[2])
    return muted(rng, 20, 235)


def _skin(rng: np.random.Generator) -> Colour:
    level = rng.uniform(0.35, 1.0)
    return 225 * level, 178 * level, 150 * level


@lru_cache(maxsize=256)
def pedestrian(seed: int, step: int) -> Texture:
    """A person, 1.75 m tall in a box twice as tall as wide; ``step`` 0-3 is the phase of the walk (0 stands)."""
    rng = np.random.default_rng([seed, 3])
    top, legs, hair, skin = _cloth(rng), _cloth(rng), rng.uniform(15, 110), _skin(rng)
    canvas = Canvas(168, 84)
    spread = (0.03, 0.16, 0.02, -0.13)[step]
    build = rng.uniform(0.85, 1.2)
    skirt = rng.random() < 0.2
    for side in (-1, 1):
        foot = 0.5 + side * spread + side * 0.06
        canvas.stroke(0.5, 0.5 + side * 0.07, 0.94, foot, 0.038 * build, legs)
        canvas.stroke(0.965, foot - 0.02, 0.965, foot + 0.07, 0.02, (25, 22, 20))
        hand = 0.5 - side * spread * 1.3 + side * 0.2
        canvas.stroke(0.24, 0.5 + side * 0.17 * build, 0.5, hand, 0.03, (top[0] * 0.8, top[1] * 0.8, top[2] * 0.8))
        canvas.ellipse(0.52, hand, 0.02, 0.035, skin)
    hem = 0.66 if rng.random() < 0.3 else 0.54
    shoulder = 0.19 * build
    canvas.polygon(
        [(0.2, 0.5 - shoulder), (0.2, 0.5 + shoulder), (hem, 0.5 + 0.17 * build), (hem, 0.5 - 0.17 * build)], top
    )
    if skirt:
        canvas.polygon([(0.5, 0.36), (0.5, 0.64), (0.75, 0.72), (0.75, 0.28)], legs)
    canvas.ellipse(0.2, 0.5, 0.035, shoulder, top)
    canvas.ellipse(0.1, 0.5, 0.075, 0.105, skin)
    canvas.ellipse(0.075, 0.5, 0.06, 0.115, (hair, hair * 0.85, hair * 0.7))
    if rng.random() < 0.4:  # a bag
        x = rng.uniform(0.25, 0.7)
        canvas.box(0.4, x, 0.62, x + 0.16, _cloth(rng))
    canvas.speckle(rng, 0.08, 2)
    return canvas.texture()


@lru_cache(maxsize=128)
def cyclist(seed: int, step: int, side: bool) -> Texture:
    """A rider on a bicycle, 1.75 m tall; seen from behind (box 0.85 m wide) or from the side (1.75 m wide)."""
    rng = np.random.default_rng([seed, 4])
    top, legs, skin = _cloth(rng), _cloth(rng), _skin(rng)
    if rng.random() < 0.35:
        top = (210, 225, 40)  # high-visibility vest
    helmet, frame = _cloth(rng), tuple(rng.uniform(20, 160, 3))
    if not side:
        canvas = Canvas(168, 84)
        canvas.ellipse(0.8, 0.5, 0.2, 0.05, (22, 22, 24))
        canvas.stroke(0.4, 0.25, 0.4, 0.75, 0.015, frame)
        lift = (0.06, 0.0, -0.06, 0.0)[step]
        for sign_, up in ((-1, lift), (1, -lift)):
            canvas.stroke(0.5, 0.5 + sign_ * 0.12, 0.74 + up, 0.5 + sign_ * 0.2, 0.04, legs)
            canvas.stroke(0.74 + up, 0.5 + sign_ * 0.2, 0.9 + up, 0.5 + sign_ * 0.16, 0.03, legs)
            canvas.stroke(0.24, 0.5 + sign_ * 0.2, 0.41, 0.5 + sign_ * 0.28, 0.03, top)
        canvas.polygon([(0.17, 0.28), (0.17, 0.72), (0.54, 0.66), (0.54, 0.34)], top)
        canvas.box(0.6, 0.45, 0.63, 0.55, (200, 20, 20))
    else:
        canvas = Canvas(168, 168)
        for x in (0.2, 0.8):
            canvas.ellipse(0.8, x, 0.19, 0.19, (24, 24, 26))
            canvas.ellipse(0.8, x, 0.165, 0.165, (95, 92, 90))
        for y0, x0, y1, x1 in (
            (0.8, 0.2, 0.55, 0.36),
            (0.55, 0.36, 0.52, 0.7),
            (0.8, 0.45, 0.52, 0.7),
            (0.45, 0.68, 0.8, 0.8),
        ):
            canvas.stroke(y0, x0, y1, x1, 0.014, frame)
        knee = (0.6, 0.66, 0.7, 0.66)[step]
        canvas.stroke(0.5, 0.36, knee, 0.56, 0.045, legs)
        canvas.stroke(knee, 0.56, 0.86, 0.47, 0.035, legs)
        canvas.stroke(0.5, 0.36, 0.24, 0.55, 0.085, top)
        canvas.stroke(0.26, 0.56, 0.43, 0.7, 0.03, top)
    x = 0.62 if side else 0.5
    canvas.ellipse(0.12, x, 0.07, 0.075 if side else 0.12, skin)
    canvas.ellipse(0.085, x, 0.06, 0.085 if side else 0.13, helmet)
    canvas.speckle(rng, 0.08, 2)
    return canvas.texture()


@lru_cache(maxsize=96)
def tree(seed: int, leafy: bool) -> Texture:
    """A tree in a square box. Bare crowns let the sky through but belong to the tree up to their outline."""
    rng = np.random.default_rng([seed, 5])
    canvas = Canvas(176, 176)
    bark: Colour = tuple(np.array([70, 62, 54]) * rng.uniform(0.25, 1.0))
    leaf = np.array([72, 88, 52]) * rng.uniform(0.5, 1.3) + rng.normal(0, 10, 3)
    conifer = leafy and rng.random() < 0.25
    if conifer:
        canvas.stroke(0.5, 0.5, 1.0, 0.5, 0.015, bark)
        for level in np.linspace(0.05, 0.9, 16):
            width = 0.05 + 0.3 * level
            shade = leaf * rng.uniform(0.5, 1.0)
            canvas.ellipse(level, 0.5 + rng.normal(0, 0.01), 0.07, width * rng.uniform(0.8, 1.1), tuple(shade))
    elif leafy:
        canvas.stroke(0.5, 0.5, 1.0, 0.5, rng.uniform(0.012, 0.03), bark)
        for _ in range(70):
            angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
            y, x = 0.38 + 0.3 * radius * np.sin(angle), 0.5 + 0.38 * radius * np.cos(angle)
            light = 1.25 - 0.9 * y + rng.normal(0, 0.15)
            size = rng.uniform(0.03, 0.1)
            canvas.ellipse(y, x, size, size * rng.uniform(0.8, 1.4), tuple(leaf * max(0.2, light)))
    else:
        for _ in range(14):  # what the crown lets through still is tree
            angle, radius = rng.uniform(0, 2 * np.pi), 0.75 * np.sqrt(rng.random())
            size = rng.uniform(0.08, 0.16)
            canvas.ellipse(
                0.4 + 0.3 * radius * np.sin(angle), 0.5 + 0.36 * radius * np.cos(angle), size, size, bark, 16
            )
        _branch(canvas, rng, (1.0, 0.5), -np.pi / 2, rng.uniform(0.24, 0.34), 0.018, bark, 6)
    canvas.speckle(rng, 0.18, 2)
    return canvas.texture()


def _branch(
    canvas: Canvas,
    rng: np.random.Generator,
    foot: tuple[float, float],
    angle: float,
    length: float,
    radius: float,
    bark: Colour,
    left: int,
) -> None:
    tip = (foot[0] + length * np.sin(angle), foot[1] + length * np.cos(angle))
    canvas.stroke(*foot, *tip, max(radius, 0.0025), bark, 255 if left > 1 else 200)
    if left > 0:
        for _ in range(2 if left > 4 else 3):
            turn = rng.normal(0, 0.6)
            _branch(canvas, rng, tip, angle + turn, length * rng.uniform(0.55, 0.8), radius * 0.62, bark, left - 1)


@lru_cache(maxsize=32)
def hedge(seed: int) -> Texture:
    """A strip of leaves with a ragged top."""
    rng = np.random.default_rng([seed, 6])
    leaf = np.array([62, 82, 40]) * rng.uniform(0.5, 1.3) + rng.normal(0, 8, 3)
    canvas = Canvas(48, 192)
    canvas.box(0.15, 0, 1, 1, tuple(leaf * 0.7))
    for _ in range(160):
        y, x = rng.uniform(0.08, 1), rng.random()
        canvas.ellipse(y, x, rng.uniform(0.05, 0.12), rng.uniform(0.01, 0.03), tuple(leaf * rng.uniform(0.4, 1.2)))
    canvas.speckle(rng, 0.15)
    return canvas.texture()


@lru_cache(maxsize=32)
def fence(seed: int) -> Texture:
    """Railings (seen through, labelled all over) or boards, 2 m long."""
    rng = np.random.default_rng([seed, 7])
    colour: Colour = tuple(np.full(3, rng.choice([25, 40, 120, 160, 190])) * (1 + rng.normal(0, 0.05, 3)))
    if rng.random() < 0.35:
        wood: Colour = tuple(np.array([120, 92, 64]) * rng.uniform(0.5, 1.3))
        canvas = Canvas(64, 96, wood)
        for x in np.arange(0, 1, 0.08):
            canvas.rgba[:, int(x * 96) : int(x * 96) + 1, :3] *= 0.6
        canvas.speckle(rng, 0.08)
        return canvas.texture()
    canvas = Canvas(64, 96)
    canvas.rgba[...] = (*colour, rng.uniform(20, 50))
    for x in np.arange(0.02, 1, 1 / rng.integers(9, 18)):
        canvas.box(0.02, x, 1, x + 0.016, colour)
    for y in (0.05, 0.88):
        canvas.box(y, 0, y + 0.06, 1, colour)
    canvas.box(0, 0.0, 1, 0.035, colour)
    return canvas.texture()


@lru_cache(maxsize=64)
def sign(seed: int) -> Texture:
    """A plate; ``seed % 6``: prohibition, warning, order, name board, traffic light, shop board."""
    rng = np.random.default_rng([seed, 8])
    kind = seed % 6
    canvas = Canvas(64, 64)
    if kind == 0:
        canvas.ellipse(0.5, 0.5, 0.49, 0.49, (190, 25, 30))
        canvas.ellipse(0.5, 0.5, 0.37, 0.37, (235, 235, 235))
        canvas.box(0.35, 0.3, 0.65, 0.42, (20, 20, 20))
        canvas.box(0.35, 0.52, 0.65, 0.7, (20, 20, 20))
    elif kind == 1:
        canvas.polygon([(0.03, 0.5), (0.95, 0.98), (0.95, 0.02)], (190, 25, 30))
        canvas.polygon([(0.28, 0.5), (0.84, 0.8), (0.84, 0.2)], (235, 235, 235))
        canvas.box(0.5, 0.46, 0.8, 0.54, (20, 20, 20))
    elif kind == 2:
        canvas.ellipse(0.5, 0.5, 0.49, 0.49, (30, 70, 170))
        canvas.stroke(0.75, 0.3, 0.3, 0.65, 0.07, (235, 235, 235))
    elif kind == 3:
        base = [(20, 90, 60), (30, 70, 160), (235, 235, 235), (225, 190, 40)][rng.integers(4)]
        canvas.box(0.1, 0, 0.9, 1, base)
        ink = 25.0 if sum(base) > 400 else 235.0
        for y in (0.25, 0.45, 0.65):
            canvas.box(y, 0.1, y + 0.1, rng.uniform(0.5, 0.9), (ink, ink, ink))
    elif kind == 4:
        canvas.box(0, 0.28, 1, 0.72, (18, 18, 20))
        lit = rng.integers(3)
        for i, lamp in enumerate(((230, 40, 30), (240, 170, 40), (40, 220, 120))):
            canvas.ellipse(0.2 + 0.3 * i, 0.5, 0.1, 0.13, lamp if i == lit else (45, 42, 40))
    else:
        canvas.box(0, 0.1, 1, 0.9, muted(rng, 20, 230))
        for _ in range(5):
            y, x = rng.uniform(0.1, 0.8), rng.uniform(0.2, 0.6)
            canvas.box(y, x, y + 0.12, x + 0.2, muted(rng, 20, 230))
    canvas.speckle(rng, 0.04, 2)
    return canvas.texture()


@lru_cache(maxsize=64)
def pole(seed: int) -> Texture:
    """A post, lit from one side."""
    rng = np.random.default_rng([seed, 9])
    grey = np.full(3, rng.choice([30, 60, 95, 130, 165])) * (1 + rng.normal(0, 0.06, 3))
    canvas = Canvas(64, 4, tuple(grey))
    canvas.rgba[:, :, :3] *= np.array([0.7, 1.0, 1.15, 0.8], np.float32)[None, :, None]
    if rng.random() < 0.2:
        canvas.box(0.0, 0, rng.uniform(0.05, 0.5), 1, (235, 235, 235))
    return canvas.texture()


@lru_cache(maxsize=64)
def paint(kind: str, seed: int) -> Texture:
    """What lies flat on the ground."""
    rng = np.random.default_rng([seed, 10])
    white = rng.uniform(170, 235)
    ink: Colour = (white, white, white * rng.uniform(0.9, 1.0))
    canvas = Canvas(64, 32)
    if kind == "dash":
        canvas.rgba[...] = (*ink, 220)
    elif kind == "arrow":
        canvas.box(0.4, 0.4, 1, 0.6, ink)
        canvas.polygon([(0.0, 0.5), (0.45, 0.95), (0.45, 0.05)], ink)
    elif kind == "stop":
        canvas.box(0, 0, 1, 1, ink)
    elif kind == "patch":
        grey = rng.uniform(35, 110)
        canvas.rgba[...] = (grey, grey, grey, rng.uniform(70, 180))
    elif kind == "red":
        canvas.rgba[...] = (130, 70, 62, 190)
    elif kind == "manhole":
        canvas.ellipse(0.5, 0.5, 0.48, 0.48, (60, 58, 56), 220)
        canvas.ellipse(0.5, 0.5, 0.36, 0.36, (80, 78, 75), 220)
    elif kind == "wet":
        for _ in range(6):
            y, x, r = rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.75), rng.uniform(0.1, 0.24)
            canvas.ellipse(y, x, r, r, (150, 160, 170), 70)
    elif kind == "shadow":
        for size in np.linspace(0.5, 0.2, 7):
            canvas.ellipse(0.5, 0.5, size, size, (8, 8, 12), 40 + 250 * (0.5 - size))
    elif kind == "dapple":
        for _ in range(60):
            y, x, r = rng.uniform(0.05, 0.95), rng.uniform(0.1, 0.9), rng.uniform(0.02, 0.09)
            canvas.ellipse(y, x, r, r * 2, (10, 10, 16), 110)
    elif kind == "shade":
        canvas.rgba[...] = (10, 10, 18, rng.uniform(90, 150))
    if kind in ("dash", "arrow", "stop", "red"):
        wear = rng.uniform(0.0, 0.5)
        canvas.rgba[..., 3] *= 1 - wear * rng.random(canvas.rgba.shape[:2])
    return canvas.texture()
