"""A staged network → one ONNX engine per stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_vss import graph as graphs
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.executor import StageFunction
from edge_vss.export.torch_stage import export_module
from edge_vss.graph import Graph, stage_order
from edge_vss.networks import StagedNetwork
from edge_vss.schedule import Every, Never, Schedule, Signal, chain_schedules, turn_schedules

__all__ = ["ExportedNetwork", "export_network", "export_whole", "network_schedules", "torch_functions"]

MAX_SIDE, MAX_PIXELS = 16384, 1 << 24


@dataclass(frozen=True)
class ExportedNetwork:
    """The engines of a network at one input size."""

    graph: Graph
    engines: Mapping[str, bytes]
    """Stage -> ONNX file, stages in graph order."""


def export_network(
    network: StagedNetwork, height: int, width: int, *, progress: Callable[[str], None] | None = None
) -> ExportedNetwork:
    """Write every stage of a network down as ONNX.

    Args:
        height: Of the network's input, pixels; a multiple of its stride, as ``width`` is.
        progress: Called with the name of each stage before it is exported.

    Raises:
        BadInput: The size does not suit the network.
    """
    graph = network_graph(network, height, width)
    engines = {}
    for stage in graph.stages:
        if progress:
            progress(stage.name)
        inputs, outputs = graph.engine_inputs(stage), graph.engine_outputs(stage)
        engines[stage.name] = export_module(network.stage_modules[stage.name], inputs, outputs)
    return ExportedNetwork(graph, engines)


def network_graph(network: StagedNetwork, height: int, width: int) -> Graph:
    """The graph at one input size; BadInput: the size does not suit the network; WrongUsage: it suits none."""
    stride = network.stride
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        limit = f"sides up to {MAX_SIDE} and at most {MAX_PIXELS} pixels in all, multiples of {stride}"
        raise WrongUsage(f"input size {height}x{width} is too large; want {limit}, such as 4096x4096")
    if height < 1 or width < 1 or height % stride or width % stride:
        down, right = (max(stride, round(side / stride) * stride) for side in (height, width))
        raise BadInput(f"input size {height}x{width}: want multiples of {stride}, the nearest is {down}x{right}")
    try:
        return network.graph(height, width)
    except ValueError as error:
        raise BadInput(f"input size {height}x{width}: {error}") from None


def network_schedules(network: StagedNetwork, graph: Graph) -> tuple[Schedule, ...]:
    """What a network's stages allow: turns, a clockwork chain's, or plain re-use where nothing is clocked."""
    names = [stage.name for stage in graph.stages]
    if network.turns > 1:
        return turn_schedules(graph, next(iter(network.rings)))
    if network.clocked:
        chain = names[: max(map(names.index, network.clocked)) + 1]
        return chain_schedules(graph, chain, Signal(tensor=network.signal[1]) if network.signal else None)
    return (
        Schedule(name="full"),
        Schedule(name="alternate", clocks={name: Every(k=2) for name in names}),
        Schedule(name="reuse", clocks={name: Never() for name in names}),
    )


def torch_functions(network: StagedNetwork) -> Mapping[str, StageFunction]:
    """The stages as callables over numpy arrays, computed by PyTorch on the CPU."""

    def bind(module: nn.Module) -> StageFunction:
        def run(*inputs: object) -> list[object]:
            with torch.inference_mode():
                return [output.numpy() for output in module(*(torch.as_tensor(value) for value in inputs))]

        return run

    return {name: bind(module.eval()) for name, module in network.stage_modules.items()}


class _Whole(nn.Module):
    """All stages as one module: image -> the graph's outputs."""

    def __init__(self, network: StagedNetwork, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.stages = nn.ModuleDict(dict(network.stage_modules))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        values = {self.graph.image: image}
        for name in stage_order(self.graph):
            stage = self.graph.stage(name)
            values.update(zip(stage.outputs, self.stages[name](*(values[read.tensor] for read in stage.inputs))))
        return tuple(values[name] for name in self.graph.outputs)


def export_whole(network: StagedNetwork, graph: Graph) -> bytes | None:
    """All stages as one engine, or None where the network remembers and has no such form."""
    shared = any(len(graph.writers(tensor.name)) > 1 for tensor in graph.tensors)
    if shared or any(read.version for stage in graph.stages for read in stage.inputs):
        return None
    outputs: list[graphs.Tensor] = [graph.tensor(name) for name in graph.outputs]
    return export_module(_Whole(network, graph), [graph.tensor(graph.image)], outputs)
