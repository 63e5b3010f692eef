"""The re-ranker: a linear score of each proposal's features, learnt on labelled frames, kept as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_vss.errors import BadInput
from edge_vss.places import write_file
from edge_vss.proposals.corpus import chosen_matrix, corpus_losses
from edge_vss.proposals.features import feature_names
from edge_vss.proposals.grid import CrfConfig
from edge_vss.proposals.margin import fit_margin

__all__ = ["REGS", "Reranker", "fit_reranker", "load_reranker"]

VERSION = 1
MAX_BYTES = 8 << 20
REGS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
"""Strengths of the regulariser that cross-validation tries."""
FOLDS = 5

Floats = NDArray[np.float64]


class Reranker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What picks one of a frame's proposals."""

    classes: tuple[str, ...]
    """Names, in the order of the scores."""
    features: tuple[str, ...]
    """As ``feature_names`` gives them."""
    scales: tuple[float, ...]
    """What a feature's difference from that of the first proposal is divided by, > 0."""
    weights: tuple[float, ...]
    """Of the scaled differences."""
    crf: CrfConfig
    """How the proposals were made."""
    proposals: int
    """M that it was trained with."""
    reg: float | None
    """Strength of the regulariser; None = no weights did better than the most probable solutions, and all are 0."""
    training: dict[str, Any] = {}
    """Provenance: networks, data, results."""
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"version {self.version} of the re-ranker format is unknown, this is {VERSION}")
        if self.features != feature_names(self.classes):
            raise ValueError("the features are not those of this version and these classes; train it again")
        if not len(self.features) == len(self.scales) == len(self.weights):
            raise ValueError(f"{len(self.features)} features, {len(self.scales)} scales, {len(self.weights)} weights")
        if min(self.scales) <= 0 or not np.isfinite([*self.scales, *self.weights]).all():
            raise ValueError("scales are positive, scales and weights finite numbers")

    def choose(self, features: Floats) -> int:
        """The place of the best proposal, the first of equals.

        Args:
            features: (M, F) of one frame, any M.
        """
        return int(((features - features[0]) / self.scales @ np.array(self.weights)).argmax())

    def save(self, path: Path) -> None:
        """Write it whole; BadInput where it cannot be written."""
        write_file(path, msgspec.json.format(msgspec.json.encode(self)) + b"\n")


def load_reranker(path: Path) -> Reranker:
    """Read a file of ``Reranker.save``.

    Raises:
        BadInput: It is missing, damaged, or of another version.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadInput(f"{path}: is too large for a re-ranker")
        return msgspec.json.decode(content, type=Reranker)
    except FileNotFoundError:
        raise BadInput(
            f"{path}: no such re-ranker; make one with: edge-vss rerank BUNDLE --data DATA -o {path}"
        ) from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is no re-ranker: {error}") from None


def fit_reranker(
    features: Floats,
    counts: NDArray[np.int64],
    classes: Sequence[str],
    crf: CrfConfig,
    *,
    regs: Sequence[float] = REGS,
    training: dict[str, Any] | None = None,
) -> Reranker:
    """Learn to pick what serves the corpus' mIoU.

    The regulariser is the one whose picks score best on parts of the data that were left out: ``FOLDS`` runs of frames
    in their order, as neighbours in a clip look alike. Of equals the strongest is taken. Where none beats the most
    probable solutions, those are kept.

    Args:
        features: (N, M, F), N >= 2 frames.
        counts: (N, M, C, C) confusion matrix of each proposal.
        regs: To choose from; one alone is taken as it is.
    """
    if len(features) < 2:
        raise ValueError(f"a re-ranker is trained on 2 frames or more, got {len(features)}")
    scaled, scales = _scaled(features)
    losses = _in_units(corpus_losses(counts))
    reg = regs[0] if len(regs) == 1 else _best_reg(scaled, losses, counts, regs)
    weights = np.zeros(len(scales)) if reg is None else fit_margin(scaled, losses, reg)
    return Reranker(
        classes=tuple(classes),
        features=feature_names(classes),
        scales=tuple(scales.tolist()),
        weights=tuple(weights.tolist()),
        crf=crf,
        proposals=features.shape[1],
        reg=reg,
        training=training or {},
    )


def _scaled(features: Floats) -> tuple[Floats, Floats]:
    """Differences from the first proposal over their root mean square, and that."""
    differences = features - features[:, :1]
    scales = np.sqrt((differences**2).mean(axis=(0, 1)))
    scales[scales < 1e-9] = 1.0
    return differences / scales, scales


def _in_units(losses: Floats) -> Floats:
    """Losses of which a frame's largest is 1 on average, so that the same regulariser suits any corpus."""
    largest = losses.max(axis=1).mean()
    return losses / largest if largest > 0 else losses


def _best_reg(features: Floats, losses: Floats, counts: NDArray[np.int64], regs: Sequence[float]) -> float | None:
    """By mIoU of the picks on each part of the frames, with weights learnt on the others."""
    frames = np.arange(len(features))
    parts = np.array_split(frames, min(FOLDS, len(frames)))

    def left_out(reg: float) -> float:
        choice = np.zeros(len(frames), np.intp)
        for part in parts:
            rest = np.setdiff1d(frames, part)
            choice[part] = (features[part] @ fit_margin(features[rest], losses[rest], reg, gap=1e-2)).argmax(axis=1)
        return chosen_matrix(counts, choice).miou

    best, reg = max((left_out(reg), reg) for reg in regs)
    return reg if best > chosen_matrix(counts, np.zeros(len(frames), np.intp)).miou else None
