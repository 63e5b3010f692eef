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


class StageChain(nn.Module):
    """Runs wired modules one after the other; as a module of its own it maps ``image`` to (``logits``,)."""

    def __init__(self, stages: tuple[WiredModule, ...]) -> None:
        super().__init__()
        self.wiring = tuple(stage for stage, _ in stages)
        self.stages = nn.ModuleDict({stage.name: module for stage, module in stages})

    def run(self, image: Tensor, perturb: Perturb | None = None) -> dict[str, Tensor]:
        """Every tensor of one frame, by name."""
        values, seen = {IMAGE: image}, {IMAGE: image}
        for stage in self.wiring:
            outputs = self.stages[stage.name](*(seen[read.tensor] for read in stage.inputs))
            for name, value in zip(stage.outputs, outputs, strict=True):
                values[name] = value
                seen[name] = perturb[name](value) if perturb and name in perturb else value
        return values

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.run(image)[LOGITS],)


class StagedNetwork(nn.Module):
    """Stages that hand tensors to each other, starting from ``image`` and ending in ``logits``.

    Args:
        stages: writers before readers.
        stride: height and width of the input are multiples of this.
        aux: names of the tensors that get an auxiliary loss.
        aux_heads: tensor name → head for that loss, used in training only and part of no stage. A tensor of ``aux``
            without a head is a score already.
        features: names of the tensors that distillation compares with the teacher's.
        states: names of the tensors whose last version survives a frame: what clocked stages write.
        clocked: names of the stages that a schedule may let rest.
        signal: (stage, label tensor) that an adaptive clock watches; None where nothing is clocked.
        merged: one stage, ``network``, holds them all; tensors between the parts do not leave it.
    """

    def __init__(
        self,
        stages: tuple[WiredModule, ...],
        *,
        stride: int,
        aux: tuple[str, ...] = (),
        aux_heads: Mapping[str, nn.Module] | None = None,
        features: tuple[str, ...] = (),
        states: tuple[str, ...] = (),
        clocked: tuple[str, ...] = (),
        signal: tuple[str, str] | None = None,
        merged: bool = False,
    ) -> None:
        super().__init__()
        self.chain = StageChain(stages)
        self.aux_heads = nn.ModuleDict(dict(aux_heads or {}))
        self.wiring = (wire("network", (IMAGE,), (LOGITS,)),) if merged else self.chain.wiring
        self.merged = merged
        self.stride = stride
        self.aux = aux
        self.features = features
        self.states = states
        self.clocked = clocked
        self.signal = signal

    @property
    def stage_modules(self) -> Mapping[str, nn.Module]:
        """Stage name → module, in chain order."""
        return {"network": self.chain} if self.merged else dict(self.chain.stages.items())

    def forward(self, image: Tensor, perturb: Perturb | None = None) -> dict[str, Tensor]:
        """Scores for training, each at its own size.

        Args:
            image: (N, 3, H, W) float32, normalised; H and W multiples of ``stride``.
            perturb: training imitates stale states with it; auxiliary losses see the value as it was computed.

        Returns:
            ``logits`` (N, C, h, w), ``aux/<tensor>`` scores, and ``feature/<tensor>`` (N, c, h, w).
        """
        height, width = image.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"input size {height}x{width} is not a multiple of {self.stride}")
        values = self.chain.run(image, perturb)
        outputs = {LOGITS: values[LOGITS]}
        for name in self.aux:
            outputs[f"aux/{name}"] = self.aux_heads[name](values[name]) if name in self.aux_heads else values[name]
        for name in self.features:
            outputs[f"feature/{name}"] = values[name]
        return outputs

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
        return graphs.Graph(
            image=IMAGE,
            tensors=tuple(
                graphs.Tensor(
                    name=name,
                    shape=tuple(value.shape),
                    dtype=DTYPES[value.dtype],
                    lives="state" if name in self.states else "frame",
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
    """Counts the multiply-adds of every convolution that runs inside, per entry of ``modules``.

    One multiply-add per weight and output position; biases, norms, additions and upsampling count nothing.
    """
    counted = dict.fromkeys(modules, 0)

    def counter(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def count(module: nn.Module, _: Any, output: Tensor) -> None:
            assert isinstance(module, nn.Conv2d)
            counted[name] += output.numel() * module.weight[0].numel()

        return count

    hooks = [
        layer.register_forward_hook(counter(name))
        for name, module in modules.items()
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()
