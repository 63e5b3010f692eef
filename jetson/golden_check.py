"""Plays a bundle's golden frames on the plans of one variant, with the reference executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from edge_vss import pixels
from edge_vss.bundle import Bundle, Manifest, Variant
from edge_vss.bundle.golden import read_clip
from edge_vss.bundle.replay import ReplayReport, replay
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.frame import Frame
from edge_vss.jetson.plan_stage import PlanStage, StoredTensor, cuda_context

__all__ = ["check_variant"]


@dataclass(frozen=True)
class _Result:
    """What ``replay`` wants to know of a frame."""

    labels: Mapping[str, NDArray[np.uint8]]
    fired: Sequence[str]
    age_frames: Mapping[str, int]


def check_variant(
    trt: ModuleType,
    cuda: ModuleType,
    bundle: Bundle,
    variant: Variant,
    plans: Mapping[str, bytes],
    *,
    dla: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> list[ReplayReport]:
    """Replay every golden sequence of a variant.

    Args:
        plans: Stage -> plan.
        progress: Called with the share in [0, 1] that is behind.

    Raises:
        BadInput: The golden sequences are damaged, or a plan does not fit its stage.
        DeviceError: A plan does not load or run, or memory is short.
    """
    clip = read_clip(bundle)
    manifest = bundle.manifest
    found: list[ReplayReport] = []
    with cuda_context(cuda), ExitStack() as open_stages:
        functions: dict[str, StageFunction] = {}
        for stage in manifest.graph.stages:
            functions[stage.name] = open_stages.enter_context(
                PlanStage(
                    trt,
                    cuda,
                    plans[stage.name],
                    onnx=bundle.read(variant.engines[stage.name].file),
                    where=f"{bundle.path}: stage {stage.name!r} of variant {variant.name!r}",
                    reads=[_stored(manifest, variant, read.tensor) for read in stage.inputs],
                    writes=[_stored(manifest, variant, name) for name in stage.outputs],
                    dla=dla,
                )
            )
        for schedule in variant.golden:
            progress(len(found) / len(variant.golden))
            process = _player(manifest, variant, schedule, functions, clip.frames.shape[1:3])
            found.append(replay(bundle, variant, schedule, process, clip))
    return found


def _stored(manifest: Manifest, variant: Variant, name: str) -> StoredTensor:
    return StoredTensor(manifest.graph.tensor(name), manifest.storage(variant, name))


def _player(
    manifest: Manifest,
    variant: Variant,
    schedule: str,
    functions: Mapping[str, StageFunction],
    size: tuple[int, ...],
) -> Callable[[Frame], _Result]:
    """A function over frames of (height, width) ``size``, from a reset."""
    height, width = size
    valid = pixels.fit_geometry(height, width, manifest.input).valid
    executor = ReferenceExecutor(manifest.graph, manifest.schedule(schedule, variant), functions, valid=valid)

    def process(frame: Frame) -> _Result:
        picture = pixels.preprocess(frame, manifest.input)
        step = executor.step(picture, sequence=frame.sequence, pts_us=frame.pts_us)
        return _Result(
            labels={
                output.name: pixels.label_map(step.outputs[output.tensor], output, manifest.input, height, width)
                for output in manifest.outputs
            },
            fired=step.fired,
            age_frames={output.name: step.age_frames[output.tensor] for output in manifest.outputs},
        )

    return process
