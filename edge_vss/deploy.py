"""From a checkpoint, or a model file of the user's own, to a bundle: export, clocks, goldens, manifest."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from edge_vss import __version__
from edge_vss.bundle import SCHEMA_VERSION, EngineRef, Golden, InputSpec, Manifest, Variant, write_bundle
from edge_vss.bundle.files import check_target
from edge_vss.bundle.golden import GOLDEN_FRAMES, GOLDEN_FRAMES_FILE, Clip, Memory, clip_of, golden_file, record_golden
from edge_vss.calibration import ClockFit, fit_clocks, record_signals
from edge_vss.calibration.clocks import CLOCK_FRAMES, check_rate, signal_tensors
from edge_vss.data.sources import open_source
from edge_vss.deploy_variants import with_variants
from edge_vss.errors import BadInput
from edge_vss.executor import StageFunction
from edge_vss.export import Exported, cost_of_cutting, exported_checkpoint, exported_model, stage_parity
from edge_vss.export.pixel_stages import PixelKind
from edge_vss.export.pixel_variants import with_pixel_engines
from edge_vss.export_report import ExportReport, export_report
from edge_vss.frame import Frame
from edge_vss.graph import Graph, Read, Stage
from edge_vss.pixels import fit_geometry, preprocess
from edge_vss.reference_engines import engine_function
from edge_vss.schedule import Adaptive, Schedule

__all__ = ["deploy", "deploy_onnx"]

LADDER = ("full", "cycle", "adaptive", "alternate", "exponential", "reuse")
CAMERA: PixelKind = ("nv12", 720, 1280)
"""What a CSI camera gives unless told otherwise."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share in [0, 1] that is behind."""


def deploy(
    checkpoint: str | Path,
    out: str | Path,
    *,
    height: int | None = None,
    width: int | None = None,
    calibration: str | None = None,
    clock_rate: float = 0.5,
    precisions: Sequence[str] = ("fp32",),
    backends: Sequence[str] = ("onnxruntime",),
    pixels: PixelKind | Literal["none"] | None = None,
    int8_boundaries: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a checkpoint as a bundle.

    Args:
        checkpoint: A file, or ``zoo:NAME``.
        out: The bundle: a folder, or a ``.zip``. What is there is replaced when the new one is complete.
        height: Of the network's input, pixels; with ``width``, or both as trained.
        calibration: SOURCE of unlabelled frames for clocks and goldens; generated street video where none is given.
        clock_rate: Wanted share of frames that fire the clocked stages under ``adaptive``, in (0, 1].
        precisions: Of ``fp32``, ``fp16``, ``int8``; with ``backends``, what to write besides the float32 variant for
            ONNX Runtime, which is always there. ONNX Runtime has no fp16 form.
        backends: Of ``onnxruntime``, ``tensorrt``.
        pixels: (format, height, width) of camera frames for which every variant gets pre- and post-processing as
            engines; None: variants for ``tensorrt`` get them, for ``CAMERA``; ``none``: no variant does.
        int8_boundaries: As for ``VariantMaker``.

    Raises:
        BadInput: The checkpoint, the size, the source or the output is no good. The old bundle is still there.
        WrongUsage: The clock rate is none.
    """
    _check_early(Path(out), calibration, clock_rate)
    say = progress or (lambda what, share: None)
    say("exporting", 0.0)
    exported = exported_checkpoint(checkpoint, height, width, lambda stage: say(f"exporting {stage}", 0.1))
    return bundle_exported(
        exported,
        out,
        calibration=calibration,
        clock_rate=clock_rate,
        kinds=[(backend, precision) for backend in backends for precision in precisions],
        pixels=pixels,
        int8_boundaries=int8_boundaries,
        progress=say,
    )


def deploy_onnx(
    model: str | Path,
    out: str | Path,
    *,
    classes: str | Path,
    cut: Sequence[str] = (),
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (255.0, 255.0, 255.0),
    height: int | None = None,
    width: int | None = None,
    calibration: str | None = None,
    clock_rate: float = 0.5,
    precisions: Sequence[str] = ("fp32",),
    backends: Sequence[str] = ("onnxruntime",),
    pixels: PixelKind | Literal["none"] | None = None,
    int8_boundaries: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a segmentation network of the user's own, an ONNX file, as a bundle.

    The arguments are those of ``exported_model`` and ``deploy``.

    Raises:
        BadInput: The file, the cut, the classes, the size, the source or the output is no good.
    """
    _check_early(Path(out), calibration, clock_rate)
    say = progress or (lambda what, share: None)
    say("reading the network", 0.0)
    exported = exported_model(
        Path(model),
        classes=Path(classes),
        cut=cut,
        mean=mean,
        std=std,
        height=height,
        width=width,
        progress=lambda stage: say(f"exporting {stage}", 0.1),
    )
    return bundle_exported(
        exported,
        out,
        calibration=calibration,
        clock_rate=clock_rate,
        kinds=[(backend, precision) for backend in backends for precision in precisions],
        pixels=pixels,
        int8_boundaries=int8_boundaries,
        progress=say,
    )


def bundle_exported(
    exported: Exported,
    out: str | Path,
    *,
    calibration: str | None,
    clock_rate: float,
    kinds: Sequence[tuple[str, str]],
    pixels: PixelKind | Literal["none"] | None,
    int8_boundaries: bool,
    progress: Progress,
) -> ExportReport:
    """Set the clocks, record the goldens, measure, and write the bundle."""
    source = calibration or default_source(exported.input)
    engines = {stage: engine_function(engine, name=stage) for stage, engine in exported.engines.items()}
    with open_source(source) as frames:
        watched = _Watched(itertools.islice(frames, CLOCK_FRAMES))
        progress("setting clocks", 0.3)
        schedules, fits = _fit_schedules(exported, engines, watched, clock_rate, progress)
        clip = watched.clip()
    files = {f"engines/{stage}.onnxruntime.fp32.onnx": engine for stage, engine in exported.engines.items()}
    files[GOLDEN_FRAMES_FILE] = clip.packed()
    goldens: dict[str, Golden] = {}
    memory = Memory()
    for place, schedule in enumerate(schedules):
        progress(f"golden sequence of {schedule.name}", 0.6 + 0.3 * place / len(schedules))
        file = golden_file(schedule.name)
        goldens[schedule.name], files[file] = record_golden(
            exported.graph, schedule, exported.functions, exported.input, exported.outputs, clip, file, memory
        )
    if exported.reference:
        files[golden_file("full")] = _uncut_labels(exported, exported.reference, clip)
    progress("comparing and timing", 0.9)
    image = preprocess(clip.frame(0), exported.input)
    parity = stage_parity(exported.graph, exported.functions, engines, image)
    cost = cost_of_cutting(exported.graph, exported.engines, exported.whole, image) if exported.whole else None
    manifest = _manifest(exported, schedules, goldens, _calibration_record(source, watched.count, clock_rate, fits))
    manifest, more, made = with_variants(
        exported, manifest, schedules, kinds, source, clip, clock_rate, int8_boundaries, progress
    )
    manifest, pre_and_post = _with_pixels(manifest, pixels)
    write_bundle(out, manifest, {**files, **more, **pre_and_post})
    progress("done", 1.0)
    return export_report(exported, out, manifest, fits, parity, cost, made)


def _with_pixels(manifest: Manifest, pixels: PixelKind | Literal["none"] | None) -> tuple[Manifest, dict[str, bytes]]:
    if pixels == "none":
        return manifest, {}
    names = [variant.name for variant in manifest.variants if pixels or variant.backend == "tensorrt"]
    return with_pixel_engines(manifest, pixels or CAMERA, names)


def default_source(spec: InputSpec) -> str:
    """Generated street video of the network's aspect, no side longer than 512 pixels."""
    scale = 512 / max(spec.height, spec.width)
    height, width = (max(64, 2 * round(side * scale / 2)) for side in (spec.height, spec.width))
    return f"street:[seed=2026,look=camera,frames=100,size={height}x{width}]"


class _Watched:
    """Frames on their way to the clocks, of which the first few are kept for the goldens."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self._kept = list(itertools.islice(frames, GOLDEN_FRAMES))
        self.count = len(self._kept)

    def clip(self) -> Clip:
        return clip_of(self._kept)

    def __iter__(self) -> Iterator[Frame]:
        yield from self._kept
        for frame in self._frames:
            self.count += 1
            yield frame

    @property
    def first(self) -> Frame:
        if not self._kept:
            raise BadInput("the calibration source gave no frame")
        return self._kept[0]


def _fit_schedules(
    exported: Exported, engines: Mapping[str, StageFunction], frames: _Watched, rate: float, progress: Progress
) -> tuple[tuple[Schedule, ...], dict[str, tuple[ClockFit, ...]]]:
    """The schedules with every adaptive clock set, and what was found for each such schedule."""
    tensors = signal_tensors(exported.schedules)
    if not tensors:
        return exported.schedules, {}
    valid = fit_geometry(frames.first.height, frames.first.width, exported.input).valid
    images = (preprocess(frame, exported.input) for frame in frames)
    signals = record_signals(
        exported.graph,
        tensors,
        engines,
        images,
        progress=lambda count: progress(f"setting clocks, frame {count}", 0.3 + 0.3 * min(1.0, count / CLOCK_FRAMES)),
    )
    fitted, fits = [], {}
    for schedule in exported.schedules:
        if any(isinstance(clock, Adaptive) for clock in schedule.clocks.values()):
            schedule, fits[schedule.name] = fit_clocks(exported.graph, schedule, signals, update_rate=rate, valid=valid)
        fitted.append(schedule)
    return tuple(fitted), fits


def _uncut_labels(exported: Exported, reference: StageFunction, clip: Clip) -> bytes:
    """Golden labels of the network as it was before it was cut."""
    graph = exported.graph
    names = (graph.image, *graph.outputs)
    one = Graph(
        image=graph.image,
        tensors=tuple(msgspec.structs.replace(graph.tensor(name), lives="frame") for name in dict.fromkeys(names)),
        stages=(Stage(name="whole", inputs=(Read(graph.image),), outputs=graph.outputs),),
        outputs=graph.outputs,
    )
    full = Schedule(name="full")
    return record_golden(one, full, {"whole": reference}, exported.input, exported.outputs, clip, "")[1]


def _calibration_record(
    source: str, frames: int, rate: float, fits: Mapping[str, tuple[ClockFit, ...]]
) -> dict[str, str | float | int]:
    record: dict[str, str | float | int] = {"source": source, "frames": frames}
    if fits:
        record["clock_rate"] = rate
    for schedule, found in fits.items():
        record |= {f"update_rate.{schedule}.{fit.stage}": fit.update_rate for fit in found}
    return record


def _manifest(
    exported: Exported,
    schedules: tuple[Schedule, ...],
    goldens: dict[str, Golden],
    calibration: dict[str, str | float | int],
) -> Manifest:
    names = [schedule.name for schedule in schedules]
    variant = Variant(
        name="onnxruntime-fp32",
        backend="onnxruntime",
        precision="fp32",
        engines={stage: EngineRef(file=f"engines/{stage}.onnxruntime.fp32.onnx") for stage in exported.engines},
        golden=goldens,
    )
    return Manifest(
        schema=SCHEMA_VERSION,
        name=exported.name,
        input=exported.input,
        graph=exported.graph,
        outputs=exported.outputs,
        schedules=schedules,
        ladder=tuple(name for name in LADDER if name in names),
        variants=(variant,),
        golden_frames=GOLDEN_FRAMES_FILE,
        calibration=calibration,
        provenance={**exported.provenance, "written_by": f"edge-vss {__version__}"},
    )


def _check_early(out: Path, calibration: str | None, clock_rate: float) -> None:
    """What would only fail after minutes of work."""
    check_rate(clock_rate)
    check_target(out)
    if calibration is not None:
        with open_source(calibration) as frames:
            next(iter(frames), None)
