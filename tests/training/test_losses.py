"""Losses against their formulas written out, and the values they must take at the ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_vss.training.losses import (
    balanced_weights,
    corpus_iou,
    feature_similarity,
    hard_cross_entropy,
    pixel_divergence,
    soft_jaccard,
)

CLASSES = 4


@pytest.fixture
def scores() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 2, (2, CLASSES, 5, 6)).astype(np.float32))


@pytest.fixture
def labels() -> torch.Tensor:
    drawn = torch.from_numpy(np.random.default_rng(1).integers(0, CLASSES - 1, (2, 5, 6)))
    drawn[0, :2] = 255
    return drawn


def certain(labels: torch.Tensor) -> torch.Tensor:
    known = labels.where(labels != 255, 0)
    return 100 * torch.nn.functional.one_hot(known, CLASSES).movedim(-1, 1).float()


def test_cross_entropy_is_the_weighted_mean_over_labelled_pixels(scores: torch.Tensor, labels: torch.Tensor) -> None:
    weights = torch.tensor([0.5, 1.0, 2.0, 4.0])
    total, count = 0.0, 0
    for n, y, x in np.ndindex(2, 5, 6):
        label = int(labels[n, y, x])
        if label != 255:
            chance = torch.softmax(scores[n, :, y, x], 0)[label]
            total -= float(weights[label] * chance.log())
            count += 1
    assert hard_cross_entropy(scores, labels, weights).item() == pytest.approx(total / count, rel=1e-5)


def test_hard_pixels_alone_weigh_more(scores: torch.Tensor, labels: torch.Tensor) -> None:
    plain = torch.nn.functional.cross_entropy(scores, labels, reduction="none", ignore_index=255)
    hardest = plain.flatten().sort(descending=True).values[: int(0.25 * int((labels != 255).sum()))]
    assert hard_cross_entropy(scores, labels, share=0.25).item() == pytest.approx(hardest.mean().item(), rel=1e-5)


def test_soft_jaccard_is_one_minus_the_mean_ratio_of_soft_sums(scores: torch.Tensor, labels: torch.Tensor) -> None:
    chance = torch.softmax(scores, 1)
    ratios = []
    for label in range(CLASSES):
        p, y = chance[:, label][labels != 255], (labels[labels != 255] == label).float()
        if y.sum():
            ratios.append(float((p * y).sum() / (p + y - p * y).sum()))
    assert soft_jaccard(scores, labels).item() == pytest.approx(1 - sum(ratios) / len(ratios), rel=1e-5)


def test_corpus_iou_is_the_mean_ratio_of_the_soft_sums_of_classes_present(
    scores: torch.Tensor, labels: torch.Tensor
) -> None:
    chance = torch.softmax(scores, 1)
    ratios = []
    for label in range(CLASSES):
        p, y = chance[:, label][labels != 255], (labels[labels != 255] == label).float()
        if y.sum():
            ratios.append(float((p + y - p * y).sum() / (p * y).sum()))
    assert len(ratios) == CLASSES - 1
    assert corpus_iou(scores, labels).item() == pytest.approx(sum(ratios) / len(ratios), rel=1e-5)


def gradient_by_hand(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(pixels, C) of ``corpus_iou``, derived on paper: dL/dp, then through the softmax."""
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    known = labels != 255
    classes = np.unique(labels[known])
    slope = np.zeros_like(p)
    for label in classes:
        own = labels == label
        inside = p[own, label].sum()
        union = p[known, label].sum() + own.sum() - inside
        slope[own, label] = -union / inside**2
        slope[known & ~own, label] = 1 / inside
    slope /= len(classes)
    return p * (slope - (p * slope).sum(1, keepdims=True))


def test_the_gradient_of_corpus_iou_is_the_closed_form_and_that_of_finite_differences(
    scores: torch.Tensor, labels: torch.Tensor
) -> None:
    exact = scores.double().requires_grad_()
    corpus_iou(exact, labels).backward()  # type: ignore[no-untyped-call]
    assert exact.grad is not None
    rows = exact.detach().movedim(1, -1).reshape(-1, CLASSES).numpy()
    want = gradient_by_hand(rows, labels.flatten().numpy())
    np.testing.assert_allclose(exact.grad.movedim(1, -1).reshape(-1, CLASSES).numpy(), want, rtol=1e-9, atol=1e-12)
    for n, c, y, x in [(0, 0, 3, 2), (1, 2, 0, 5), (1, 3, 4, 4), (0, 1, 1, 1)]:
        step = torch.zeros_like(exact)
        step[n, c, y, x] = 1e-5
        with torch.no_grad():
            slope = (corpus_iou(exact + step, labels) - corpus_iou(exact - step, labels)) / 2e-5
        assert slope.item() == pytest.approx(exact.grad[n, c, y, x].item(), rel=1e-5, abs=1e-9)


def test_a_class_that_is_nearly_lost_pulls_harder_under_corpus_iou_than_under_its_bounded_form() -> None:
    labels = torch.zeros(1, 10, 10, dtype=torch.int64)
    labels[0, 0, :2] = 1  # a rare class that the network misses
    scores = torch.zeros(1, 2, 10, 10)
    scores[:, 0] = 4.0
    pulls = []
    for loss in (corpus_iou, soft_jaccard):
        leaf = scores.clone().requires_grad_()
        loss(leaf, labels).backward()
        assert leaf.grad is not None
        assert (leaf.grad[0, 1, 0, :2] < 0).all()
        pulls.append(-leaf.grad[0, 1, 0, :2].sum().item())
    assert pulls[0] > 100 * pulls[1]


def test_the_sum_over_two_batches_is_not_that_over_the_corpus(scores: torch.Tensor, labels: torch.Tensor) -> None:
    apart = (corpus_iou(scores[:1], labels[:1]) + corpus_iou(scores[1:], labels[1:])) / 2
    assert corpus_iou(scores, labels).item() != pytest.approx(apart.item(), rel=1e-3)


def test_a_perfect_prediction_costs_nothing(labels: torch.Tensor) -> None:
    assert hard_cross_entropy(certain(labels), labels).item() == pytest.approx(0, abs=1e-6)
    assert soft_jaccard(certain(labels), labels).item() == pytest.approx(0, abs=1e-6)
    assert corpus_iou(certain(labels), labels).item() == pytest.approx(1, abs=1e-5)


def test_nothing_labelled_costs_nothing(scores: torch.Tensor) -> None:
    empty = torch.full((2, 5, 6), 255)
    for loss in (hard_cross_entropy(scores, empty), hard_cross_entropy(scores, empty, share=0.3)):
        assert loss.item() == 0
    assert soft_jaccard(scores, empty).item() == corpus_iou(scores, empty).item() == 0


def test_losses_have_finite_gradients(scores: torch.Tensor, labels: torch.Tensor) -> None:
    scores.requires_grad_()
    (hard_cross_entropy(scores, labels, share=0.5) + soft_jaccard(scores, labels)).backward()
    (corpus_iou(scores, labels) + corpus_iou(-certain(labels) + 0 * scores, labels)).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad.abs().sum() > 0


def test_divergence_is_nothing_between_equals_and_the_kl_sum_otherwise(scores: torch.Tensor) -> None:
    other = scores.flip(1)
    assert pixel_divergence(scores, scores, 2.0).item() == pytest.approx(0, abs=1e-6)
    p, q = torch.softmax(other / 2, 1), torch.softmax(scores / 2, 1)
    want = 4 * (p * (p / q).log()).sum(1).mean()
    assert pixel_divergence(scores, other, 2.0).item() == pytest.approx(want.item(), rel=1e-4)


def test_a_teacher_of_another_resolution_is_brought_to_the_students(scores: torch.Tensor) -> None:
    coarse = torch.nn.functional.avg_pool2d(scores, (5, 3))
    assert pixel_divergence(scores, coarse).isfinite()


def test_similarity_compares_networks_of_different_width() -> None:
    features = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1))).Q[:, :8]
    turned = torch.einsum("kc,nchw->nkhw", rotation, features)
    assert feature_similarity(features, turned).item() == pytest.approx(0, abs=1e-6)
    assert feature_similarity(features, features.flip(2)).item() > 1e-3


def test_balanced_weights_leave_the_mean_pixel_alone() -> None:
    counts = torch.tensor([900, 90, 10, 0])
    weights = balanced_weights(counts, 0.5)
    assert (weights * counts / 1000).sum().item() == pytest.approx(1, rel=1e-2)
    assert weights[0] < weights[1] < weights[2] < weights[3]
    assert torch.allclose(balanced_weights(counts, 0.0), torch.ones(4), atol=1e-3)
