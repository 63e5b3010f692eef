"""Attention between frames: what a frame takes from older ones, wherever it finds what it looks for."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "Carry", "Spread", "strided"]


def strided(x: Tensor, stride: int) -> Tensor:
    """Every ``stride``-th row and column, from the middle of the first such block: (N, C, H, W) → (N, C, h, w)."""
    top, left = (min(stride // 2, (side - 1) // 2) for side in x.shape[-2:])
    return x[:, :, top::stride, left::stride]


class Carry(nn.Module):
    """What a frame takes over from an older one's values, weighed by a 1x1 convolution W.

    Args:
        channels: Of the values and of the result.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)

    def reset(self) -> None:
        """Start with W = 0, as residual branches do: an untrained network takes nothing from other frames."""
        nn.init.zeros_(self.weigh.weight)
        assert self.weigh.bias is not None
        nn.init.zeros_(self.weigh.bias)


class Spread(Carry):
    """W V where it was, wherever its point may be by now: the plain sum that attention is to be compared with."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, d, H, W) queries, (N, d, h, w) keys, (N, channels, h, w) values → (N, channels, H, W)."""
        return F.interpolate(self.weigh(value), size=query.shape[-2:], mode="bilinear", align_corners=False)


class Attention(Carry):
    """W · softmax(Q Kᵀ / √d) V, Q from one frame, K and V from another.

    Vaswani et al., *Attention Is All You Need*, 2017, equation 1; between frames after Hu et al., *Temporally
    Distributed Networks for Fast Video Semantic Segmentation*, 2020, equation 2. A row of the softmax sums to 1, so
    that W, bias included, may as well weigh the few strided values instead of the many results.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, d, H, W) queries, (N, d, h, w) keys, (N, channels, h, w) values → (N, channels, H, W)."""
        frames, depth, height, width = query.shape
        rows = (query * depth**-0.5).flatten(2).transpose(1, 2)
        affinity = (rows @ key.flatten(2)).softmax(dim=-1)
        mixed: Tensor = affinity @ self.weigh(value).flatten(2).transpose(1, 2)
        return mixed.transpose(1, 2).reshape(frames, mixed.shape[-1], height, width)

    @staticmethod
    def multiply_adds(inputs: tuple[Tensor, ...]) -> int:
        """Of the two products; the convolution inside counts for itself."""
        query, key, value = inputs
        return query[:, 0].numel() * key[0, 0].numel() * (query.shape[1] + value.shape[1])
