"""The clockwork student: three stages of growing depth and a fuse, cut so that the deep one holds most of the cost.

Shelhamer et al., *Clockwork Convnets for Video Semantic Segmentation*, 2016, cut a VGG where it has its pools, which
leaves the deep stage with a quarter of the multiply-adds. Here the always-on stages are thin and carry detail (edges,
small things, what moved), the clocked one carries context and holds two thirds of the cost.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_vss.networks.blocks import ConvBlock, Ending, initialise, residual_chain, upsample
from edge_vss.networks.chain import ChainNetwork
from edge_vss.networks.config import NetworkConfig
from edge_vss.networks.staged import IMAGE, LOGITS, StagedNetwork, wire

__all__ = ["Deep", "Fine", "Fuse", "Middle", "WatchedMiddle", "clockwork"]

STRIDE = 16


class Fine(nn.Module):
    """Image (N, 3, H, W) → ``detail`` (N, stem, H/4, W/4) and ``fine`` (N, fine, H/8, W/8)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        half, quarter = config.stem
        self.stem = nn.Sequential(
            ConvBlock(3, half, stride=2),
            ConvBlock(half, quarter, stride=2),
            residual_chain(quarter, (1,) * config.stem_blocks),
        )
        self.body = nn.Sequential(
            ConvBlock(quarter, config.fine, stride=2), residual_chain(config.fine, (1,) * config.fine_blocks)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        detail = self.stem(image)
        return detail, self.body(detail)


class Middle(nn.Module):
    """``fine`` → ``middle`` (N, middle, H/16, W/16) and ``lateral`` (N, fine, H/8, W/8), what the decoder adds.

    The deep stage takes ``fine`` by way of this stage, so that in a pipeline both its inputs are of one frame.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBlock(config.fine, config.middle, stride=2),
            residual_chain(config.middle, (1,) * config.middle_blocks),
        )
        self.lateral = ConvBlock(config.fine, config.fine, kernel=1, relu=False)

    def forward(self, fine: Tensor) -> tuple[Tensor, ...]:
        return self.body(fine), self.lateral(fine)


class WatchedMiddle(Middle):
    """As ``Middle``, and ``score_middle`` (N, classes, H/16, W/16) with its argmax ``labels_middle`` (N, h, w) uint8.

    The labels are the clock's signal. They come from a classifier with a loss of its own: the argmax of a score that
    only has to be right after later stages are added to it flickers from frame to frame.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.score = nn.Conv2d(config.middle, config.classes, 1)

    def forward(self, fine: Tensor) -> tuple[Tensor, ...]:
        middle, lateral = super().forward(fine)
        score = self.score(middle)
        return middle, lateral, score, score.argmax(dim=1).to(torch.uint8)


class Deep(nn.Module):
    """``middle`` and ``lateral`` → ``deep`` (N, fine, H/8, W/8): dilated context at 1/16, then a decoder at 1/8."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.deep
        self.enter = ConvBlock(config.middle, width, kernel=1) if width != config.middle else nn.Identity()
        self.context = residual_chain(width, config.deep_dilations)
        self.project = ConvBlock(width, config.fine, kernel=1, relu=False)
        self.decoder = residual_chain(config.fine, (1,) * config.decoder_blocks)

    def forward(self, middle: Tensor, lateral: Tensor) -> tuple[Tensor]:
        context = self.project(self.context(self.enter(middle)))
        return (self.decoder(F.relu(upsample(context, 2) + lateral)),)


class Fuse(Ending):
    """Skips of this frame and the newest ``deep`` → ``logits`` (N, classes, H/4, W/4)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        quarter = config.stem[1]
        self.fine = ConvBlock(config.fine, config.fine, kernel=1, relu=False)
        self.middle = ConvBlock(config.middle, config.fine, kernel=1, relu=False)
        self.narrow = ConvBlock(config.fine, quarter, kernel=1, relu=False)
        self.detail = ConvBlock(quarter, quarter, kernel=1, relu=False)
        self.refine = ConvBlock(quarter, quarter)
        self.score = nn.Conv2d(quarter, config.classes, 1)

    def merged(self, *inputs: Tensor) -> Tensor:
        """What ``refine`` reads, (N, stem, H/4, W/4)."""
        detail, fine, middle, deep = inputs
        eighth = F.relu(self.fine(fine) + upsample(self.middle(middle), 2) + deep)
        return F.relu(upsample(self.narrow(eighth), 2) + self.detail(detail))


def clockwork(config: NetworkConfig) -> StagedNetwork:
    """The staged student; ``deep`` is its clocked stage and ``labels_middle`` its signal."""
    stages = (
        (wire("fine", (IMAGE,), ("detail", "fine")), Fine(config)),
        (wire("middle", ("fine",), ("middle", "lateral", "score_middle", "labels_middle")), WatchedMiddle(config)),
        (wire("deep", ("middle", "lateral"), ("deep",)), Deep(config)),
        (wire("fuse", ("detail", "fine", "middle", "deep"), (LOGITS,)), Fuse(config)),
    )
    network = ChainNetwork(
        stages,
        stride=STRIDE,
        aux=("score_middle", "deep"),
        aux_heads={"deep": nn.Conv2d(config.fine, config.classes, 1)},
        features=("deep",),
        states=("deep",),
        kept=("middle",),
        clocked=("deep",),
        signal=("middle", "labels_middle"),
    )
    initialise(network)
    return network
