"""What sets one clip apart from the next: the street's measures, its palette, the hour and the weather."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Theme", "make_theme"]

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Theme:
    """Constants of one clip; lengths in metres, colours 0-255."""

    seed: int
    half_road_m: float
    driven_m: float
    """Half the width between the rows of parked cars, or the whole half where nobody parks."""
    parking: bool
    pavement_m: float
    setback_m: float
    """From the centre line to the house fronts."""
    verge: bool
    lanes: int
    road_colour: Colour
    pavement_colour: Colour
    kerb_colour: Colour
    verge_colour: Colour
    edge_colour: Colour
    edge_lines_m: tuple[float, ...]
    joint_shade: float
    """Factor on the joints between paving slabs."""
    road_grain: float
    pavement_grain: float
    sky_low: Colour
    sky_high: Colour
    cloud: float
    cloud_cover: float
    cloud_colour: Colour
    cloud_shift: float
    sun: NDArray[np.float64]
    """(3,) unit vector towards the sun."""
    ambient: float
    direct: float
    """Light on a surface is ambient + direct * cosine."""
    haze_colour: Colour
    haze_per_m: float
    floors: tuple[int, int]
    building_share: float
    tree_share: float
    leafy_share: float
    fence_share: float
    parked_share: float
    person_share: float
    traffic: float
    skyline: NDArray[np.float32] = field(repr=False)
    """(N,) tangent of the elevation per azimuth step."""
    skyline_wood: NDArray[np.bool_] = field(repr=False)
    skyline_colour: NDArray[np.float32] = field(repr=False)


def make_theme(seed: int) -> Theme:
    """Draw the constants of a clip."""
    rng = np.random.default_rng([seed, 101])
    lanes = int(rng.choice([1, 1, 1, 1, 2]))
    driven, parking = lanes * rng.uniform(2.6, 3.6), bool(rng.random() < 0.55)
    half_road = driven + (2.1 if parking else 0.4)
    pavement = rng.uniform(2.0, 5.5)
    road = rng.uniform(55, 125) * (1 + rng.normal(0, 0.03, 3))
    path = rng.uniform(65, 150) * np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.84, 1.0)])
    verge = rng.random() < 0.35
    green = np.array([78, 96, 52]) * rng.uniform(0.7, 1.2)
    yellow = rng.random() < 0.4
    return Theme(
        seed=seed,
        half_road_m=half_road,
        driven_m=driven,
        parking=parking,
        pavement_m=pavement,
        setback_m=half_road + pavement + (rng.uniform(0.0, 1.0) if rng.random() < 0.6 else rng.uniform(2, 7)),
        verge=verge,
        lanes=lanes,
        road_colour=_colour(road),
        pavement_colour=_colour(path),
        kerb_colour=_colour(path * rng.uniform(0.75, 1.35)),
        verge_colour=_colour(green if verge else path * rng.uniform(0.7, 1.1)),
        edge_colour=(190.0, 165.0, 70.0) if yellow else (200.0, 200.0, 195.0),
        edge_lines_m=((0.3, 0.5) if yellow else (0.35,)) if rng.random() < 0.6 else (),
        joint_shade=rng.uniform(0.75, 1.0),
        road_grain=rng.uniform(0.02, 0.08),
        pavement_grain=rng.uniform(0.03, 0.1),
        floors=[(1, 3), (2, 3), (2, 5), (3, 6)][rng.integers(4)],
        building_share=rng.choice([0.45, 0.8, 0.95, 1.0]),
        tree_share=rng.choice([0.1, 0.4, 0.8, 1.3]),
        leafy_share=rng.choice([0.0, 0.1, 0.3, 0.8]),
        fence_share=rng.choice([0.1, 0.3, 0.6]),
        parked_share=rng.choice([0.05, 0.3, 0.6]),
        person_share=rng.choice([0.7, 1.8, 3.2]),
        traffic=rng.uniform(0.3, 1.0),
        **_sky(rng),
        **_skyline(rng),
    )


def _colour(values: NDArray[np.float64]) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def _sky(rng: np.random.Generator) -> dict[str, Any]:
    hour = rng.choice(4, p=[0.33, 0.24, 0.28, 0.15])  # overcast, fair, hazy bright, dusk
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0)
    sun = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    low, high, cloud_colour, ambient, direct, cloud, cover = (
        ((225, 228, 232), (190, 198, 210), (245, 246, 248), 0.95, 0.12, 0.35, 0.4),
        ((215, 228, 240), (110, 155, 215), (245, 247, 250), 0.55, 0.65, 0.6, -0.2),
        ((252, 252, 250), (240, 244, 248), (255, 255, 255), 0.6, 0.55, 0.3, 0.5),
        ((190, 180, 165), (95, 105, 125), (85, 88, 98), 0.5, 0.15, 0.5, 0.3),
    )[hour]
    shift = rng.normal(0, 6, 3)
    return {
        "sky_low": _colour(np.array(low) + shift),
        "sky_high": _colour(np.array(high) + shift),
        "cloud": cloud * rng.uniform(0.3, 1.5),
        "cloud_cover": cover + rng.normal(0, 0.5),
        "cloud_colour": _colour(np.array(cloud_colour) + shift),
        "cloud_shift": rng.uniform(0, 500),
        "sun": sun,
        "ambient": ambient * rng.uniform(0.85, 1.1),
        "direct": direct * rng.uniform(0.7, 1.2),
        "haze_colour": _colour(np.array(low) * 0.95 + shift),
        "haze_per_m": rng.uniform(0.0003, 0.004),
    }


def _skyline(rng: np.random.Generator) -> dict[str, Any]:
    steps = 2400
    height = np.zeros(steps, np.float32)
    wood = np.zeros(steps, bool)
    colour = np.zeros((steps, 3), np.float32)
    at, woody = 0, rng.random()
    while at < steps:
        span = int(rng.integers(6, 60))
        here = slice(at, min(steps, at + span))
        count = here.stop - at
        wood[here] = rng.random() < woody
        if wood[here][0]:
            bumps = np.abs(np.sin(np.linspace(0, rng.uniform(2, 9), count))) * 0.02 + rng.normal(0, 0.003, count)
            height[here] = rng.uniform(0.02, 0.07) + bumps
            colour[here] = np.array([95, 102, 85]) * rng.uniform(0.7, 1.2) * (1 + rng.normal(0, 0.06, (count, 1)))
        else:
            height[here] = rng.uniform(0.02, 0.09)
            colour[here] = rng.uniform(90, 170) * np.array([1.0, 0.97, 0.92])
        at += span
    return {"skyline": height, "skyline_wood": wood, "skyline_colour": colour}
