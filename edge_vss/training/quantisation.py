"""Quantisation-aware training: the forward pass rounds as an INT8 engine will, the weights learn to live with it.

After Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*
(2018), section 3, and Nagel et al., *A White Paper on Neural Network Quantization* (2021), section 4: straight-through
gradients, clipped at the ends of the range; statistics of batch norms frozen. Batch norms need not be folded for it:
export folds a factor per output channel into the weights, and weights have a scale per output channel, so that rounding
before and after folding is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_vss.calibration.ranges import Histogram, Range
from edge_vss.networks import StagedNetwork

__all__ = ["quantisation_aware"]

WEIGHT_LEVELS, LEVELS = 127, 255


def quantisation_aware(network: StagedNetwork, images: Iterable[Tensor], method: str = "mse") -> None:
    """Make a network round its activations and weights in every forward pass; its parameters stay what they were.

    Convolutions that a batch norm follows get 8-bit inputs and weights; score heads stay float, as they do in export.

    Args:
        images: (N, 3, H, W) float32 batches on which the ranges of the inputs are seen; they are fixed from then on.
        method: One of ``edge_vss.calibration.ranges.METHODS``.
    """
    convolutions = {name: module for name, module in network.named_modules() if _rounds(module)}
    for name, limits in _input_ranges(network, convolutions, images, method).items():
        _round_in(convolutions[name], limits)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = _stay(module)  # type: ignore[method-assign, assignment]


def _rounds(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.bias is None


def _stay(module: nn.Module) -> Callable[..., nn.Module]:
    return lambda mode=True: module


@torch.no_grad()
def _input_ranges(
    network: StagedNetwork, convolutions: dict[str, Any], images: Iterable[Tensor], method: str
) -> dict[str, Range]:
    """Convolution -> range of its input, as the float network sees it."""
    seen = {name: Histogram() for name in convolutions}

    def watch(name: str) -> Callable[..., None]:
        return lambda module, inputs: seen[name].add(inputs[0].float().cpu().numpy())

    hooks = [module.register_forward_pre_hook(watch(name)) for name, module in convolutions.items()]
    training = network.training
    network.eval()
    for batch in images:
        network(batch)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return {name: histogram.range(method) for name, histogram in seen.items() if histogram.filled}


def _round_in(convolution: nn.Conv2d, limits: Range) -> None:
    low, high = limits
    scale = (high - low) / LEVELS or 1.0
    zero = min(LEVELS, max(0, round(-low / scale)))

    def forward(input: Tensor) -> Tensor:
        levels = torch.fake_quantize_per_tensor_affine(input.float(), scale, zero, 0, LEVELS)
        weight = _rounded(convolution.weight)
        return F.conv2d(
            levels, weight, None, convolution.stride, convolution.padding, convolution.dilation, convolution.groups
        )

    convolution.forward = forward  # type: ignore[method-assign]


def _rounded(weight: Tensor) -> Tensor:
    """(O, I, k, k) weights on the steps of their output channel."""
    largest = weight.detach().abs().amax(dim=(1, 2, 3))
    scales = torch.where(largest > 0, largest / WEIGHT_LEVELS, torch.ones_like(largest)).float()
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    rounded: Tensor = torch.fake_quantize_per_channel_affine(
        weight.float(), scales, zeros, 0, -WEIGHT_LEVELS, WEIGHT_LEVELS
    )
    return rounded
