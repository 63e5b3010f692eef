"""Backward warping of batches on the training device, with gradients: the twin of ``edge_vss.data.warp``.

Flow from t to s at a pixel of t says where in s the same point lies, so warping s back onto t samples it there. Label
maps must not be mixed: warp class probabilities, or warp ``nearest``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edge_vss.data.warp import PHOTOMETRIC_LIMIT

__all__ = ["backward_warp", "photometric_weight"]


def backward_warp(images: Tensor, flow: Tensor, *, nearest: bool = False) -> tuple[Tensor, Tensor]:
    """Sample ``images`` where ``flow`` points.

    Args:
        images: (N, C, H, W); floats unless ``nearest``. Gradients flow back to it.
        flow: (N, H, W, 2) float32 pixels (dx, dy); nan means unknown.
        nearest: Take the closest pixel (halves round up).

    Returns:
        The warped images, zero where not valid; and (N, H, W) True where the sample lies inside the picture.
    """
    height, width = images.shape[-2:]
    if flow.shape != (images.shape[0], height, width, 2):
        raise ValueError(f"flow for images {tuple(images.shape)} is (N, H, W, 2), got {tuple(flow.shape)}")
    x = flow[..., 0] + torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = flow[..., 1] + torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    if nearest:
        x, y = torch.floor(x + 0.5), torch.floor(y + 0.5)
    valid = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    x, y = torch.where(valid, x, 0.0), torch.where(valid, y, 0.0)
    if nearest:
        at = (y.long() * width + x.long()).flatten(1)[:, None].expand(-1, images.shape[1], -1)
        warped = images.flatten(2).gather(2, at).view_as(images)
    else:
        scale = (2 / max(1, width - 1), 2 / max(1, height - 1))
        grid = torch.stack([x * scale[0] - 1, y * scale[1] - 1], -1)
        warped = functional.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=True)
    return warped * valid[:, None], valid


def photometric_weight(images: Tensor, warped: Tensor, level: float = PHOTOMETRIC_LIMIT) -> Tensor:
    """How much pictures look alike, (N, H, W) in (0, 1]: exp(-mean over the channels of the difference / ``level``).

    Both (N, C, H, W) in levels of 255.
    """
    return torch.exp((images - warped).abs().mean(1) / -level)
