"""What stands still along the street, made block by block from the seed, so that the street never ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street import facades, sprites
from edge_vss.data.street.config import BUILDING, FENCE, SIGN, TREE
from edge_vss.data.street.houses import place_house
from edge_vss.data.street.kit import Kit, Scene

__all__ = ["BLOCK_M", "build_block", "openings_of"]

BLOCK_M = 20.0
"""Length of a block along z."""


def openings_of(seed: int, block: int) -> tuple[int, float, float]:
    """Side street of a block: case (0 none, 1 left, 2 right, 3 both) and its z range within the block in metres."""
    rng = np.random.default_rng([seed, 201, block + 100000])
    if rng.random() > 0.16:
        return 0, 0.0, 0.0
    width = rng.uniform(5.5, 9.0)
    start = rng.uniform(1.0, BLOCK_M - width - 1.0)
    return int(rng.integers(1, 4)), float(start), float(start + width)


def build_block(kit: Kit, block: int) -> NDArray[np.float64]:
    """The surfaces of one block, (N, COLUMNS)."""
    seed = kit.theme.seed
    rng = np.random.default_rng([seed, 202, block + 100000])
    scene = Scene(kit)
    case, gap0, gap1 = openings_of(seed, block)
    z0 = block * BLOCK_M
    _markings(scene, rng, z0, case != 0)
    for side in (-1, 1):
        opened = bool(case & (1 if side < 0 else 2))
        spans = [(z0, z0 + gap0), (z0 + gap1, z0 + BLOCK_M)] if opened else [(z0, z0 + BLOCK_M)]
        for start, stop in spans:
            _houses(scene, rng, start, stop, side)
            _kerbside(scene, rng, start, stop, side)
        if not opened:
            _parked(scene, rng, z0, side, block)
        _bystanders(scene, rng, z0, side, block)
    return scene.finish()


def _markings(scene: Scene, rng: np.random.Generator, z0: float, junction: bool) -> None:
    theme = scene.kit.theme
    style = theme.seed % 4
    dash, gap = ((2.0, 4.0), (4.0, 2.0), (1.0, 1.5), (3.0, 6.0))[style]
    z = z0
    while z < z0 + BLOCK_M and style != 3:
        scene.decal(z + dash / 2, 0.0, dash, 0.12, sprites.paint("dash", theme.seed % 16))
        for lane in range(1, theme.lanes):
            for side in (-1, 1):
                scene.decal(
                    z + dash / 2,
                    side * theme.driven_m * lane / theme.lanes,
                    dash,
                    0.1,
                    sprites.paint("dash", theme.seed % 16),
                )
        z += dash + gap
    kinds = ("patch", "patch", "manhole", "wet", "dapple", "arrow", "red")
    for _ in range(rng.poisson(1.6)):
        kind = kinds[rng.choice(7, p=[0.3, 0.15, 0.2, 0.12, 0.08, 0.1, 0.05])]
        length, width = {"manhole": (0.7, 0.7), "arrow": (4.0, 1.0), "dapple": (6.0, 5.0), "red": (14.0, 1.4)}.get(
            kind, (rng.uniform(0.6, 8), rng.uniform(0.5, 2.5))
        )
        d = rng.uniform(-1, 1) * (theme.half_road_m - width / 2)
        scene.decal(z0 + rng.uniform(0, BLOCK_M), d, length, width, sprites.paint(kind, int(rng.integers(12))))
    if junction and rng.random() < 0.6:
        for i in range(6):
            d = (i - 2.5) * theme.half_road_m / 3
            scene.decal(z0 + 1.5, d, 2.6, theme.half_road_m / 6, sprites.paint("stop", theme.seed % 16))
    elif rng.random() < 0.12:
        scene.decal(
            z0 + 2, -theme.half_road_m / 2, 0.4, theme.half_road_m * 0.9, sprites.paint("stop", theme.seed % 16)
        )


def _houses(scene: Scene, rng: np.random.Generator, start: float, stop: float, side: int) -> None:
    theme = scene.kit.theme
    z = start
    while z < stop - 2.0:
        width = min(stop - z, float(rng.uniform(6, 20)))
        if stop - z - width < 4:
            width = stop - z
        if rng.random() < theme.building_share:
            place_house(scene, rng, z, z + width, side)
        else:
            _green(scene, rng, z, z + width, side)
        z += width


def _green(scene: Scene, rng: np.random.Generator, z0: float, z1: float, side: int) -> None:
    theme = scene.kit.theme
    d = side * (theme.half_road_m + theme.pavement_m + 0.2)
    if rng.random() < 0.7:
        if rng.random() < 0.6:
            scene.railing(z0, z1, d, rng.uniform(0.9, 2.0), sprites.fence(int(rng.integers(16))), FENCE)
        else:
            scene.railing(z0, z1, d, rng.uniform(0.8, 2.5), sprites.hedge(int(rng.integers(16))), TREE)
    for _ in range(rng.integers(1, 5)):
        _tree(scene, rng, rng.uniform(z0, z1), d + side * rng.uniform(1, 14))
    if rng.random() < 0.5:
        flank = facades.facade(int(rng.integers(8)) * 97 + theme.seed % 97, 3, 6)
        far = d + side * rng.uniform(14, 25)
        near, away = ((z0, far), (z1, far)) if side < 0 else ((z1, far), (z0, far))
        scene.wall(near, away, 0.0, rng.uniform(6, 12), flank, BUILDING)


def _tree(scene: Scene, rng: np.random.Generator, z: float, d: float) -> None:
    size = rng.uniform(4, 11)
    picture = sprites.tree(int(rng.integers(24)), rng.random() < scene.kit.theme.leafy_share)
    width = size * rng.uniform(0.7, 1.1) * rng.choice([-1, 1])
    scene.upright(z, d, 0.0, size, width, picture, TREE, sheer=True)
    scene.cast_shadow((z - 0.35 * size, d), (z + 0.35 * size, d), size, sprites.paint("dapple", int(rng.integers(8))))


def _kerbside(scene: Scene, rng: np.random.Generator, start: float, stop: float, side: int) -> None:
    """Trees, lamps, signs, bollards and railings on the pavement."""
    theme = scene.kit.theme
    kerb = theme.half_road_m + 0.45
    if stop - start < 4:
        return
    if rng.random() < theme.tree_share * 0.6:
        _tree(scene, rng, rng.uniform(start + 1, stop - 1), side * (kerb + 0.5))
    if rng.random() < 0.5:
        z, height = rng.uniform(start, stop), rng.uniform(5.5, 9.0)
        scene.post(z, side * kerb, height, rng.uniform(0.1, 0.2), theme.seed % 64)
        scene.cast_shadow((z - 0.08, side * kerb), (z + 0.08, side * kerb), height)
        scene.post(z, side * (kerb - 0.7), height, -1.5, theme.seed % 64, height - 0.12)
    for _ in range(rng.poisson(1.7)):
        _sign(scene, rng, rng.uniform(start, stop), side * rng.uniform(kerb, kerb + max(0.2, theme.pavement_m - 0.8)))
    if rng.random() < 0.15:
        for z in np.arange(start + 0.5, stop, rng.uniform(1.5, 3.0)):
            scene.post(float(z), side * kerb, 0.95, rng.uniform(0.1, 0.2), theme.seed % 64 + 1)
    if rng.random() < theme.fence_share * 0.4:
        scene.railing(start, stop, side * (kerb - 0.1), rng.uniform(0.9, 1.2), sprites.fence(theme.seed % 16), FENCE)


def _sign(scene: Scene, rng: np.random.Generator, z: float, d: float) -> None:
    size = float(rng.choice([rng.uniform(0.4, 0.9), rng.uniform(0.8, 1.6)], p=[0.75, 0.25]))
    foot = rng.uniform(1.7, 2.8)
    scene.post(z, d, foot + size * 0.5, rng.uniform(0.06, 0.11), int(rng.integers(64)))
    # 5 cm in front of its post: the same distance would let the two fight for every pixel.
    scene.upright(z - 0.05, d, foot, foot + size, size, sprites.sign(int(rng.integers(48))), SIGN)


def _parked(scene: Scene, rng: np.random.Generator, z0: float, side: int, block: int) -> None:
    theme = scene.kit.theme
    if not theme.parking:
        return
    for slot in range(3):
        if rng.random() < theme.parked_share:
            z = z0 + 3.3 + slot * 6.5 + rng.uniform(-0.5, 0.5)
            turn = rng.normal(0, 0.03) + (np.pi if (side > 0) != (rng.random() < 0.2) else 0)
            d = side * (theme.half_road_m - 1.05 + rng.normal(0, 0.08))
            scene.car(
                z,
                d,
                int(rng.integers(96)),
                _instance(block, side, slot),
                turn=turn,
                shape=int(rng.choice(4, p=[0.4, 0.3, 0.2, 0.1])),
            )


def _bystanders(scene: Scene, rng: np.random.Generator, z0: float, side: int, block: int) -> None:
    theme = scene.kit.theme
    inner, outer = theme.half_road_m + 0.6, theme.half_road_m + max(1.2, theme.pavement_m - 0.3)
    for slot in range(min(4, rng.poisson(theme.person_share * 0.5))):
        z, d = z0 + rng.uniform(0, BLOCK_M), side * rng.uniform(inner, outer)
        scene.person(
            z, d, int(rng.integers(64)), _instance(block, side, 8 + slot), int(rng.integers(2)) * 2, rng.random() < 0.5
        )
    if rng.random() < theme.person_share * 0.06:
        side_on = rng.random() < 0.7
        scene.rider(
            z0 + rng.uniform(0, 20), side * inner, int(rng.integers(48)), _instance(block, side, 14), 1, side=side_on
        )


def _instance(block: int, side: int, slot: int) -> int:
    return 1 + (block % 1500) * 32 + (16 if side > 0 else 0) + slot
