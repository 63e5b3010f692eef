"""Writes generated street clips to disk, in the layout that ``folder:`` reads.

Per clip: ``images/`` (RGB PNG), ``labels/`` (8-bit PNG), ``instances/`` (16-bit PNG, 0 = none), ``depth/`` (16-bit PNG,
centimetres, 65535 = farther than 655 m or sky) and ``dataset.json``; where flow is asked for, ``flow/`` to the next
frame and ``flow-back/`` to the one before (KITTI's PNGs, see flow_file) with ``occlusion/`` and ``occlusion-back/``
(8-bit PNG, 0 = the other frame shows the point, 255 = hidden there or outside). For all clips together ``classes.json``
and ``dataset.json`` with the spec they came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.dataset import FAR_CM
from edge_vss.data.flow_file import write_flow
from edge_vss.data.folder_writer import begin_folder, clip_folder, picture_name
from edge_vss.data.street.config import STREET_CLASSES, STREET_THINGS, Look, Motion, StreetConfig
from edge_vss.data.street.world import StreetWorld
from edge_vss.data.video import write_png
from edge_vss.errors import BadInput

__all__ = ["generate"]

KINDS = ("images", "labels", "instances", "depth")
STEPS = {"": 1, "-back": -1}
"""Suffix of the folders of flow -> how many frames on the other frame lies."""


def generate(
    out: Path | str,
    *,
    clips: int = 4,
    frames: int = 30,
    size: tuple[int, int] = (360, 480),
    fps: float = 15.0,
    look: Look = "camera",
    motion: Motion = "mixed",
    seed: int = 0,
    flow: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``clips`` clips of ``frames`` frames into ``out``; clip i has seed ``seed + i``.

    A clip appears under its name only when it is whole; one that is already there with the same spec is kept, so an
    interrupted run can be taken up again.

    Args:
        size: Height and width in pixels.
        flow: Write flow and occlusion as well.
        progress: Called with (frames done, frames in all) after each frame.

    Raises:
        BadInput: ``out`` cannot be written or holds something else.
        ValueError: A number is out of range.
    """
    if clips < 1 or frames < 1:
        raise ValueError(f"clips and frames must be >= 1, got {clips} and {frames}")
    configs = [
        StreetConfig(seed=seed + i, height=size[0], width=size[1], fps=fps, look=look, motion=motion)
        for i in range(clips)
    ]
    root = Path(out)
    try:
        _write_facts(root, configs[0], clips, frames, flow)
        for i, config in enumerate(configs):
            base = i * frames
            step = None if progress is None else _Step(progress, base, clips * frames)
            _write_clip(root / f"clip-{i:04d}", config, frames, flow, step)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror or error})") from error


class _Step:
    """Progress of one clip as progress of them all."""

    def __init__(self, progress: Callable[[int, int], None], base: int, total: int) -> None:
        self._progress, self._base, self._total = progress, base, total

    def __call__(self, done: int) -> None:
        self._progress(self._base + done, self._total)


def _write_facts(root: Path, config: StreetConfig, clips: int, frames: int, flow: bool) -> None:
    things = [STREET_CLASSES[thing].name for thing in sorted(STREET_THINGS)]
    facts = {"generator": "street", "clips": clips, "frames": frames, "flow": flow, "things": things, **asdict(config)}
    begin_folder(root, STREET_CLASSES, facts)


def _write_clip(place: Path, config: StreetConfig, frames: int, flow: bool, step: Callable[[int], None] | None) -> None:
    if place.is_dir():
        if step is not None:
            step(frames)
        return
    kinds = (*KINDS, *(f"{kind}{suffix}" for kind in ("flow", "occlusion") for suffix in STEPS if flow))
    with clip_folder(place, kinds, {"generator": "street", "frames": frames, **asdict(config)}) as part:
        world = StreetWorld(config)
        for index in range(frames):
            _write_frame(part, world, index)
            for suffix, other in STEPS.items():
                if flow and 0 <= index + other < frames:
                    _write_flow(part, suffix, world, index, index + other)
            if step is not None:
                step(index + 1)


def _write_frame(part: Path, world: StreetWorld, index: int) -> None:
    frame, name = world.render(index), picture_name(index)
    write_png(part / "images" / name, frame.rgb)
    write_png(part / "labels" / name, frame.labels)
    write_png(part / "instances" / name, frame.instances)
    write_png(part / "depth" / name, _centimetres(frame.depth))


def _write_flow(part: Path, suffix: str, world: StreetWorld, index: int, other: int) -> None:
    field, name = world.flow(index, other), picture_name(index)
    write_flow(part / f"flow{suffix}" / name, field.flow)
    write_png(part / f"occlusion{suffix}" / name, np.where(field.visible, np.uint8(0), np.uint8(255)))


def _centimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """(H, W) metres -> (H, W) uint16 centimetres."""
    return np.minimum(np.rint(depth * 100), FAR_CM).astype(np.uint16)
