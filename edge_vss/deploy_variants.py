"""The narrower variants that ``edge-vss export`` writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edge_vss.bundle import Manifest
from edge_vss.bundle.golden import Clip
from edge_vss.calibration.observed_source import observe_source
from edge_vss.calibration.variants import KINDS, MadeVariant, VariantMaker
from edge_vss.export import Exported
from edge_vss.schedule import Schedule

__all__ = ["with_variants"]


def with_variants(
    exported: Exported,
    manifest: Manifest,
    schedules: tuple[Schedule, ...],
    kinds: Sequence[tuple[str, str]],
    source: str,
    clip: Clip,
    clock_rate: float,
    int8_boundaries: bool,
    progress: Callable[[str, float], None],
) -> tuple[Manifest, dict[str, bytes], dict[str, MadeVariant]]:
    """Add the variants that an export asks for to a manifest that holds the float32 one for ONNX Runtime.

    Args:
        kinds: (back end, precision) pairs; those that nothing has to be made for are passed over.
        source: SOURCE of unlabelled frames, for ranges and clocks.
        int8_boundaries: As for ``VariantMaker``.

    Returns:
        The manifest, the files of the new variants, and what there is to say of them, by name.
    """
    variants = list(manifest.variants)
    files: dict[str, bytes] = {}
    made: dict[str, MadeVariant] = {}
    if ("tensorrt", "fp32") in kinds:  # the very same engines
        variants.append(msgspec.structs.replace(variants[0], name="tensorrt-fp32", backend="tensorrt"))
    wanted = [kind for kind in kinds if kind in KINDS]
    record: dict[str, str | float | int] = {}
    if wanted:
        graph, spec = exported.graph, exported.input
        progress("observing activations", 0.93)
        observed = observe_source(graph, schedules, exported.engines, spec, source)
        record["observed_under"] = observed.schedule
        maker = VariantMaker(
            graph=graph,
            schedules=schedules,
            engines=exported.engines,
            spec=spec,
            outputs=exported.outputs,
            source=source,
            clip=clip,
            observed=observed,
            clock_rate=clock_rate,
            int8_boundaries=int8_boundaries,
        )
        for place, (backend, precision) in enumerate(wanted):
            progress(f"writing {precision} for {backend}", 0.95 + 0.04 * place / len(wanted))
            found = maker.make(backend, precision)
            made[found.variant.name] = found
            variants.append(found.variant)
            files.update(found.files)
            if precision == "int8":
                record[f"int8_macs_share.{found.variant.name}"] = round(found.macs_share, 4)
    manifest = msgspec.structs.replace(
        manifest, variants=tuple(variants), calibration={**manifest.calibration, **record}
    )
    return manifest, files, made
