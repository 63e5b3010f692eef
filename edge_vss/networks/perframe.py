"""Networks without memory: the clockwork student's parts as one stage that runs on every frame."""

from __future__ import annotations

from torch import nn

from edge_vss.networks.blocks import initialise
from edge_vss.networks.chain import ChainNetwork
from edge_vss.networks.clockwork import STRIDE, Deep, Fine, Fuse, Middle
from edge_vss.networks.config import NetworkConfig
from edge_vss.networks.staged import IMAGE, LOGITS, StagedNetwork, wire

__all__ = ["perframe"]


def perframe(config: NetworkConfig) -> StagedNetwork:
    """A single-stage network; students and teachers differ in width and depth only."""
    network = ChainNetwork(
        (
            (wire("fine", (IMAGE,), ("detail", "fine")), Fine(config)),
            (wire("middle", ("fine",), ("middle", "lateral")), Middle(config)),
            (wire("deep", ("middle", "lateral"), ("deep",)), Deep(config)),
            (wire("fuse", ("detail", "fine", "middle", "deep"), (LOGITS,)), Fuse(config)),
        ),
        stride=STRIDE,
        aux=("middle", "deep"),
        aux_heads={
            "middle": nn.Conv2d(config.middle, config.classes, 1),
            "deep": nn.Conv2d(config.fine, config.classes, 1),
        },
        features=("deep",),
        merged=True,
    )
    initialise(network)
    return network
