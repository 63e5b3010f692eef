"""Cars, vans and buses: a side profile drawn out across the width of the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edge_vss.data.street.texture import Canvas, Colour, Texture, muted

__all__ = ["CarModel", "car_model"]

# ruff: noqa: E501
# Profile from the rear foot over the roof to the front foot, as (z, y) in metres.
_PROFILES: tuple[tuple[float, tuple[tuple[float, float], ...], tuple[str, ...]], ...] = (
    (1.72, ((-2.0, 0.28), (-2.05, 0.95), (-1.8, 1.35), (-1.3, 1.5), (0.2, 1.46), (0.95, 0.98), (1.85, 0.8), (2.0, 0.28)),
     ("rear", "glass", "top", "top", "glass", "bonnet", "front")),
    (1.78, ((-2.25, 0.28), (-2.25, 0.92), (-1.75, 1.0), (-1.05, 1.42), (0.25, 1.44), (1.05, 0.96), (2.1, 0.78), (2.25, 0.28)),
     ("rear", "boot", "glass", "top", "glass", "bonnet", "front")),
    (1.82, ((-2.2, 0.32), (-2.25, 1.1), (-2.1, 1.7), (-1.9, 1.78), (0.2, 1.74), (0.95, 1.15), (1.95, 0.98), (2.2, 0.3)),
     ("rear", "glass", "top", "top", "glass", "bonnet", "front")),
    (1.95, ((-2.5, 0.32), (-2.55, 1.2), (-2.5, 2.1), (-2.3, 2.25), (1.1, 2.2), (1.9, 1.25), (2.4, 1.0), (2.5, 0.32)),
     ("rear", "panel", "top", "top", "glass", "bonnet", "front")),
    (2.5, ((-5.2, 0.35), (-5.25, 1.6), (-5.2, 2.6), (-5.1, 3.1), (5.0, 3.1), (5.15, 1.2), (5.2, 1.0), (5.2, 0.35)),
     ("rear", "glass", "top", "top", "glass", "panel", "front")),
)  # fmt: skip
_BODIES: tuple[Colour, ...] = (
    (28, 28, 32), (60, 62, 68), (120, 124, 130), (175, 178, 182), (215, 216, 216), (232, 232, 230), (40, 55, 95),
    (30, 60, 120), (130, 25, 28), (165, 30, 30), (20, 55, 45), (95, 30, 35), (140, 130, 100), (70, 110, 150), (200, 170, 60),
)  # fmt: skip


@dataclass(frozen=True)
class CarModel:
    """Surfaces of one vehicle in its own axes (z forward, x right, y up)."""

    faces: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...], Texture], ...]
    """(origin, right edge, down edge, texture) each."""
    length_m: float
    width_m: float


@lru_cache(maxsize=192)
def car_model(seed: int, braking: bool = False, shape: int = -1) -> CarModel:
    """A vehicle by number; ``shape`` -1 draws one, mostly small cars."""
    rng = np.random.default_rng([seed, 11])
    chosen = int(rng.choice(5, p=[0.4, 0.26, 0.18, 0.12, 0.04]))
    width, profile, parts = _PROFILES[chosen if shape < 0 else shape]
    base = np.array(_BODIES[rng.integers(len(_BODIES))]) * rng.uniform(0.8, 1.15) + rng.normal(0, 6, 3)
    base = base.mean() + (base - base.mean()) * rng.uniform(0.4, 1.0)
    body: Colour = (float(base[0]), float(base[1]), float(base[2]))
    stretch = rng.uniform(0.93, 1.07)
    points = [(z * stretch, y * rng.uniform(0.985, 1.015)) for z, y in profile]
    half = width / 2
    faces = []
    for (z0, y0), (z1, y1), part in zip(points[:-1], points[1:], parts, strict=True):
        texture = _part(part, body, int(rng.integers(1 << 30)), braking)
        faces.append(((-half, y1, z1), (width, 0.0, 0.0), (0.0, y0 - y1, z0 - z1), texture))
    rear, front, top = points[0][0] - 0.06, points[-1][0] + 0.06, max(y for _, y in points)
    side = _side(points, rear, front, top, body, int(rng.integers(1 << 30)), chosen if shape < 0 else shape)
    mirrored = Texture(side.rgba[:, ::-1])
    # The right-hand side is seen with the car's nose to the right, the left-hand side with its nose to the left.
    faces.append(((half, top, rear), (0.0, 0.0, front - rear), (0.0, -top, 0.0), side))
    faces.append(((-half, top, front), (0.0, 0.0, rear - front), (0.0, -top, 0.0), mirrored))
    for z, outward in ((rear + 0.1, -1), (front - 0.1, 1)):  # tyres and the dark under the bumper
        faces.append(((outward * half, 0.34, z), (-outward * width, 0.0, 0.0), (0.0, -0.34, 0.0), _tyres()))
    faces[-2] = ((-half, 0.34, rear + 0.1), (width, 0.0, 0.0), (0.0, -0.34, 0.0), _tyres())
    faces[-1] = ((half, 0.34, front - 0.1), (-width, 0.0, 0.0), (0.0, -0.34, 0.0), _tyres())
    return CarModel(tuple(faces), front - rear, width)


@lru_cache(maxsize=1)
def _tyres() -> Texture:
    canvas = Canvas(16, 64)
    canvas.box(0, 0, 0.45, 1, (16, 16, 18))
    for x in (0.02, 0.86):
        canvas.box(0, x, 1, x + 0.12, (14, 14, 15))
    return canvas.texture()


def _part(part: str, body: Colour, seed: int, braking: bool) -> Texture:
    rng = np.random.default_rng(seed)
    canvas = Canvas(40, 72, body)
    if part == "glass":
        dark = rng.uniform(20, 60)
        canvas.box(0.06, 0.06, 0.97, 0.94, (dark, dark * 1.05, dark * 1.12))
        if rng.random() < 0.7:  # what the glass mirrors
            light = rng.uniform(60, 160)
            canvas.polygon(
                [(0.06, 0.1), (0.06, rng.uniform(0.3, 0.9)), (0.6, 0.1)], (light, light * 1.03, light * 1.06)
            )
        for x in (0.3, 0.7):
            canvas.ellipse(0.75, x, 0.3, 0.09, (15, 15, 17))
    elif part == "rear":
        for x in (0.0, 0.85):
            canvas.box(0.08, x, 0.42, x + 0.15, (235, 60, 50) if braking else (140, 22, 22))
        canvas.box(0.45, 0.36, 0.6, 0.64, (225, 190, 50))
        canvas.box(0.49, 0.4, 0.56, 0.6, (40, 38, 30))
        canvas.box(0.7, 0, 1, 1, (body[0] * 0.5, body[1] * 0.5, body[2] * 0.5))
    elif part == "front":  # its texture runs from the foot up: down edge points upwards
        canvas.box(0.0, 0, 0.3, 1, (body[0] * 0.5, body[1] * 0.5, body[2] * 0.5))
        canvas.box(0.12, 0.3, 0.5, 0.7, (25, 25, 28))
        canvas.box(0.32, 0.36, 0.44, 0.64, (225, 225, 220))
        for x in (0.02, 0.8):
            canvas.box(0.6, x, 0.92, x + 0.18, (215, 218, 222))
    elif part in ("top", "bonnet", "boot"):
        canvas.rgba[..., :3] *= np.linspace(1.25, 1.0, 72, dtype=np.float32)[None, :, None]
    canvas.speckle(rng, 0.03, 2)
    return canvas.texture()


def _side(
    points: list[tuple[float, float]], rear: float, front: float, top: float, body: Colour, seed: int, shape: int
) -> Texture:
    rng = np.random.default_rng(seed)
    canvas = Canvas(64, 160)
    length = front - rear

    def at(z: float, y: float) -> tuple[float, float]:
        return 1 - y / top, (z - rear) / length

    canvas.polygon([at(z, y) for z, y in points], body)
    canvas.rgba[40:46, :, :3] *= 0.85
    glass = rng.uniform(18, 60)
    pane: Colour = (glass, glass * 1.05, glass * 1.1)
    if shape == 4:
        for i in range(7):
            x = 0.04 + i * 0.135
            canvas.box(0.18, x, 0.5, x + 0.12, pane)
        canvas.box(0.55, 0, 0.68, 1, muted(rng, 20, 220))
    elif shape == 3:
        canvas.polygon([at(1.0, 2.0), at(1.75, 1.3), at(0.5, 1.3), at(0.5, 2.0)], pane)
        if rng.random() < 0.5:
            canvas.box(0.35, 0.15, 0.5, 0.5, muted(rng, 20, 220))
    else:
        waist = points[-3][1] + 0.06
        z0, z1 = points[1][0] + 0.25, points[-3][0] - 0.1
        canvas.polygon(
            [at(z0, waist), at(points[2][0] + 0.35, top - 0.16), at(points[4][0] - 0.05, top - 0.14), at(z1, waist)],
            pane,
        )
        for z in (-0.75, 0.1):
            canvas.box(1 - (top - 0.1) / top, at(z, 0)[1], 1 - waist / top, at(z, 0)[1] + 0.015, body)
    for z in (points[0][0] + 0.72, points[-1][0] - 0.78):
        y, x = at(z, 0.32)
        canvas.ellipse(y, x, 0.36 / top, 0.36 / length, (20, 20, 22))
        canvas.ellipse(y, x, 0.32 / top, 0.32 / length, (14, 14, 15))
        canvas.ellipse(y, x, 0.2 / top, 0.2 / length, (120, 120, 124))
    canvas.speckle(rng, 0.03, 2)
    return canvas.texture()
