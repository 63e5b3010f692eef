"""Building blocks that fuse and quantise on TensorRT and ONNX Runtime alike.

Only 3x3 and 1x1 convolutions, batch norms that fold into them, ReLU, additions and bilinear upsampling by powers of
two. No depthwise convolution, squeeze-excite or smooth activation: they are cheap on paper and slow or inaccurate in
INT8. Every block takes any spatial size.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ConvBlock", "Ending", "ResidualBlock", "initialise", "residual_chain", "upsample"]


class ConvBlock(nn.Sequential):
    """Convolution, batch norm and, where ``relu``, a ReLU: (N, inputs, H, W) → (N, outputs, H/stride, W/stride).

    Args:
        kernel: 1 or 3; padding keeps the size.
        dilation: Spacing of the kernel's taps.
        relu: False before an addition, whose sum is rectified instead.
    """

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, relu: bool = True
    ) -> None:
        padding = dilation * (kernel // 2)
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity: (N, C, H, W) → the same shape."""

    def __init__(self, channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, dilation=dilation)
        self.second = ConvBlock(channels, channels, dilation=dilation, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)), inplace=True)


class Ending(nn.Module):
    """What gives the scores: its inputs merged, ``refine``, a 3x3 convolution, and ``score``, a classifier."""

    refine: ConvBlock
    score: nn.Conv2d

    def merged(self, *inputs: Tensor) -> Tensor:
        """What ``refine`` reads, (N, C, H, W)."""
        raise NotImplementedError

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.score(self.refine(self.merged(*inputs))),)


def residual_chain(channels: int, dilations: Iterable[int]) -> nn.Sequential:
    """One residual block per entry of ``dilations``, in that order."""
    return nn.Sequential(*(ResidualBlock(channels, dilation=dilation) for dilation in dilations))


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling by a power of two, half-pixel centres: (N, C, H, W) → (N, C, factor·H, factor·W)."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def initialise(network: nn.Module) -> None:
    """He initialisation of every convolution; residual branches start at zero, so that depth costs nothing at first.

    He et al., *Delving Deep into Rectifiers*, 2015; Goyal et al., *Accurate, Large Minibatch SGD*, 2017 (section 5.1).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            nn.init.zeros_(module.second[1].weight)  # type: ignore[arg-type]
