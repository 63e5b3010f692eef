"""Bundles with ONNX stages for the tensorrt engine's test, and a folder of simulated plans for them.

Every bundle holds the same files as two variants: ``onnxruntime``, which the other is compared with, and ``tensorrt``,
which runs them through ``simulated_tensorrt/``. A simulated plan is a line of text and the ONNX file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from graphs import chain_graph, chain_graph_schedules, ring_graph, two_headed_graph
from onnx import TensorProto, helper, numpy_helper
from runtime.plain_bundles import outputs_of

from edge_vss.bundle import SCHEMA_VERSION, EngineRef, InputSpec, Manifest, Storage, Variant, write_bundle
from edge_vss.export.pixel_variants import with_pixel_engines
from edge_vss.graph import Graph, Stage, Tensor
from edge_vss.schedule import Schedule

PLAN_START = b"simulated plan\n"
TENSORRT = "0.9.1.7"
ELEMENTS = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
}
HALF = Storage(dtype="float16")
INTEGER = Storage(dtype="int8", scale=1 / 127)


class _StageFile:
    """Collects the nodes of one stage: a convolution per pair of input and output, summed."""

    def __init__(self, graph: Graph, stage: Stage, storage: dict[str, Storage], seed: int) -> None:
        self.graph, self.stage, self.storage = graph, stage, storage
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def value(self, name: str, tensor: Tensor) -> onnx.ValueInfoProto:
        stored = self.storage[tensor.name].dtype if tensor.name in self.storage else tensor.dtype
        return helper.make_tensor_value_info(name, ELEMENTS[stored], tensor.shape)

    def node(self, operation: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], **attributes))
        return name

    def scaled(self, value: str, factor: float) -> str:
        name = f"f{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.float32(factor), name))
        return self.node("Mul", (value, name))

    def read(self, name: str, tensor: Tensor) -> str:
        """An input as real numbers."""
        value = self.node("Cast", (name,), to=TensorProto.FLOAT)
        stored = self.storage.get(tensor.name, HALF)
        return self.scaled(value, stored.scale) if stored.dtype == "int8" else value

    def convolution(self, value: str, source: Tensor, channels: int, height: int) -> str:
        """To ``channels`` at ``height`` rows: down, up, or at the same size with a 3x3 kernel."""
        have, rows = source.shape[1], source.shape[2]
        up, same = height > rows, height == rows
        side = 3 if same else max(rows // height, height // rows)
        shape = (have, channels, side, side) if up else (channels, have, side, side)
        weights = self.rng.normal(0.0, 1.0 / np.sqrt(have * side), shape).astype(np.float32)
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(weights, name))
        spacing = {"pads": (1, 1, 1, 1)} if same else {"strides": (side, side)}
        return self.node("ConvTranspose" if up else "Conv", (value, name), kernel_shape=(side, side), **spacing)

    def write(self) -> bytes:
        tensors = [self.graph.tensor(read.tensor) for read in self.stage.inputs]
        inputs = [self.value(f"in{i}", tensor) for i, tensor in enumerate(tensors)]
        floats = [self.read(item.name, tensor) for item, tensor in zip(inputs, tensors, strict=True)]
        # Pixels come as 0..3; tanh keeps recurrences from growing.
        outputs = []
        for index, name in enumerate(self.stage.outputs):
            out = self.graph.tensor(name)
            channels, height = (6 if len(out.shape) == 3 else out.shape[1]), out.shape[-2]
            terms = [self.convolution(v, t, channels, height) for v, t in zip(floats, tensors, strict=True)]
            total = self.node("Tanh", (self.node("Sum", terms),))
            if len(out.shape) == 3:
                total = self.node("ArgMax", (total,), axis=1, keepdims=0)
            elif self.storage.get(name, HALF).dtype == "int8":
                total = self.node("Round", (self.scaled(total, 1 / self.storage[name].scale),))
            outputs.append(self.value(f"out{index}", out))
            element = outputs[-1].type.tensor_type.elem_type
            self.nodes.append(helper.make_node("Cast", [total], [f"out{index}"], to=element))
        made = helper.make_graph(self.nodes, self.stage.name, inputs, outputs, self.weights)
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def write_onnx_bundle(
    path: Path, graph: Graph, schedules: Sequence[Schedule], storage: dict[str, Storage], pixels: bool = False
) -> list[bytes]:
    """Write a bundle whose tensors named in ``storage`` pass from stage to stage in that form; gives its engine files.

    Args:
        pixels: Whether it has pre- and post-processing engines for RGB frames of the network's size.
    """
    files = {
        f"engines/{stage.name}.onnx": _StageFile(graph, stage, storage, seed).write()
        for seed, stage in enumerate(graph.stages)
    }
    engines = {stage.name: EngineRef(file=f"engines/{stage.name}.onnx") for stage in graph.stages}
    _, _, height, width = graph.tensor(graph.image).shape
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        name="onnx",
        input=InputSpec(height=height, width=width, std=(1.0, 1.0, 1.0)),
        graph=graph,
        outputs=outputs_of(graph),
        schedules=tuple(schedules),
        variants=tuple(
            Variant(name=backend, backend=backend, precision="fp32", engines=engines, tensors=storage)
            for backend in ("onnxruntime", "tensorrt")
        ),
    )
    if pixels:
        manifest, more = with_pixel_engines(manifest, ("rgb", height, width), ("onnxruntime", "tensorrt"))
        files |= more
    write_bundle(path, manifest, files)
    return list(files.values())


def write_plans(folder: Path, engines: Sequence[bytes]) -> None:
    """Plans of ``engines``, each among files that the runtime must not take: broken plans under names that miss."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in engines:
        digest = hashlib.sha256(data).hexdigest()
        good = folder / f"{digest}.trt-{TENSORRT}.sm87.fp32.o3.plan"
        good.write_bytes(PLAN_START + data)
        decoys = (
            f"{digest}.trt-0.9.1.8.sm87.fp32.o3.plan",
            f"{digest}.trt-0.9.2.7.sm87.fp32.o3.plan",
            f"{digest}.trt-{TENSORRT}.sm8.fp32.o3.plan",
            f"{digest}.trt-{TENSORRT}.sm870.fp32.o3.plan",
            f"{digest}.trt-{TENSORRT}.sm87.fp32.o3.plan.part",
        )
        for name in decoys:
            (folder / name).write_bytes(b"not this one")
        older = folder / f"{digest}.trt-{TENSORRT}.sm87.fp32.o2.plan"
        older.write_bytes(b"not this one")
        os.utime(older, (1, 1))
        link = folder / f"{digest}.trt-{TENSORRT}.sm87.fp32.o4.plan"
        link.unlink(missing_ok=True)
        link.symlink_to(folder / decoys[0])


def write_foreign_plans(folder: Path, engines: Sequence[bytes]) -> None:
    """Plans that another TensorRT built, under the names that the runtime looks for."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in engines:
        name = f"{hashlib.sha256(data).hexdigest()}.trt-{TENSORRT}.sm87.fp32.o3.plan"
        (folder / name).write_bytes(b"another plan\n" + data)


def write_onnx_cases(out: Path) -> None:
    """Every bundle below ``tensorrt/``, its plans in ``tensorrt/plans``."""
    chain = chain_graph()
    ring, cycle = ring_graph(3)
    headed, branch = two_headed_graph()
    engines = [
        *write_onnx_bundle(out / "chain", chain, chain_graph_schedules(chain), {"deep": HALF}),
        *write_onnx_bundle(out / "pixels", chain, chain_graph_schedules(chain), {"deep": INTEGER}, pixels=True),
        *write_onnx_bundle(out / "ring", ring, [cycle], {"key": HALF}),
        *write_onnx_bundle(out / "two-headed", headed, [branch], {"memory": HALF, "drivable": HALF}),
    ]
    write_plans(out / "plans", engines)
    write_foreign_plans(out / "foreign-plans", engines)
    (out / "no-plans").mkdir(exist_ok=True)
