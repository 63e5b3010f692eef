"""Collects the surfaces of a scene and gives each texture of a clip its number."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street import sprites
from edge_vss.data.street.cars import car_model
from edge_vss.data.street.config import BICYCLIST, CAR, PEDESTRIAN, POLE, ROAD
from edge_vss.data.street.path import CentreLine
from edge_vss.data.street.raster import (
    COLUMNS,
    DECAL,
    FACING,
    FACING_SHEER,
    INSTANCE,
    KIND,
    SHADE,
    SHEER,
    SOLID,
    quad,
    turned,
)
from edge_vss.data.street.texture import Texture
from edge_vss.data.street.theme import Theme

__all__ = ["Kit", "Scene"]

ZD = tuple[float, float]
"""A place by street coordinates: along, and to the right of the centre line."""

EMPTY: NDArray[np.float64] = np.zeros((0, COLUMNS))


class Kit:
    """The clip's street, palette and texture numbers."""

    def __init__(self, theme: Theme, line: CentreLine) -> None:
        self.theme, self.line = theme, line
        self.textures: list[Texture] = []
        self._numbers: dict[int, int] = {}

    def number(self, texture: Texture) -> int:
        """The texture's place in ``textures``."""
        found = self._numbers.get(id(texture))
        if found is None:
            found = self._numbers[id(texture)] = len(self.textures)
            self.textures.append(texture)
        return found

    def lit(self, quads: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fill in the shade of the surfaces that have none yet, in place."""
        outward = np.cross(quads[:, 3:6], quads[:, 6:9])
        cosine = outward @ self.theme.sun / np.maximum(np.linalg.norm(outward, axis=1), 1e-9)
        cosine[quads[:, KIND] >= FACING] = 0.5
        # What looks up sees the whole sky, what looks sideways half of it.
        sky = np.where(quads[:, KIND] >= FACING, 0.9, 0.85 + 0.3 * np.clip(outward[:, 1], 0, 1))
        light = self.theme.ambient * sky + self.theme.direct * np.clip(cosine, 0, 1)
        step = np.clip(np.rint(light * 12) - 1, 0, 15)
        unlit = quads[:, SHADE] < 0
        quads[unlit, SHADE] = step[unlit]
        return quads


class Scene:
    """A pile of surfaces; everything is placed by street coordinates (z, d)."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self._rows: list[list[float]] = []
        self._parts: list[NDArray[np.float64]] = []

    def finish(self) -> NDArray[np.float64]:
        """(N, COLUMNS), lit."""
        rows = [np.array(self._rows)] if self._rows else []
        return self.kit.lit(np.concatenate([*self._parts, *rows])) if self._parts or rows else EMPTY

    def wall(
        self,
        left: tuple[float, float],
        right: tuple[float, float],
        y0: float,
        y1: float,
        texture: Texture,
        label: int,
        kind: int = SOLID,
    ) -> None:
        """An upright wall; ``left`` and ``right`` are (z, d) as seen from outside."""
        (x0, z0), (x1, z1) = self.kit.line.place(*left), self.kit.line.place(*right)
        self._rows.append(
            quad((x0, y1, z0), (x1 - x0, 0, z1 - z0), (0, y0 - y1, 0), self.kit.number(texture), label, kind)
        )

    def slope(self, left: ZD, right: ZD, back: ZD, y: tuple[float, float], texture: Texture, label: int) -> None:
        """A roof plane: eaves from ``left`` to ``right`` at height y[0], ridge above ``back`` at height y[1]."""
        (x0, z0), (x1, z1) = self.kit.line.place(*left), self.kit.line.place(*right)
        xb, zb = self.kit.line.place(*back)
        down = (x0 - xb, y[0] - y[1], z0 - zb)
        self._rows.append(quad((xb, y[1], zb), (x1 - x0, 0, z1 - z0), down, self.kit.number(texture), label))

    def upright(
        self,
        z: float,
        d: float,
        y0: float,
        y1: float,
        width: float,
        texture: Texture,
        label: int,
        instance: int = 0,
        sheer: bool = False,
    ) -> None:
        """A sprite that turns to the camera; a negative width mirrors it."""
        x, zw = self.kit.line.place(z, d)
        row = quad(
            (x, y1, zw),
            (width, 0, 0),
            (0, y0 - y1, 0),
            self.kit.number(texture),
            label,
            FACING_SHEER if sheer else FACING,
        )
        row[INSTANCE] = instance
        self._rows.append(row)

    def decal(
        self, z: float, d: float, length: float, width: float, texture: Texture, turn: float = 0.0, shade: float = -1.0
    ) -> None:
        """Something flat on the ground, centred at (z, d), ``length`` along the street."""
        x, zw = self.kit.line.place(z, d)
        heading = float(self.kit.line.heading(z)) + turn
        row = quad(
            (-width / 2, 0, length / 2), (width, 0, 0), (0, 0, -length), self.kit.number(texture), ROAD, DECAL, shade
        )
        self._parts.append(turned(np.array([row]), x, zw, heading))

    def cast_shadow(self, near: ZD, far: ZD, height: float, texture: Texture | None = None) -> None:
        """The shadow on the ground of an upright surface over the line ``near`` to ``far``, when the sun is out."""
        theme = self.kit.theme
        if theme.direct < 0.35:
            return
        (x0, z0), (x1, z1) = self.kit.line.place(*near), self.kit.line.place(*far)
        reach = -height / theme.sun[1]
        dx, dz = reach * theme.sun[0], reach * theme.sun[2]
        picture = self.kit.number(texture or sprites.paint("shade", theme.seed % 8))
        # Its top edge is the shadow of the surface's top edge.
        self._rows.append(
            quad((x0 + dx, 0, z0 + dz), (x1 - x0, 0, z1 - z0), (-dx, 0, -dz), picture, ROAD, DECAL, shade=11)
        )

    def car(
        self, z: float, d: float, seed: int, instance: int, *, turn: float = 0.0, braking: bool = False, shape: int = -1
    ) -> None:
        """A vehicle with its contact shadow."""
        model = car_model(seed, braking, shape)
        x, zw = self.kit.line.place(z, d)
        rows = [quad(o, u, v, self.kit.number(texture), CAR) for o, u, v, texture in model.faces]
        self.decal(z, d, model.length_m * 1.15, model.width_m * 1.5, sprites.paint("shadow", 0), turn, shade=11)
        self._parts.append(turned(np.array(rows), x, zw, float(self.kit.line.heading(z)) + turn, instance))

    def person(self, z: float, d: float, seed: int, instance: int, step: int, mirror: bool = False) -> None:
        """A pedestrian on foot."""
        height = 1.45 + 0.45 * ((seed * 7919) % 100) / 100
        self.decal(z, d, 0.5, 0.8, sprites.paint("shadow", 0), shade=11)
        texture = sprites.pedestrian(seed, step)
        self.upright(z, d, 0.0, height, -height / 2 if mirror else height / 2, texture, PEDESTRIAN, instance)

    def rider(
        self, z: float, d: float, seed: int, instance: int, step: int, *, side: bool = False, mirror: bool = False
    ) -> None:
        """Somebody on a bicycle."""
        self.decal(z, d, 1.7, 0.7, sprites.paint("shadow", 0), shade=11)
        width = 1.75 if side else 0.88
        self.upright(
            z, d, 0.0, 1.75, -width if mirror else width, sprites.cyclist(seed, step, side), BICYCLIST, instance
        )

    def post(self, z: float, d: float, height: float, width: float, seed: int, y0: float = 0.0) -> None:
        """A pole."""
        self.upright(z, d, y0, height, width, sprites.pole(seed), POLE)

    def railing(self, z0: float, z1: float, d: float, height: float, texture: Texture, label: int) -> None:
        """A fence or hedge along the street in pieces of about 2.5 m, seen from both sides."""
        pieces = max(1, round((z1 - z0) / 2.5))
        cuts = np.linspace(z0, z1, pieces + 1)
        for a, b in pairwise(cuts):
            self.wall((float(a), d), (float(b), d), 0.0, height, texture, label, SHEER)
