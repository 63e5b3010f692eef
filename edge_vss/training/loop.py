"""The training loop: one for every recipe, on one process or several."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from edge_vss.errors import BadInput
from edge_vss.interrupts import ended_by_signals
from edge_vss.networks import StagedNetwork
from edge_vss.training.adversary import Adversary
from edge_vss.training.batches import Batch, batches, to_batch
from edge_vss.training.checkpoint import CheckpointInfo, save_checkpoint
from edge_vss.training.config import TrainConfig
from edge_vss.training.frames import FrameStore
from edge_vss.training.losses import balanced_weights
from edge_vss.training.optim import (
    AveragedWeights,
    learning_rate,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)
from edge_vss.training.recipes import LossContext, Recipe
from edge_vss.training.resume import RESUME, ResumePoint, differences, read_resume, write_resume
from edge_vss.training.teacher import Teacher
from edge_vss.training.validate import score

__all__ = ["CHECKPOINT", "LOG", "Loop", "processes"]

_LOG = logging.getLogger("edge_vss")
CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
LOG_EVERY = 50


@dataclass(frozen=True)
class Processes:
    """This process among those of ``torchrun``; alone without it."""

    rank: int = 0
    world: int = 1


@contextlib.contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """Joins the processes that ``torchrun`` started, or stands alone."""
    if not dist.is_torchelastic_launched():
        yield Processes()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


@dataclass
class Loop:
    """One run: ``run()`` goes from wherever the folder's resume point stands to the end."""

    network: StagedNetwork
    store: FrameStore
    config: TrainConfig
    recipe: Recipe
    seed: int
    out: Path
    describe: Callable[[dict[str, object]], CheckpointInfo]
    """Results so far → what the checkpoint says about itself."""
    run_of: dict[str, Any]
    """What this run depends on; a resume point must agree."""
    teacher: Teacher | None = None
    adversary: Adversary | None = None
    resume: bool = False
    progress: Callable[[str, float], None] = lambda doing, share: None
    """Called after every step, in the first process, with the epoch in words and the share in [0, 1] that is done."""
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))

    def run(self) -> float | None:
        """Trains to the end and writes the checkpoint; returns the best held-out mIoU, None without validation.

        Raises:
            BadInput: The resume point belongs to another run or is damaged.
        """
        with processes(self.device) as self.among:
            return self._run()

    def _run(self) -> float | None:
        config, world = self.config, self.among.world
        frames = len(self.store.train)
        steps = -(-config.epochs * frames // (config.batch * world))
        per_epoch = max(1, round(frames / (config.batch * world)))
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.network, config)
        self.average = AveragedWeights(self.network, config.ema)
        if self.adversary:
            self.adversary.network.to(self.device)
        self.best: float | None = None
        self.weights = balanced_weights(self.store.pixel_counts(), config.loss.balance).to(self.device)
        self.second_from = round(config.still * steps) if self.network.turns > 1 else None
        start = self._restore() if self.resume else 0
        self.model = DistributedDataParallel(self.network) if world > 1 else self.network
        kind = _autocast_type(self.device)
        self.autocast = torch.autocast(self.device.type, dtype=kind)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=kind == torch.float16)
        self.network.train()
        source = batches(
            self.store,
            config,
            seed=self.seed,
            start=start,
            stop=steps,
            rank=self.among.rank,
            world=world,
            looks=self.recipe.looks(config, self.network.turns),
            clips_from=self.second_from or 0,
        )
        clock, since = time.monotonic(), start
        with contextlib.closing(source), ended_by_signals() as signals:
            for views in source:
                step = views.step
                parts = self._step(to_batch(views, config, self.device), steps)
                done = step + 1
                if not self.among.rank:
                    epoch = min(config.epochs, 1 + step // per_epoch)
                    self.progress(f"epoch {epoch} of {config.epochs}", done / steps)
                last = done == steps
                logs = last or done % LOG_EVERY == 0
                saves = not last and done % (config.save_every * per_epoch) == 0
                validates = not last and config.validate_every and done % (config.validate_every * per_epoch) == 0
                stops = bool(signals) and not last
                if logs or saves or validates or stops:
                    _check_finite(parts, done)
                if logs:
                    rate = (done - since) * config.batch * world / (time.monotonic() - clock)
                    clock, since = time.monotonic(), done
                    self._log({"step": done, "steps": steps, "images_per_s": round(rate, 1), **_numbers(parts)})
                if validates:
                    self._validate(done)
                    clock, since = time.monotonic(), done
                if saves or stops:
                    self._save_resume(done)
                if stops:
                    _LOG.warning("%s: stopped after %d of %d steps; --resume goes on from there", self.out, done, steps)
                    raise KeyboardInterrupt
        self._validate(steps)
        self._save_resume(steps)
        if self.among.world > 1:
            dist.barrier()
        return self.best

    def _step(self, batch: Batch, steps: int) -> dict[str, Tensor]:
        config = self.config
        rng = np.random.default_rng((self.seed, 3, batch.step, self.among.rank))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(batch.step, steps, config, self.second_from)
        with self.autocast:
            if self.network.turns > 1:
                outputs = self.model(batch.images, batch.before)
            else:
                outputs = self.model(batch.together(), self.recipe.states(self.network, batch, config, rng))
        context = LossContext(
            config=config.loss,
            weights=self.weights,
            rng=rng,
            teacher=self.teacher,
            adversary=self.adversary,
            std=config.std,
            progress=batch.step / steps,
        )
        parts = self.recipe.losses(outputs, batch, context)
        loss = torch.stack(list(parts.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update(self.network, batch.step)
        return parts

    def _validate(self, step: int) -> None:
        """Scores the averaged weights and keeps them if they are the best; without held-out frames, keeps them."""
        if self.among.rank:
            return
        results: dict[str, object] = {"step": step}
        if self.store.held_out and self.config.validate_every:
            current = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            self.network.load_state_dict(self.average.tensors)
            store = self.store
            confusion = score(self.network, store.held_out, self.config, len(store.classes))
            self.network.load_state_dict(current)
            names = [info.name for info in self.store.classes]
            results["held_out_miou"] = round(confusion.miou, 4)
            results["held_out_iou"] = {
                name: round(float(iou), 4) for name, iou in zip(names, confusion.iou, strict=True) if iou == iou
            }
            self._log(results)
            if self.best is not None and confusion.miou <= self.best:
                return
            self.best = confusion.miou
        save_checkpoint(self.out / CHECKPOINT, self.average.tensors, self.describe(results))

    def _save_resume(self, step: int) -> None:
        if self.among.rank:
            return
        tensors = {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        tensors |= {f"optimizer/{name}": tensor for name, tensor in optimizer_tensors(self.optimizer).items()}
        if self.adversary:
            tensors |= {f"adversary/{name}": tensor for name, tensor in self.adversary.tensors().items()}
        write_resume(self.out, ResumePoint(step=step, best=self.best, of=self.run_of), tensors)

    def _restore(self) -> int:
        path = self.out / RESUME
        point, tensors = read_resume(self.out)
        if differ := differences(point.of, self.run_of):
            raise BadInput(f"{path} belongs to another run: {differ}")

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        try:
            self.network.load_state_dict(part("network/"))
            restore_optimizer(self.optimizer, part("optimizer/"))
            if self.adversary:
                self.adversary.restore(part("adversary/"))
        except (RuntimeError, ValueError) as error:
            raise BadInput(f"{path} does not fit the network: {str(error).splitlines()[0]}") from error
        for name, tensor in part("average/").items():
            self.average.tensors[name].copy_(tensor)
        self.best = point.best
        return point.step

    def _log(self, entry: dict[str, object]) -> None:
        if self.among.rank == 0:
            with (self.out / LOG).open("a") as file:
                file.write(json.dumps(entry) + "\n")


def _check_finite(parts: dict[str, Tensor], step: int) -> None:
    """Stop a run that has diverged before it writes anything over what was good."""
    lost = [name for name, value in parts.items() if not bool(torch.isfinite(value))]
    if lost:
        raise BadInput(f"step {step}: the loss is no longer a number ({', '.join(lost)}); a lower rate may help")


def _numbers(parts: dict[str, Tensor]) -> dict[str, object]:
    return {name: round(float(value.detach()), 4) for name, value in parts.items()}


def _autocast_type(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it, float16 on older GPUs."""
    return torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16
