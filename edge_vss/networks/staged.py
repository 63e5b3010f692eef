"""A network that is a graph of stages: the same stage modules train together and are exported one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edge_vss import graph as graphs
from edge_vss.graph import Read, Stage
from edge_vss.networks.attention import Attention

__all__ = ["IMAGE", "LOGITS", "Perturb", "StagedNetwork", "WiredModule", "count_macs", "wire"]

IMAGE = "image"
LOGITS = "logits"
Perturb = Mapping[str, Callable[[Tensor], Tensor]]
"""Tensor name → what its readers get instead of it."""
WiredModule = tuple[Stage, nn.Module]
"""A stage and its module, which takes the stage's inputs positionally and returns a tuple of its outputs."""
DTYPES: dict[torch.dtype, graphs.DType] = {torch.float32: "float32", torch.uint8: "uint8", torch.int64: "int64"}


def wire(name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Stage:
    """A stage that reads the newest version of each input; costs are counted later."""
    return Stage(name=name, inputs=tuple(Read(tensor) for tensor in inputs), outputs=outputs)


class StagedNetwork(nn.Module):
    """Stages that hand tensors to each other, starting from ``image`` and ending in ``logits``.

    What derives from it says which modules the stages are and how they are trained together.

    Args:
        wiring: stages, writers before readers.
        stride: height and width of the input are multiples of this.
        aux: names of the tensors that get an auxiliary loss.
        features: names of the tensors that distillation compares with the teacher's.
        states: names of the tensors whose last version survives a frame: what clocked stages write.
        kept: names of more such tensors, of stages that rest under some schedules; training takes them to be fresh.
        rings: name of a tensor whose last versions survive → how many.
        clocked: names of the stages that a schedule may let rest.
        signal: (stage, label tensor) that an adaptive clock watches; None where nothing is clocked.
        turns: how many sub-networks take turns, one per frame; training then looks at clips of as many frames.
    """

    def __init__(
        self,
        wiring: tuple[Stage, ...],
        *,
        stride: int,
        aux: tuple[str, ...] = (),
        features: tuple[str, ...] = (),
        states: tuple[str, ...] = (),
        kept: tuple[str, ...] = (),
        rings: Mapping[str, int] | None = None,
        clocked: tuple[str, ...] = (),
        signal: tuple[str, str] | None = None,
        turns: int = 1,
    ) -> None:
        super().__init__()
        self.wiring = wiring
        self.stride = stride
        self.aux = aux
        self.features = features
        self.states = states
        self.kept = kept
        self.rings = dict(rings or {})
        self.clocked = clocked
        self.signal = signal
        self.turns = turns

    @property
    def stage_modules(self) -> Mapping[str, nn.Module]:
        """Stage name → module, in the order of ``wiring``."""
        raise NotImplementedError

    def places_of(self, name: str) -> tuple[str, ...]:
        """Which of its weights start from another network's weight ``name``."""
        return (name,)

    def check_size(self, height: int, width: int) -> None:
        """Refuse an input size that does not suit the strides, with a ValueError."""
        if height % self.stride or width % self.stride:
            raise ValueError(f"input size {height}x{width} is not a multiple of {self.stride}")

    def graph(self, height: int, width: int) -> graphs.Graph:
        """The graph at one input size, batch 1, with exact multiply-adds and parameters per stage.

        Raises:
            ValueError: The size is not a positive multiple of ``stride``.
        """
        if height <= 0 or width <= 0 or height % self.stride or width % self.stride:
            raise ValueError(f"input size {height}x{width} is not a positive multiple of {self.stride}")
        modules = {name: copy.deepcopy(module).to("meta").eval() for name, module in self.stage_modules.items()}
        values = {IMAGE: torch.zeros(1, 3, height, width, device="meta")}
        with torch.no_grad(), count_macs(modules) as macs:
            for stage in self.wiring:
                outputs = modules[stage.name](*(values[read.tensor] for read in stage.inputs))
                values.update(zip(stage.outputs, outputs, strict=True))
        params = {name: sum(parameter.numel() for parameter in module.parameters()) for name, module in modules.items()}
        surviving = {*self.states, *self.kept}
        return graphs.Graph(
            image=IMAGE,
            tensors=tuple(
                graphs.Tensor(
                    name=name,
                    shape=tuple(value.shape),
                    dtype=DTYPES[value.dtype],
                    lives="ring" if name in self.rings else "state" if name in surviving else "frame",
                    depth=self.rings.get(name, 1),
                )
                for name, value in values.items()
            ),
            stages=tuple(
                Stage(
                    name=stage.name,
                    inputs=stage.inputs,
                    outputs=stage.outputs,
                    macs=macs[stage.name],
                    params=params[stage.name],
                )
                for stage in self.wiring
            ),
            outputs=(LOGITS,),
        )


@contextmanager
def count_macs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, int]]:
    """Counts the multiply-adds of every convolution and attention that runs inside, per entry of ``modules``.

    One multiply-add per weight and output position; biases, norms, additions and upsampling count nothing.
    """
    counted = dict.fromkeys(modules, 0)

    def counter(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if isinstance(module, Attention):
                counted[name] += module.multiply_adds(inputs)
            else:
                assert isinstance(module, nn.Conv2d)
                counted[name] += output.numel() * module.weight[0].numel()

        return count

    hooks = [
        layer.register_forward_hook(counter(name))
        for name, module in modules.items()
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | Attention)
    ]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()
