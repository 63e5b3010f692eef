"""Builds the TensorRT plans of a bundle on the device that will run them, and proves them: ``edge-vss build``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_vss.bundle import Bundle, Variant, load_bundle
from edge_vss.bundle.pixel_graph import pixel_stages
from edge_vss.errors import BadInput, DeviceError
from edge_vss.jetson.device import Device, find_device
from edge_vss.jetson.golden_check import check_variant
from edge_vss.jetson.pixel_check import check_pixels
from edge_vss.jetson.plan_builder import build_plan, inspect_plan, usable_dla
from edge_vss.jetson.plan_stage import load_cuda
from edge_vss.jetson.plans import BuildOptions, PlanFolder
from edge_vss.jetson.precision import Layer, count_types, refusal
from edge_vss.jetson.tensorrt_python import load_tensorrt
from edge_vss.verification import GoldenCheck

__all__ = ["BuildReport", "StagePlan", "build_bundle"]

PIXEL_PRECISION = "fp32"
"""Of pre- and post-processing, whatever the network's: with tensor cores' shorter mantissas levels would be off."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share in [0, 1] that is behind."""


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """The plan of one stage of one variant."""

    variant: str
    stage: str
    precision: str
    path: Path
    origin: str
    """``built``, ``cached``, or ``rebuilt``: the plan that lay there did not load."""
    seconds: float
    """Time that the build took; 0 for a cached plan."""
    bytes: int
    layers: tuple[Layer, ...]
    refused: str = ""
    """Why the plan is not what was asked for; such a plan is not kept."""

    @property
    def types(self) -> dict[str, float]:
        """Type -> share of the computing layers, in [0, 1], narrowest type first."""
        counts = count_types(self.layers)
        return {name: count / sum(counts.values()) for name, count in counts.items()}

    @property
    def dla_layers(self) -> int:
        """Number of layers on a deep-learning accelerator."""
        return sum(layer.on_dla for layer in self.layers)

    def as_dict(self) -> dict[str, Any]:
        """What ``build --json`` says of a stage."""
        layers = [{"name": layer.name, "kind": layer.kind, "type": layer.type} for layer in self.layers]
        names = ("precision", "path", "origin", "seconds", "bytes", "types", "dla_layers", "refused")
        return {**{name: getattr(self, name) for name in names}, "layers": layers}


@dataclass(kw_only=True)
class BuildReport:
    """What ``edge-vss build`` prints."""

    bundle: Path
    tensorrt: str
    device: Device
    folder: Path
    options: BuildOptions
    plans: list[StagePlan] = field(default_factory=list)
    checks: list[GoldenCheck] = field(default_factory=list)
    pixel_problems: list[str] = field(default_factory=list)
    """What is wrong with plans of pre- and post-processing, one line each."""
    not_checked: str = ""
    """Why the golden sequences were not played; empty where they were."""

    @property
    def refused(self) -> list[str]:
        """Everything that a gate says no to, one line each."""
        plans = [
            f"stage {plan.stage!r} of variant {plan.variant!r} {plan.refused}" for plan in self.plans if plan.refused
        ]
        wrong = [f"{check.variant}/{check.report.schedule}" for check in self.checks if not check.report.passed]
        return (
            plans + self.pixel_problems + ([f"golden sequences do not come out: {', '.join(wrong)}"] if wrong else [])
        )


def build_bundle(
    path: str | Path,
    options: BuildOptions | None = None,
    *,
    check: bool = True,
    progress: Progress = lambda doing, share: None,
) -> BuildReport:
    """Build every plan that a bundle's TensorRT variants need, read its precision back, and play the goldens.

    Plans that are there already are used again. A plan is kept only after TensorRT has loaded it and its precision
    is what was asked for.

    Args:
        check: Whether to play the golden sequences, which needs pycuda.

    Raises:
        BadInput: The bundle does not load or has no TensorRT variant, or the plans folder cannot be written to.
        DeviceError: TensorRT or a GPU is missing, a build or a run fails.
    """
    options = options or BuildOptions()
    bundle = load_bundle(path)
    variants = _variants(bundle, check)
    bundle.check_files()
    trt = load_tensorrt()
    device = find_device()
    usable_dla(trt, options)
    folder = PlanFolder(trt.__version__, device)
    report = BuildReport(
        bundle=bundle.path, tensorrt=trt.__version__, device=device, folder=folder.path, options=options
    )
    engines = {variant.name: _engines(bundle, variant) for variant in variants}
    steps = sum(len(found) for found in engines.values()) + len(variants) * int(check)
    for variant in variants:
        for engine in engines[variant.name]:
            share = _part(progress, f"{variant.name}: {engine.stage}", len(report.plans), steps)
            report.plans.append(_plan(trt, folder, bundle, engine, options, share))
    if check and not report.refused:
        _check(trt, bundle, variants, report, progress)
    elif check:
        report.not_checked = "a plan was refused"
    else:
        report.not_checked = "not asked for"
    return report


def _variants(bundle: Bundle, check: bool) -> list[Variant]:
    found = [variant for variant in bundle.manifest.variants if variant.backend == "tensorrt"]
    if not found:
        raise BadInput(f"{bundle.path} has no tensorrt variant; edge-vss export … -o {bundle.path} --backend tensorrt")
    for variant in found:
        for stage, engine in variant.engines.items():
            if not engine.file:
                raise BadInput(f"{bundle.path}: stage {stage!r} of variant {variant.name!r} is a host operation")
        if check and not variant.golden:
            raise BadInput(
                f"{bundle.path}: variant {variant.name!r} holds no golden sequences, so its plans cannot be checked; "
                f"export it again, or add --no-check"
            )
    return found


@dataclass(frozen=True)
class _Engine:
    """An engine file to make a plan of."""

    variant: str
    stage: str
    file: str
    precision: str


def _engines(bundle: Bundle, variant: Variant) -> list[_Engine]:
    """Stages, then pixel engines."""
    stages = [_Engine(variant.name, stage, engine.file, variant.precision) for stage, engine in variant.engines.items()]
    pixels = [
        _Engine(variant.name, each.stage.name, each.file, PIXEL_PRECISION)
        for each in pixel_stages(bundle.manifest, variant)
    ]
    return stages + pixels


def _part(progress: Progress, doing: str, done: int, steps: int) -> Callable[[float], None]:
    """Progress inside one step of the whole; says at once what has begun."""
    progress(doing, done / steps)
    return lambda share: progress(doing, (done + share) / steps)


def _plan(
    trt: ModuleType,
    folder: PlanFolder,
    bundle: Bundle,
    engine: _Engine,
    options: BuildOptions,
    progress: Callable[[float], None],
) -> StagePlan:
    """The plan of one engine file, from the folder or built."""
    where, onnx = f"{bundle.path}/{engine.file}", bundle.read(engine.file)
    path = folder.plan(onnx, engine.precision, options)
    plan, origin, seconds = folder.read_plan(path), "cached", 0.0
    layers = inspect_plan(trt, plan, options.dla)[0] if plan else None
    if layers is None:
        origin, begin = "rebuilt" if plan else "built", time.perf_counter()
        plan, timing = build_plan(
            trt, onnx, where=where, precision=engine.precision, options=options,
            timing=folder.read_timing(), progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - begin
        layers, reason = inspect_plan(trt, plan, options.dla)
        if layers is None:
            raise DeviceError(f"{where}: TensorRT {trt.__version__} does not load the plan it has built: {reason}")
        if timing:
            folder.write_timing(timing)
    refused = refusal(engine.precision, layers)
    if refused:
        path.unlink(missing_ok=True)
    elif origin != "cached":
        folder.write(path, plan)
    return StagePlan(
        variant=engine.variant, stage=engine.stage, precision=engine.precision, path=path, origin=origin,
        seconds=seconds, bytes=len(plan), layers=layers, refused=refused,
    )  # fmt: skip


def _check(trt: ModuleType, bundle: Bundle, variants: list[Variant], report: BuildReport, progress: Progress) -> None:
    """Play the goldens of every variant; where pycuda is missing, say so in the report."""
    try:
        cuda = load_cuda()
    except DeviceError as error:
        report.not_checked = str(error)
        return
    steps = len(report.plans) + len(variants)
    for place, variant in enumerate(variants, len(report.plans)):
        plans = {plan.stage: plan.path.read_bytes() for plan in report.plans if plan.variant == variant.name}
        share = _part(progress, f"{variant.name}: golden sequences", place, steps)
        found = check_variant(trt, cuda, bundle, variant, plans, dla=report.options.dla, progress=share)
        report.checks += [GoldenCheck(variant.name, each) for each in found]
        report.pixel_problems += check_pixels(trt, cuda, bundle, variant, plans, dla=report.options.dla)
