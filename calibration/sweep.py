"""What accuracy costs: the mIoU of an adaptive schedule against its multiply-adds, over clock rates."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_vss.bundle import Bundle, load_bundle, write_bundle
from edge_vss.calibration.clocks import CLOCK_FRAMES, fit_clocks, record_signals, signal_tensors
from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.pixels import fit_geometry, preprocess
from edge_vss.reference_engines import bundle_functions
from edge_vss.schedule import Schedule

__all__ = ["RATES", "SweepPoint", "sweep"]

RATES = (0.15, 0.2, 0.25, 0.34, 0.5, 0.65, 0.8, 1.0)
"""Clock rates that are asked for."""


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """One schedule, scored."""

    schedule: str
    clock_rate: float | None
    """That was asked for; None for the schedules that the bundle has anyway."""
    update_rate: float
    """Of the stage with an adaptive clock, or of the one that rests most; 0..1."""
    macs_per_frame: float
    """Mean."""
    miou: float
    """0..1."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sweep(
    path: str | Path,
    source: str | None,
    data: str,
    *,
    schedule: str = "adaptive",
    rates: Sequence[float] = RATES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[SweepPoint]:
    """Score a bundle's float32 variant under its schedules, and under one of them at several clock rates.

    Args:
        source: SOURCE of unlabelled video that thresholds are set on; None: the one that the bundle was set on.
        data: URI of labelled data.
        schedule: One with an adaptive clock; ``max_age``, budget and pace follow each rate.
        progress: Called with frames scored and frames in all.

    Returns:
        The bundle's own other schedules first, then ``schedule`` at each rate, in order.

    Raises:
        BadInput: The bundle, the source or the data is no good, or the schedule has no adaptive clock.
    """
    bundle = load_bundle(path)
    bundle.check_schedule(schedule)
    manifest = bundle.manifest
    tensors = signal_tensors([manifest.schedule(schedule)])
    if not tensors:
        raise BadInput(f"{path}: schedule {schedule!r} has no adaptive clock to set")
    source = source or str(manifest.calibration.get("source", ""))
    if not source:
        raise BadInput(f"{path}: does not say what it was calibrated on; name a SOURCE")
    asked = _at_rates(bundle, source, schedule, tensors, rates)
    plain = [one for one in manifest.schedules if one.name != schedule]
    with tempfile.TemporaryDirectory(prefix="edge-vss-") as folder:
        copy = Path(folder) / "sweep.bundle"
        _write(copy, bundle, [*plain, *asked.values()])
        options = EvalOptions(schedules=("all",), precision="fp32", consistency=False)
        found = {one.schedule: one for one in evaluate_bundle(copy, data, options, progress=progress)}
    clocked = [stage for stage in asked[rates[0]].clocks if asked[rates[0]].clocks[stage].guard is None]
    rate_of = {one.name: rate for rate, one in asked.items()}
    return [
        SweepPoint(
            schedule=schedule if name in rate_of else name,
            clock_rate=rate_of.get(name),
            update_rate=min(one.update_rate[stage] for stage in clocked),
            macs_per_frame=one.macs_per_frame["mean"],
            miou=one.miou,
        )
        for name, one in found.items()
    ]


def _at_rates(
    bundle: Bundle, source: str, schedule: str, tensors: Sequence[str], rates: Sequence[float]
) -> dict[float, Schedule]:
    """Rate -> the schedule with its clocks set for it; the signals are recorded once."""
    manifest, variant = bundle.manifest, bundle.manifest.variants[0]
    with open_source(source) as frames:
        valid = fit_geometry(frames.height, frames.width, manifest.input).valid
        images = (preprocess(frame, manifest.input) for frame in itertools.islice(frames, CLOCK_FRAMES))
        signals = record_signals(manifest.graph, tensors, bundle_functions(bundle, variant), images)
    found = {}
    for rate in rates:
        fitted, _ = fit_clocks(manifest.graph, manifest.schedule(schedule), signals, update_rate=rate, valid=valid)
        found[rate] = msgspec.structs.replace(fitted, name=f"{schedule}-at-{rate:g}")
    return found


def _write(path: Path, bundle: Bundle, schedules: Sequence[Schedule]) -> None:
    """The first variant under other schedules, without goldens."""
    manifest = bundle.manifest
    variant = msgspec.structs.replace(manifest.variants[0], golden={}, thresholds={}, pixels=None)
    files = {engine.file: bundle.read(engine.file) for engine in variant.engines.values()}
    changed = msgspec.structs.replace(
        manifest, schedules=tuple(schedules), variants=(variant,), ladder=(), golden_frames="", files={}
    )
    write_bundle(path, changed, files)
