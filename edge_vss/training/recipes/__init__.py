"""Recipes: what a step's outputs are asked to be. A new one is a function and an entry in ``RECIPES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from edge_vss.errors import WrongUsage
from edge_vss.networks import StagedNetwork, build_network, network_config, network_kinds
from edge_vss.networks.staged import Perturb
from edge_vss.training.batches import Batch
from edge_vss.training.config import DEFAULT, LossConfig, TrainConfig
from edge_vss.training.frames import Looks
from edge_vss.training.recipes.adaptation import uda
from edge_vss.training.recipes.base import LossContext, Outputs, Parts, distill, supervised
from edge_vss.training.recipes.corpus import iou
from edge_vss.training.recipes.schedule import clockwork, imagined_states, old_states
from edge_vss.training.recipes.tdnet import tdnet
from edge_vss.training.recipes.temporal import etc, weclick

__all__ = ["RECIPES", "LossContext", "Outputs", "Parts", "Recipe", "check_network", "check_recipe", "iou"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a recipe asks for, shows to the network and wants of it."""

    losses: Callable[[Outputs, Batch, LossContext], Parts]
    defaults: TrainConfig = DEFAULT
    """What a configuration is where the file leaves something out."""
    teacher: Literal["never", "may", "must"] = "never"
    init: bool = False
    """It tunes a trained network."""
    target: bool = False
    """It takes unlabelled frames of another look."""
    flow: bool = False
    """It looks along the flow to ``frames_before`` frames before each labelled one."""
    before: Literal["none", "one", "all"] = "none"
    """How many of ``frames_before`` frames a step sees."""
    in_turns: bool = False
    """It trains networks whose sub-networks take turns, and no others."""
    clocked: bool = False
    """It trains networks of which stages may rest, and no others."""
    states: Callable[[StagedNetwork, Batch, TrainConfig, np.random.Generator], Perturb | None] = imagined_states
    """What the readers of state tensors get."""
    rounds: bool = False
    """The forward pass rounds as integer engines will."""

    def looks(self, config: TrainConfig, turns: int) -> Looks:
        """Which frames are kept and shown with a labelled one."""
        if self.in_turns:
            return Looks(before=turns - 1)
        return Looks(
            before=0 if self.before == "none" else config.frames_before, flow=self.flow, one=self.before == "one"
        )


RECIPES: Mapping[str, Recipe] = {
    "supervised": Recipe(losses=supervised),
    "distill": Recipe(losses=distill, teacher="must"),
    "qat": Recipe(losses=supervised, init=True, rounds=True, defaults=TrainConfig(epochs=10, rate=2e-4)),
    "clockwork": Recipe(
        losses=clockwork,
        init=True,
        clocked=True,
        before="one",
        states=old_states,
        defaults=TrainConfig(epochs=20, rate=5e-4, frames_before=2),
    ),
    "tdnet": Recipe(
        losses=tdnet,
        teacher="may",
        in_turns=True,
        defaults=TrainConfig(network="tdnet2", loss=LossConfig(ohem=0.25, jaccard=0.0, aux=0.1, temperature=1.0)),
    ),
    "etc": Recipe(
        losses=etc,
        teacher="may",
        before="all",
        flow=True,
        defaults=TrainConfig(
            network="perframe", frames_before=2, loss=LossConfig(distil=0.1, similarity=0.1, temperature=1.0)
        ),
    ),
    "weclick": Recipe(
        losses=weclick,
        teacher="may",
        before="all",
        flow=True,
        defaults=TrainConfig(network="perframe", frames_before=2, clicks=True),
    ),
    "uda": Recipe(
        losses=uda,
        target=True,
        before="all",
        defaults=TrainConfig(network="perframe", frames_before=1),
    ),
    "iou": Recipe(losses=iou, defaults=TrainConfig(loss=LossConfig(jaccard=0.0))),
}
"""By its name on the command line."""


def check_recipe(name: str, teacher: str | None = None, init: str | None = None, target: bool = False) -> Recipe:
    """The recipe of that name.

    Raises:
        WrongUsage: No such recipe, a teacher, initial weights or a target that is missing or would go unused.
    """
    if name not in RECIPES:
        raise WrongUsage(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    if recipe.teacher == "must" and not teacher:
        raise WrongUsage(f"recipe {name} needs --teacher CKPT|MODEL.onnx")
    if recipe.teacher == "never" and teacher:
        known = ", ".join(sorted(other for other, that in RECIPES.items() if that.teacher != "never"))
        raise WrongUsage(f"recipe {name} uses no teacher; recipes that do: {known}")
    if recipe.init and not init:
        raise WrongUsage(f"recipe {name} tunes a trained network: it needs --init CKPT")
    if recipe.target and not target:
        raise WrongUsage(f"recipe {name} adapts to another look: it needs --target DATA, whose labels are not used")
    if target and not recipe.target:
        known = ", ".join(other for other, that in RECIPES.items() if that.target)
        raise WrongUsage(f"recipe {name} uses no target; recipes that do: {known}")
    return recipe


def check_network(name: str, config: TrainConfig) -> int:
    """Check that recipe and network suit each other.

    Returns:
        How many sub-networks take turns.

    Raises:
        WrongUsage: A network of one kind under a recipe for another.
        BadInput: No such network.
    """
    recipe = RECIPES[name]
    with torch.device("meta"):
        network = build_network(network_config(config.network, classes=2))
    turns = network.turns
    if recipe.clocked and not network.states:
        raise WrongUsage(f"recipe {name} trains networks with stages that rest; network {config.network} has none")
    if (turns > 1) != recipe.in_turns:
        known = ", ".join(kind for kind in network_kinds() if network_config(kind, classes=2).turns > 1)
        raise WrongUsage(f"recipe {name} does not train network {config.network}; tdnet alone trains {known}")
    return turns
