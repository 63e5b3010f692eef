"""Exact flow of the street: labels and pictures warp onto each other, known points go where a pinhole sends them."""

from __future__ import annotations

import numpy as np
import pytest

from edge_vss.data.datasets import open_dataset
from edge_vss.data.flow import DATA_FLOW, flow_between
from edge_vss.data.generate import generate
from edge_vss.data.street import StreetConfig, StreetWorld
from edge_vss.data.street.config import CAR, STREET_THINGS
from edge_vss.data.street.raster import INSTANCE, LABEL, P, U, V
from edge_vss.data.warp import backward_warp
from edge_vss.metrics import boundary_band

MOTIONS = ["stopped", "steady", "turning", "fast", "mixed"]


def make(seed: int = 3, motion: str = "steady", look: str = "simulated", height: int = 120, width: int = 160):
    return StreetWorld(StreetConfig(seed=seed, motion=motion, look=look, height=height, width=width))


def project(world: StreetWorld, index: int, point: np.ndarray) -> tuple[float, float, float]:
    """Column, row and depth of a point in the world, by plain trigonometry: yaw about the vertical, then pitch."""
    pose, config = world.pose(index), world.config
    x, y, z = point[0] - pose.x, point[1] - pose.height_m, point[2] - pose.z
    right = x * np.cos(pose.yaw) - z * np.sin(pose.yaw)
    ahead = x * np.sin(pose.yaw) + z * np.cos(pose.yaw)
    depth = ahead * np.cos(pose.pitch) - y * np.sin(pose.pitch)
    down = -y * np.cos(pose.pitch) - ahead * np.sin(pose.pitch)
    column = right / depth * world._focal + config.width / 2 - 0.5
    row = down / depth * world._focal + config.height * world._horizon - 0.5
    return float(column), float(row), float(depth)


def unproject(world: StreetWorld, index: int, row: int, column: int, depth: float) -> np.ndarray:
    """The point that a pixel shows; the inverse of ``project``."""
    pose, config = world.pose(index), world.config
    right = (column + 0.5 - config.width / 2) / world._focal * depth
    down = (row + 0.5 - config.height * world._horizon) / world._focal * depth
    ahead = depth * np.cos(pose.pitch) - down * np.sin(pose.pitch)
    y = -depth * np.sin(pose.pitch) - down * np.cos(pose.pitch)
    x = right * np.cos(pose.yaw) + ahead * np.sin(pose.yaw)
    z = ahead * np.cos(pose.yaw) - right * np.sin(pose.yaw)
    return np.array([x + pose.x, y + pose.height_m, z + pose.z])


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("step", [1, 4, -1])
def test_labels_warped_by_exact_flow_are_the_labels_where_visible(motion, step):
    agree, inner, visible = [], [], []
    for seed in (0, 1, 2):
        world = make(seed, motion)
        here, there, field = world.render(40), world.render(40 + step), world.flow(40, 40 + step)
        labels, inside = backward_warp(there.labels, field.flow, nearest=True)
        assert not (field.visible & ~inside).any()
        agree.append(float((labels == here.labels)[field.visible].mean()))
        apart = field.visible & ~boundary_band(here.labels, 1)
        inner.append(float((labels == here.labels)[apart].mean()))
        visible.append(float(field.visible.mean()))
    # The rest are borders painted on the ground, half a pixel off; the test of visibility knows no labels.
    assert np.mean(agree) > 0.997 and min(agree) > 0.995
    assert np.mean(inner) > 0.9995
    assert np.mean(visible) > (0.4 if abs(step) > 1 else 0.65)


@pytest.mark.parametrize("motion", ["stopped", "mixed"])
def test_objects_that_move_land_on_themselves(motion):
    kept, seen, moved = 0, 0, []
    for seed in range(6):
        world = make(seed, motion)
        here, there, field = world.render(30), world.render(31), world.flow(30, 31)
        numbers, _ = backward_warp(there.instances, field.flow, nearest=True)
        things = field.visible & (here.instances > 0)
        kept += int((numbers == here.instances)[things].sum())
        seen += int(things.sum())
        moved.append(np.abs(field.flow[here.instances >= 48100]).max(initial=0))
    assert seen > 2000
    assert kept / seen > 0.995
    assert max(moved) > 1


def test_pictures_warped_by_exact_flow_look_alike_and_standing_still_does_not():
    def difference(step_flow: bool) -> float:
        found = []
        for seed in (0, 1, 2):
            world = make(seed, "steady", height=180, width=240)
            here, there, field = world.render(20), world.render(21), world.flow(20, 21)
            flow = field.flow if step_flow else np.zeros_like(field.flow)
            warped, _ = backward_warp(there.rgb, flow)
            found.append(np.abs(warped - here.rgb)[field.visible].mean())
        return float(np.mean(found))

    exact, still = difference(True), difference(False)
    assert exact < 7
    assert exact < 0.6 * still


def test_standing_points_go_where_a_pinhole_sends_them():
    world = make(5, "turning")
    here, field, after = world.render(10), world.flow(10, 14), 14
    standing = np.flatnonzero((here.labels == 3).ravel() | (here.labels == 4).ravel())  # the ground
    rng = np.random.default_rng(0)
    for at in rng.choice(standing, 200):
        row, column = divmod(int(at), 160)
        point = unproject(world, 10, row, column, float(here.depth[row, column]))
        assert point[1] == pytest.approx(0, abs=0.05)
        x, y, depth = project(world, after, point)
        if depth > 0.5:
            assert column + field.flow[row, column, 0] == pytest.approx(x, abs=0.03)
            assert row + field.flow[row, column, 1] == pytest.approx(y, abs=0.03)


def test_points_of_driving_cars_go_where_a_pinhole_sends_them():
    checked = 0
    for seed in range(8):
        world = make(seed, "mixed")
        here, field = world.render(12), world.flow(12, 15)
        before, after = (world._traffic.surfaces(index / world.config.fps) for index in (12, 15))
        for one, other in zip(before, after, strict=True):
            if one[LABEL] != CAR or one[INSTANCE] == 0:
                continue
            middle, moved = (quad[P] + 0.5 * quad[U] + 0.5 * quad[V] for quad in (one, other))
            column, row, depth = project(world, 12, middle)
            if depth < 0.5 or not (1 <= column < 158 and 1 <= row < 118):
                continue
            r, c = round(row), round(column)
            # Near pixels of a slanted face lie elsewhere on it: look only at those that show the middle itself.
            if here.instances[r, c] != one[INSTANCE] or abs(here.depth[r, c] - depth) > 0.02 * depth:
                continue
            x, y, _ = project(world, 15, moved)
            assert np.hypot(*(field.flow[r, c] - (x - column, y - row))) < 0.6
            checked += 1
    assert checked > 15


def test_a_stopped_camera_sees_only_objects_move():
    world = make(1, "stopped", height=240, width=320)
    here, field = world.render(0), world.flow(0, 6)
    moving = here.instances >= 48100
    assert moving.any()
    # The engine shakes the camera a little.
    assert np.abs(field.flow[~moving]).max() < 0.2
    assert np.abs(field.flow[moving]).max() > 2


def test_flow_to_the_frame_itself_is_nothing_and_all_is_visible():
    field = make(2).flow(7, 7)
    assert np.abs(field.flow).max() < 1e-3
    assert field.visible.mean() > 0.999


def test_there_and_back_again():
    world = make(4, "steady")
    out, back = world.flow(20, 21), world.flow(21, 20)
    there, inside = backward_warp(np.nan_to_num(back.flow), out.flow, nearest=True)
    returned = np.abs(out.flow + there).max(axis=2)[out.visible & inside]
    assert np.quantile(returned, 0.95) < 1.0


def test_what_an_object_hides_next_is_not_visible():
    hidden = 0
    for seed in range(6):
        world = make(seed, "mixed")
        here, there, field = world.render(30), world.render(36), world.flow(30, 36)
        labels, inside = backward_warp(there.labels, field.flow, nearest=True)
        ground = (here.labels == 3) & inside & np.isin(labels, list(STREET_THINGS))
        assert not (ground & field.visible)[: 120 // 2].any()
        hidden += int((ground & ~field.visible).sum())
    assert hidden > 100


def test_flow_and_depth_do_not_depend_on_the_look_or_the_order():
    clean, camera = make(6), make(6, look="camera")
    camera.flow(50, 3)
    one, other = clean.flow(8, 9), camera.flow(8, 9)
    assert np.array_equal(one.flow, other.flow, equal_nan=True)
    assert np.array_equal(one.visible, other.visible)
    assert np.array_equal(clean.depth(8), camera.render(8).depth)


def test_rendering_alone_keeps_no_trace():
    world = make(0)
    world.render(0)
    assert world._trace.cache_info().currsize == 0


def test_clips_hand_out_flow_and_depth_for_any_pair():
    (clip,) = open_dataset("street:[seed=3,clips=1,frames=9,size=60x80,look=simulated]").clips
    world = clip.world
    field, name = flow_between(clip, 7, 2)
    assert name == DATA_FLOW
    assert np.array_equal(field.flow, world.flow(7, 2).flow, equal_nan=True)
    assert np.array_equal(clip.depth(4), world.render(4).depth)
    with pytest.raises(IndexError):
        clip.flow(0, 9)


def test_written_flow_reads_back_to_a_64th_of_a_pixel(tmp_path):
    generate(tmp_path / "out", clips=1, frames=3, size=(40, 61), motion="steady", look="simulated", seed=3)
    dataset = open_dataset(f"folder:{tmp_path}/out")
    (clip,) = dataset.clips
    world = StreetWorld(StreetConfig(seed=3, height=40, width=61, motion="steady", look="simulated"))
    assert dataset.things == STREET_THINGS
    for index, other in ((0, 1), (1, 2), (1, 0), (2, 1)):
        stored, exact = clip.flow(index, other), world.flow(index, other)
        known = ~np.isnan(stored.flow)
        assert known.mean() > 0.95
        assert np.abs(stored.flow - exact.flow)[known].max() <= 1 / 128 + 1e-4
        assert np.array_equal(stored.visible, exact.visible)
    assert clip.flow(0, 2) is None and clip.flow(0, 0) is None
    depth, exact_depth = clip.depth(1), world.depth(1)
    assert np.array_equal(np.isinf(depth), exact_depth > 655.345)
    near = ~np.isinf(depth)
    assert np.abs(depth[near] - exact_depth[near]).max() < 0.006


def test_flow_is_left_out_where_it_is_not_wanted(tmp_path):
    generate(tmp_path / "out", clips=1, frames=2, size=(30, 40), flow=False)
    assert {path.name for path in (tmp_path / "out/clip-0000").iterdir() if path.is_dir()} == {
        "images", "labels", "instances", "depth",
    }  # fmt: skip
    (clip,) = open_dataset(f"folder:{tmp_path}/out").clips
    assert clip.flow(0, 1) is None
