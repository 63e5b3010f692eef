"""Replays the golden sequences of a bundle on the native runtime: what ``edge-vss verify`` prints."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import Bundle, Golden, Variant, load_bundle
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Adaptive

__all__ = ["GoldenCheck", "verify_bundle"]

NEAR_POSITIONS = 3
"""A signal this many positions from its threshold may fall on either side on another machine."""


@dataclass(frozen=True, kw_only=True)
class GoldenCheck:
    """How one schedule of one variant came out."""

    variant: str
    schedule: str
    frames: int
    """Frames compared."""
    agreement: float
    """Share of pixels that are as they should be, of all outputs."""
    tolerance: float
    """Share of pixels that may differ."""
    fired_equal: bool
    """The same stages fired on the same frames, and every label map has the same age."""
    note: str
    """Where and why, if something differs."""

    @property
    def ok(self) -> bool:
        """Whether the schedule came out."""
        return self.fired_equal and self.agreement >= 1 - self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``verify --json`` promises, and a few more."""
        return {**asdict(self), "ok": self.ok}


def verify_bundle(
    path: str | Path, *, threads: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[GoldenCheck]:
    """Replay every golden sequence of every variant.

    Raises:
        BadInput: The bundle does not load, a file was changed, or there are no goldens.
        DeviceError: A variant's backend is not there.
    """
    bundle = load_bundle(path)
    bundle.check_files()
    manifest = bundle.manifest
    todo = [(variant, name) for variant in manifest.variants for name in variant.golden]
    if not todo or not manifest.golden_frames:
        raise BadInput(f"{path}: holds no golden sequences; export it again")
    frames = _golden_frames(bundle)
    found = []
    for variant, name in todo:
        found.append(_replay(bundle, variant, name, frames, threads))
        progress(len(found), len(todo))
    return found


def _arrays(bundle: Bundle, name: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(bundle.read(name)), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
        raise BadInput(f"{bundle.path}: {name} is not a readable .npz: {error}") from None


def _golden_frames(bundle: Bundle) -> list[Frame]:
    arrays = _arrays(bundle, bundle.manifest.golden_frames)
    if not {"frames", "pts_us"} <= set(arrays):
        raise BadInput(f"{bundle.path}: {bundle.manifest.golden_frames} lacks frames or pts_us")
    pictures = arrays["frames"]
    return [
        Frame(
            format="rgb",
            planes=(np.ascontiguousarray(picture),),
            height=pictures.shape[1],
            width=pictures.shape[2],
            pts_us=int(pts_us),
            sequence=index,
        )
        for index, (picture, pts_us) in enumerate(zip(pictures, arrays["pts_us"]))
    ]


def _replay(bundle: Bundle, variant: Variant, schedule: str, frames: list[Frame], threads: int) -> GoldenCheck:
    golden = variant.golden[schedule]
    want = _arrays(bundle, golden.labels)
    spec = bundle.manifest.input
    shape = next(iter(want.values())).shape[1:]
    size = "network" if shape == (spec.height, spec.width) else "source"
    same = total = compared = 0
    note, equal = "", True
    with Pipeline(
        bundle.path,
        schedule=schedule,
        backend=variant.backend,
        precision=variant.precision,
        threads=threads,
        label_size=size,
    ) as pipeline:
        for index, frame in enumerate(frames):
            result = pipeline.process(frame)
            problem = _clock_problem(bundle, golden, index, result)
            if problem:
                near = _near_threshold(bundle, variant, schedule, golden, index)
                equal = near
                note = f"frame {index}: {problem}" + (", signal at its threshold: compared up to here" if near else "")
                break
            compared += 1
            for name, labels in want.items():
                same += int((result.labels[name] == labels[index]).sum())
                total += labels[index].size
    return GoldenCheck(
        variant=variant.name,
        schedule=schedule,
        frames=compared,
        agreement=same / total if total else 0.0,
        tolerance=golden.tolerance,
        fired_equal=equal,
        note=note,
    )


def _clock_problem(bundle: Bundle, golden: Golden, index: int, result: Any) -> str:
    fired = golden.fired[index]
    if tuple(result.fired) != tuple(fired):
        return f"fired {' '.join(result.fired) or 'nothing'}, golden {' '.join(fired) or 'nothing'}"
    for output in bundle.manifest.outputs:
        want = golden.age_frames[index].get(output.tensor)
        got = result.age_frames[output.name]
        if want is not None and want != got:
            return f"{output.name} is {got} frames old, golden {want}"
    return ""


def _near_threshold(bundle: Bundle, variant: Variant, schedule: str, golden: Golden, index: int) -> bool:
    """Whether a golden signal of this frame lies so close to its threshold that rounding may decide."""
    for stage, clock in bundle.manifest.schedule(schedule, variant).clocks.items():
        change = golden.changes[index].get(stage)
        if isinstance(clock, Adaptive) and change is not None:
            positions = bundle.manifest.graph.tensor(clock.signal.tensor).elements
            if abs(change - clock.threshold) <= NEAR_POSITIONS / positions:
                return True
    return False
