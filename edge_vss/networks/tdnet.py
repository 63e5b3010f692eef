"""TDNet: shallow sub-networks take turns, and each frame's takes over what those before it found.

Hu et al., *Temporally Distributed Networks for Fast Video Semantic Segmentation*, 2020. A deep network's context is
shared out among ``turns`` sub-networks with weights of their own, one per frame in turn. What the last frames'
sub-networks found is kept as keys and values on every ``key_stride``-th position and carried over by attention, so
that every frame costs the same and sees nearly what the deep network would.

Two deviations. Norms before the heads are over channels and positions together (one group) with weights per channel:
the published one has a weight per position and holds for one input size alone. And heads add this frame's detail at a
quarter of its size, as the other networks here do. With ``carry`` "near" attention also knows how far things lie, which
was not published either.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_vss.graph import Read, Stage
from edge_vss.networks.attention import Attention, Carry, Near, Spread, strided
from edge_vss.networks.blocks import ConvBlock, Ending, initialise, upsample
from edge_vss.networks.chain import ChainNetwork
from edge_vss.networks.clockwork import STRIDE, Deep, Fine, Middle
from edge_vss.networks.config import NetworkConfig
from edge_vss.networks.staged import IMAGE, LOGITS, StagedNetwork, wire

__all__ = ["Encode", "Head", "Propagate", "TDNet", "tdnet", "tdnet_single"]

RING = "past"
CARRIES: Mapping[str, type[Carry]] = {"attention": Attention, "near": Near, "sum": Spread}
ALONE = {
    "chain.stages.features.": "encode.{}.",
    "chain.stages.head.": "propagate.{}.head.",
    "aux_heads.middle.": "aux_heads.{}.",
}
"""Prefix of a weight of ``tdnet_single`` → that of sub-network i."""


class Features(nn.Module):
    """A shallow sub-network, image (N, 3, H, W) → ``value`` (N, fine, H/8, W/8), ``skip`` (N, stem, H/4, W/4), and
    ``middle`` (N, middle, H/16, W/16), ``found`` (N, fine, H/8, W/8), what the value is computed from.

    Args:
        share: Which of the ``turns`` shares of ``deep_dilations`` is its own.
    """

    def __init__(self, config: NetworkConfig, share: int) -> None:
        super().__init__()
        own = msgspec.structs.replace(config, turns=1, deep_dilations=config.deep_dilations[share :: config.turns])
        self.fine, self.middle, self.deep = Fine(own), Middle(own), Deep(own)
        self.value = nn.Conv2d(config.fine, config.fine, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        skip, fine = self.fine(image)
        middle, lateral = self.middle(fine)
        (found,) = self.deep(middle, lateral)
        return self.value(found), skip, middle, found


class Encode(Features):
    """Sub-network ``share``: image → what the frame needs and what later frames need of it.

    ``query`` and ``value`` (H/8, W/8) and ``skip`` (H/4, W/4) for this frame; ``past`` for the ring: key, value and,
    with three sub-networks or more, query, on every ``key_stride``-th position, their channels one after the other.
    """

    def __init__(self, config: NetworkConfig, share: int) -> None:
        super().__init__(config, share)
        self.query = nn.Conv2d(config.fine, config.keys, 1)
        self.key = nn.Conv2d(config.fine, config.keys, 1)
        self.stride, self.keeps_query = config.key_stride, config.turns > 2

    def encoded(self, value: Tensor, skip: Tensor, found: Tensor) -> tuple[Tensor, ...]:
        """The stage's outputs from the sub-network's."""
        query, few = self.query(found), strided(found, self.stride)
        past = [
            self.key(few),
            strided(value, self.stride),
            *([strided(query, self.stride)] if self.keeps_query else []),
        ]
        return query, value, skip, torch.cat(past, dim=1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        value, skip, _, found = super().forward(image)
        return self.encoded(value, skip, found)


class Head(Ending):
    """Value (N, fine, H/8, W/8) and ``skip`` (N, stem, H/4, W/4) → ``logits`` (N, classes, H/4, W/4)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        quarter = config.stem[1]
        self.norm = nn.GroupNorm(1, config.fine)
        self.narrow = ConvBlock(config.fine, quarter, kernel=1, relu=False)
        self.skip = ConvBlock(quarter, quarter, kernel=1, relu=False)
        self.refine = ConvBlock(quarter, quarter)
        self.score = nn.Conv2d(quarter, config.classes, 1)

    def merged(self, *inputs: Tensor) -> Tensor:
        """What ``refine`` reads, (N, stem, H/4, W/4)."""
        value, skip = inputs
        return F.relu(upsample(self.narrow(self.norm(value)), 2) + self.skip(skip))


class Propagate(nn.Module):
    """This frame's query, value and skip, and the ring's entries → ``logits`` (N, classes, H/4, W/4).

    From the oldest entry to the newest: V̂ = A(K, V + V̂, Q of the entry after it), then value + V̂ goes to the head.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        kind = CARRIES[config.carry]
        self.steps = nn.ModuleList(kind(config.fine, config.key_stride) for _ in range(config.turns - 1))
        self.parts = past_channels(config)
        self.head = Head(config)

    def carried(self, query: Tensor, *ring: Tensor) -> Tensor:
        """V̂ of this frame, (N, fine, H/8, W/8); ``ring`` from the newest entry to the oldest."""
        entries = [torch.split(entry, self.parts, dim=1) for entry in ring]
        carried: Tensor | None = None
        for age in reversed(range(len(entries))):
            key, value, *_ = entries[age]
            asked = entries[age - 1][2] if age else query
            carried = self.steps[age](asked, key, value if carried is None else value + carried)
        assert carried is not None, "there are two sub-networks at least"
        return carried

    def forward(self, query: Tensor, value: Tensor, skip: Tensor, *ring: Tensor) -> tuple[Tensor]:
        logits: tuple[Tensor] = self.head(value + self.carried(query, *ring), skip)
        return logits


class TDNet(StagedNetwork):
    """``turns`` sub-networks as stages ``encode_i``, ``propagate_i`` and, until the ring is full, ``cold_i``.

    Args:
        config: ``turns`` >= 2.
    """

    def __init__(self, config: NetworkConfig) -> None:
        count = config.turns
        super().__init__(wiring(count), stride=STRIDE, aux=("middle",), rings={RING: count - 1}, turns=count)
        self.encode = nn.ModuleList(Encode(config, share) for share in range(count))
        self.propagate = nn.ModuleList(Propagate(config) for _ in range(count))
        self.aux_heads = nn.ModuleList(nn.Conv2d(config.middle, config.classes, 1) for _ in range(count))
        initialise(self)
        for module in self.modules():
            if isinstance(module, Carry):
                module.reset()

    @property
    def stage_modules(self) -> Mapping[str, nn.Module]:
        """Stage name → module; ``cold_i`` is the head of ``propagate_i``."""
        found: dict[str, nn.Module] = {}
        for i, (encode, propagate) in enumerate(zip(self.encode, self.propagate, strict=True)):
            assert isinstance(propagate, Propagate)
            found |= {f"encode_{i}": encode, f"propagate_{i}": propagate, f"cold_{i}": propagate.head}
        return found

    def places_of(self, name: str) -> tuple[str, ...]:
        """A sub-network that was trained alone is what every one of them starts from."""
        for prefix, place in ALONE.items():
            if name.startswith(prefix):
                return tuple(place.format(i) + name.removeprefix(prefix) for i in range(self.turns))
        return (name,)

    def forward(self, image: Tensor, before: Tensor | None = None) -> dict[str, Tensor]:
        """Scores for training, each at its own size.

        Every sub-network has its turn at the newest frame of every clip; whose the frames before are follows from it.

        Args:
            image: (N, 3, H, W) float32, normalised, the newest frame of every clip.
            before: (N, turns - 1, 3, H, W), the frames before it, oldest first; None: the same frame again.

        Returns:
            ``logits`` and ``sub`` (turns N, C, h, w), with and without what the frames before gave, and ``aux/middle``:
            of all clips at sub-network 0's turn, then at sub-network 1's, and so on.
        """
        self.check_size(*image.shape[-2:])
        clips = image[None] if before is None else torch.cat([image[None], before.flip(1).transpose(0, 1)])
        encoded = [self._encoded(i, clips) for i in range(self.turns)]
        outputs = [self._finished(i, encoded) for i in range(self.turns)]
        logits, sub, aux = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        return {LOGITS: logits, "sub": sub, "aux/middle": aux}

    def _encoded(self, i: int, clips: Tensor) -> list[tuple[Tensor, ...]]:
        """For every age, the outputs of sub-network ``i`` on the frames of that age, and its ``middle`` behind them.

        Args:
            clips: (1 or turns, N, 3, H, W), newest first.
        """
        encode = self.encode[i]
        assert isinstance(encode, Encode)
        frames = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        value, skip, middle, found = Features.forward(encode, frames)
        outputs = (*encode.encoded(value, skip, found), middle)
        ages = list(zip(*(output.chunk(len(clips)) for output in outputs), strict=True))
        return ages * (self.turns // len(clips))

    def _finished(self, i: int, encoded: list[list[tuple[Tensor, ...]]]) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of all clips at the turn of sub-network ``i``: with and without the ring, and auxiliary ones."""
        propagate = self.propagate[i]
        assert isinstance(propagate, Propagate)
        query, value, skip, _, middle = encoded[i][0]
        ring = [encoded[(i - age) % self.turns][age][3] for age in range(1, self.turns)]
        carried = propagate.carried(query, *ring)
        # One pass for both, so that batch norms see in training what they will see on video.
        (both,) = propagate.head(torch.cat([value + carried, value]), torch.cat([skip, skip]))
        logits, sub = both.chunk(2)
        return logits, sub, self.aux_heads[i](middle)


def past_channels(config: NetworkConfig) -> list[int]:
    """Channels of key, value and, where one is kept, query in a ring entry."""
    return [config.keys, config.fine, *([config.keys] if config.turns > 2 else [])]


def wiring(count: int) -> tuple[Stage, ...]:
    """The stages of ``count`` sub-networks."""
    ring = tuple(Read(RING, -age) for age in range(1, count))
    stages: list[Stage] = []
    for i in range(count):
        query, value, skip = (f"{name}_{i}" for name in ("query", "value", "skip"))
        own = (Read(query), Read(value), Read(skip))
        stages += [
            wire(f"encode_{i}", (IMAGE,), (query, value, skip, RING)),
            Stage(name=f"propagate_{i}", inputs=(*own, *ring), outputs=(LOGITS,)),
            wire(f"cold_{i}", (value, skip), (LOGITS,)),
        ]
    return tuple(stages)


def tdnet(config: NetworkConfig) -> StagedNetwork:
    """``config.turns`` sub-networks; ValueError where there are fewer than two."""
    if config.turns < 2:
        raise ValueError(f"network {config.kind} has two sub-networks at least, got turns {config.turns}")
    return TDNet(config)


def tdnet_single(config: NetworkConfig) -> StagedNetwork:
    """One sub-network on every frame, without memory: what propagation is to be compared with."""
    network = ChainNetwork(
        (
            (wire("features", (IMAGE,), ("value", "skip", "middle", "found")), Features(config, 0)),
            (wire("head", ("value", "skip"), (LOGITS,)), Head(config)),
        ),
        stride=STRIDE,
        aux=("middle",),
        aux_heads={"middle": nn.Conv2d(config.middle, config.classes, 1)},
        features=("found",),
        merged=True,
    )
    initialise(network)
    return network
