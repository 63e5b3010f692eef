"""The band along borders against a search around every pixel, and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge_vss.metrics import BoundaryMatrix, ConfusionMatrix, boundary_band


def slow_band(labels: np.ndarray, width_px: int) -> np.ndarray:
    """Look at every pixel around every pixel."""
    height, width = labels.shape
    band = np.zeros(labels.shape, bool)
    for row in range(height):
        for column in range(width):
            for other_row in range(max(0, row - width_px), min(height, row + width_px + 1)):
                for other_column in range(max(0, column - width_px), min(width, column + width_px + 1)):
                    band[row, column] |= labels[other_row, other_column] != labels[row, column]
    return band


@settings(deadline=None)
@given(
    labels=arrays.arrays(np.uint8, (7, 9), elements=st.sampled_from([0, 0, 0, 0, 0, 1, 255])),
    width_px=st.integers(1, 10),
)
def test_the_band_matches_a_search_around_every_pixel(labels: np.ndarray, width_px: int) -> None:
    np.testing.assert_array_equal(boundary_band(labels, width_px), slow_band(labels, width_px))


def test_the_band_is_as_wide_as_asked_on_both_sides() -> None:
    labels = np.zeros((4, 10), np.uint8)
    labels[:, 5:] = 1
    for width_px in (1, 2, 3):
        band = boundary_band(labels, width_px)
        assert np.flatnonzero(band[0]).tolist() == list(range(5 - width_px, 5 + width_px))
        assert (band == band[0]).all()


def test_boundary_iou_worked_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    prediction = np.array([[1, 0, 0, 1, 1, 1, 1, 0]], np.uint8)
    matrix = BoundaryMatrix(2, width_px=2)
    matrix.update(truth, prediction)
    # In the band lie columns 2-5: class 0 hits 1 of {2, 3}, class 1 hits 2 of {3, 4, 5}; the ends do not count.
    assert matrix.iou.tolist() == [1 / 2, 2 / 3]
    assert matrix.counts.sum() == 4


def test_errors_along_borders_weigh_more_than_in_the_whole_picture() -> None:
    truth = np.zeros((60, 80), np.uint8)
    truth[20:40, 30:50] = 1
    shifted = np.roll(truth, 2, axis=1)
    whole, band = ConfusionMatrix(2), BoundaryMatrix(2, width_px=3)
    whole.update(truth, shifted)
    band.update(truth, shifted)
    assert band.miou < whole.miou - 0.1
    same = BoundaryMatrix(2)
    same.update(truth, truth)
    assert same.miou == 1.0


def test_ignored_pixels_are_left_out_and_a_band_without_width_is_refused() -> None:
    truth = np.array([[0, 255, 1]], np.uint8)
    matrix = BoundaryMatrix(2, width_px=1)
    matrix.update(truth, np.array([[0, 1, 1]], np.uint8))
    assert matrix.counts.sum() == 2 and matrix.miou == 1.0
    with pytest.raises(ValueError, match="width_px"):
        BoundaryMatrix(2, width_px=0)
