"""A teacher whose last convolution is split, so that every sub-network of a student has a teacher of its own.

Hu et al., *Temporally Distributed Networks for Fast Video Semantic Segmentation*, 2020, section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_vss.errors import BadInput
from edge_vss.networks.chain import ChainNetwork
from edge_vss.training.teacher import StagedTeacher, Teacher

__all__ = ["GroupedTeacher", "grouped_scores"]


def grouped_scores(
    features: Tensor, convolution: nn.Conv2d, head: Callable[[Tensor], Tensor], groups: int
) -> tuple[Tensor, Tensor]:
    """The whole answer head(Σ g_i), and each group's, head(n · g_i).

    g_i = W_i * x_i is what the i-th of n equal shares of the input channels adds to the convolution's result; n times
    that is as large as the whole, so that the same head reads it.

    Args:
        features: (N, c, h, w), c a multiple of ``groups``.
        convolution: Without bias; what comes behind it is ``head``.

    Returns:
        (N, C, h, w) and (N, groups, C, h, w).
    """
    shares = zip(features.chunk(groups, dim=1), convolution.weight.chunk(groups, dim=1), strict=True)
    added = [F.conv2d(x, weight, None, convolution.stride, convolution.padding) for x, weight in shares]
    full = head(torch.stack(added).sum(dim=0))
    return full, torch.stack([head(groups * part) for part in added], dim=1)


class GroupedTeacher:
    """A network of ours, asked as a whole or by groups.

    Args:
        teacher: As loaded.
        groups: How many sub-networks the student has.
        source: Where the teacher comes from, for messages.

    Raises:
        BadInput: The teacher has no last convolution of ours, or one whose channels do not share out.
    """

    def __init__(self, teacher: Teacher, groups: int, source: str) -> None:
        remedy = "give a checkpoint of a per-frame network, or set group = 0 under [loss]"
        if not isinstance(teacher, StagedTeacher) or not isinstance(teacher.network, ChainNetwork):
            raise BadInput(f"teacher {source} cannot be split among {groups} sub-networks; {remedy}")
        convolution, *rest = teacher.network.ending.refine
        assert isinstance(convolution, nn.Conv2d)
        channels = convolution.in_channels
        if channels % groups:
            raise BadInput(f"the {channels} channels of teacher {source} do not share out among {groups}; {remedy}")
        self.teacher, self.network, self.groups = teacher, teacher.network, groups
        self.convolution, self.head = convolution, nn.Sequential(*rest, teacher.network.ending.score)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.teacher(images)

    @torch.no_grad()
    def grouped(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) float32, normalised → (N, C, h, w) logits, and (N, groups, C, h, w) of the groups."""
        features = self.network.to(images.device).before_ending(images)
        full, groups = grouped_scores(features, self.convolution, self.head, self.groups)
        return full.float(), groups.float()
