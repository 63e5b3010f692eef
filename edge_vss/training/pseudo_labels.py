"""Labels for video of which none are known: what a network finds in a frame, where the frames before agree.

The video self-training (VST) of Shin et al., *Unsupervised Domain Adaptation for Video Semantic Segmentation*, 2021:
predictions on earlier frames are warped onto the frame along the flow and averaged, and a pixel keeps its label only
where the average has the one that the frame alone has. Training on what is left is ``supervised`` like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_vss.data.classes import IGNORE
from edge_vss.data.colour import to_rgb
from edge_vss.data.dataset import Clip
from edge_vss.data.flow import flow_between
from edge_vss.training.checkpoint import Checkpoint
from edge_vss.training.validate import scores_of
from edge_vss.training.warp import backward_warp, photometric_weight

__all__ = ["Chances", "FlowLabels", "aggregated", "chances_of", "flow_labels"]

Chances = Callable[[int], Tensor]
"""Number of a frame of a clip → (C, H, W) float32 class probabilities, at the frame's own size."""


@dataclass(frozen=True, kw_only=True)
class FlowLabels:
    """Which pixels get a pseudo-label."""

    before: int = 2
    """Earlier frames that have a say, >= 0; with none the label is the network's best guess."""
    agree: bool = True
    """Only where the average and the frame alone have the same label; otherwise the average has the last word."""
    confidence: float = 0.0
    """Least probability of the label, in [0, 1]."""
    coverage: float = 1.0
    """Largest share of the pixels of each class in a frame that keeps the label, the most probable ones, in (0, 1].

    By class, as in Zou et al., *Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
    Self-Training*, 2018: over all pixels together, rare and thin things would go first.
    """

    def __post_init__(self) -> None:
        if self.before < 0:
            raise ValueError(f"before is at least 0, got {self.before}")
        if not 0 <= self.confidence <= 1 or not 0 < self.coverage <= 1:
            raise ValueError(
                f"confidence is in [0, 1] and coverage in (0, 1], got {self.confidence} and {self.coverage}"
            )


def chances_of(checkpoint: Checkpoint, clip: Clip, kept: int = 1) -> Chances:
    """What a network finds in the frames of a clip; the last ``kept`` results are remembered.

    Networks whose sub-networks take turns look at the frames before too; the first stands for those that it lacks.
    """
    network = checkpoint.network

    @lru_cache(kept)
    def chances(index: int) -> Tensor:
        ages = range(network.turns - 1, -1, -1)
        frames = [_rgb(clip, max(0, index - age) if clip.fps is not None else index) for age in ages]
        return scores_of(network, frames, checkpoint.info.input, turn=index).softmax(dim=0)

    return chances


def flow_labels(clip: Clip, index: int, chances: Chances, options: FlowLabels) -> NDArray[np.uint8]:
    """(H, W) labels of one frame, 255 where there is none."""
    own = chances(index)
    best, labels = aggregated(clip, index, chances, options.before).max(dim=0)
    keep = best >= options.confidence
    if options.agree:
        keep &= labels == own.argmax(dim=0)
    if options.coverage < 1:
        keep &= _most_probable(torch.where(keep, best, -1.0), labels, options.coverage)
    found: NDArray[np.uint8] = torch.where(keep, labels, IGNORE).cpu().numpy().astype(np.uint8)
    return found


def _most_probable(best: Tensor, labels: Tensor, share: float) -> Tensor:
    """(H, W) bool: of every label's pixels that share with the highest probabilities."""
    found = torch.zeros_like(labels, dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        place = torch.where((labels == label).flatten())[0]
        ranked = best.flatten()[place].argsort(descending=True, stable=True)
        found.view(-1)[place[ranked[: round(share * len(place))]]] = True
    return found


def aggregated(clip: Clip, index: int, chances: Chances, before: int) -> Tensor:
    """Weighted mean of a frame's class probabilities and those of ``before`` earlier frames, warped onto it.

    The frame's own weigh 1. Those of an earlier frame weigh exp(-d / level), d the difference of the pictures there,
    and nothing where it does not show the point or the flow is not known. Images without order have no earlier frames.

    Returns:
        (C, H, W), which sums to 1 over the classes.
    """
    total = chances(index).clone()
    weights = torch.ones_like(total[0])
    picture = _rgb(clip, index)
    for other in range(max(0, index - before) if clip.fps is not None else index, index):
        field, _ = flow_between(clip, index, other)
        flow = torch.from_numpy(field.flow)[None].to(total.device)
        warped, valid = backward_warp(chances(other)[None], flow)
        older, _ = backward_warp(_levels(_rgb(clip, other), total), flow)
        trusted = valid & torch.from_numpy(field.visible).to(total.device)
        weight = (photometric_weight(_levels(picture, total), older) * trusted)[0]
        total += weight * warped[0]
        weights += weight
    return total / weights


def _rgb(clip: Clip, index: int) -> NDArray[np.uint8]:
    return to_rgb(clip[index].frame)


def _levels(rgb: NDArray[np.uint8], like: Tensor) -> Tensor:
    return torch.from_numpy(rgb).to(like.device).movedim(-1, 0)[None].to(like.dtype)
