"""What frames of one clip have to do with each other: consistency along the flow, and similarities between frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_vss.training.losses.distillation import places_of
from edge_vss.training.warp import backward_warp, photometric_weight

__all__ = ["flow_at", "flow_difference", "pair_similarity", "sequence_similarity", "trust"]

CELLS = 12


def flow_at(flow: Tensor, visible: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Flow and visibility at another size, in pixels of that size; each value is that of the closest pixel.

    Args:
        flow: (N, H, W, 2) pixels (dx, dy).
        visible: (N, H, W) bool.

    Returns:
        (N, height, width, 2) and (N, height, width).
    """
    rows = ((torch.arange(height, device=flow.device) + 0.5) * (flow.shape[1] / height)).long()
    columns = ((torch.arange(width, device=flow.device) + 0.5) * (flow.shape[2] / width)).long()
    scale = flow.new_tensor([width / flow.shape[2], height / flow.shape[1]])
    return flow[:, rows[:, None], columns] * scale, visible[:, rows[:, None], columns]


def trust(image: Tensor, other: Tensor, flow: Tensor, visible: Tensor, height: int, width: int) -> Tensor:
    """V of equation 2: exp(-|I_t - warp(I_t+k)|) where the other frame shows the point, 0 elsewhere.

    Liu et al., *Efficient Semantic Video Segmentation with Per-frame Inference*, 2020, whose code squares it; here
    differences are means over the channels in units of ``PHOTOMETRIC_LIMIT`` levels, and hidden points count nothing.

    Args:
        image: (N, 3, H, W) in levels of 255, up to a shift.
        other: The other frame, likewise.
        flow: (N, H, W, 2) from ``image`` to ``other``.
        visible: (N, H, W).

    Returns:
        (N, height, width) in [0, 1], without gradient.
    """
    with torch.no_grad():
        warped, valid = backward_warp(other, flow)
        weight = photometric_weight(image, warped) * (valid & visible)
        return F.interpolate(weight[:, None], size=(height, width), mode="area")[:, 0]


def flow_difference(scores: Tensor, other: Tensor, flow: Tensor, weight: Tensor) -> Tensor:
    """Mean over pixels of V ||q_t - warp(q_t+k)||^2, q the class probabilities: ETC's temporal loss, equation 1.

    The released code warps scores; probabilities, as the paper has it, are bounded.

    Args:
        scores: (N, C, h, w).
        other: Those of the other frame; detached, it is a memory that ``scores`` is drawn to.
        flow: (N, h, w, 2) pixels of this size.
        weight: (N, h, w) V.
    """
    warped, valid = backward_warp(other.softmax(dim=1), flow)
    difference = (scores.softmax(dim=1) - warped).square().sum(dim=1)
    loss: Tensor = (difference * weight * valid).mean()
    return loss


def pair_similarity(student: Sequence[Tensor], teacher: Sequence[Tensor], cells: int = CELLS) -> Tensor:
    """Mean squared difference of the cosine similarities between all places of one frame and all of another.

    a_ij = cos(f_t^i, f_t+k^j): ETC's pairwise-frame dependency, equation 4.

    Args:
        student: Features of both frames, each (N, C, H, W).
        teacher: Those of the teacher, (N, C', H', W').
    """

    def similarities(pair: Sequence[Tensor], like: Tensor) -> Tensor:
        first, second = (places_of(features, like, cells) for features in pair)
        return torch.einsum("nci,ncj->nij", first, second)

    return F.mse_loss(similarities(student, teacher[0]), similarities(teacher, student[0]))


def sequence_similarity(student: Sequence[Tensor], teacher: Sequence[Tensor], cells: int = CELLS) -> Tensor:
    """Mean squared difference of what a ConvLSTM makes of both networks' self-similarity maps over the frames.

    ETC's multi-frame dependency, equation 5, with one deviation: the paper trains the ConvLSTM along and clips its
    weights so that it does not collapse to 0; here they are random and fixed, which cannot.

    Args:
        student: Features of all frames, oldest first, each (N, C, H, W).
        teacher: Those of the teacher, (N, C', H', W').
    """

    def embedding(frames: Sequence[Tensor], like: Tensor) -> Tensor:
        gates = _gates(frames[0].device)
        hidden = cell = None
        for features in frames:
            places = places_of(features, like, cells)
            similar = torch.einsum("nci,ncj->nij", places, places)[:, None]
            hidden = similar.new_zeros(len(similar), HIDDEN, *similar.shape[-2:]) if hidden is None else hidden
            mixed = F.conv2d(torch.cat([similar, hidden], dim=1), gates, padding=1)
            entry, keep, out, new = mixed.chunk(4, dim=1)
            added = entry.sigmoid() * new.tanh()
            cell = added if cell is None else keep.sigmoid() * cell + added
            hidden = out.sigmoid() * cell.tanh()
        assert hidden is not None, "there is one frame at least"
        return hidden

    return F.mse_loss(embedding(student, teacher[0]), embedding(teacher, student[0]))


HIDDEN = 4


@lru_cache(maxsize=4)
def _gates(device: torch.device) -> Tensor:
    """(4 HIDDEN, 1 + HIDDEN, 3, 3): input, forget and output gate, and the candidate."""
    generator = torch.Generator().manual_seed(0)
    fan_in = (1 + HIDDEN) * 9
    gates = torch.randn(4 * HIDDEN, 1 + HIDDEN, 3, 3, generator=generator)
    return gates.mul(math.sqrt(2 / fan_in)).to(device)
