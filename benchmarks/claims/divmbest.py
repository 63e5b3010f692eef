"""DivMBest + SegNet: a network trained on the corpus' IoU, and one that chooses among diverse solutions of another."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims.jobs import Job, Training
from claims.scores import Native, PerFrame, network_scores
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.world import Scale
from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import open_dataset
from edge_vss.proposals.candidates import ScoredFrame
from edge_vss.proposals.comparison import compare_choices
from edge_vss.training import LossConfig, load_checkpoint

EVERY, EPOCHS = 3, 60
OTHER_STREETS = 3_000
"""On which re-rankers are trained."""
COUNTS = (5, 10, 30)
RARE = ("Pole", "SignSymbol", "Fence", "Pedestrian", "Bicyclist")
NETWORKS = {
    "cross-entropy": ("supervised", LossConfig(jaccard=0.0)),
    "IoU of 16 frames": ("iou", LossConfig(jaccard=0.0)),
    "IoU of 4 frames": ("iou", LossConfig(jaccard=0.0, iou_frames=4)),
    "IoU of 1 frame": ("iou", LossConfig(jaccard=0.0, iou_frames=1)),
}
SEGNETS = ("cross-entropy", "IoU of 16 frames")
"""Which of them re-rank the solutions of the first."""
WAYS = ("first", "reranked", "oracle")


@dataclass(frozen=True)
class Choosing:
    """Re-rankers for each number of solutions, trained on some streets and judged on others."""

    network: str
    segnet: str
    train: str
    held_out: str
    step: int
    counts: tuple[int, ...] = COUNTS

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        train, test = (list(self._frames(root, data)) for data in (self.train, self.held_out))
        classes = [info.name for info in open_dataset(self.held_out).classes]
        found = compare_choices(train, test, classes, counts=self.counts)
        return {
            str(count): {way: float(getattr(choices, way).miou) for way in ("network", *WAYS)}
            for count, choices in found.items()
        }

    def _frames(self, root: Path, data: str) -> Iterator[ScoredFrame]:
        network, segnet = (
            load_checkpoint(root / job / "checkpoint.safetensors") for job in (self.network, self.segnet)
        )
        for clip in open_dataset(data).clips:
            samples = [clip[index] for index in range(0, len(clip), self.step)]
            pictures = [to_rgb(sample.frame) for sample in samples]
            scores, second = (network_scores(each, pictures).numpy() for each in (network, segnet))
            for sample, picture, own, other in zip(samples, pictures, scores, second):
                yield ScoredFrame(scores=own, second=other, picture=picture.transpose(2, 0, 1), truth=sample.labels)


def jobs(scale: Scale) -> list[Job]:
    data, found = scale.train_data(), []
    others = scale.street(OTHER_STREETS, scale.held_out_clips)
    for seed in range(scale.seeds):
        names = {name: f"divmbest/net{place}-{seed}" for place, name in enumerate(NETWORKS)}
        for name, (recipe, loss) in NETWORKS.items():
            config = scale.config(EPOCHS, network="perframe", labelled_every=EVERY, loss=loss)
            found.append(Job(names[name], Training(recipe=recipe, config=config, data=data, seed=seed)))
            found.append(Job(f"{names[name]}/score", PerFrame(names[name], scale.held_out()), (names[name],)))
        first = names["cross-entropy"]
        for place, name in enumerate(SEGNETS):
            choosing = Choosing(first, names[name], others, scale.held_out(), step=EVERY)
            found.append(Job(f"divmbest/choice{place}-{seed}", choosing, tuple({first, names[name]})))
    native = Native("divmbest/net1-0", (("held-out", scale.held_out()),))
    found.append(Job("divmbest/native", native, ("divmbest/net1-0",)))
    return found


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""

    def network(place: int) -> dict[str, list[float]]:
        job = f"divmbest/net{place}-{{}}/score"
        scores = seeds_of(results, job, scale, ("miou", "pixel_accuracy", "iou"))
        rare = [statistics.fmean(iou[name] for name in RARE) for iou in scores.pop("iou")]  # type: ignore[call-overload]
        return {**scores, "rare_miou": rare}

    def choice(place: int, count: int) -> dict[str, list[float]]:
        return seeds_of(results, f"divmbest/choice{place}-{{}}", scale, WAYS, str(count))

    networks = [network(place) for place in range(len(NETWORKS))]
    rows = [arm_row(name, values) for name, values in zip(NETWORKS, networks, strict=True)]
    for place, name in enumerate(SEGNETS):
        for count in COUNTS:
            ways = {f"miou_{way}": values for way, values in choice(place, count).items()}
            rows.append(arm_row(f"{count} solutions, re-ranked by {name}", ways))
    in_torch = results["divmbest/net1-0/score"]["miou"]
    rows.append(native_row("IoU of 16 frames", results["divmbest/native"]["held-out"]["full"]["miou"], in_torch))
    by_plain, by_iou = ({count: choice(place, count) for count in COUNTS} for place in (0, 1))
    claims = []
    for count in COUNTS:
        chosen = by_iou[count]
        claims += [
            Claim(
                f"{count} solutions: re-ranked is better than the most probable", chosen["reranked"], chosen["first"]
            ),
            Claim(f"{count} solutions: the oracle is better than re-ranked", chosen["oracle"], chosen["reranked"]),
        ]
    for fewer, more in itertools.pairwise(COUNTS):
        name = f"the oracle of {more} is better than that of {fewer}"
        claims.append(Claim(name, by_iou[more]["oracle"], by_iou[fewer]["oracle"]))
    plain, corpus, small, smallest = networks
    claims += [
        Claim(
            "10 solutions: the IoU-trained network re-ranks better", by_iou[10]["reranked"], by_plain[10]["reranked"]
        ),
        Claim("the IoU loss raises mIoU over cross-entropy", corpus["miou"], plain["miou"]),
        Claim("and on rare classes", corpus["rare_miou"], plain["rare_miou"]),
        Claim("16 frames are a better corpus than 4", corpus["miou"], small["miou"]),
        Claim("and 4 than 1", small["miou"], smallest["miou"]),
    ]
    return rows, [claim.row() for claim in claims]
