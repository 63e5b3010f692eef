"""What the types of the manifest cannot say: names, sizes, and what has to fit together."""

from __future__ import annotations

import re

from edge_vss.bundle.schema import SCHEMA_VERSION, Manifest, OutputSpec, PixelEngines, Variant, repeated_class
from edge_vss.dry_run import check_schedule
from edge_vss.graph import NAME
from edge_vss.schedule import Adaptive, Never

__all__ = ["check_manifest"]

MAX_SIDE = 16384
ZERO_POINTS = {"uint8": (0, 255), "int8": (-128, 127)}
MAX_FILE_BYTES = 1 << 32
PATH = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*(/[A-Za-z0-9_\-][A-Za-z0-9_.\-]*)*")


def check_manifest(manifest: Manifest) -> None:
    """Check what the types cannot say.

    Raises:
        ValueError: One line: what is wrong and where.
    """
    if manifest.schema != SCHEMA_VERSION:
        raise ValueError(f"schema version {manifest.schema} is not known, this build reads {SCHEMA_VERSION}")
    _check_input(manifest)
    names = [schedule.name for schedule in manifest.schedules]
    for kind, found in (
        ("schedule", names),
        ("variant", [variant.name for variant in manifest.variants]),
        ("output", [output.name for output in manifest.outputs]),
    ):
        if not found:
            raise ValueError(f"there is no {kind}")
        for name in found:
            if not NAME.fullmatch(name):
                raise ValueError(f"{kind} name {name!r} is not a letter followed by letters, digits or '_.-'")
            if found.count(name) > 1:
                raise ValueError(f"two {kind}s are called {name!r}")
    for schedule in manifest.schedules:
        check_schedule(manifest.graph, schedule)
    _check_ladder(manifest, names)
    for output in manifest.outputs:
        _check_output(manifest, output)
    for variant in manifest.variants:
        _check_variant(manifest, variant)
    for path, record in manifest.files.items():
        if not PATH.fullmatch(path) or path == "manifest.json" or len(path) > 240:
            raise ValueError(f"file path {path!r} is not a plain relative path")
        if not 0 <= record.bytes <= MAX_FILE_BYTES or not re.fullmatch(r"[0-9a-f]{64}", record.sha256):
            raise ValueError(f"file {path!r} has no proper size and sha256")
    if manifest.golden_frames and manifest.golden_frames not in manifest.files:
        raise ValueError(f"golden frames {manifest.golden_frames!r} are not among the files")


def _check_ladder(manifest: Manifest, names: list[str]) -> None:
    for place, name in enumerate(manifest.ladder):
        if name not in names:
            raise ValueError(f"the ladder names schedule {name!r}, which does not exist")
        if name in manifest.ladder[:place]:
            raise ValueError(f"the ladder names schedule {name!r} twice")
    if manifest.ladder:
        last = manifest.schedule(manifest.ladder[-1])
        if not all(isinstance(last.clock(stage.name), Never) for stage in manifest.graph.stages):
            raise ValueError(f"the ladder ends with schedule {last.name!r}, whose stages do not all rest")


def _check_input(manifest: Manifest) -> None:
    spec = manifest.input
    if not (1 <= spec.height <= MAX_SIDE and 1 <= spec.width <= MAX_SIDE):
        raise ValueError(f"input size {spec.height}x{spec.width} is not within 1..{MAX_SIDE}")
    image = manifest.graph.tensor(manifest.graph.image)
    if image.shape != (1, 3, spec.height, spec.width):
        raise ValueError(f"image tensor {image.name!r} has shape {image.shape}, the input is (1, 3, H, W) of its size")
    if not all(0.0 < value < 1e6 for value in spec.std) or not all(abs(value) < 1e6 for value in spec.mean):
        raise ValueError(f"mean {spec.mean} or std {spec.std} is out of range (0..255 units, std > 0)")
    if not 0.0 <= spec.pad <= 255.0:
        raise ValueError(f"pad {spec.pad} is not within 0..255")


def _check_output(manifest: Manifest, output: OutputSpec) -> None:
    where = f"output {output.name!r}"
    if output.tensor not in manifest.graph.outputs:
        raise ValueError(f"{where}: tensor {output.tensor!r} is not an output of the graph")
    tensor, count = manifest.graph.tensor(output.tensor), len(output.classes)
    want_rank = 3 if output.kind == "labels" else 4
    if len(tensor.shape) != want_rank or tensor.shape[0] != 1:
        raise ValueError(f"{where}: {output.kind} tensor {tensor.name!r} has shape {tensor.shape}")
    channels = {"scores": tensor.shape[1], "binary": 2, "labels": count}[output.kind]
    if output.kind == "binary" and tensor.shape[1] != 1:
        raise ValueError(f"{where}: a binary output has one channel, got shape {tensor.shape}")
    if not 1 <= count <= 255 or count != channels:
        raise ValueError(f"{where}: {count} classes for {channels} score channels")
    dtypes = ("uint8", "int32", "int64") if output.kind == "labels" else ("float32", "float16")
    if tensor.dtype not in dtypes:
        raise ValueError(f"{where}: {output.kind} are {' or '.join(dtypes)}, {tensor.name!r} is {tensor.dtype}")
    if any(not 0 <= channel < count for channel in output.ignored) or len(set(output.ignored)) >= count:
        raise ValueError(f"{where}: ignored channels {output.ignored} of {count}")
    if any(not 0 <= value <= 255 for info in output.classes for value in info.colour):
        raise ValueError(f"{where}: a colour is not within 0..255")
    twice = repeated_class(output.classes)
    if twice is not None:
        raise ValueError(f"{where}: has the class {twice!r} more than once")


def _check_variant(manifest: Manifest, variant: Variant) -> None:
    where = f"variant {variant.name!r}"
    if set(variant.engines) != {stage.name for stage in manifest.graph.stages}:
        odd = set(variant.engines) ^ {stage.name for stage in manifest.graph.stages}
        raise ValueError(f"{where}: engines and stages differ: {', '.join(sorted(odd))}")
    for stage, engine in variant.engines.items():
        if bool(engine.file) == bool(engine.operation):
            raise ValueError(f"{where}, stage {stage!r}: want either a file or an operation")
        if engine.file and engine.file not in manifest.files:
            raise ValueError(f"{where}, stage {stage!r}: {engine.file!r} is not among the files")
    known = {tensor.name for tensor in manifest.graph.tensors}
    for name, storage in variant.tensors.items():
        if name not in known:
            raise ValueError(f"{where}: stores tensor {name!r}, which the graph lacks")
        low, high = ZERO_POINTS.get(storage.dtype, (0, 0))
        if not 0.0 < storage.scale < 1e12 or not low <= storage.zero_point <= high:
            raise ValueError(f"{where}: tensor {name!r} has scale {storage.scale}, zero point {storage.zero_point}")
        if storage.channels_last and (len(manifest.graph.tensor(name).shape) != 4 or name in _seen_by_host(manifest)):
            raise ValueError(f"{where}: tensor {name!r} cannot be channels_last; only (1, C, H, W) between engines can")
    if variant.pixels:
        _check_pixels(manifest, variant.pixels, where)
    schedules = {schedule.name: schedule for schedule in manifest.schedules}
    for name, thresholds in variant.thresholds.items():
        clocks = schedules[name].clocks if name in schedules else {}
        for stage, threshold in thresholds.items():
            if not isinstance(clocks.get(stage), Adaptive) or not 0.0 <= threshold <= 1.0:
                raise ValueError(f"{where}: threshold {threshold} of schedule {name!r}, stage {stage!r} fits no clock")
    for name, golden in variant.golden.items():
        if name not in schedules or golden.labels not in manifest.files:
            raise ValueError(f"{where}: golden of schedule {name!r} has no schedule or no file")


def _seen_by_host(manifest: Manifest) -> set[str]:
    """Tensors that something else than an engine writes or reads."""
    clocks = [clock for schedule in manifest.schedules for clock in schedule.clocks.values()]
    signals = {clock.signal.tensor for clock in clocks if isinstance(clock, Adaptive)}
    return {manifest.graph.image, *manifest.graph.outputs, *signals}


def _check_pixels(manifest: Manifest, engines: PixelEngines, where: str) -> None:
    if not (1 <= engines.height <= MAX_SIDE and 1 <= engines.width <= MAX_SIDE):
        raise ValueError(f"{where}: pixel engines for frames of {engines.height}x{engines.width}")
    if set(engines.post) != {output.name for output in manifest.outputs}:
        raise ValueError(f"{where}: pixel engines want one post engine per output, have {sorted(engines.post)}")
    for file in (engines.pre, *engines.post.values()):
        if file not in manifest.files:
            raise ValueError(f"{where}: pixel engine {file!r} is not among the files")
