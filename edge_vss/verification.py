"""Replays the golden sequences of a bundle on the native runtime: what ``edge-vss verify`` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_vss.bundle import Bundle, Variant, load_bundle
from edge_vss.bundle.golden import Clip, read_clip
from edge_vss.bundle.replay import ReplayReport, replay
from edge_vss.errors import BadInput, DeviceError
from edge_vss.runtime import Pipeline, backends

__all__ = ["GoldenCheck", "absent_variants", "summarise_checks", "verify_bundle"]


@dataclass(frozen=True)
class GoldenCheck:
    """How one schedule of one variant came out."""

    variant: str
    report: ReplayReport

    def as_dict(self) -> dict[str, Any]:
        """The keys that ``verify --json`` promises, and a few more."""
        report = self.report
        return {
            "frames": report.frames,
            "agreement": report.agreement,
            "tolerance": report.tolerance,
            "fired_equal": report.fired_equal,
            "ages_equal": report.ages_equal,
            "near_threshold": [{"frame": frame, "stage": stage} for frame, stage in report.near_threshold],
            "difference": report.difference,
            "ok": report.passed,
        }


def verify_bundle(
    path: str | Path, *, threads: int = 0, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[GoldenCheck]:
    """Replay every golden sequence of every variant whose backend is there (``absent_variants`` names the others).

    Raises:
        BadInput: The bundle does not load, a file was changed, or there are no goldens.
        DeviceError: No variant's backend is there.
    """
    bundle = load_bundle(path)
    bundle.check_files()
    variants = [variant for variant in bundle.manifest.variants if variant.golden]
    if not variants:
        raise BadInput(f"{path}: holds no golden sequences, so there is nothing to replay; export it again")
    absent = absent_variants(bundle)
    todo = [(variant, name) for variant in variants if variant.name not in absent for name in variant.golden]
    if not todo:
        raise DeviceError(next(iter(absent.values())))
    clip = read_clip(bundle)
    found: list[GoldenCheck] = []
    for variant, schedule in todo:
        progress(len(found), len(todo))
        found.append(GoldenCheck(variant.name, _replay(bundle, variant, schedule, clip, threads)))
    return found


def absent_variants(bundle: Bundle) -> dict[str, str]:
    """Variant with golden sequences -> why its backend is not there."""
    known = backends()
    return {
        variant.name: known[variant.backend]
        for variant in bundle.manifest.variants
        if variant.golden and not known.get(variant.backend, "available").startswith("available")
    }


def summarise_checks(path: str | Path, checks: list[GoldenCheck]) -> dict[str, Any]:
    """The keys that ``verify --json`` promises: schedules of the first variant, all variants, those not replayed."""
    variants = {
        name: {check.report.schedule: check.as_dict() for check in checks if check.variant == name}
        for name in dict.fromkeys(check.variant for check in checks)
    }
    return {
        "schedules": variants[checks[0].variant],
        "variants": variants,
        "skipped": absent_variants(load_bundle(path)),
    }


def _replay(bundle: Bundle, variant: Variant, schedule: str, clip: Clip, threads: int) -> ReplayReport:
    with Pipeline(
        bundle.path,
        schedule=schedule,
        backend=variant.backend,
        precision=variant.precision,
        threads=threads,
        label_size="source",
    ) as pipeline:
        return replay(bundle, variant, schedule, pipeline.process, clip)
