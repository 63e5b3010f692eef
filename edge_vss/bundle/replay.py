"""Replay of a bundle's golden sequences through any implementation that labels frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_vss import pixels
from edge_vss.bundle.files import Bundle
from edge_vss.bundle.golden import Clip, read_clip, unpack
from edge_vss.bundle.schema import Golden, Manifest, Variant
from edge_vss.errors import BadInput
from edge_vss.executor import paced
from edge_vss.frame import Frame
from edge_vss.schedule import Adaptive

__all__ = ["FrameResult", "ReplayReport", "replay"]

NEAR_POSITIONS = 3
"""A label signal this many positions from its threshold may fall on either side of it; or, where more, twice the share
of labels that may differ: it compares two label maps."""
NEAR_RELATIVE = 1e-3
"""The same for a relative signal, as a share of the threshold."""


class FrameResult(Protocol):
    """What a replayed implementation says of one frame."""

    @property
    def labels(self) -> Mapping[str, NDArray[np.uint8]]:
        """Output name -> (H, W) uint8 of the frame's own size."""

    @property
    def fired(self) -> Sequence[str]:
        """Stages that ran, in graph order."""

    @property
    def age_frames(self) -> Mapping[str, int]:
        """Output name -> age."""


@dataclass(frozen=True)
class ReplayReport:
    """How a replay compares with its golden sequence."""

    schedule: str
    frames: int
    """Frames compared: all, or those before a firing that rounding decided the other way."""
    agreement: float
    """Share of equal pixels over all outputs and compared frames; of the worst output."""
    tolerance: float
    """Share that may differ."""
    fired_equal: bool
    """The same stages fired on every compared frame."""
    ages_equal: bool
    """Every output had the same age on every compared frame."""
    near_threshold: tuple[tuple[int, str], ...]
    """(frame, stage) whose golden signal lies so close to the threshold that rounding may decide."""
    difference: str = ""
    """The first firing or age that differs, in words; empty where none does."""

    @property
    def passed(self) -> bool:
        """Labels within tolerance; firings and ages identical."""
        return self.agreement >= 1.0 - self.tolerance and self.fired_equal and self.ages_equal


def replay(
    bundle: Bundle, variant: Variant, schedule: str, process: Callable[[Frame], FrameResult], clip: Clip | None = None
) -> ReplayReport:
    """Run the golden frames through ``process`` and compare with what the bundle says of a schedule.

    Where a stage fires differently on a frame whose signal lies within rounding of its threshold, all later frames
    see other states: the comparison ends before that frame.

    Args:
        process: Takes the frames in order, from a reset.
        clip: The golden frames, where they have been read already.

    Raises:
        BadInput: The bundle holds no golden sequence of this schedule, or it is damaged.
    """
    golden = variant.golden.get(schedule)
    if golden is None:
        raise BadInput(f"{bundle.path}: variant {variant.name!r} has no golden sequence of schedule {schedule!r}")
    clip = clip or read_clip(bundle)
    wanted = _golden_labels(bundle, golden, clip)
    near = _near_threshold(bundle.manifest, variant, schedule, golden, clip)
    equal = dict.fromkeys(wanted, 0)
    compared, fired_equal, ages_equal, difference = 0, True, True, ""
    for index in range(len(clip.frames)):
        result = process(clip.frame(index))
        odd = set(result.fired) ^ set(golden.fired[index])
        if odd and {(index, stage) for stage in odd} & set(near):
            break
        if odd or tuple(result.fired) != golden.fired[index]:
            fired_equal = False
            difference = difference or f"frame {index}: fired {list(result.fired)}, want {list(golden.fired[index])}"
        ages = {output.tensor: result.age_frames[output.name] for output in bundle.manifest.outputs}
        if ages != golden.age_frames[index]:
            ages_equal = False
            difference = difference or f"frame {index}: ages {ages}, want {golden.age_frames[index]}"
        for name, maps in wanted.items():
            equal[name] += int((result.labels[name] == maps[index]).sum())
        compared += 1
    pixels_compared = max(1, compared) * clip.frames[0, :, :, 0].size
    return ReplayReport(
        schedule=schedule,
        frames=compared,
        agreement=min(equal.values()) / pixels_compared,
        tolerance=golden.tolerance,
        fired_equal=fired_equal,
        ages_equal=ages_equal,
        near_threshold=near,
        difference=difference,
    )


def _golden_labels(bundle: Bundle, golden: Golden, clip: Clip) -> dict[str, NDArray[Any]]:
    arrays = unpack(bundle, golden.labels)
    names = [output.name for output in bundle.manifest.outputs]
    counts = {len(golden.fired), len(golden.changes), len(golden.age_frames), len(clip.frames)}
    fits = all(name in arrays and arrays[name].shape == clip.frames.shape[:3] for name in names)
    if not fits or len(counts) > 1 or any(arrays[name].dtype != np.uint8 for name in names):
        raise BadInput(
            f"{bundle.path}: {golden.labels} does not hold uint8 labels of every output for every golden frame"
        )
    return {name: arrays[name] for name in names}


def _near_threshold(
    manifest: Manifest, variant: Variant, schedule: str, golden: Golden, clip: Clip
) -> tuple[tuple[int, str], ...]:
    """Frames and stages whose golden signal is within rounding of the threshold."""
    near = []
    valid = pixels.fit_geometry(clip.frames.shape[1], clip.frames.shape[2], manifest.input).valid
    for stage, clock in manifest.schedule(schedule, variant).clocks.items():
        if not isinstance(clock, Adaptive):
            continue
        if clock.signal.kind == "relative":
            margin = max(NEAR_RELATIVE, 2 * golden.tolerance) * clock.threshold
        else:
            positions = pixels.positions_inside(manifest.graph.tensor(clock.signal.tensor).shape, valid)
            margin = max(NEAR_POSITIONS / max(1, positions), 2 * golden.tolerance)
        factor = 1.0
        for index, changes in enumerate(golden.changes):
            if abs(changes.get(stage, np.inf) - clock.threshold * factor) <= margin:
                near.append((index, stage))
            if clock.pace:
                factor = paced(clock.pace, factor, stage in golden.fired[index])
    return tuple(sorted(near))
