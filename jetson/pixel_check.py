"""Plays pre- and post-processing plans on a made-up frame and compares them with the plain numpy forms."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss import pixels
from edge_vss.bundle import Bundle, OutputSpec, PixelEngines, Storage, Variant
from edge_vss.bundle.pixel_graph import PixelStage, pixel_stages
from edge_vss.frame import Frame, plane_shapes
from edge_vss.graph import Tensor
from edge_vss.jetson.plan_stage import PlanStage, StoredTensor, cuda_context

__all__ = ["check_pixels"]

MAX_LEVELS = 1.0
"""Largest difference of inputs, grey levels of 0..255."""
MIN_AGREEMENT = 0.999
"""Share of equal labels; near ties of scores may fall either way."""
BLOCK = 4
"""Scores of the made-up frame come in squares of so many grid points, so that most labels are clear."""


def check_pixels(
    trt: ModuleType, cuda: ModuleType, bundle: Bundle, variant: Variant, plans: Mapping[str, bytes], *, dla: int | None
) -> list[str]:
    """What is wrong with the pixel plans of a variant, one line each.

    Args:
        plans: Name of the pixel stage -> plan.

    Raises:
        BadInput: A plan does not fit its stage.
        DeviceError: A plan does not load or run, or memory is short.
    """
    stages = pixel_stages(bundle.manifest, variant)
    if not stages or variant.pixels is None:
        return []
    found: list[str] = []
    with cuda_context(cuda):
        for place, stage in enumerate(stages):
            with _opened(trt, cuda, bundle, variant, stage, plans[stage.stage.name], dla) as plan:
                if place == 0:
                    problem = _pre_problem(plan, bundle, variant.pixels)
                else:
                    problem = _post_problem(plan, bundle, bundle.manifest.outputs[place - 1], variant.pixels)
            if problem:
                found.append(f"plan of {stage.file!r} of variant {variant.name!r}: {problem}")
    return found


def _opened(
    trt: ModuleType, cuda: ModuleType, bundle: Bundle, variant: Variant, each: PixelStage, plan: bytes, dla: int | None
) -> PlanStage:
    graph = bundle.manifest.graph
    known = {tensor.name for tensor in graph.tensors}

    def stored(name: str) -> StoredTensor:
        tensor = each.graph.tensor(name)
        storage = bundle.manifest.storage(variant, name) if name in known else Storage(dtype=tensor.dtype)
        return StoredTensor(tensor, storage)

    return PlanStage(
        trt,
        cuda,
        plan,
        onnx=bundle.read(each.file),
        where=f"{bundle.path}: {each.file}",
        reads=[stored(read.tensor) for read in each.stage.inputs],
        writes=[stored(name) for name in each.stage.outputs],
        dla=dla,
    )


def _pre_problem(plan: PlanStage, bundle: Bundle, engines: PixelEngines) -> str:
    spec, rng = bundle.manifest.input, np.random.default_rng(0)
    shapes = plane_shapes(engines.format, engines.height, engines.width)
    frame = Frame(
        format=engines.format,
        planes=tuple(rng.integers(0, 256, shape, np.uint8) for shape in shapes),
        height=engines.height,
        width=engines.width,
        pts_us=0,
        sequence=0,
        matrix=spec.matrix,
        range=spec.range,
    )
    apart = np.abs(plan(*frame.planes)[0].astype(np.float64) - pixels.preprocess(frame, spec))
    levels = float(np.nanmax(apart * np.reshape(spec.std, (1, 3, 1, 1))))
    return "" if levels <= MAX_LEVELS else f"the network's input is up to {levels:.1f} grey levels off"


def _post_problem(plan: PlanStage, bundle: Bundle, output: OutputSpec, engines: PixelEngines) -> str:
    values = _made_up(bundle.manifest.graph.tensor(output.tensor))
    labels = plan(values)[0][0]
    wanted = pixels.label_map(values, output, bundle.manifest.input, engines.height, engines.width)
    agreement = float(np.mean(labels == wanted))
    return "" if agreement >= MIN_AGREEMENT else f"{100 * agreement:.2f} % of the labels are right"


def _made_up(tensor: Tensor) -> NDArray[Any]:
    """Values of an output tensor in which squares of one class lie beside each other."""
    rng = np.random.default_rng(1)
    height, width = tensor.shape[-2:]
    channels = tensor.shape[1] if len(tensor.shape) == 4 else 2
    squares = rng.integers(0, channels, (height // BLOCK + 1, width // BLOCK + 1))
    best = squares.repeat(BLOCK, 0).repeat(BLOCK, 1)[:height, :width]
    if len(tensor.shape) == 3:
        return np.asarray(best[None], tensor.dtype)
    scores = (best[None] == np.arange(channels)[:, None, None]) * 4.0 + rng.normal(0.0, 0.5, (channels, height, width))
    return np.asarray(scores[None] - (2.0 if channels == 1 else 0.0), tensor.dtype)
