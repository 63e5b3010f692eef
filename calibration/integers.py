"""INT8 variants of a bundle that exists: ranges from another source, another method, an accuracy gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_vss.bundle import Bundle, Manifest, Variant, load_bundle, write_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.calibration.gate import GateReport, pass_gate
from edge_vss.calibration.observed_source import observe_source
from edge_vss.calibration.ranges import METHODS
from edge_vss.calibration.variants import Kept, MadeVariant, VariantMaker
from edge_vss.errors import BadInput
from edge_vss.export.pixel_variants import with_pixel_engines

__all__ = ["IntegerReport", "calibrate_int8"]

Say = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class IntegerReport:
    """What was done to one INT8 variant."""

    variant: str
    observed_under: str
    """The schedule through which ranges were observed."""
    int8_macs_share: float
    """Share of the multiply-adds on integers, 0..1."""
    gate: GateReport | None
    """None where nobody asked for a bound."""


def calibrate_int8(
    path: str | Path,
    source: str | None,
    *,
    backends: Sequence[str] = (),
    method: str | None = None,
    data: str | None = None,
    max_drop: float = 1.0,
    progress: Say = lambda what, share: None,
) -> list[IntegerReport]:
    """Write the INT8 variants of a bundle anew; it is replaced whole, or not at all.

    Args:
        source: SOURCE of unlabelled frames; None: the one that the bundle was calibrated on.
        backends: Of the variants; those that the bundle has INT8 variants for where empty, else ONNX Runtime.
        method: One of ``edge_vss.calibration.ranges.METHODS``; None: as before.
        data: URI of labelled data for the accuracy gate; None: no gate.
        max_drop: Most mIoU points to lose.

    Raises:
        BadInput: The bundle, the source or the data is no good.
        GateRefused: The bound cannot be kept.
    """
    bundle = load_bundle(path)
    bundle.check_files()
    maker = _maker(bundle, source, method, progress)
    has = [one.backend for one in bundle.manifest.variants if one.precision == "int8"]
    reports, manifest = [], bundle.manifest
    files = {name: bundle.read(name) for name in manifest.files}
    for backend in backends or has or ["onnxruntime"]:
        gate: GateReport | None = None
        kept: Kept = {}
        if data is not None:
            gate, kept = pass_gate(bundle, maker, backend, data, max_drop, progress)
        progress(f"writing int8 for {backend}", 0.95)
        made = maker.make(backend, "int8", kept)
        manifest, files = _replaced(manifest, files, made, _record(maker, made, gate))
        reports.append(
            IntegerReport(
                variant=made.variant.name,
                observed_under=maker.observed.schedule,
                int8_macs_share=made.macs_share,
                gate=gate,
            )
        )
    write_bundle(path, manifest, files)
    return reports


def _maker(bundle: Bundle, source: str | None, method: str | None, progress: Say) -> VariantMaker:
    manifest = bundle.manifest
    variant = _float_variant(bundle)
    recorded = manifest.calibration
    source = source or str(recorded.get("int8_source", recorded.get("source", "")))
    if not source:
        raise BadInput(f"{bundle.path}: does not say what it was calibrated on; name a SOURCE")
    method = method or str(recorded.get("int8_method", next(iter(METHODS))))
    engines = {stage: bundle.read(engine.file) for stage, engine in variant.engines.items()}
    schedules = tuple(manifest.schedule(schedule.name, variant) for schedule in manifest.schedules)
    progress("observing activations", 0.0)
    return VariantMaker(
        graph=manifest.graph,
        schedules=schedules,
        engines=engines,
        spec=manifest.input,
        outputs=manifest.outputs,
        source=source,
        clip=read_clip(bundle),
        observed=observe_source(manifest.graph, schedules, engines, manifest.input, source),
        clock_rate=float(recorded.get("clock_rate", 0.5)),
        method=method,
        int8_boundaries=any(storage.dtype == "int8" for one in manifest.variants for storage in one.tensors.values()),
    )


def _float_variant(bundle: Bundle) -> Variant:
    for variant in bundle.manifest.variants:
        files = all(engine.file for engine in variant.engines.values())
        if (variant.backend, variant.precision) == ("onnxruntime", "fp32") and files:
            return variant
    raise BadInput(f"{bundle.path}: has no float32 variant for ONNX Runtime to start from; export it again")


def _record(maker: VariantMaker, made: MadeVariant, gate: GateReport | None) -> dict[str, str | float | int]:
    name = made.variant.name
    record: dict[str, str | float | int] = {
        "int8_source": maker.source,
        "int8_method": maker.method,
        "observed_under": maker.observed.schedule,
        f"int8_macs_share.{name}": round(made.macs_share, 4),
    }
    if gate is not None:
        record[f"max_drop.{name}"] = gate.max_drop
        record[f"reverted.{name}"] = ", ".join(gate.reverted)
        for schedule, miou in gate.miou_after.items():
            record[f"miou_before.{name}.{schedule}"] = round(gate.miou_before[schedule], 5)
            record[f"miou_after.{name}.{schedule}"] = round(miou, 5)
    return record


def _replaced(
    manifest: Manifest, files: dict[str, bytes], made: MadeVariant, record: dict[str, str | float | int]
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest with a new variant in the place of the old one, and the files that it then needs."""
    before = manifest.variants
    variants = [one for one in before if one.name != made.variant.name]
    place = next((i for i, one in enumerate(before) if one.name == made.variant.name), len(variants))
    variants.insert(place, made.variant)
    manifest = msgspec.structs.replace(
        manifest, variants=tuple(variants), calibration={**manifest.calibration, **record}
    )
    old = [one for one in before if one.name == made.variant.name]
    new = dict(made.files)
    for pixels in (one.pixels for one in old if one.pixels):
        kind = (pixels.format, pixels.height, pixels.width)
        manifest, engines = with_pixel_engines(manifest, kind, [made.variant.name])
        new |= engines
    stale = _files(old) - _files(manifest.variants)
    return manifest, {**{name: data for name, data in files.items() if name not in stale}, **new}


def _files(variants: Sequence[Variant]) -> set[str]:
    """Engines and goldens of variants."""
    engines = {engine.file for one in variants for engine in one.engines.values()}
    for pixels in (one.pixels for one in variants if one.pixels):
        engines |= {pixels.pre, *pixels.post.values()}
    return engines | {golden.labels for one in variants for golden in one.golden.values()}
