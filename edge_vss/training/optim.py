"""Learning rate, optimiser and averaged weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edge_vss.training.config import TrainConfig

__all__ = ["AveragedWeights", "learning_rate", "make_optimizer", "optimizer_tensors", "restore_optimizer"]


def learning_rate(step: int, steps: int, config: TrainConfig, clips_from: int | None = None) -> float:
    """Rises linearly over the first ``warm_up`` share of the steps, then falls as (1 - progress) ** power.

    The phase from step ``clips_from`` on, where training goes on with clips, has a curve of its own, ``clip_rate`` as
    high.
    """
    if clips_from is not None and step >= clips_from:
        return config.clip_rate * learning_rate(step - clips_from, steps - clips_from, config)
    if clips_from is not None:
        steps = clips_from
    rising = max(1, round(config.warm_up * steps))
    if step < rising:
        return config.rate * (step + 1) / rising
    progress = (step - rising) / max(1, steps - rising)
    return float(config.rate * (1 - progress) ** config.power)


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay on convolution weights alone."""
    decayed = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=config.momentum, nesterov=True)
    return torch.optim.AdamW(groups, lr=config.rate, betas=(config.momentum, 0.999), fused=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as ``<parameter>/<name>`` → tensor."""
    return {
        f"{index}/{name}": torch.as_tensor(value)
        for index, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what ``optimizer_tensors`` took."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        index, entry = name.split("/")
        like = parameters[int(index)]
        if tensor.shape == like.shape:
            # Fused optimizers walk a parameter and its moments in memory order: both must be channels_last, or neither.
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class AveragedWeights:
    """Exponential moving average of weights and batch-norm statistics, with a decay that grows from 0 at the start.

    Polyak & Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Takes in the weights after step ``step`` ≥ 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged, current = [], []
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                averaged.append(self.tensors[name])
                current.append(tensor.detach())
            else:
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(averaged, current, 1 - decay)
