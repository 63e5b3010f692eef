"""UDA-VSS: from a simulated look to a camera's without its labels, by a discriminator of video and by pseudo-labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from claims.jobs import Job, Training
from claims.scores import Native, PerFrame
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.world import Scale
from edge_vss.data.classes import IGNORE
from edge_vss.data.dataset import Dataset
from edge_vss.data.datasets import open_dataset
from edge_vss.label_writer import write_labels
from edge_vss.labellers import LabelOptions
from edge_vss.training import AugmentConfig, LossConfig, TrainConfig

EVERY = 3
START, ADAPT, TRAIN_AGAIN = 40, 30, 15
OTHER_STREETS = 3_000
COVERAGE, ADVERSARY = 0.9, 3e-3
GENTLE = AugmentConfig(
    scale=(0.8, 1.6), brightness=0, contrast=0, gamma=0, hue_deg=0, saturation=0, tint=0, blur=0, noise=0
)
"""No colours are changed, so that what the camera does to them stays to be adapted to; on pseudo-labels they are."""
AGAIN = LossConfig(jaccard=0.0, balance=0.0)
"""Without class weights: what gave the labels was trained with them, and twice is too much of the rare classes."""
ARMS = ("source only", "single-frame adversarial", "VAT", "VAT + labels of single frames", "VAT + VST")
LABELS = {3: 0, 4: 2}
"""Arm → how many earlier frames have a say in its labels of the target."""
CAMVID = {"arm0": "source only", "camvid": "single-frame adversarial"}
SCORES = ("miou", "vpq", "temporal_consistency")


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """Pseudo-labels of unlabelled video as a data set, and how many of them are right."""

    arm: str
    data: str
    before: int
    coverage: float

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        network = root / self.arm / "checkpoint.safetensors"
        options = LabelOptions(network=network, by="flow", before=self.before, coverage=self.coverage)
        write_labels(options, self.data, folder / "data")
        return rightness(open_dataset(f"folder:{folder / 'data'}"), open_dataset(self.data))


def rightness(labelled: Dataset, true: Dataset) -> dict[str, Any]:
    """The share of the pixels that got a label, and the share of these that got the true one."""
    right = kept = pixels = 0
    for clip, original in zip(labelled.clips, true.clips, strict=True):
        for index in range(len(original)):
            labels, truth = clip[index].labels, original[index].labels
            assert labels is not None and truth is not None
            known = (labels != IGNORE) & (truth != IGNORE)
            right += int(np.count_nonzero(known & (labels == truth)))
            kept, pixels = kept + int(np.count_nonzero(known)), pixels + labels.size
    return {"accuracy": right / max(1, kept), "coverage": kept / pixels}


def jobs(scale: Scale) -> list[Job]:
    found = [job for seed in range(scale.seeds) for job in (*_arms(scale, seed), *(_camvid(scale, seed)))]
    streets = (("held-out", scale.held_out(look="camera")),)
    found.append(Job("uda/native", Native("uda/arm4-0", streets), ("uda/arm4-0",)))
    return found


def _config(scale: Scale, epochs: int, **rest: Any) -> TrainConfig:
    made = scale.config(epochs, network="perframe", frames_before=1, labelled_every=EVERY, **rest)
    return msgspec.structs.replace(made, augment=GENTLE)


def _source(scale: Scale) -> str:
    return scale.train_data(look="simulated")


def _adapting(scale: Scale, seed: int, target: str, frames: int) -> Training:
    """From the source to a target, with a discriminator that sees so many frames at once."""
    loss = LossConfig(adversary=ADVERSARY, adversary_frames=frames)
    config = _config(scale, ADAPT, rate=1e-3, loss=loss)
    return Training(recipe="uda", config=config, data=_source(scale), target=target, init=f"uda/base-{seed}", seed=seed)


def _arms(scale: Scale, seed: int) -> Iterator[Job]:
    base, adapted = f"uda/base-{seed}", f"uda/arm2-{seed}"
    target = scale.street(OTHER_STREETS, scale.clips * 2 // 3, look="camera")
    start = Training(recipe="supervised", config=_config(scale, START), data=_source(scale), seed=seed)
    yield Job(base, start)
    on = replace(start, config=_config(scale, ADAPT, rate=1e-3), init=base)
    yield Job(f"uda/arm0-{seed}", on, (base,))
    for place, frames in ((1, 1), (2, 2)):
        yield Job(f"uda/arm{place}-{seed}", _adapting(scale, seed, target, frames), (base,))
    for place, before in LABELS.items():
        labels = f"uda/labels{place}-{seed}"
        labelling = Labelling(arm=adapted, data=target, before=before, coverage=COVERAGE)
        yield Job(labels, labelling, (adapted,))
        config = scale.config(TRAIN_AGAIN, network="perframe", frames_before=1, rate=5e-4, loss=AGAIN)
        again = replace(start, config=config, data=f"folder:{{root}}/{labels}/data", init=adapted)
        yield Job(f"uda/arm{place}-{seed}", again, (labels,))
    for place in range(len(ARMS)):
        arm = f"uda/arm{place}-{seed}"
        yield Job(f"{arm}/score", PerFrame(arm, scale.held_out(look="camera")), (arm,))


def _camvid(scale: Scale, seed: int) -> Iterator[Job]:
    """From the source to CamVid, whose training pictures lie a second apart: too far for a discriminator of video."""
    if not scale.camvid:
        return
    target = f"camvid:{scale.camvid}:train"
    yield Job(f"uda/camvid-{seed}", _adapting(scale, seed, target, 1), (f"uda/base-{seed}",))
    for arm in CAMVID:
        native = Native(f"uda/{arm}-{seed}", (("camvid", f"camvid:{scale.camvid}:val"),))
        yield Job(f"uda/{arm}-{seed}/camvid", native, (f"uda/{arm}-{seed}",))


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""
    found = [seeds_of(results, f"uda/arm{place}-{{}}/score", scale, SCORES) for place in range(len(ARMS))]
    rows = [arm_row(name, values) for name, values in zip(ARMS, found, strict=True)]
    labels = {place: seeds_of(results, f"uda/labels{place}-{{}}", scale, ("accuracy", "coverage")) for place in LABELS}
    rows += [arm_row(f"pseudo-labels of {ARMS[place]}", values) for place, values in labels.items()]
    on_camvid = [
        seeds_of(results, f"uda/{arm}-{{}}/camvid", scale, ("miou",), "camvid", "full")
        for arm in CAMVID
        if scale.camvid
    ]
    rows += [arm_row(f"CamVid val, {name}", values) for name, values in zip(CAMVID.values(), on_camvid)]
    in_torch = results["uda/arm4-0/score"]["miou"]
    rows.append(native_row(ARMS[4], results["uda/native"]["held-out"]["full"]["miou"], in_torch))
    claims = []
    for score in ("miou", "vpq"):
        source, single, video, _, both = (values[score] for values in found)
        claims += [
            Claim(f"{score}: single-frame adversarial is better than source only", single, source),
            Claim(f"{score}: VAT is better than single-frame adversarial", video, single),
            Claim(f"{score}: VAT + VST is better than VAT", both, video),
        ]
    best, plain = labels[4], labels[3]
    claims.append(
        Claim("labels that frames agree on are righter than single frames'", best["accuracy"], plain["accuracy"])
    )
    if scale.camvid:
        before, after = (values["miou"] for values in on_camvid)
        claims.append(Claim("CamVid val: adapted to its pictures is better than source only", after, before))
    return rows, [claim.row() for claim in claims]
