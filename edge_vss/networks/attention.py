"""Attention between frames: what a frame takes from older ones, wherever it finds what it looks for."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "Carry", "Near", "Spread", "strided"]


NEAR = 1.5
"""Positions, of those that are kept, within which ``Near`` looks at first."""


def strided(x: Tensor, stride: int) -> Tensor:
    """Every ``stride``-th row and column, from the middle of the first such block: (N, C, H, W) → (N, C, h, w)."""
    top, left = (min(stride // 2, (side - 1) // 2) for side in x.shape[-2:])
    return x[:, :, top::stride, left::stride]


class Carry(nn.Module):
    """What a frame takes over from an older one's values, weighed by a 1x1 convolution W.

    Args:
        channels: Of the values and of the result.
        stride: Of the kept positions.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
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
        affinity = self.affinity(rows @ key.flatten(2), query, key).softmax(dim=-1)
        mixed: Tensor = affinity @ self.weigh(value).flatten(2).transpose(1, 2)
        return mixed.transpose(1, 2).reshape(frames, mixed.shape[-1], height, width)

    def affinity(self, alike: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """(N, H W, h w) how much each position wants of each kept one, before the softmax, from how alike they are."""
        return alike

    @staticmethod
    def multiply_adds(inputs: tuple[Tensor, ...]) -> int:
        """Of the two products; the convolution inside counts for itself."""
        query, key, value = inputs
        return query[:, 0].numel() * key[0, 0].numel() * (query.shape[1] + value.shape[1])


class Near(Attention):
    """Attention that expects things to have moved little: less of what lies farther, Q Kᵀ / √d - |p - p'|² / 2σ².

    A scene moves by few positions between frames, which queries and keys of few training clips learn late; σ is learnt
    and starts at ``NEAR`` kept positions. Not published; the plain sum is its limit for small σ and zero keys.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(channels, stride)
        self.log_sigma = nn.Parameter(torch.tensor(math.log(NEAR * stride)))

    def affinity(self, alike: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """What is alike, less the squared distance, which engines compute once, when they load."""
        (height, width), (rows, columns) = query.shape[-2:], key.shape[-2:]
        down, along = self._distance(height, rows, alike), self._distance(width, columns, alike)
        return alike - (down[:, None, :, None] + along[:, None, :]).view(alike.shape[1:])

    def _distance(self, positions: int, kept: int, like: Tensor) -> Tensor:
        """(positions, kept) squared distance over 2σ², along one axis; queries may be those of kept positions too."""
        place = torch.arange(positions, device=like.device, dtype=like.dtype)
        if positions == kept:
            place = place * self.stride
            at = place
        else:
            at = strided(place[None, None, :, None], self.stride)[0, 0, :, 0]
        return (place[:, None] - at) ** 2 * (0.5 * torch.exp(-2 * self.log_sigma))
