"""A network that tells predictions on labelled frames from those on frames of another look.

Shin et al., *Unsupervised Domain Adaptation for Video Semantic Segmentation*, 2021: it sees the class probabilities of
two frames stacked, so that it judges how they change as well as what they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from edge_vss.training.optim import optimizer_tensors, restore_optimizer

__all__ = ["LEAST_PX", "Adversary", "discriminator"]

RATE, BETAS = 1e-4, (0.9, 0.99)
WIDTHS = (64, 128, 256, 512)
LEAST_PX = 32
"""Height and width of the smallest maps that the convolutions can judge; smaller ones are enlarged for them."""


def discriminator(channels: int) -> nn.Sequential:
    """(N, channels, h, w) → (N, 1, h / 32, w / 32): five 4x4 convolutions of stride 2, LeakyReLU 0.2 in between."""
    layers: list[nn.Module] = []
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 2, 1))


class Adversary:
    """The discriminator with its optimiser. It learns a step first, then says how the network can deceive it.

    Args:
        channels: Of what it sees: classes times frames.
    """

    def __init__(self, channels: int) -> None:
        self.network = discriminator(channels)
        self.optimizer = torch.optim.Adam(self.network.parameters(), RATE, BETAS)

    def learn(self, source: Tensor, target: Tensor) -> Tensor:
        """One step on class probabilities, (N, channels, h, w) each; returns its cross-entropy before the step."""
        self.network.requires_grad_(True)
        judged = self._judged(torch.cat([source.detach(), target.detach()]))
        truth = torch.cat([torch.ones_like(judged[: len(source)]), torch.zeros_like(judged[len(source) :])])
        loss = F.binary_cross_entropy_with_logits(judged.float(), truth.float())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if dist.is_initialized():
            for parameter in self.network.parameters():
                dist.all_reduce(parameter.grad)
                assert parameter.grad is not None
                parameter.grad /= dist.get_world_size()
        self.optimizer.step()
        return loss.detach()

    def deceived(self, target: Tensor) -> Tensor:
        """Cross-entropy of taking the target's probabilities for the source's; gradients reach ``target`` alone."""
        self.network.requires_grad_(False)
        judged = self._judged(target).float()
        return F.binary_cross_entropy_with_logits(judged, torch.ones_like(judged))

    def _judged(self, chances: Tensor) -> Tensor:
        factor = -(-LEAST_PX // min(chances.shape[-2:]))
        if factor > 1:
            chances = F.interpolate(chances, scale_factor=factor, mode="bilinear", align_corners=False)
        judged: Tensor = self.network(chances)
        return judged

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs."""
        weights = {f"weights/{name}": tensor for name, tensor in self.network.state_dict().items()}
        return weights | {f"moments/{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what ``tensors`` gave."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("weights/"))
        restore_optimizer(self.optimizer, part("moments/"))
