"""What a generated clip is asked for, and what one of its frames holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import CAMVID_CLASSES

__all__ = ["STREET_CLASSES", "STREET_THINGS", "Look", "Motion", "StreetConfig", "StreetFrame"]

Look = Literal["simulated", "camera"]
Motion = Literal["stopped", "steady", "turning", "fast", "mixed"]

STREET_CLASSES = CAMVID_CLASSES
"""The street world draws CamVid's classes."""

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(11)
STREET_THINGS = frozenset((CAR, PEDESTRIAN, BICYCLIST))
"""Classes whose objects have instance numbers."""


@dataclass(frozen=True, kw_only=True)
class StreetConfig:
    """One clip of the street world; equal configs give equal clips, byte for byte."""

    seed: int = 0
    """>= 0; another seed is another street, hour, weather and camera."""
    height: int = 360
    """Pixels, 8-4096."""
    width: int = 480
    """Pixels, 8-4096."""
    fps: float = 15.0
    """Frames per second, > 0; a higher rate samples the same motion more often."""
    look: Look = "camera"
    """``simulated`` is clean; ``camera`` adds a lens, a sensor and its exposure. Labels do not depend on it."""
    motion: Motion = "mixed"
    """How the camera moves; ``mixed`` stops, starts and bends."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be >= 0, got {self.seed}")
        if not (8 <= self.height <= 4096 and 8 <= self.width <= 4096):
            raise ValueError(f"height and width must be in [8, 4096], got {self.height}x{self.width}")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps must be in (0, 1000], got {self.fps}")
        if self.look not in get_args(Look):
            raise ValueError(f"look must be one of {', '.join(get_args(Look))}, got {self.look!r}")
        if self.motion not in get_args(Motion):
            raise ValueError(f"motion must be one of {', '.join(get_args(Motion))}, got {self.motion!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class StreetFrame:
    """One rendered frame with everything that is known about it."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    labels: NDArray[np.uint8]
    """(H, W), ids of ``STREET_CLASSES``; every pixel has one."""
    instances: NDArray[np.uint16]
    """(H, W), 0 = none; cars, pedestrians and cyclists keep their id while they are in view."""
    depth: NDArray[np.float32]
    """(H, W), metres along the optical axis; the sky is ``inf``."""
    pts_us: int
    """Microseconds since the first frame of the clip."""
    sequence: int
    """Index of the frame in the clip."""
