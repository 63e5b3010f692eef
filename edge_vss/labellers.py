"""Labellers: who labels frames that nobody has labelled. A new one is a function and a line in ``LABELLERS``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.data.classes import IGNORE, ClassInfo
from edge_vss.data.dataset import Clip, Sample
from edge_vss.data.flow import known_flow
from edge_vss.data.warp import FlowField
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.frame import Frame
from edge_vss.proposals import ScoredFrame, load_reranker
from edge_vss.proposals.candidates import grid_posterior, lifted_scores
from edge_vss.reranking import RerankOptions, ScorerPair, check_pair

__all__ = ["LABELLERS", "LabelOptions", "Labeller", "Seen", "confident", "open_labeller"]

Labels = NDArray[np.uint8]
Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Seen:
    """One frame of a recording."""

    frame: Frame
    index: int
    """Counts from 0 in the recording."""
    clip: Clip | None = None
    """The recording, where it is one of a data set: it may know its flow; its labels are not to be looked at."""


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """How to label. A labeller reads what concerns it."""

    network: str | Path
    """Bundle, checkpoint or ``zoo:NAME``."""
    by: str = "argmax"
    """A name of ``LABELLERS``."""
    min_confidence: float = 0.0
    """Pixels whose label has a smaller posterior are ignored, in [0, 1]."""
    reranker: Path | None = None
    """``rerank``: what ``edge-vss rerank`` wrote."""
    proposals: int | None = None
    """``rerank``: length of the list; None = what the re-ranker was trained with."""
    segnet: str | Path | None = None
    """``rerank``: the second network, where it was trained with one."""
    before: int = 2
    """``flow``: how many earlier frames have a say."""
    coverage: float = 1.0
    """``flow``: share of the pixels of each class in a frame that keep their label, the most probable ones; (0, 1]."""
    threads: int = 0
    """0 = one per core."""

    def __post_init__(self) -> None:
        if self.by not in LABELLERS:
            raise WrongUsage(f"unknown labeller {self.by!r}; known: {', '.join(LABELLERS)}")
        if not 0 <= self.min_confidence <= 1:
            raise WrongUsage(f"the smallest confidence lies in 0..1, got {self.min_confidence:g}")
        if not 0 < self.coverage <= 1:
            raise WrongUsage(f"the coverage is above 0 and at most 1, got {self.coverage:g}")
        if self.coverage < 1 and self.by != "flow":
            raise WrongUsage(f"labelling by {self.by} takes no coverage; say --by flow")

    def as_dict(self) -> dict[str, Any]:
        """What the written data set says of itself."""
        return {
            "by": self.by,
            "network": str(self.network),
            "min_confidence": self.min_confidence,
            "reranker": None if self.reranker is None else str(self.reranker),
            "proposals": self.proposals,
            "segnet": None if self.segnet is None else str(self.segnet),
            **({"before": self.before, "coverage": self.coverage} if self.by == "flow" else {}),
        }


@dataclass(frozen=True)
class Labeller:
    """Labels recordings, one after the other."""

    classes: tuple[ClassInfo, ...]
    label: Callable[[Iterable[Seen]], Iterator[tuple[Seen, Labels]]]
    """The frames of one recording -> each with (H, W) class ids of its size, 255 = ignore; in order, none left out."""


def confident(scored: ScoredFrame, scores: NDArray[np.float32], posterior: Floats, least: float) -> Labels:
    """A label map of the frame's size, ignored where the posterior of its label is below ``least``.

    Args:
        scores: (C, h, w), what the label map grows from.
        posterior: (h, w), of the best class of ``scores`` at every node; grows as they do.
    """
    labels = scored.grown(scores)
    if least > 0:
        short = np.asarray(least - posterior, np.float32)
        labels[scored.grown(np.stack([np.zeros_like(short), short])) == 1] = IGNORE
    return labels


def by_argmax(options: LabelOptions) -> Labeller:
    """The network's own label maps."""
    _without_reranker(options)
    network = ScorerPair(RerankOptions(network=options.network, threads=options.threads))

    def label(frames: Iterable[Seen]) -> Iterator[tuple[Seen, Labels]]:
        network.reset()
        for seen in frames:
            scored = network.score(seen.frame)
            posterior = grid_posterior(scored.scores, *scored.scores.shape[1:]).max(axis=0)
            yield seen, confident(scored, scored.scores, posterior, options.min_confidence)

    return Labeller(network.classes, label)


def by_rerank(options: LabelOptions) -> Labeller:
    """The re-ranked one of several diverse solutions; confidence is the mean posterior of both networks."""
    if options.reranker is None:
        raise WrongUsage("labelling by rerank needs --reranker FILE; make one with: edge-vss rerank")
    reranker = load_reranker(options.reranker)
    chosen = RerankOptions(
        network=options.network,
        segnet=options.segnet,
        proposals=options.proposals or reranker.proposals,
        threads=options.threads,
    )
    check_pair(reranker, options.reranker, chosen)
    pair = ScorerPair(chosen)
    pair.check_reranker(reranker, options.reranker)

    def label(frames: Iterable[Seen]) -> Iterator[tuple[Seen, Labels]]:
        pair.reset()
        for seen in frames:
            scored = pair.score(seen.frame)
            proposals = scored.propose(chosen.proposals, reranker.crf)
            best = proposals.labels[reranker.choose(scored.features(proposals))]
            size = best.shape
            chance = (grid_posterior(scored.scores, *size) + grid_posterior(scored.second, *size)) / 2
            posterior = np.take_along_axis(chance, best[None].astype(np.intp), axis=0)[0]
            yield seen, confident(scored, lifted_scores(scored.scores, best), posterior, options.min_confidence)

    return Labeller(pair.classes, label)


def by_flow(options: LabelOptions) -> Labeller:
    """The network's own label maps, where its posteriors of earlier frames, warped along the flow, agree."""
    _without_reranker(options)
    from edge_vss.training.checkpoint import load_checkpoint
    from edge_vss.training.pseudo_labels import FlowLabels, chances_of, flow_labels

    if Path(options.network).is_dir() or Path(options.network).suffix == ".zip":
        raise BadInput(f"{options.network} is a bundle; labels along the flow take a checkpoint or zoo:NAME")
    chosen = FlowLabels(before=options.before, confidence=options.min_confidence, coverage=options.coverage)
    checkpoint = load_checkpoint(options.network)

    def label(frames: Iterable[Seen]) -> Iterator[tuple[Seen, Labels]]:
        recent = Recent(max(chosen.before, checkpoint.network.turns - 1) + 1)
        chances = chances_of(checkpoint, recent, kept=chosen.before + 1)
        for seen in frames:
            yield seen, flow_labels(recent, recent.add(seen), chances, chosen)

    return Labeller(checkpoint.info.classes, label)


def _without_reranker(options: LabelOptions) -> None:
    if options.reranker is not None or options.proposals is not None or options.segnet is not None:
        raise WrongUsage(f"labelling by {options.by} takes no re-ranker; leave out --by {options.by}")


class Recent:
    """The last frames of a recording as a clip: those before them are forgotten.

    Args:
        count: How many are kept.
    """

    name, fps = "recent", 1.0

    def __init__(self, count: int) -> None:
        self._count, self._length = count, 0
        self._kept: dict[int, Seen] = {}

    def add(self, seen: Seen) -> int:
        """Takes in the next frame; returns its number here, which counts from 0."""
        self._kept[self._length] = seen
        self._kept.pop(self._length - self._count, None)
        self._length += 1
        return self._length - 1

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int, /) -> Sample:
        return Sample(frame=self._kept[index].frame)

    def flow(self, index: int, other: int, /) -> FlowField | None:
        """What the recording knows of it."""
        seen = self._kept[index]
        return known_flow(seen.clip, seen.index, self._kept[other].index) if seen.clip is not None else None

    def depth(self, index: int, /) -> None:
        """Nobody asks for it."""


LABELLERS: dict[str, Callable[[LabelOptions], Labeller]] = {"argmax": by_argmax, "rerank": by_rerank, "flow": by_flow}
"""Name on the command line -> what opens the labeller."""


def open_labeller(options: LabelOptions) -> Labeller:
    """The labeller that the options name.

    Raises:
        BadInput: A network or a re-ranker does not load, or they do not fit together.
        WrongUsage: An option is missing.
    """
    return LABELLERS[options.by](options)
