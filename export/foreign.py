"""A segmentation network of the user's own, from one ONNX file: whole, or cut into stages with clocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edge_vss.bundle import InputSpec
from edge_vss.data.class_list import read_classes
from edge_vss.errors import BadInput
from edge_vss.executor import StageFunction
from edge_vss.export.exported import Exported, bundle_name
from edge_vss.export.onnx_costs import Costs
from edge_vss.export.onnx_cut import Part, cut_model, extract, plain_names
from edge_vss.export.onnx_file import fix_size, folded, load_model, slimmed, to_opset
from edge_vss.export.onnx_outputs import probe, read_outputs
from edge_vss.export.part_schedules import part_schedules
from edge_vss.export.proto import finish_model, shape_of
from edge_vss.graph import DTYPE_BYTES, DType, Graph, Read, Stage, Tensor
from edge_vss.reference_engines import engine_function

__all__ = ["exported_model"]

Triple = tuple[float, float, float]


def exported_model(
    path: Path,
    *,
    classes: Path,
    cut: Sequence[str] = (),
    mean: Triple = (0.0, 0.0, 0.0),
    std: Triple = (255.0, 255.0, 255.0),
    height: int | None = None,
    width: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Exported:
    """Turn an ONNX file into engines: parts ``part_1 ... part_n`` in order, or ``network`` where nothing is cut.

    Args:
        path: One image input, float32 (1, 3, H, W); outputs are scores, labels or binary scores.
        classes: See ``read_classes``.
        cut: Tensors at which the network is cut; all others that cross a cut are found.
        mean: Subtracted from RGB levels of 0..255.
        std: Divides them then.
        height: Of the input, pixels, with ``width``; needed where the file leaves it open.
        progress: Called with the name of each part before it is written.

    Raises:
        BadInput: One line: what is wrong with the file, the cut, the classes or the size.
    """
    original = load_model(path)
    size = fix_size(original, path, height, width)
    base = folded(original)
    outputs = read_outputs(base, read_classes(classes), path, classes)
    parts = cut_model(base, cut, path)
    boundary = _Boundary(base, parts, path)
    graph = boundary.graph()
    models = {stage.name: boundary.model(part) for stage, part in zip(graph.stages, parts)}
    engines = {}
    for stage, model in models.items():
        if progress:
            progress(stage)
        engines[stage] = _engine(model, graph.stage(stage), graph, path)
    whole = boundary.model(_whole(base))
    return Exported(
        name=bundle_name(path.stem),
        graph=graph,
        engines=engines,
        whole=slimmed(to_opset(whole, path)).SerializeToString(),
        functions={stage: _function(model, path) for stage, model in models.items()},
        reference=_function(whole, path),
        input=InputSpec(height=size[0], width=size[1], mean=mean, std=std),
        outputs=tuple(msgspec.structs.replace(output, tensor=boundary.names[output.tensor]) for output in outputs),
        schedules=part_schedules(graph),
        provenance={"model": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "cut": ", ".join(cut)},
    )


def _whole(model: onnx.ModelProto) -> Part:
    """Everything that the outputs need, as one part."""
    (part,) = cut_model(model, (), Path())
    return part


def _function(model: onnx.ModelProto, path: Path) -> StageFunction:
    return engine_function(model.SerializeToString(), name=str(path))


class _Boundary:
    """The parts of a network with every tensor that leaves one: its plain name, its shape and its type."""

    def __init__(self, model: onnx.ModelProto, parts: Sequence[Part], path: Path) -> None:
        self._model, self._parts = model, parts
        self._image = model.graph.input[0].name
        self._final = [value.name for value in model.graph.output]
        crossing = dict.fromkeys(name for part in parts for name in part.outputs)
        self.names = plain_names([self._image, *crossing])
        self._tensors = {self._image: Tensor(name=self.names[self._image], shape=shape_of(model.graph.input[0]) or ())}
        for name, value in probe(model, list(crossing), path).items():
            self._tensors[name] = self._tensor(name, value, path)

    def _tensor(self, name: str, value: NDArray[Any], path: Path) -> Tensor:
        if value.dtype.name not in DTYPE_BYTES or not value.shape or min(value.shape) < 1:
            raise BadInput(
                f"{path}: {name!r} would cross a cut, which a {value.dtype} tensor of shape {value.shape} cannot; "
                "cut elsewhere"
            )
        read = any(name in part.inputs for part in self._parts)
        dtype: DType = value.dtype.name
        return Tensor(name=self.names[name], shape=value.shape, dtype=dtype, lives="state" if read else "frame")

    def graph(self) -> Graph:
        """The stages, with their costs, and the tensors between them; BadInput where they do not make a graph."""
        costs = Costs(self._model)
        stages = []
        for place, part in enumerate(self._parts):
            nodes = [self._model.graph.node[node] for node in part.nodes]
            stages.append(
                Stage(
                    name=f"part_{place + 1}" if len(self._parts) > 1 else "network",
                    inputs=tuple(Read(self.names[name]) for name in part.inputs),
                    outputs=tuple(self.names[name] for name in part.outputs),
                    macs=costs.macs(nodes),
                    params=costs.params(nodes),
                )
            )
        try:
            return Graph(
                image=self.names[self._image],
                tensors=tuple(self._tensors.values()),
                stages=tuple(stages),
                outputs=tuple(self.names[name] for name in self._final),
            )
        except ValueError as error:
            raise BadInput(f"the parts of the network: {error}") from None

    def model(self, part: Part) -> onnx.ModelProto:
        """A part as a model of its own, under the plain names."""
        values = {
            name: onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape
            )
            for name, tensor in self._tensors.items()
        }
        return extract(self._model, part, self.names, values)


def _engine(model: onnx.ModelProto, stage: Stage, graph: Graph, path: Path) -> bytes:
    try:
        return finish_model(slimmed(to_opset(model, path)), graph.engine_inputs(stage), graph.engine_outputs(stage))
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: {stage.name} does not become an engine: {error}") from None
