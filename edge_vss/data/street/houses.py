"""Puts up the rows of houses, with their roofs, front gardens and the shadows they cast."""

from __future__ import annotations

import numpy as np

from edge_vss.data.street import facades, sprites
from edge_vss.data.street.config import BUILDING, FENCE, SIGN, TREE
from edge_vss.data.street.kit import ZD, Scene

__all__ = ["place_house"]


def place_house(scene: Scene, rng: np.random.Generator, z0: float, z1: float, side: int) -> None:
    """A house on the stretch z0 to z1, left (side -1) or right (+1) of the street."""
    theme = scene.kit.theme
    material = int(rng.integers(8)) * 97 + theme.seed % 97  # eight per clip
    floors = int(rng.integers(theme.floors[0], theme.floors[1] + 1))
    columns = int(np.clip(round((z1 - z0) / rng.uniform(2.2, 3.6)), 2, 6))
    eaves = floors * rng.uniform(2.7, 3.4)
    front = side * (theme.setback_m + (rng.uniform(0, 2.5) if rng.random() < 0.3 else 0))
    back = front + side * rng.uniform(7, 12)
    # As seen from the street, the left row has its near end on the left and the right row its far end.
    ends = (z0, z1) if side < 0 else (z1, z0)
    left, right = (ends[0], front), (ends[1], front)
    behind_left, behind_right = (ends[0], back), (ends[1], back)
    scene.wall(left, right, 0.0, eaves, facades.facade(material, floors, columns), BUILDING)
    flank = facades.side_wall(material)
    for corner, other in ((behind_left, left), (right, behind_right)):
        scene.wall(corner, other, 0.0, eaves, flank, BUILDING)
    ridge = eaves
    if rng.random() < 0.6:
        ridge = eaves + rng.uniform(1.2, 3.6)
        _pitched_roof(scene, rng, material, (left, right, behind_right, behind_left), (eaves, ridge))
    for _ in range(rng.poisson(0.5)):  # shop signs that stand out from the wall
        z, foot = rng.uniform(z0 + 0.5, z1 - 0.5), rng.uniform(2.4, 3.4)
        picture = sprites.sign(int(rng.integers(48)) * 6 + int(rng.choice([3, 5])))
        scene.upright(z, front - side * 0.5, foot, foot + rng.uniform(0.5, 1.4), rng.uniform(0.5, 1.0), picture, SIGN)
    scene.cast_shadow((z0, front), (z1, front), eaves)
    _front_garden(scene, rng, z0, z1, side, front, material)


def _pitched_roof(
    scene: Scene, rng: np.random.Generator, material: int, corners: tuple[ZD, ZD, ZD, ZD], y: tuple[float, float]
) -> None:
    """Two slopes, two gables, perhaps a chimney; corners go round from the front's left one."""
    left, right, behind_right, behind_left = corners
    middle = (left[1] + behind_left[1]) / 2
    tiles, gable = facades.roof(material), facades.gable(material)
    scene.slope(left, right, (left[0], middle), y, tiles, BUILDING)
    scene.slope(behind_right, behind_left, (right[0], middle), y, tiles, BUILDING)
    scene.wall(behind_left, left, y[0], y[1], gable, BUILDING)
    scene.wall(right, behind_right, y[0], y[1], gable, BUILDING)
    if rng.random() < 0.6:
        z = rng.uniform(min(left[0], right[0]) + 0.5, max(left[0], right[0]) - 0.5)
        scene.upright(z, middle, y[1] - 1.0, y[1] + 1.2, 1.0, facades.side_wall(material), BUILDING)


def _front_garden(
    scene: Scene, rng: np.random.Generator, z0: float, z1: float, side: int, front: float, material: int
) -> None:
    theme = scene.kit.theme
    edge = theme.half_road_m + theme.pavement_m
    if abs(front) - edge < 1.5:
        return
    d, pick = side * (edge + 0.1), rng.random()
    if pick < 0.35:
        scene.railing(z0, z1, d, rng.uniform(0.8, 1.4), sprites.fence(int(rng.integers(16))), FENCE)
    elif pick < 0.6:
        scene.railing(z0, z1, d, rng.uniform(0.8, 2.0), sprites.hedge(int(rng.integers(16))), TREE)
    elif pick < 0.8:
        scene.railing(z0, z1, d, rng.uniform(0.5, 1.3), facades.side_wall(material), BUILDING)
