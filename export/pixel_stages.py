"""Pre- and post-processing as ONNX, for back ends on a device: only pixels go in and only labels come out.

They do what ``edge_vss.pixels`` and the native kernels do, in float32, with operators that TensorRT takes. Where the
samples lie as ``Resize`` has them, it is used; elsewhere (chroma of odd rectangles, label maps that undo a letterbox)
samples are gathered and mixed. uint8 stands only at the very edge, next to a Cast, as TensorRT asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_vss.bundle import InputSpec, OutputSpec, Storage
from edge_vss.bundle.pixel_graph import finite_name, labels_name, plane_names
from edge_vss.export.proto import IR_VERSION, OPSET, finish_model
from edge_vss.frame import PixelFormat, plane_shapes
from edge_vss.geometry import AxisSamples, FitGeometry, fit_geometry, grid_samples, plane_samples
from edge_vss.graph import Tensor
from edge_vss.pixels import kept_channels, yuv_to_rgb

__all__ = ["FORMATS", "PixelKind", "post_stage", "pre_stage"]

FORMATS: tuple[PixelFormat, ...] = ("rgb", "bgr", "nv12")
"""Pixel formats that ``pre_stage`` takes."""
PixelKind = tuple[Literal["rgb", "bgr", "nv12"], int, int]
"""Format, height and width of camera frames."""
HEIGHT_AXIS, WIDTH_AXIS = 2, 3
FLOAT32 = Storage(dtype="float32")
ROUND_OFF = 1e-9
FLOATS = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}
ELEMENTS = {
    **FLOATS,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}


def pre_stage(
    spec: InputSpec,
    format: PixelFormat,
    height: int,
    width: int,
    stored: Storage = FLOAT32,
    image: str = "image",
) -> bytes:
    """A camera frame to the network's input: fit, colour, normalise.

    Args:
        spec: Matrix and range of YUV frames among it.
        format: One of ``FORMATS``: ``rgb`` and ``bgr`` have one uint8 input ``frame`` (H, W, 3), ``nv12`` has ``luma``
            (H, W) and ``chroma`` (ceil(H/2), ceil(W/2), 2), Cb before Cr.
        height: Of the frame, pixels, as ``width``.
        stored: How the variant stores the output: float32, float16, or integers, which are rounded as QuantizeLinear
            does.
        image: Name of the output, (1, 3, spec.height, spec.width).

    Returns:
        An ONNX file. Before normalisation levels are within 0.1 of the native kernels'; float16 adds its rounding.

    Raises:
        ValueError: No stage for this format.
    """
    if format not in FORMATS:
        raise ValueError(f"no pre-processing stage for {format} frames; there are {', '.join(FORMATS)}")
    shapes = plane_shapes(format, height, width)
    inputs = [Tensor(name=name, shape=shape, dtype="uint8") for name, shape in zip(plane_names(format), shapes)]
    geometry, nodes = fit_geometry(height, width, spec), _Nodes()
    if format == "nv12":
        levels = _colours_of_yuv(nodes, inputs, geometry, spec)
    else:
        levels = nodes.resampled(nodes.channels_first(inputs[0]), (3, height, width), plane_samples(geometry))
        if format != spec.order:
            levels = nodes.add("Gather", levels, nodes.constant([2, 1, 0], np.int64), axis=1)
    levels = _letterboxed(nodes, levels, geometry, spec.pad)
    mean, gain = (np.reshape(values, (1, 3, 1, 1)) for values in (spec.mean, 1.0 / np.array(spec.std)))
    normal = nodes.add("Mul", nodes.add("Sub", levels, nodes.constant(mean)), nodes.constant(gain))
    if stored.dtype in ("uint8", "int8"):
        zero = nodes.constant(stored.zero_point, stored.dtype)
        normal = nodes.add("QuantizeLinear", normal, nodes.constant(stored.scale), zero)
    elif stored.dtype != "float32":
        normal = nodes.cast(normal, stored.dtype)
    made = Tensor(name=image, shape=(1, 3, spec.height, spec.width), dtype=stored.dtype)
    return nodes.finished(inputs, {normal: made})


def _colours_of_yuv(nodes: _Nodes, planes: Sequence[Tensor], geometry: FitGeometry, spec: InputSpec) -> str:
    """Luma and chroma sampled, then converted: RGB or BGR levels in 0..255."""
    parts = [
        nodes.resampled(
            nodes.channels_first(plane), (channels, *plane.shape[:2]), plane_samples(geometry, halved=halved)
        )
        for plane, channels, halved in zip(planes, (1, 2), (False, True))
    ]
    weights, black = yuv_to_rgb(spec.matrix, spec.range)
    weights = weights if spec.order == "rgb" else weights[::-1]
    yuv = nodes.add("Sub", nodes.add("Concat", *parts, axis=1), nodes.constant(black.reshape(1, 3, 1, 1)))
    rgb = nodes.add("Conv", yuv, nodes.constant(weights.reshape(3, 3, 1, 1)))
    return nodes.add("Clip", rgb, nodes.constant(0.0), nodes.constant(255.0))


def _letterboxed(nodes: _Nodes, levels: str, geometry: FitGeometry, pad: float) -> str:
    inside = geometry.network_rect
    after = (geometry.network_height - inside.y - inside.height, geometry.network_width - inside.x - inside.width)
    if not any((inside.y, inside.x, *after)):
        return levels
    borders = nodes.constant([0, 0, inside.y, inside.x, 0, 0, *after], np.int64)
    return nodes.add("Pad", levels, borders, nodes.constant(pad))


def post_stage(
    output: OutputSpec,
    tensor: Tensor,
    spec: InputSpec,
    source: tuple[int, int] | None = None,
    stored: Storage | None = None,
) -> bytes:
    """An output tensor of the network to a label map.

    Args:
        tensor: The one that ``output`` names: float32 or float16 scores (1, C, h, w), or labels (1, h, w) of uint8,
            int32 or int64.
        spec: Whose size and fit lie between the label map and the tensor.
        source: (height, width) of the frame, for a label map of its size with the fit undone; None for one of the
            network's input size.
        stored: How the variant stores the tensor; None: as it is.

    Returns:
        An ONNX file whose first output is (1, H, W) uint8. Labels equal the native kernels' but where the two best
        scores agree to the last few bits. For scores there is a second output, (1,) float32: the mean of their
        magnitudes, NaN or infinite where a score is.
    """
    samples = grid_samples((tensor.shape[-2], tensor.shape[-1]), output, spec, source)
    stored = stored or Storage(dtype=tensor.dtype)
    tensor = msgspec.structs.replace(tensor, dtype=stored.dtype)
    nodes = _Nodes()
    made: dict[str, Tensor] = {}
    if output.kind == "labels":
        small = nodes.cast(tensor.name, "int32") if tensor.dtype == "uint8" else tensor.name
        labels = nodes.nearest(small, 1, samples)
    else:
        scores = nodes.cast(tensor.name, "float32") if tensor.dtype != "float32" else tensor.name
        if stored.zero_point:  # the scale changes neither the best class nor a sign
            scores = nodes.add("Sub", scores, nodes.constant(stored.zero_point))
        kept = kept_channels(output, tensor.shape[1])
        if len(kept) < tensor.shape[1]:
            scores = nodes.add("Gather", scores, nodes.constant(kept, np.int64), axis=1)
        made[nodes.magnitude(scores)] = Tensor(name=finite_name(output), shape=(1,))
        if output.upsampling == "bilinear":
            labels = _best(nodes, nodes.resampled(scores, (len(kept), *tensor.shape[2:]), samples), output, kept)
        else:
            labels = nodes.nearest(_best(nodes, scores, output, kept), 1, samples)
    extents = (1, *(len(axis.at) for axis in samples))
    whole = Tensor(name=labels_name(output), shape=extents, dtype="uint8")
    return nodes.finished([tensor], {nodes.cast(labels, "uint8"): whole, **made})


def _best(nodes: _Nodes, scores: str, output: OutputSpec, kept: Sequence[int]) -> str:
    """(1, C, h, w) scores -> (1, h, w) int32 ids of the best channel, or 1 where the only one is above 0."""
    if output.kind == "binary":
        above = nodes.cast(nodes.add("Greater", scores, nodes.constant(0.0)), "int32")
        return nodes.add("Squeeze", above, nodes.constant([1], np.int64))
    best = nodes.add("ArgMax", scores, axis=1, keepdims=0)
    if list(kept) == list(range(len(kept))):
        return nodes.cast(best, "int32")
    return nodes.add("Gather", nodes.constant(kept, np.int32), best, axis=0)


class _Nodes:
    """Nodes in order, each named after what it does and its place."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []

    def add(self, operator: str, *reads: str, **fields: Any) -> str:
        """Returns the name of what the node writes."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, reads, [name], name, **fields))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def cast(self, name: str, dtype: str) -> str:
        return self.add("Cast", name, to=ELEMENTS[dtype])

    def channels_first(self, plane: Tensor) -> str:
        """(H, W) or (H, W, C) uint8 -> (1, C, H, W) float32."""
        levels = self.cast(plane.name, "float32")
        axes = [0, 1]
        if len(plane.shape) == 3:
            levels, axes = self.add("Transpose", levels, perm=[2, 0, 1]), [0]
        return self.add("Unsqueeze", levels, self.constant(axes, np.int64))

    def resampled(self, name: str, shape: tuple[int, ...], samples: tuple[AxisSamples, AxisSamples]) -> str:
        """Bilinear samples of a float32 (1, C, H, W), ``shape`` being (C, H, W)."""
        if tuple(axis.size for axis in samples) != shape[1:]:
            name, samples = self._cut(name, samples)
        if all(len(axis.at) == axis.size and _same(axis.at, np.arange(axis.size)) for axis in samples):
            return name
        sizes = self.constant([1, shape[0], *(len(axis.at) for axis in samples)], np.int64)
        for rule in ("half_pixel", "align_corners"):
            if all(_same(axis.at, _rule_at(rule, axis.size, len(axis.at))) for axis in samples):
                return self.add("Resize", name, "", "", sizes, mode="linear", coordinate_transformation_mode=rule)
        for place, axis in zip((HEIGHT_AXIS, WIDTH_AXIS), samples):
            name = self._mixed(name, place, axis)
        return name

    def _cut(self, name: str, samples: tuple[AxisSamples, AxisSamples]) -> tuple[str, tuple[AxisSamples, AxisSamples]]:
        """The part of a plane that is sampled, and where the samples lie in it."""
        y, x = samples
        begins, ends = ([y.begin, x.begin], [y.begin + y.size, x.begin + x.size])
        bounds = [self.constant(values, np.int64) for values in (begins, ends, [HEIGHT_AXIS, WIDTH_AXIS])]
        moved = (AxisSamples(0, y.size, y.at - y.begin), AxisSamples(0, x.size, x.at - x.begin))
        return self.add("Slice", name, *bounds), moved

    def _mixed(self, name: str, place: int, axis: AxisSamples) -> str:
        low = np.floor(axis.at).astype(np.int64)
        share = (axis.at - low).reshape(-1, *[1] * (WIDTH_AXIS - place))
        parts = []
        for at, weight in ((low, 1.0 - share), (np.minimum(low + 1, axis.size - 1), share)):
            taken = self.add("Gather", name, self.constant(at, np.int64), axis=place)
            parts.append(self.add("Mul", taken, self.constant(weight)))
        return self.add("Add", *parts)

    def nearest(self, name: str, place: int, samples: tuple[AxisSamples, AxisSamples]) -> str:
        """The nearest of a tensor's values; ``place`` is the height's axis, the width's follows."""
        for offset, axis in enumerate(samples):
            at = self.constant(np.floor(axis.at + 0.5), np.int64)
            name = self.add("Gather", name, at, axis=place + offset)
        return name

    def magnitude(self, name: str) -> str:
        """(1, C, H, W) -> (1,), the mean of the absolute values: sums pass NaN and infinity on, maxima need not."""
        return self.add("ReduceMean", self.add("Abs", name), self.constant([1, 2, 3], np.int64), keepdims=0)

    def finished(self, inputs: Sequence[Tensor], outputs: Mapping[str, Tensor]) -> bytes:
        """The file whose outputs are the keys of ``outputs`` under the names of its tensors."""
        for node in self._nodes:
            node.output[0] = outputs[node.output[0]].name if node.output[0] in outputs else node.output[0]
        values = [
            helper.make_tensor_value_info(tensor.name, ELEMENTS[tensor.dtype], tensor.shape)
            for tensor in (*inputs, *outputs.values())
        ]
        ins, outs = values[: len(inputs)], values[len(inputs) :]
        graph = helper.make_graph(self._nodes, "pixels", ins, outs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return finish_model(model, inputs, list(outputs.values()))


def _rule_at(rule: str, size: int, count: int) -> NDArray[np.floating]:
    """Where ONNX's Resize takes ``count`` samples of ``size``."""
    places = np.arange(count, dtype=np.float64)
    if rule == "half_pixel":
        return np.clip((places + 0.5) * (size / count) - 0.5, 0, size - 1)
    return places * ((size - 1) / (count - 1) if count > 1 else 0.0)


def _same(one: NDArray[np.floating], other: NDArray[Any]) -> bool:
    return bool(np.abs(one - other).max() < ROUND_OFF)
