"""Warping and temporal consistency against slow loops and cases worked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edge_vss.data.datasets import open_dataset
from edge_vss.data.flow import FLOW_NAME, FlowError, dis_flow, flow_between
from edge_vss.data.video import write_png
from edge_vss.data.warp import agreeing_flows, backward_warp, photometric_mask, photometric_weight
from edge_vss.metrics import TemporalConsistency


def slow_warp(image: np.ndarray, flow: np.ndarray, nearest: bool) -> tuple[np.ndarray, np.ndarray]:
    """One pixel at a time."""
    height, width = image.shape[:2]
    warped, valid = np.zeros(image.shape, np.float64), np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            x, y = column + float(flow[row, column, 0]), row + float(flow[row, column, 1])
            if math.isnan(x) or math.isnan(y):
                continue
            if nearest:
                x, y = math.floor(x + 0.5), math.floor(y + 0.5)
            if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
                continue
            valid[row, column] = True
            for cy in {math.floor(y), math.ceil(y)}:
                for cx in {math.floor(x), math.ceil(x)}:
                    warped[row, column] += (1 - abs(x - cx)) * (1 - abs(y - cy)) * image[cy, cx]
    return warped, valid


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_warp_matches_one_pixel_at_a_time(nearest: bool, channels: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (9, 13, *channels), np.uint8)
    flow = (rng.integers(-32, 33, (9, 13, 2)) / 8).astype(np.float32)
    flow[2, 3, 0] = np.nan
    warped, valid = backward_warp(image, flow, nearest=nearest)
    want, want_valid = slow_warp(image, flow, nearest)
    np.testing.assert_array_equal(valid, want_valid)
    np.testing.assert_allclose(warped, want, rtol=1e-6, atol=1e-4)
    assert warped.dtype == (np.uint8 if nearest else np.float32)
    assert 0 < valid.sum() < valid.size


def test_warp_undoes_a_shift() -> None:
    image = np.arange(20, dtype=np.uint8).reshape(4, 5)
    moved = np.roll(image, (1, 2), axis=(0, 1))  # everything moved 2 right and 1 down
    flow = np.broadcast_to(np.float32([2, 1]), (4, 5, 2))
    warped, valid = backward_warp(moved, flow, nearest=True)
    np.testing.assert_array_equal(warped[:3, :3], image[:3, :3])
    assert valid[:3, :3].all() and valid.sum() == 9


def test_warp_refuses_flow_of_another_size() -> None:
    with pytest.raises(ValueError, match="flow for a 4x5 image"):
        backward_warp(np.zeros((4, 5)), np.zeros((4, 4, 2), np.float32))


def test_photometric_mask_looks_at_the_mean_over_channels() -> None:
    picture = np.zeros((1, 2, 3), np.uint8)
    warped = np.array([[[60, 0, 0], [61, 0, 0]]], np.float32)
    np.testing.assert_array_equal(photometric_mask(picture, warped, 20.0), [[True, False]])


def test_consistency_worked_by_hand() -> None:
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    after = np.array([[0, 0, 0, 1]], np.uint8)  # the edge moved one pixel to the right, as did the scene
    flow = np.broadcast_to(np.float32([1, 0]), (1, 4, 2))
    still = np.zeros((1, 4, 2), np.float32)
    moving, standing = TemporalConsistency(2), TemporalConsistency(2)
    moving.update(labels, after, flow)
    assert moving.value == 1.0  # the last pixel has no counterpart and is left out
    standing.update(labels, after, still)
    assert standing.value == pytest.approx((2 / 3 + 1 / 2) / 2)
    standing.update(labels, labels, still)  # pooled: class 0 hits 4 of 5, class 1 hits 3 of 4
    assert standing.value == pytest.approx((4 / 5 + 3 / 4) / 2)


def test_masked_consistency_leaves_out_what_changed_colour() -> None:
    labels, after = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)
    picture = np.zeros((1, 4, 3), np.uint8)
    revealed = picture.copy()
    revealed[0, 2] = 200  # what differs in label also differs in colour
    still = np.zeros((1, 4, 2), np.float32)
    found = TemporalConsistency(2)
    found.update(labels, after, still, found.pair_mask(picture, revealed, still))
    assert found.masked == 1.0 and found.value < 1.0


def test_consistency_is_nan_before_the_first_pair() -> None:
    assert math.isnan(TemporalConsistency(2).value) and math.isnan(TemporalConsistency(2).masked)


def test_flow_follows_a_moving_picture() -> None:
    pytest.importorskip("cv2", reason="OpenCV comes with the train extra")
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (12, 16)).astype(np.uint8)
    scene = np.kron(coarse, np.ones((10, 10), np.uint8))
    picture, after = scene[10:90, 10:130], scene[8:88, 6:126]  # moved 4 right, 2 down
    flow = dis_flow(np.stack([picture] * 3, axis=2), np.stack([after] * 3, axis=2))
    assert flow.shape == (80, 120, 2) and flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow, axis=(0, 1)), [4, 2], atol=0.5)


def test_flow_of_a_clip_that_knows_none_is_estimated_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV comes with the train extra")
    scene = np.random.default_rng(2).integers(0, 256, (12, 16)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    (tmp_path / "images").mkdir()
    for index, shift in enumerate((0, 6)):
        view = np.stack([scene[10:90, 10 + shift : 130 + shift]] * 3, axis=2)
        write_png(tmp_path / "images" / f"{index}.png", view)
    (clip,) = open_dataset(f"folder:{tmp_path}").clips
    field, name = flow_between(clip, 0, 1)
    assert name == FLOW_NAME
    np.testing.assert_allclose(np.median(field.flow, axis=(0, 1)), [-6, 0], atol=0.5)
    assert not field.visible[:, :4].any()  # has left the picture
    assert field.visible[8:-8, 20:-20].mean() > 0.9


def test_flow_without_opencv_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(FlowError, match="edge-vss\\[train\\]"):
        dis_flow(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))


def test_soft_photometric_weight_falls_with_the_difference() -> None:
    picture = np.zeros((1, 3, 3), np.uint8)
    warped = np.array([[[0, 0, 0], [60, 0, 0], [255, 255, 255]]], np.float32)
    weight = photometric_weight(picture, warped, 20.0)
    np.testing.assert_allclose(weight, [[1, math.exp(-1), math.exp(-255 / 20)]], rtol=1e-5)


def test_flows_agree_where_one_undoes_the_other() -> None:
    flow = np.broadcast_to(np.float32([2, 1]), (6, 8, 2)).copy()
    back = -flow
    back[3, 4] = [9, 9]  # what lies at (row 2, column 2) of the first frame is hidden in the second
    agree = agreeing_flows(flow, back)
    want = np.zeros((6, 8), bool)
    want[:5, :6] = True  # the rest leaves the picture
    want[2, 2] = False
    np.testing.assert_array_equal(agree, want)
