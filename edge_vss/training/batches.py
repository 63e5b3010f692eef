"""An endless, resumable stream of random batches, made on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_vss.training.augment import View
from edge_vss.training.checkpoint import InputInfo
from edge_vss.training.config import TrainConfig
from edge_vss.training.frames import ALONE, Example, FrameStore, Looks

__all__ = ["Batch", "Views", "batches", "frame_indices", "normalised", "to_batch"]

AHEAD = 3


@dataclass(frozen=True, eq=False)
class Views:
    """One step's frames as they were made, in the host's memory."""

    step: int
    frames: NDArray[np.uint8]
    """(N, k + 1, H, W, 3), the labelled frame last, those before it from the oldest on."""
    labels: NDArray[np.uint8]
    """(N, H, W)."""
    flow: NDArray[np.float32] | None = None
    """(N, k, H, W, 2) from the labelled frame to each before it."""
    visible: NDArray[np.bool_] | None = None
    """(N, k, H, W)."""
    target: NDArray[np.uint8] | None = None
    """(N, k + 1, H, W, 3), frames of another look."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's frames, on the training device; images are float32, normalised, channels last in memory."""

    step: int
    images: Tensor
    """(N, 3, H, W)."""
    labels: Tensor
    """(N, H, W) int64; 255 = ignore."""
    before: Tensor | None = None
    """(N, k, 3, H, W), the frames before ``images``, oldest first; None where nothing but one frame is looked at."""
    flow: Tensor | None = None
    """(N, k, H, W, 2) float32 pixels (dx, dy), from ``images`` to each of ``before``."""
    visible: Tensor | None = None
    """(N, k, H, W) True where the frame before shows the point."""
    target: Tensor | None = None
    """(N, k + 1, 3, H, W), unlabelled frames of another look, newest last."""

    @property
    def num_images(self) -> int:
        """How many frames ``together`` gives."""
        per_frame = sum(part.shape[1] for part in (self.before, self.target) if part is not None)
        return len(self.images) * (1 + per_frame)

    def together(self) -> Tensor:
        """((1 + k + …) N, 3, H, W): ``images``, then the N frames of each age of ``before``, then of ``target``."""
        more = [part.transpose(0, 1).flatten(0, 1) for part in (self.before, self.target) if part is not None]
        return torch.cat([self.images, *more]).contiguous(memory_format=torch.channels_last)

    def apart(self, scores: Tensor) -> Tensor:
        """(1 + k + …, N, …) of what a network made of ``together``."""
        return scores.view(-1, len(self.images), *scores.shape[1:])


def frame_indices(step: int, batch: int, rank: int, world: int, frames: int, seed: int) -> list[int]:
    """Which frames one process sees in one step: a new order of all frames per epoch, cut into steps and processes."""
    first = (step * world + rank) * batch
    orders: dict[int, NDArray[np.int64]] = {}
    indices = []
    for position in range(first, first + batch):
        epoch, place = divmod(position, frames)
        if epoch not in orders:
            orders[epoch] = np.random.default_rng((seed, 1, epoch)).permutation(frames)
        indices.append(int(orders[epoch][place]))
    return indices


def batches(
    store: FrameStore,
    config: TrainConfig,
    *,
    seed: int,
    start: int,
    stop: int,
    rank: int = 0,
    world: int = 1,
    looks: Looks = ALONE,
    clips_from: int = 0,
) -> Generator[Views, None, None]:
    """Yields the views of every step ``start`` ≤ step < ``stop``; before step ``clips_from`` of single frames.

    A batch depends on the seed, the step and the rank alone, so a resumed run sees what an unbroken one would. They
    are made ahead on one background thread; OpenCV lets go of the interpreter lock while it works.
    """
    ready: queue.Queue[Views | BaseException] = queue.Queue(AHEAD)
    closed = threading.Event()

    def put(item: Views | BaseException) -> None:
        while not closed.is_set():
            try:
                return ready.put(item, timeout=0.5)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for step in range(start, stop):
                if closed.is_set():
                    return
                put(_views(store, config, seed, step, rank, world, looks if step >= clips_from else ALONE))
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=produce, name="edge-vss-batches", daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()


def _views(store: FrameStore, config: TrainConfig, seed: int, step: int, rank: int, world: int, looks: Looks) -> Views:
    count = 0 if not looks.before else 1 if looks.one else looks.before
    size = (config.batch, config.crop_height, config.crop_width)
    frames = np.empty((size[0], count + 1, *size[1:], 3), np.uint8)
    labels = np.empty(size, np.uint8)
    flow = np.empty((size[0], count, *size[1:], 2), np.float32) if looks.flow else None
    visible = np.empty((size[0], count, *size[1:]), np.bool_) if looks.flow else None
    for place, index in enumerate(frame_indices(step, config.batch, rank, world, len(store.train), seed)):
        example = store.train[index]
        view = _view(example, config, (seed, 2, step, rank, place))
        frames[place, -1], labels[place] = view.seen(example.rgb, example.labels, points=store.points)
        for at, older in enumerate(_older(example, looks, (seed, 4, step, rank, place))):
            frames[place, at] = view.rgb(older)
        if flow is not None and visible is not None:
            for at, motion in enumerate(example.flows):
                flow[place, at], visible[place, at] = view.moved(motion.flow, motion.visible)
    target = _target(store.target, config, (seed, 5, step, rank), frames.shape) if store.target else None
    return Views(step, frames, labels, flow, visible, target)


def _view(example: Example, config: TrainConfig, key: tuple[int, ...]) -> View:
    rng = np.random.default_rng(key)
    return View(example.rgb.shape, config.augment, config.crop_height, config.crop_width, rng)


def _older(example: Example, looks: Looks, key: tuple[int, ...]) -> Sequence[NDArray[np.uint8]]:
    if not looks.before or not looks.one:
        return example.before[: looks.before]
    known = (*example.before, example.rgb)
    return (known[np.random.default_rng(key).integers(len(known))],)


def _target(
    examples: Sequence[Example], config: TrainConfig, key: tuple[int, ...], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    chosen = np.random.default_rng(key).integers(0, len(examples), shape[0])
    target = np.empty(shape, np.uint8)
    for place, index in enumerate(chosen):
        example = examples[index]
        view = _view(example, config, (*key, place))
        for at, rgb in enumerate((*example.before, example.rgb)):
            target[place, at] = view.rgb(rgb)
    return target


def to_batch(views: Views, config: TrainConfig, device: torch.device) -> Batch:
    """Views as the losses take them."""
    images = normalised(views.frames, config, device)

    def there(array: NDArray[np.float32] | NDArray[np.bool_] | None) -> Tensor | None:
        return None if array is None else torch.from_numpy(array).to(device)

    return Batch(
        step=views.step,
        images=images[:, -1],
        labels=torch.from_numpy(views.labels).to(device).long(),
        before=images[:, :-1] if images.shape[1] > 1 else None,
        flow=there(views.flow),
        visible=there(views.visible),
        target=None if views.target is None else normalised(views.target, config, device),
    )


def normalised(views: NDArray[np.uint8], config: TrainConfig | InputInfo, device: torch.device) -> Tensor:
    """(..., H, W, 3) uint8 → (..., 3, H, W) float32, channels last in memory."""
    pixels = torch.from_numpy(views).to(device).float()
    mean, std = (torch.tensor(values, device=device) for values in (config.mean, config.std))
    return ((pixels - mean) / std).movedim(-1, -3)
