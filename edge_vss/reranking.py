"""Re-ranked proposals of a bundle on labelled data: what ``edge-vss rerank`` and ``edge-vss eval --rerank`` do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_vss.data.classes import ClassInfo
from edge_vss.data.dataset import Dataset
from edge_vss.data.datasets import open_dataset
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.evaluation import matching_output
from edge_vss.frame import Frame
from edge_vss.metrics import ConfusionMatrix
from edge_vss.places import check_place
from edge_vss.proposals import (
    Candidates,
    CrfConfig,
    Reranker,
    ScoredFrame,
    fit_reranker,
    judge,
    load_reranker,
    look_at_all,
)
from edge_vss.scorers import open_scorer

__all__ = ["RerankOptions", "ScorerPair", "check_pair", "evaluate_reranked", "train_reranker"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class RerankOptions:
    """Which networks, and how long a list."""

    network: str | Path
    """Bundle, checkpoint or ``zoo:NAME``, whose solutions are looked at."""
    segnet: str | Path | None = None
    """The second network, which the re-ranker listens to; the same where not given."""
    proposals: int = 10
    """M, the length of the list, in [1, 255]."""
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    """0 = one per core."""

    def __post_init__(self) -> None:
        if not 1 <= self.proposals <= 255:
            raise WrongUsage(f"the number of proposals lies in 1..255, got {self.proposals}")


class ScorerPair:
    """The network and the second one, frame by frame.

    Raises:
        BadInput: One does not load, or their classes differ.
        WrongUsage: No bundle has a backend or precision of that name.
    """

    def __init__(self, options: RerankOptions) -> None:
        first = open_scorer(
            options.network, backend=options.backend, precision=options.precision, threads=options.threads
        )
        self.scorers = [first]
        """One, or two."""
        if options.segnet is not None:
            self.scorers.append(open_scorer(options.segnet, threads=options.threads))
            ours, theirs = ([info.name for info in scorer.output.classes] for scorer in self.scorers)
            if ours != theirs:
                raise BadInput(f"{options.segnet} has other classes than {options.network}; they must be the same")

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """In the order of the scores."""
        return self.scorers[0].output.classes

    def check_reranker(self, reranker: Reranker, path: Path) -> None:
        """Refuse a re-ranker of other classes with BadInput."""
        if tuple(info.name for info in self.classes) != reranker.classes:
            raise BadInput(f"{path} re-ranks other classes than those of {self.scorers[0].name}")

    def reset(self) -> None:
        """The next frame has none before it."""
        for scorer in self.scorers:
            scorer.reset()

    def score(self, frame: Frame) -> ScoredFrame:
        """What both say of the next frame."""
        seen = [scorer.score(frame) for scorer in self.scorers]
        own, other = seen[0], seen[-1]
        return ScoredFrame(scores=own.scores, second=other.scores, picture=own.picture, label_map=own.label_map)

    def labelled(self, dataset: Dataset, progress: Progress) -> Iterator[ScoredFrame]:
        """Every labelled frame of a data set; streams start anew with each clip, or with each picture without order."""
        done, total = 0, dataset.num_frames
        remembers = any(scorer.remembers for scorer in self.scorers)
        for clip in dataset.clips:
            for index in range(len(clip)):
                sample = clip[index]
                if index == 0 or clip.fps is None:
                    self.reset()
                if sample.labels is not None or remembers:
                    found = self.score(sample.frame)
                    if sample.labels is not None:
                        yield dataclasses.replace(found, truth=sample.labels)
                done += 1
                progress(done, total)


def train_reranker(
    options: RerankOptions,
    data: str,
    out: Path,
    crf: CrfConfig | None = None,
    *,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Search for the proposals of labelled frames, learn to pick among them, and write the re-ranker.

    Returns:
        The keys that ``rerank --json`` promises.

    Raises:
        BadInput: Network or data do not load or fit, ``out`` cannot be written or holds something else than a
            re-ranker, or fewer than two frames have labels.
    """
    check_place(out)
    if out.exists():
        load_reranker(out)  # nothing else is replaced
    pair, candidates = _candidates(options, data, crf or CrfConfig(), progress)
    if len(candidates.features) < 2:
        raise BadInput(f"{data}: a re-ranker needs two labelled frames or more")
    training = {
        "network": str(options.network),
        "segnet": None if options.segnet is None else str(options.segnet),
        "data": data,
        "frames": len(candidates.features),
    }
    names = [info.name for info in pair.classes]
    reranker = fit_reranker(candidates.features, candidates.counts, names, crf or CrfConfig(), training=training)
    reranker.save(out)
    return {"reranker": out, "reg": reranker.reg, **_scores(reranker, options.proposals, candidates)}


def evaluate_reranked(
    options: RerankOptions, data: str, path: Path, *, progress: Progress = lambda done, total: None
) -> dict[str, Any]:
    """Score the network's own label maps, its most probable solutions, the re-ranked and the best ones.

    Returns:
        The keys that ``eval --rerank --json`` promises; ``miou``, ``iou`` and ``pixel_accuracy`` are the re-ranked's.

    Raises:
        BadInput: Network, re-ranker or data do not load or fit, or no pixel has a label.
    """
    reranker = load_reranker(path)
    check_pair(reranker, path, options)
    pair, candidates = _candidates(options, data, reranker.crf, progress)
    pair.check_reranker(reranker, path)
    return _scores(reranker, options.proposals, candidates)


def check_pair(reranker: Reranker, path: Path, options: RerankOptions) -> None:
    """Refuse a second network that the re-ranker was not trained with, as far as one was or was not given.

    Raises:
        BadInput: One line that says what to do.
    """
    trained = reranker.training.get("segnet")
    if trained and options.segnet is None:
        raise BadInput(f"{path} was trained with a second network, {trained}; give it with --segnet")
    if trained is None and options.segnet is not None:
        raise BadInput(f"{path} was trained without a second network; leave out --segnet or train it with one")


def _candidates(options: RerankOptions, data: str, crf: CrfConfig, progress: Progress) -> tuple[ScorerPair, Candidates]:
    dataset = open_dataset(data)
    pair = ScorerPair(options)
    for scorer in pair.scorers:
        scorer.output = matching_output(scorer.outputs, dataset, scorer.name, data)
    candidates = look_at_all(pair.labelled(dataset, progress), options.proposals, crf)
    if not candidates.network.counts.any():
        raise BadInput(f"{data}: not one pixel has a label; nothing to score")
    return pair, candidates


def _scores(reranker: Reranker, proposals: int, candidates: Candidates) -> dict[str, Any]:
    found = judge({proposals: reranker}, candidates)[proposals]

    def values(matrix: ConfusionMatrix) -> dict[str, Any]:
        return {
            "miou": matrix.miou,
            "iou": dict(zip(reranker.classes, matrix.iou.tolist())),
            "pixel_accuracy": matrix.pixel_accuracy,
        }

    return {
        **values(found.reranked),
        "proposals": proposals,
        "frames": len(candidates.features),
        "network": values(found.network),
        "map": values(found.first),
        "oracle": values(found.oracle),
        "seconds_per_frame": float(candidates.search_s.mean()),
    }
