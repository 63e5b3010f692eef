"""Networks whose stages form a chain: every stage works on every training frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from edge_vss.networks.blocks import Ending
from edge_vss.networks.staged import IMAGE, LOGITS, Perturb, StagedNetwork, WiredModule, wire

__all__ = ["ChainNetwork", "StageChain"]


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


class ChainNetwork(StagedNetwork):
    """Stages that run one after the other on every frame that trains them.

    Args:
        stages: writers before readers.
        aux_heads: tensor name → head for its auxiliary loss, used in training only and part of no stage. A tensor of
            ``aux`` without a head is a score already.
        merged: one stage, ``network``, holds them all; tensors between the parts do not leave it.
        options: those of ``StagedNetwork``.
    """

    def __init__(
        self,
        stages: tuple[WiredModule, ...],
        *,
        aux_heads: Mapping[str, nn.Module] | None = None,
        merged: bool = False,
        **options: Any,
    ) -> None:
        wiring = (wire("network", (IMAGE,), (LOGITS,)),) if merged else tuple(stage for stage, _ in stages)
        super().__init__(wiring, **options)
        self.chain = StageChain(stages)
        self.aux_heads = nn.ModuleDict(dict(aux_heads or {}))
        self.merged = merged

    @property
    def stage_modules(self) -> Mapping[str, nn.Module]:
        """Stage name → module, in chain order."""
        return {"network": self.chain} if self.merged else dict(self.chain.stages.items())

    @property
    def ending(self) -> Ending:
        """The module of the last stage."""
        module = self.chain.stages[self.chain.wiring[-1].name]
        assert isinstance(module, Ending)
        return module

    def before_ending(self, image: Tensor) -> Tensor:
        """What the ending's ``refine`` reads, (N, C, h, w), of normalised images (N, 3, H, W)."""
        values = self.chain.run(image)
        return self.ending.merged(*(values[read.tensor] for read in self.chain.wiring[-1].inputs))

    def forward(self, image: Tensor, perturb: Perturb | None = None) -> dict[str, Tensor]:
        """Scores for training, each at its own size.

        Args:
            image: (N, 3, H, W) float32, normalised; H and W multiples of ``stride``.
            perturb: training imitates stale states with it; auxiliary losses see the value as it was computed.

        Returns:
            ``logits`` (N, C, h, w), ``aux/<tensor>`` scores, and ``feature/<tensor>`` (N, c, h, w).
        """
        height, width = image.shape[-2:]
        self.check_size(height, width)
        values = self.chain.run(image, perturb)
        outputs = {LOGITS: values[LOGITS]}
        for name in self.aux:
            outputs[f"aux/{name}"] = self.aux_heads[name](values[name]) if name in self.aux_heads else values[name]
        for name in self.features:
            outputs[f"feature/{name}"] = values[name]
        return outputs
