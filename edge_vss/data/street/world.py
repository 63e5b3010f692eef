"""The street world: one clip, any frame of it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.street.config import StreetConfig, StreetFrame
from edge_vss.data.street.ground import CrossSection, draw_ground, draw_sky
from edge_vss.data.street.kit import EMPTY, Kit
from edge_vss.data.street.layout import BLOCK_M, build_block, openings_of
from edge_vss.data.street.lens import Lens
from edge_vss.data.street.motion import Trace, exact_flow
from edge_vss.data.street.path import CentreLine, Journey, Pose
from edge_vss.data.street.raster import Screen
from edge_vss.data.street.theme import make_theme
from edge_vss.data.street.traffic import Traffic
from edge_vss.data.warp import FlowField

__all__ = ["StreetWorld"]

_VIEW_M = 170.0
TRACES = 6
"""Traced frames that are kept, so that the flows of a clip cost one drawing per frame."""


class StreetWorld:
    """A clip of a procedural street; a frame depends on the config and its index alone."""

    def __init__(self, config: StreetConfig) -> None:
        self.config = config
        self.theme = make_theme(config.seed)
        rng = np.random.default_rng([config.seed, 1])
        self._line = CentreLine(rng, config.motion)
        self._kit = Kit(self.theme, self._line)
        lane_d = -self._lane(rng)
        self._journey = Journey(rng, config.motion, self._line, lane_d)
        self._traffic = Traffic(self._kit, self._journey, rng, lane_d)
        self._section = CrossSection(self.theme)
        self._lens = Lens(config.seed, config.height, config.width, self.theme.ambient + 0.4 * self.theme.direct)
        self._focal = config.width / 2 / np.tan(rng.uniform(0.42, 0.58))
        self._horizon = float(rng.uniform(0.45, 0.58))
        self._block = lru_cache(maxsize=64)(lambda block: build_block(self._kit, block))
        self._trace = lru_cache(maxsize=TRACES)(lambda index: self._draw(index, traced=True))

    def _lane(self, rng: np.random.Generator) -> float:
        theme = self.theme
        lane = rng.integers(theme.lanes)
        return float(theme.driven_m * (lane + 0.5) / theme.lanes)

    def pose(self, index: int) -> Pose:
        """Where the camera is at a frame."""
        return self._journey.pose(index / self.config.fps)

    def render(self, index: int) -> StreetFrame:
        """Render frame ``index`` (>= 0), in any order."""
        config, time_s = self.config, index / self.config.fps
        screen = self._draw(index).screen
        planes = self._haze(screen)
        if config.look == "camera":
            planes = self._lens.apply(planes, index, time_s)
        rgb = np.ascontiguousarray(planes.transpose(1, 2, 0))
        depth = _depth(screen)
        pts_us = round(index * 1e6 / config.fps)
        return StreetFrame(
            rgb=rgb, labels=screen.labels, instances=screen.instances, depth=depth, pts_us=pts_us, sequence=index
        )

    def flow(self, index: int, other: int) -> FlowField:
        """Where the points of frame ``index`` lie in frame ``other``, of the same clip and in any order; exact.

        What has left the street for good and come back as somebody else has no flow (nan). Labels and flow are those
        of both looks.
        """
        return exact_flow(self._trace(index), self._trace(other))

    def depth(self, index: int) -> NDArray[np.float32]:
        """(H, W) metres along the optical axis at frame ``index``; the sky is ``inf``."""
        return _depth(self._trace(index).screen)

    def _draw(self, index: int, traced: bool = False) -> Trace:
        if index < 0:
            raise ValueError(f"frame index must be >= 0, got {index}")
        config, time_s = self.config, index / self.config.fps
        pose = self._journey.pose(time_s)
        screen = Screen(config.height, config.width, float(self._focal), self._horizon, traced)
        draw_sky(screen, pose, self.theme)
        draw_ground(screen, pose, self._line, self._section, self._openings(pose.z), self.theme)
        first, last = int((pose.z - 25) // BLOCK_M), int((pose.z + _VIEW_M) // BLOCK_M)
        still = [self._block(block) for block in range(first, last + 1)]
        moving = self._traffic.surfaces(time_s)
        quads = np.concatenate([EMPTY, *still, moving])
        screen.draw(quads, self._kit.textures, pose)
        return Trace(pose=pose, screen=screen, quads=quads, moving=len(moving))

    def _openings(self, z: float) -> NDArray[np.int64]:
        base = np.floor(z) - 20
        table = np.zeros(760, np.int64)
        for block in range(int(base // BLOCK_M), int((base + 380) // BLOCK_M) + 1):
            case, gap0, gap1 = openings_of(self.theme.seed, block)
            start, stop = (np.array([gap0, gap1]) + block * BLOCK_M - base) * 2
            table[max(0, round(start)) : max(0, round(stop))] = case
        return table

    def _haze(self, screen: Screen) -> NDArray[np.uint8]:
        """(3, H, W) colours with the air in between."""
        far = np.exp(np.float32(-self.theme.haze_per_m) / np.maximum(screen.nearness, np.float32(1e-3)))
        far[screen.nearness == 0] = 1
        clear = (far * 256).astype(np.uint16)
        air = 256 - clear
        planes = np.empty((3, *clear.shape), np.uint8)
        for channel, level in enumerate(self.theme.haze_colour):
            mixed = clear * screen.colour[..., channel]
            mixed += air * np.uint16(min(max(level, 0), 255))
            mixed >>= 8
            planes[channel] = mixed
        return planes


def _depth(screen: Screen) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        depth: NDArray[np.float32] = np.reciprocal(screen.nearness)
    return depth
