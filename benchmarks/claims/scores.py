"""Scores of what was trained, on clips that no run has seen."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import Dataset, Sample, open_dataset
from edge_vss.data.flow import flow_between
from edge_vss.deploy import deploy
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.metrics.confusion import ConfusionMatrix
from edge_vss.metrics.measures import Measures
from edge_vss.networks.staged import LOGITS
from edge_vss.scorers import open_scorer
from edge_vss.training import Checkpoint, TrainConfig, load_checkpoint
from edge_vss.training.batches import normalised

KEPT = ("miou", "iou", "pixel_accuracy", "temporal_consistency", "temporal_consistency_masked", "vpq")


@dataclass(frozen=True)
class PerFrame:
    """In torch, frame by frame."""

    arm: str
    data: str
    output: str = LOGITS
    """Which scores: those of the network, or an auxiliary head's, as if it ended there."""

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        checkpoint = load_checkpoint(root / self.arm / "checkpoint.safetensors")
        clips, dataset = held_out(self.data)
        measures = Measures(len(dataset.classes), vpq=True)
        for clip in clips:
            measures.start_clip()
            labels = label_maps(checkpoint, [to_rgb(step.sample.frame) for step in clip], self.output)
            for step, before, now in zip(clip, [None, *labels], labels):
                measures.update(step.sample, now)
                if before is not None:
                    measures.consistency.update(before, now, step.flow)
        scores = measures.scores([info.name for info in dataset.classes])
        return {name: scores[name] for name in KEPT}


@dataclass(frozen=True)
class InTorch:
    """In torch, by the reference executor, under some of the schedules: what the native runtime is to give."""

    arm: str
    data: str
    schedules: tuple[str, ...]

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        return {name: {"miou": self.miou(root, name)} for name in self.schedules}

    def miou(self, root: Path, schedule: str) -> float:
        scorer = open_scorer(root / self.arm / "checkpoint.safetensors", schedule=schedule)
        clips, dataset = held_out(self.data)
        matrix = ConfusionMatrix(len(dataset.classes))
        for clip in clips:
            scorer.reset()
            for step in clip:
                assert step.sample.labels is not None
                scored = scorer.score(step.sample.frame)
                matrix.update(step.sample.labels, scored.label_map(scored.scores[None]))
        return float(matrix.miou)


@dataclass(frozen=True)
class Native:
    """Exported, on the native runtime, under every schedule of the bundle."""

    arm: str
    data: tuple[tuple[str, str], ...]
    """A name for each DATA."""

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as place:
            bundle = Path(place) / "bundle"
            deploy(root / self.arm / "checkpoint.safetensors", bundle, calibration=self.data[0][1])
            for name, data in self.data:
                scores = evaluate_bundle(bundle, data, EvalOptions(schedules=("all",), threads=1, vpq=True))
                found[name] = {each.schedule: {score: getattr(each, score) for score in KEPT} for each in scores}
        return found


@dataclass(frozen=True)
class Step:
    """A held-out frame, and flow to it from the one before."""

    sample: Sample
    flow: NDArray[np.float32]


@lru_cache(maxsize=2)
def held_out(data: str) -> tuple[list[list[Step]], Dataset]:
    """Every clip of a data set, decoded."""
    dataset = open_dataset(data)
    clips = []
    for clip in dataset.clips:
        steps = []
        for index in range(len(clip)):
            sample = clip[index]
            flow = flow_between(clip, index - 1, index)[0].flow if index else np.zeros((0, 0, 2), np.float32)
            steps.append(Step(sample, flow))
        clips.append(steps)
    return clips, dataset


@torch.no_grad()
def network_scores(checkpoint: Checkpoint, frames: Sequence[NDArray[np.uint8]], output: str = LOGITS) -> torch.Tensor:
    """(N, C, h, w) scores at the size in which they come out, of frames of the network's input size."""
    size = checkpoint.info.input
    config = TrainConfig(height=size.height, width=size.width, mean=size.mean, std=size.std)
    images = normalised(np.stack(frames), config, torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        scores = checkpoint.network.eval()(images.contiguous(memory_format=torch.channels_last))[output]
    return scores.float()


def label_maps(
    checkpoint: Checkpoint, frames: Sequence[NDArray[np.uint8]], output: str = LOGITS
) -> list[NDArray[np.uint8]]:
    """Each frame's label map."""
    scores = network_scores(checkpoint, frames, output)
    full = F.interpolate(scores, size=frames[0].shape[:2], mode="bilinear", align_corners=False)
    return [labels.numpy().astype(np.uint8) for labels in full.argmax(dim=1)]
