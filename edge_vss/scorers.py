"""Scores of a network before anything is decided: those of a bundle's engines or of a checkpoint, frame by frame.

On the host, through the reference executor; the native runtime hands out label maps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.bundle import InputSpec, OutputSpec, Storage, load_bundle
from edge_vss.errors import BadInput
from edge_vss.executor import ReferenceExecutor, StageFunction
from edge_vss.frame import Frame
from edge_vss.geometry import fit_geometry
from edge_vss.graph import Graph
from edge_vss.pixels import label_map, preprocess
from edge_vss.reference_engines import bundle_functions
from edge_vss.schedule import Always, Schedule
from edge_vss.variants import check_variant

__all__ = ["Scored", "Scorer", "open_scorer"]

CHECKPOINT_SUFFIX, ZOO = ".safetensors", "zoo:"


@dataclass(frozen=True, eq=False)
class Scored:
    """One frame as a network saw it."""

    scores: NDArray[np.float32]
    """(C, h, w), before the softmax."""
    picture: NDArray[np.float32]
    """(3, H, W), the network's input."""
    label_map: Callable[[NDArray[np.float32]], NDArray[np.uint8]]
    """(1, any number of channels, h, w) -> (height, width) channel that is best there, at the frame's size."""


class Scorer:
    """Plays a network under one schedule; state goes from frame to frame.

    Args:
        name: For messages.
        stored: Tensor -> how the functions leave it, where not as trained.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        schedule: Schedule,
        functions: Mapping[str, StageFunction],
        input: InputSpec,
        outputs: tuple[OutputSpec, ...],
        stored: Mapping[str, Storage],
    ) -> None:
        self.name, self.input = name, input
        self.outputs = tuple(output for output in outputs if output.kind == "scores" and not output.ignored)
        """Those whose every score is a class that can win; never empty."""
        if not self.outputs or len(self.outputs[0].classes) < 2:
            raise BadInput(f"{name}: has no output of scores, two classes or more, all of which can win")
        self.output = self.outputs[0]
        """The one that is read."""
        self._graph, self._schedule, self._functions, self._stored = graph, schedule, functions, stored
        self._executor: ReferenceExecutor | None = None

    @property
    def remembers(self) -> bool:
        """Whether a frame's scores depend on the frames before it."""
        reads = any(read.version for stage in self._graph.stages for read in stage.inputs)
        rests = any(self._schedule.clock(stage.name) != Always() for stage in self._graph.stages)
        return reads or rests or bool(self._schedule.delays)

    def reset(self) -> None:
        """The next frame has none before it."""
        self._executor = None

    def score(self, frame: Frame) -> Scored:
        """Scores of the next frame, of the same size as those since the reset.

        Raises:
            BadInput: A score is not a finite number.
        """
        image = preprocess(frame, self.input)
        if self._executor is None:
            valid = fit_geometry(frame.height, frame.width, self.input).valid
            self._executor = ReferenceExecutor(self._graph, self._schedule, self._functions, valid=valid)
        step = self._executor.step(image, sequence=frame.sequence, pts_us=frame.pts_us)
        scores = self._real(step.outputs[self.output.tensor])
        if not np.isfinite(scores).all():
            raise BadInput(f"{self.name}: frame {frame.sequence} has scores that are not finite numbers")
        output, spec, height, width = self.output, self.input, frame.height, frame.width
        return Scored(scores[0], image[0], lambda tensor: label_map(tensor, output, spec, height, width))

    def _real(self, value: NDArray[Any]) -> NDArray[np.float32]:
        storage = self._stored.get(self.output.tensor)
        if storage is None or np.issubdtype(value.dtype, np.floating):
            return np.asarray(value, np.float32)
        real: NDArray[np.float32] = (value.astype(np.float32) - storage.zero_point) * np.float32(storage.scale)
        return real


def open_scorer(
    source: str | Path,
    *,
    schedule: str | None = None,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
) -> Scorer:
    """Open a bundle, a checkpoint or ``zoo:NAME``.

    Args:
        schedule: By name; None: the first one.
        backend: Of a bundle's variant, whose engines are computed by ONNX Runtime on the CPU whatever it is.
        threads: 0 = one per core; for bundles.

    Raises:
        BadInput: It does not load, or has no output of scores.
        KeyError: It has no such schedule.
        WrongUsage: No bundle has a backend or precision of that name.
    """
    if str(source).startswith(ZOO) or str(source).endswith(CHECKPOINT_SUFFIX):
        return _checkpoint_scorer(source, schedule)
    bundle = load_bundle(source)
    manifest = bundle.manifest
    variant = check_variant(bundle, backend, precision)
    return Scorer(
        str(source),
        manifest.graph,
        manifest.schedule(schedule or manifest.schedules[0].name, variant),
        bundle_functions(bundle, variant, threads=threads),
        manifest.input,
        manifest.outputs,
        variant.tensors,
    )


def _checkpoint_scorer(source: str | Path, schedule: str | None) -> Scorer:
    from edge_vss.export.checkpoint import checkpoint_specs
    from edge_vss.export.network import network_graph, network_schedules, torch_functions
    from edge_vss.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(source)
    network, trained = checkpoint.network, checkpoint.info.input
    graph = network_graph(network, trained.height, trained.width)
    fed, read = checkpoint_specs(checkpoint, trained.height, trained.width)
    schedules = {each.name: each for each in network_schedules(network, graph)}
    played = schedules[schedule or next(iter(schedules))]
    return Scorer(str(source), graph, played, torch_functions(network), fed, read, {})
