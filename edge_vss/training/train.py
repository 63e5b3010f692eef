"""``train``: what the command line calls."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from edge_vss.errors import BadInput, WrongUsage
from edge_vss.networks import NetworkConfig, StagedNetwork, build_network, network_config
from edge_vss.places import check_folder, make_folder
from edge_vss.training.adversary import Adversary
from edge_vss.training.batches import batches, to_batch
from edge_vss.training.checkpoint import CheckpointInfo, InputInfo, load_checkpoint
from edge_vss.training.config import TrainConfig, load_config
from edge_vss.training.frames import FrameStore, load_frames
from edge_vss.training.grouped_teacher import GroupedTeacher
from edge_vss.training.loop import CHECKPOINT, Loop
from edge_vss.training.quantisation import quantisation_aware
from edge_vss.training.recipes import RECIPES, check_network, check_recipe
from edge_vss.training.resume import RESUME, differences, run_at
from edge_vss.training.teacher import load_teacher

__all__ = ["TrainOptions", "TrainResult", "frames_of", "train"]

_LOG = logging.getLogger("edge_vss")
RANGE_BATCHES, RANGE_SEED = 8, 0


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """One run, as the command line describes it."""

    recipe: str
    """A name of ``edge_vss.training.recipes.RECIPES``."""
    data: Sequence[str]
    """DATA of the command line, one or several with the same classes."""
    target: Sequence[str] = ()
    """DATA of another look whose labels are not used; where the recipe takes it."""
    out: Path
    """Folder for ``checkpoint.safetensors``, ``resume.safetensors`` and ``log.jsonl``."""
    teacher: str | None = None
    """Checkpoint, ``zoo:NAME`` or ONNX file; where the recipe takes one."""
    init: str | None = None
    """Checkpoint or ``zoo:NAME`` whose weights the run starts from, as far as their names and shapes agree."""
    config: Path | TrainConfig | None = None
    """TOML file or its content; None = all defaults."""
    epochs: int | None = None
    """Instead of the configuration's."""
    seed: int = 0
    """Fixes weights, order and views."""
    resume: bool = False
    """Go on from the folder's resume point, which must be of the same run; start afresh where there is none."""


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind."""

    checkpoint: Path
    held_out_miou: float | None
    """Of the checkpoint, on the held-out part; None where nothing was held out."""


def frames_of(options: TrainOptions) -> FrameStore:
    """What a run trains on, decoded; several runs that look at the same frames can share it.

    Raises:
        WrongUsage: No such recipe, or one that does not suit the network or the other options.
        BadInput: The data does not load.
    """
    recipe = check_recipe(options.recipe, options.teacher, options.init, bool(options.target))
    config = _config(options)
    return load_frames(
        options.data,
        config.held_out,
        recipe.looks(config, check_network(options.recipe, config)),
        every=config.labelled_every,
        clicks=config.clicks,
        target=options.target,
    )


def train(
    options: TrainOptions,
    *,
    frames: FrameStore | None = None,
    progress: Callable[[str, float], None] = lambda doing, share: None,
) -> TrainResult:
    """Trains a network and writes its checkpoint.

    Under ``torchrun`` every process calls this; gradients are averaged and the first process writes.

    Args:
        frames: What ``frames_of`` gave for options of the same data, looks and labels; None reads them.
        progress: See ``Loop``.

    Raises:
        WrongUsage: No such recipe, or one that does not suit the network or the other options.
        BadInput: Data, teacher, initial weights, configuration or resume point do not load or do not fit together.
    """
    recipe = check_recipe(options.recipe, options.teacher, options.init, bool(options.target))
    config = _config(options)
    turns = check_network(options.recipe, config)
    check_folder(options.out)
    store = frames or frames_of(options)
    classes = len(store.classes)
    torch.manual_seed(options.seed)
    network = build_network(_network(config, classes))
    teacher = load_teacher(options.teacher, classes) if options.teacher else None
    if teacher and turns > 1 and config.loss.group:
        teacher = GroupedTeacher(teacher, turns, str(options.teacher))
    if options.init:
        _initialise(network, options.init, whole=recipe.init)
    adversary = Adversary(classes * config.loss.adversary_frames) if recipe.target else None
    if recipe.rounds:
        quantisation_aware(network, _views(store, config))
    provenance: dict[str, Any] = {
        "recipe": options.recipe,
        "data": list(options.data),
        **({"target": list(options.target)} if options.target else {}),
        "frames": len(store.train),
        "teacher": options.teacher,
        "init": options.init,
        "seed": options.seed,
        "config": msgspec.to_builtins(config),
    }
    resumes = options.resume and (options.out / RESUME).exists()
    if options.resume and not resumes:
        _LOG.warning("%s: holds no resume point; training starts afresh", options.out)
    _check_free(options, provenance)
    make_folder(options.out)
    loop = Loop(
        network=network,
        store=store,
        config=config,
        recipe=recipe,
        seed=options.seed,
        out=options.out,
        describe=lambda results: _describe(config=config, store=store, training={**provenance, **results}),
        run_of=provenance,
        teacher=teacher,
        adversary=adversary,
        resume=resumes,
        progress=progress,
    )
    best = loop.run()
    return TrainResult(options.out / CHECKPOINT, best)


def _check_free(options: TrainOptions, run: dict[str, Any]) -> None:
    """Refuse to write over what a run left, be it this one."""
    if options.resume or not (options.out / RESUME).exists():
        return
    there = run_at(options.out)
    if there is None or differences(there, run):
        raise BadInput(f"{options.out}: holds another run; choose another folder, or remove it first")
    raise BadInput(f"{options.out}: holds this run already; --resume goes on with it, another folder starts afresh")


def _config(options: TrainOptions) -> TrainConfig:
    default = RECIPES[options.recipe].defaults
    config = load_config(options.config, default) if isinstance(options.config, Path) else options.config or default
    if options.epochs is None:
        return config
    if options.epochs < 1:
        raise WrongUsage(f"--epochs is at least 1, got {options.epochs}")
    return msgspec.structs.replace(config, epochs=options.epochs)


def _views(store: FrameStore, config: TrainConfig) -> Iterator[torch.Tensor]:
    """A few batches as training sees them, always the same ones."""
    with contextlib.closing(batches(store, config, seed=RANGE_SEED, start=0, stop=RANGE_BATCHES)) as source:
        for views in source:
            yield to_batch(views, config, torch.device("cpu")).images


def _network(config: TrainConfig, classes: int) -> NetworkConfig:
    try:
        return msgspec.structs.replace(network_config(config.network, classes=classes), key_stride=config.key_stride)
    except ValueError as error:
        raise BadInput(f"the data does not suit: {error}") from error


def _describe(config: TrainConfig, store: FrameStore, training: dict[str, object]) -> CheckpointInfo:
    return CheckpointInfo(
        network=_network(config, len(store.classes)),
        classes=store.classes,
        input=InputInfo(height=config.height, width=config.width, mean=config.mean, std=config.std),
        training=training,
    )


def _initialise(network: StagedNetwork, source: str, *, whole: bool = False) -> None:
    """Takes over every weight that agrees in place and shape; heads for other classes start afresh."""
    given = load_checkpoint(source).network.state_dict()
    own = network.state_dict()
    places = ((place, tensor) for name, tensor in given.items() for place in network.places_of(name))
    shared = {place: tensor for place, tensor in places if place in own and own[place].shape == tensor.shape}
    if not shared:
        raise BadInput(f"{source} shares no weights with this network")
    if whole and len(shared) < len(own):
        raise BadInput(
            f"{source} is no such network trained on these classes: {len(shared)} of {len(own)} tensors agree"
        )
    if len(shared) < len(own):
        _LOG.warning(
            "%s: %d of the network's %d tensors come from it, the rest start afresh", source, len(shared), len(own)
        )
    network.load_state_dict({**own, **shared})
