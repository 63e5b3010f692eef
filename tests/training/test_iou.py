"""The recipe with the corpus' intersection over union: cross-entropy first, then union over intersection."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edge_vss.training import TrainConfig, TrainOptions, load_checkpoint, train
from edge_vss.training.batches import Batch
from edge_vss.training.config import LossConfig
from edge_vss.training.losses import corpus_iou, hard_cross_entropy
from edge_vss.training.recipes import LossContext, iou


def parts_at(progress: float) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 8, 8, generator=draw)
    labels = torch.full((2, 16, 16), 1)
    labels[:, :8], labels[:, 12:] = 0, 255
    context = LossContext(
        LossConfig(jaccard=0.0, iou_after=0.4), torch.ones(3), np.random.default_rng(0), progress=progress
    )
    outputs = {"logits": scores, "aux/deep": torch.randn(2, 3, 4, 4, generator=draw)}
    return iou(outputs, Batch(0, torch.zeros(2, 3, 16, 16), labels), context), scores, labels[:, ::2, ::2]


def test_the_recipe_goes_from_cross_entropy_to_union_over_intersection() -> None:
    early, scores, labels = parts_at(0.39)
    assert set(early) == {"ce", "aux/deep"}
    assert early["ce"].item() == pytest.approx(hard_cross_entropy(scores, labels).item(), rel=1e-5)
    late, _, _ = parts_at(0.4)
    assert set(late) == {"iou", "aux/deep"}
    assert late["iou"].item() == pytest.approx(corpus_iou(scores, labels).item(), rel=1e-5)


def test_a_short_run_under_the_recipe_learns(bands: str, tiny: TrainConfig, tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny, loss=LossConfig(jaccard=0.0, iou_after=0.25))
    result = train(TrainOptions(recipe="iou", data=[bands], out=tmp_path, config=config))
    assert result.held_out_miou is not None and result.held_out_miou > 0.4
    assert load_checkpoint(result.checkpoint).info.training["recipe"] == "iou"


def test_a_share_outside_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss.iou_after lies in"):
        TrainConfig(loss=LossConfig(iou_after=1.5))
