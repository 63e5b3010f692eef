"""What an export says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge_vss.bundle import Manifest
from edge_vss.calibration import ClockFit
from edge_vss.calibration.variants import MadeVariant
from edge_vss.export import Exported, Parity

__all__ = ["ExportReport", "StageReport", "VariantReport", "export_report"]


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """One exported stage."""

    macs: int
    params: int
    files: tuple[str, ...]
    """Paths inside the bundle."""
    parity: Parity


class VariantReport(msgspec.Struct, frozen=True, kw_only=True):
    """One variant."""

    backend: str
    precision: str
    int8_macs_share: float | None = None
    """Share of the multiply-adds on integers; None where none are meant to be."""
    islands: dict[str, tuple[str, ...]] = {}
    """Stage -> nodes that stay float32 in a float16 engine."""


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``edge-vss export`` prints."""

    bundle: str
    stages: dict[str, StageReport]
    cost_of_cutting: float | None
    """Time of all stages over the time of one whole engine; None where the network has no such form."""
    thresholds: dict[str, dict[str, float]]
    """Schedule -> stage -> threshold of its adaptive clock."""
    update_rate_expected: dict[str, dict[str, float]]
    """Schedule -> stage -> share of the calibration frames that fire it, the first not counted."""
    schedules: tuple[str, ...]
    variants: dict[str, VariantReport]
    """Name -> facts; the float32 one for ONNX Runtime is always there."""
    observed_under: str | None = None
    """The schedule through which ranges were observed: ``full`` where the source is no video; None where none were."""


def export_report(
    exported: Exported,
    out: str | Path,
    manifest: Manifest,
    fits: Mapping[str, tuple[ClockFit, ...]],
    parity: Mapping[str, Parity],
    cost: float | None,
    made: Mapping[str, MadeVariant],
) -> ExportReport:
    """Put together what ``edge-vss export`` prints.

    Args:
        fits: Schedule -> what was found for its adaptive clocks.
        made: Variant -> what is to be said of it, for those that were made from others.
    """
    under = manifest.calibration.get("observed_under")
    return ExportReport(
        bundle=str(out),
        stages={
            stage.name: StageReport(
                macs=stage.macs,
                params=stage.params,
                files=tuple(dict.fromkeys(variant.engines[stage.name].file for variant in manifest.variants)),
                parity=parity[stage.name],
            )
            for stage in exported.graph.stages
        },
        cost_of_cutting=cost,
        thresholds={name: {fit.stage: fit.threshold for fit in found} for name, found in fits.items()},
        update_rate_expected={name: {fit.stage: fit.update_rate for fit in found} for name, found in fits.items()},
        schedules=tuple(schedule.name for schedule in manifest.schedules),
        variants={
            variant.name: VariantReport(
                backend=variant.backend,
                precision=variant.precision,
                int8_macs_share=made[variant.name].macs_share if variant.precision == "int8" else None,
                islands=dict(made[variant.name].islands) if variant.name in made else {},
            )
            for variant in manifest.variants
        },
        observed_under=None if under is None else str(under),
    )
