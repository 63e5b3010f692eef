"""Views of clips and clicks: flow and clicks move with the pictures, and clicks are left where an annotator would."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.data.street import StreetConfig, StreetWorld
from edge_vss.data.warp import backward_warp
from edge_vss.training import AugmentConfig
from edge_vss.training.augment import View
from edge_vss.training.clicks import SMALLEST_PX, click_labels

GEOMETRY = AugmentConfig(
    scale=(0.7, 1.6), rotate_deg=8, brightness=0, contrast=0, gamma=0, hue_deg=0, saturation=0, tint=0, blur=0, noise=0
)


@pytest.fixture(scope="module")
def world() -> StreetWorld:
    return StreetWorld(StreetConfig(seed=3, motion="steady", look="simulated", height=96, width=128))


@pytest.mark.parametrize("seed", range(6))
def test_flow_of_a_view_leads_to_the_same_points_of_the_other_view(world: StreetWorld, seed: int) -> None:
    """Pictures that hold their own coordinates say which point of the frame a pixel of the view shows."""
    field = world.flow(40, 38)
    view = View((96, 128), GEOMETRY, 80, 112, np.random.default_rng(seed))
    rows, columns = np.mgrid[:96, :128].astype(np.float32)
    shown = cv2.warpAffine(
        np.dstack([columns, rows]), view.matrix, (112, 80), flags=cv2.INTER_LINEAR, borderValue=(np.nan, np.nan)
    )
    flow, visible = view.moved(np.nan_to_num(field.flow), field.visible)
    there, inside = backward_warp(shown, flow)
    known = visible & inside & np.isfinite(shown).all(axis=2) & np.isfinite(there).all(axis=2)
    assert known.mean() > 0.15
    at = np.rint(np.nan_to_num(shown)).astype(int)
    moved = there - shown
    gap = np.abs(moved - field.flow[at[..., 1], at[..., 0]]).max(axis=2)[known]
    assert np.quantile(gap, 0.95) < 0.15
    assert np.median(np.abs(moved[known])) > 0.3


def test_labels_of_an_older_view_warped_along_its_flow_are_those_of_the_view(world: StreetWorld) -> None:
    now, older, field = world.render(40), world.render(38), world.flow(40, 38)
    right = still = total = 0
    for seed in range(8):
        view = View((96, 128), GEOMETRY, 80, 112, np.random.default_rng(seed))
        _, labels = view.seen(now.rgb, now.labels)
        _, before = view.seen(older.rgb, older.labels)
        flow, visible = view.moved(np.nan_to_num(field.flow), field.visible)
        warped, inside = backward_warp(before, flow, nearest=True)
        known = visible & inside & (labels != 255) & (warped != 255)
        right, total = right + int((warped == labels)[known].sum()), total + int(known.sum())
        still += int((before == labels)[known].sum())
    assert total > 8 * 80 * 112 * 0.2
    assert right / total > 0.98
    assert right > still


def test_frames_of_a_clip_are_seen_through_one_camera(world: StreetWorld) -> None:
    rgb = world.render(5).rgb
    view = View((96, 128), AugmentConfig(blur=1, noise=1), 64, 64, np.random.default_rng(1))
    assert np.array_equal(view.seen(rgb, np.zeros((96, 128), np.uint8))[0], view.rgb(rgb))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(30, 90), st.integers(30, 90)),
    size=st.tuples(st.integers(20, 90), st.integers(20, 90)),
)
def test_every_click_stays_one_pixel_of_its_class_where_its_object_came_to_lie(
    seed: int, shape: tuple[int, int], size: tuple[int, int]
) -> None:
    """Each click is the middle of a square; viewed as a picture, the square says where the click belongs."""
    rng = np.random.default_rng(seed)
    clicks = np.full(shape, 255, np.uint8)
    clicks[4::10, 4::10] = rng.integers(0, 5, clicks[4::10, 4::10].shape)
    squares = np.full(shape, 255, np.uint8)
    for row, column in np.argwhere(clicks != 255):
        squares[row - 2 : row + 3, column - 2 : column + 3] = clicks[row, column]
    rgb = np.zeros((*shape, 3), np.uint8)
    config = AugmentConfig(scale=(0.9, 2.0))
    view = View(shape, config, *size, np.random.default_rng(seed))
    _, points = view.seen(rgb, clicks, points=True)
    _, dense = view.seen(rgb, squares)
    marked = points != 255
    assert np.array_equal(points[marked], dense[marked])
    count, regions = cv2.connectedComponents((dense != 255).astype(np.uint8), connectivity=8)
    border = set(np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])))
    for region in set(range(1, count)) - border:
        assert np.count_nonzero(marked & (regions == region)) == 1


def test_a_click_under_the_cut_out_box_is_not_learnt() -> None:
    clicks = np.zeros((40, 40), np.uint8)
    plain = AugmentConfig(scale=(1, 1), stretch=0, rotate_deg=0, flip=False, cutout=1.0)
    _, points = View((40, 40), plain, 40, 40, np.random.default_rng(0)).seen(
        np.zeros((40, 40, 3), np.uint8), clicks, True
    )
    assert 0 < np.count_nonzero(points == 255) <= 100


def flooded(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Regions of touching pixels, corners included, pixel by pixel."""
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        edge = [left.pop()]
        region = set(edge)
        while edge:
            row, column = edge.pop()
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            region |= near
            edge += near
        regions.append(region)
    return regions


@pytest.mark.parametrize("index", [3, 40, 77])
def test_one_click_per_instance_and_region_of_16_pixels_or_more_and_none_elsewhere(
    world: StreetWorld, index: int
) -> None:
    made = world.render(index)
    clicked = click_labels(made.labels, made.instances, (0, index))
    clicks = {(int(row), int(column)) for row, column in np.argwhere(clicked != 255)}
    wanted = 0
    for label in range(11):
        for number in np.unique(made.instances[made.labels == label]):
            part = (made.labels == label) & (made.instances == number)
            whole = {(int(row), int(column)) for row, column in np.argwhere(part)}
            for region in [whole] if number else flooded(part):
                inside = clicks & region
                assert len(inside) == (len(region) >= SMALLEST_PX)
                assert all(clicked[place] == label for place in inside)
                wanted += len(inside)
    assert len(clicks) == wanted > 8


def test_clicks_depend_on_their_seed_alone(world: StreetWorld) -> None:
    made = world.render(40)
    first, again, other = (click_labels(made.labels, made.instances, (seed, 1)) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_label_maps_that_hold_clicks_stay_as_they_are(world: StreetWorld) -> None:
    made = world.render(40)
    clicks = click_labels(made.labels, made.instances, (0,))
    assert np.array_equal(click_labels(clicks, None, (1,)), clicks)
    assert np.array_equal(click_labels(clicks, made.instances, (1,)), clicks)


def test_a_click_lies_well_inside_and_what_is_not_labelled_gets_none() -> None:
    rows, columns = np.mgrid[:61, :61]
    far = np.hypot(rows - 30, columns - 30)
    labels = np.where(far < 20, 7, 255).astype(np.uint8)
    for seed in range(50):
        ((row, column),) = np.argwhere(click_labels(labels, None, (seed,)) != 255)
        assert far[row, column] <= 11
    assert (click_labels(np.full((30, 30), 255, np.uint8), None, (0,)) == 255).all()
