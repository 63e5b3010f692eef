"""The street world as a data set: ``street:[...]``."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.dataset import Dataset, Sample
from edge_vss.data.street.config import STREET_CLASSES, STREET_THINGS, StreetConfig
from edge_vss.data.street.spec import parse_street
from edge_vss.data.street.world import StreetWorld
from edge_vss.data.warp import FlowField
from edge_vss.frame import Frame

__all__ = ["StreetClip", "open_street"]

DEFAULT_CLIPS, DEFAULT_FRAMES = 4, 30


class StreetClip:
    """One generated clip; frames are rendered when they are asked for."""

    def __init__(self, config: StreetConfig, frames: int) -> None:
        self.config = config
        self.name = f"street-{config.seed}"
        self.fps: float | None = config.fps
        self._frames = frames

    @cached_property
    def world(self) -> StreetWorld:
        """Made on first use: a data set of many clips opens at once."""
        return StreetWorld(self.config)

    def __len__(self) -> int:
        return self._frames

    def __getitem__(self, index: int, /) -> Sample:
        self._check(index)
        made = self.world.render(index)
        height, width = made.labels.shape
        frame = Frame(
            format="rgb", planes=(made.rgb,), height=height, width=width, pts_us=made.pts_us, sequence=made.sequence
        )
        return Sample(frame=frame, labels=made.labels, instances=made.instances)

    def flow(self, index: int, other: int, /) -> FlowField:
        """Exact flow from frame ``index`` to frame ``other``."""
        self._check(index)
        self._check(other)
        return self.world.flow(index, other)

    def depth(self, index: int, /) -> NDArray[np.float32]:
        """(H, W) metres along the optical axis; the sky is ``inf``."""
        self._check(index)
        return self.world.depth(index)

    def _check(self, index: int) -> None:
        if not 0 <= index < self._frames:
            raise IndexError(f"clip {self.name!r} has {self._frames} frames, no frame {index}")


def open_street(rest: str) -> Dataset:
    """Open ``[seed=1,clips=4,frames=30,...]``; 4 clips of 30 frames unless said otherwise."""
    spec = parse_street(rest)
    frames = spec.frames or DEFAULT_FRAMES
    return Dataset(
        classes=STREET_CLASSES,
        things=STREET_THINGS,
        clips=tuple(StreetClip(spec.clip_config(i), frames) for i in range(spec.clips or DEFAULT_CLIPS)),
    )
