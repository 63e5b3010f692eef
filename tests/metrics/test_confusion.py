"""The confusion matrix against a slow loop and cases worked by hand."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_vss.metrics import ConfusionMatrix


def slow_iou(truth: np.ndarray, prediction: np.ndarray, classes: int) -> list[float]:
    """Sets of pixels, one class at a time."""
    counted = [i for i, label in enumerate(truth.ravel()) if label != 255]
    found = []
    for c in range(classes):
        there = {i for i in counted if truth.ravel()[i] == c}
        said = {i for i in counted if prediction.ravel()[i] == c}
        union = there | said
        found.append(len(there & said) / len(union) if union else math.nan)
    return found


labels = st.sampled_from([0, 1, 2, 3, 255])
maps = arrays.arrays(np.uint8, (5, 7), elements=labels)


@given(truth=maps, prediction=arrays.arrays(np.uint8, (5, 7), elements=st.integers(0, 3)))
def test_iou_matches_sets_of_pixels(truth: np.ndarray, prediction: np.ndarray) -> None:
    matrix = ConfusionMatrix(4)
    matrix.update(truth, prediction)
    want = slow_iou(truth, prediction, 4)
    np.testing.assert_allclose(matrix.iou, want, equal_nan=True)
    present = [value for value in want if not math.isnan(value)]
    if present:
        assert matrix.miou == pytest.approx(sum(present) / len(present))
        right = np.mean((truth == prediction)[truth != 255])
        assert matrix.pixel_accuracy == pytest.approx(float(right))
    else:
        assert math.isnan(matrix.miou) and math.isnan(matrix.pixel_accuracy)


def test_a_case_worked_by_hand() -> None:
    truth = np.array([[0, 0, 1], [1, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    matrix = ConfusionMatrix(3)
    matrix.update(truth, prediction)
    # class 0: hit 1, union {(0,0), (0,1), (1,1)} = 3; class 1: hits 2, union 4; class 2 does not occur
    np.testing.assert_allclose(matrix.iou, [1 / 3, 2 / 4, math.nan], equal_nan=True)
    assert matrix.miou == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert matrix.pixel_accuracy == 3 / 5


def test_a_class_that_is_only_predicted_scores_zero() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8))
    np.testing.assert_allclose(matrix.iou, [3 / 4, 0])


def test_maps_pool_into_one_matrix_rather_than_a_mean_of_frames() -> None:
    matrix, other = ConfusionMatrix(2), ConfusionMatrix(2)
    first = np.zeros((10, 10), np.uint8)
    second = np.ones((1, 2), np.uint8)
    matrix.update(first, first)
    other.update(second, 1 - second)
    matrix.merge(other)
    np.testing.assert_allclose(matrix.iou, [100 / 102, 0])


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "differ in size"),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8), "uint8"),
        (np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8), "true label 7 on 4 pixels"),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8), "predicted label 3 on 4 pixels"),
    ],
)
def test_odd_label_maps_are_refused(truth: np.ndarray, prediction: np.ndarray, message: str) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(truth, prediction)
    assert not matrix.counts.any()


def test_thirty_large_frames_fit_into_a_second() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 19, (2, 1024, 2048), np.uint8)
    matrix, times = ConfusionMatrix(19), []
    for _ in range(5):
        start = time.perf_counter()
        matrix.update(truth, prediction)
        times.append(time.perf_counter() - start)
    assert min(times) < 1 / 30
