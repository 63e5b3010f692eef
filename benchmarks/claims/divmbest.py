"""DivMBest + SegNet: a network trained on the corpus' IoU, and one that chooses among diverse solutions of another."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from claims.jobs import Job, Training
from claims.scores import Native, PerFrame, network_scores
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.teacher import EPOCHS as SEGNET_EPOCHS
from claims.teacher import more_streets
from claims.world import Scale
from edge_vss.data.colour import to_rgb
from edge_vss.data.datasets import open_dataset
from edge_vss.proposals.candidates import ScoredFrame
from edge_vss.proposals.comparison import compare_choices
from edge_vss.proposals.grid import CrfConfig
from edge_vss.training import LossConfig, load_checkpoint

EVERY, EPOCHS, STEP = 3, 60, 4
"""Every so-manieth frame is labelled; re-rankers see and are judged on every fourth."""
OTHER_STREETS = 3_000
"""On which re-rankers are trained."""
COUNTS = (5, 10, 30)
RARE = ("Pole", "SignSymbol", "Fence", "Pedestrian", "Bicyclist")
PLAIN, CORPUS = LossConfig(jaccard=0.0), LossConfig(jaccard=0.0)
NETWORKS = {
    "cross-entropy": ("supervised", "perframe", PLAIN),
    "IoU of 16 frames": ("iou", "perframe", CORPUS),
    "IoU of 4 frames": ("iou", "perframe", LossConfig(jaccard=0.0, iou_frames=4)),
    "IoU of 1 frame": ("iou", "perframe", LossConfig(jaccard=0.0, iou_frames=1)),
}
SEGNETS = {
    "larger network, cross-entropy": ("supervised", PLAIN),
    "larger network, IoU of 16 frames": ("iou", CORPUS),
}
"""What chooses among the solutions of the first: larger, and it has seen more streets, all labelled."""
CAMVID = {0: "cross-entropy", 1: "IoU of 16 frames"}
"""Networks that also go on from the first one's weights on CamVid's training pictures, so many times."""
CAMVID_EPOCHS = 30
WAYS = ("first", "reranked", "oracle")


@dataclass(frozen=True)
class Choosing:
    """Re-rankers for each number of solutions, trained on some streets and judged on others."""

    network: str
    segnets: tuple[str, ...]
    train: str
    held_out: str
    counts: tuple[int, ...] = COUNTS

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        classes = [info.name for info in open_dataset(self.held_out).classes]
        train, test = (self._searched(root, data) for data in (self.train, self.held_out))
        found: dict[str, Any] = {}
        for segnet in self.segnets:
            seen, unseen = (list(self._frames(root, segnet, *part)) for part in (train, test))
            choices = compare_choices(seen, unseen, classes, counts=self.counts)
            found[segnet] = {
                str(count): {way: float(getattr(each, way).miou) for way in WAYS} for count, each in choices.items()
            }
        return found

    def _searched(self, root: Path, data: str) -> tuple[list[ScoredFrame], list[NDArray[np.uint8]]]:
        """Frames with their solutions, which all re-rankers choose from, and the frames' pictures."""
        network = load_checkpoint(root / self.network / "checkpoint.safetensors")
        found, pictures = [], []
        for clip in open_dataset(data).clips:
            for index in range(0, len(clip), STEP):
                sample = clip[index]
                pictures.append(to_rgb(sample.frame))
                scores = network_scores(network, pictures[-1:]).numpy()[0]
                picture = pictures[-1].transpose(2, 0, 1)
                frame = ScoredFrame(scores=scores, second=scores, picture=picture, truth=sample.labels)
                found.append(replace(frame, proposals=frame.propose(max(self.counts), CrfConfig())))
        return found, pictures

    def _frames(
        self, root: Path, segnet: str, searched: Sequence[ScoredFrame], pictures: Sequence[NDArray[np.uint8]]
    ) -> Iterator[ScoredFrame]:
        network = load_checkpoint(root / segnet / "checkpoint.safetensors")
        for frame, picture in zip(searched, pictures, strict=True):
            yield replace(frame, second=network_scores(network, [picture]).numpy()[0])


def jobs(scale: Scale) -> list[Job]:
    data, found = scale.train_data(), []
    others = scale.street(OTHER_STREETS, scale.clips * 2 // 3)
    segnets = tuple(f"divmbest/segnet{place}" for place in range(len(SEGNETS)))
    for segnet, (recipe, loss) in zip(segnets, SEGNETS.values(), strict=True):
        config = scale.config(SEGNET_EPOCHS, network="teacher", loss=loss)
        found.append(Job(segnet, Training(recipe=recipe, config=config, data=more_streets(scale))))
        found.append(Job(f"{segnet}/score", PerFrame(segnet, scale.held_out()), (segnet,)))
    for seed in range(scale.seeds):
        names = [f"divmbest/net{place}-{seed}" for place in range(len(NETWORKS))]
        for name, (recipe, network, loss) in zip(names, NETWORKS.values(), strict=True):
            config = scale.config(EPOCHS, network=network, labelled_every=EVERY, loss=loss)
            found.append(Job(name, Training(recipe=recipe, config=config, data=data, seed=seed)))
            found.append(Job(f"{name}/score", PerFrame(name, scale.held_out()), (name,)))
        choosing = Choosing(names[0], segnets, others, scale.held_out())
        found.append(Job(f"divmbest/choice-{seed}", choosing, (names[0], *segnets)))
        found += _camvid(scale, seed)
    native = Native("divmbest/net1-0", (("held-out", scale.held_out()),))
    found.append(Job("divmbest/native", native, ("divmbest/net1-0",)))
    return found


def _camvid(scale: Scale, seed: int) -> Iterator[Job]:
    """The two losses on real pictures, from the same weights."""
    for place in CAMVID if scale.camvid else ():
        recipe, network, loss = list(NETWORKS.values())[place]
        config = scale.config(CAMVID_EPOCHS, network=network, rate=1e-3, loss=loss)
        arm, base = f"divmbest/camvid{place}-{seed}", f"divmbest/net0-{seed}"
        work = Training(recipe=recipe, config=config, data=f"camvid:{scale.camvid}:train", init=base, seed=seed)
        yield Job(arm, work, (base,))
        yield Job(f"{arm}/score", Native(arm, (("camvid", f"camvid:{scale.camvid}:val"),)), (arm,))


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""

    def network(job: str, *within: str) -> dict[str, list[float]]:
        scores = seeds_of(results, job, scale, ("miou", "pixel_accuracy", "iou"), *within)
        by_class = scores.pop("iou")
        return {**scores, "rare_miou": [rare(iou) for iou in by_class]}

    def rare(iou: Any) -> float:
        return statistics.fmean(iou[name] for name in RARE)

    def choice(place: int, count: int) -> dict[str, list[float]]:
        return seeds_of(results, "divmbest/choice-{}", scale, WAYS, f"divmbest/segnet{place}", str(count))

    networks = [network(f"divmbest/net{place}-{{}}/score") for place in range(len(NETWORKS))]
    rows = [arm_row(name, values) for name, values in zip(NETWORKS, networks, strict=True)]
    for place, name in enumerate(SEGNETS):
        job = f"divmbest/segnet{place}/score"
        own = {score: [results[job][score]] for score in ("miou", "pixel_accuracy")}
        rows.append(arm_row(f"{name}, alone", own | {"rare_miou": [rare(results[job]["iou"])]}))
        for count in COUNTS:
            ways = {f"miou_{way}": values for way, values in choice(place, count).items()}
            rows.append(arm_row(f"{count} solutions, re-ranked by {name}", ways))
    on_camvid = [network(f"divmbest/camvid{place}-{{}}/score", "camvid", "full") for place in CAMVID if scale.camvid]
    rows += [arm_row(f"CamVid val, {name}", values) for name, values in zip(CAMVID.values(), on_camvid)]
    in_torch = results["divmbest/net1-0/score"]["miou"]
    rows.append(native_row("IoU of 16 frames", results["divmbest/native"]["held-out"]["full"]["miou"], in_torch))
    by_plain, by_iou = ({count: choice(place, count) for count in COUNTS} for place in range(len(SEGNETS)))
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
    plain, corpus, small, smallest = networks[:4]
    claims += [
        Claim(
            "10 solutions: the IoU-trained network re-ranks better", by_iou[10]["reranked"], by_plain[10]["reranked"]
        ),
        Claim("the IoU loss raises mIoU over cross-entropy", corpus["miou"], plain["miou"]),
        Claim("and on rare classes", corpus["rare_miou"], plain["rare_miou"]),
        Claim("16 frames are a better corpus than 4", corpus["miou"], small["miou"]),
        Claim("and 4 than 1", small["miou"], smallest["miou"]),
    ]
    if scale.camvid:
        before, after = on_camvid
        claims += [
            Claim("CamVid val: the IoU loss raises mIoU over cross-entropy", after["miou"], before["miou"]),
            Claim("CamVid val: and on rare classes", after["rare_miou"], before["rare_miou"]),
        ]
    return rows, [claim.row() for claim in claims]
