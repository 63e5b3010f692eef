"""Training frames in memory, and an endless, resumable stream of random batches from them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_vss.data.classes import ClassInfo
from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import Dataset, open_dataset
from edge_vss.errors import BadInput
from edge_vss.training.augment import augmented
from edge_vss.training.config import TrainConfig

__all__ = ["Batch", "FrameStore", "batches", "load_frames"]

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Earlier = tuple[NDArray[np.uint8], ...]
"""Frames before one, oldest first."""
Views = tuple[int, NDArray[np.uint8], NDArray[np.uint8]]
AHEAD = 3


@dataclass(frozen=True)
class FrameStore:
    """Decoded frames with labels, kept in memory: decoding costs more than everything else that is done to them."""

    classes: tuple[ClassInfo, ...]
    train: Sequence[Labelled]
    """(H, W, 3) uint8 RGB and (H, W) uint8 labels."""
    held_out: Sequence[Labelled]
    """The end of every clip, for choosing between checkpoints."""
    train_before: Sequence[Earlier] = ()
    """The frames before each of ``train``, labelled or not; the first of a clip stands for those that it lacks."""
    held_out_before: Sequence[Earlier] = ()

    def pixel_counts(self) -> Tensor:
        """Labelled pixels per class in the training frames, (C,) int64."""
        counts = np.zeros(256, np.int64)
        for _, labels in self.train:
            counts += np.bincount(labels.reshape(-1), minlength=256)
        return torch.from_numpy(counts[: len(self.classes)])


@dataclass(frozen=True)
class Batch:
    """One step's frames, on the training device."""

    step: int
    images: Tensor
    """(N, 3, H, W) float32, normalised, channels last in memory."""
    labels: Tensor
    """(N, H, W) int64; 255 = ignore."""
    before: Tensor | None = None
    """(N, k, 3, H, W), the frames before ``images``, oldest first; None where nothing but one frame is looked at."""


def load_frames(uris: Sequence[str], held_out: float, before: int = 0) -> FrameStore:
    """Reads every labelled frame of one or several data sets with the same classes.

    Args:
        uris: DATA of the command line.
        held_out: Share of every clip, its end, that goes to ``held_out``.
        before: How many frames before each are kept with it; images without order are taken for standing scenes.

    Raises:
        BadInput: A data set does not load, has no frames, or has other classes than the first.
    """
    classes: tuple[ClassInfo, ...] | None = None
    train: list[tuple[Labelled, Earlier]] = []
    kept: list[tuple[Labelled, Earlier]] = []
    for uri in uris:
        dataset: Dataset = open_dataset(uri)
        if classes is None:
            classes = tuple(dataset.classes)
        elif tuple(dataset.classes) != classes:
            raise BadInput(f"{uri} has {len(dataset.classes)} other classes than {uris[0]}")
        for clip in dataset.clips:
            last = len(clip) - round(len(clip) * held_out)
            earlier: Earlier = ()
            for index in range(len(clip)):
                sample = clip[index]
                if sample.labels is None and not before:
                    continue
                rgb = to_rgb(sample.frame)
                if clip.fps is None or not earlier:
                    earlier = (rgb,) * before
                if sample.labels is not None:
                    pair = (rgb, np.ascontiguousarray(sample.labels))
                    (train if index < last else kept).append((pair, earlier))
                earlier = (*earlier, rgb)[-before:] if before else ()
    if classes is None or not train:
        raise BadInput(f"no labelled frames to train on in {', '.join(uris) or 'an empty list of data sets'}")
    (frames, frames_before), (held, held_before) = (
        ([pair for pair, _ in part], [earlier for _, earlier in part]) for part in (train, kept)
    )
    return FrameStore(classes, frames, held, frames_before, held_before)


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
    clips_from: int | None = None,
) -> Generator[Views, None, None]:
    """Yields (step, (N, H, W, 3) uint8 views, (N, H, W) uint8 labels) for ``start`` ≤ step < ``stop``.

    From step ``clips_from`` on, views are (N, k + 1, H, W, 3): the frames before, viewed alike, then the labelled one.

    A batch depends on the seed, the step and the rank alone, so a resumed run sees what an unbroken one would. They
    are made ahead on one background thread; OpenCV lets go of the interpreter lock while it works.
    """
    ready: queue.Queue[Views | BaseException] = queue.Queue(AHEAD)
    closed = threading.Event()

    def make(step: int) -> Views:
        height, width = config.crop_height, config.crop_width
        clips = clips_from is not None and step >= clips_from
        frames = (len(store.train_before[0]) + 1,) if clips else ()
        views = np.empty((config.batch, *frames, height, width, 3), np.uint8)
        marks = np.empty((config.batch, height, width), np.uint8)
        chosen = frame_indices(step, config.batch, rank, world, len(store.train), seed)
        for place, index in enumerate(chosen):
            rgb, labels = store.train[index]

            def view(of: NDArray[np.uint8], key: tuple[int, ...], labels: NDArray[np.uint8] = labels) -> Labelled:
                return augmented(of, labels, config.augment, height, width, np.random.default_rng(key))

            key = (seed, 2, step, rank, place)
            newest, marks[place] = view(rgb, key)
            if clips:
                for age, older in enumerate(store.train_before[index]):
                    views[place, age] = view(older, key)[0]
                views[place, -1] = newest
            else:
                views[place] = newest
        return step, views, marks

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
                put(make(step))
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


def normalised(views: NDArray[np.uint8], config: TrainConfig, device: torch.device) -> Tensor:
    """(..., H, W, 3) uint8 → (..., 3, H, W) float32, channels last in memory."""
    pixels = torch.from_numpy(views).to(device).float()
    mean, std = (torch.tensor(values, device=device) for values in (config.mean, config.std))
    return ((pixels - mean) / std).movedim(-1, -3)
