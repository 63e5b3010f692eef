"""The generated street: exact, repeatable, varied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.data.street import STREET_CLASSES, StreetConfig, StreetFrame, StreetWorld

SMALL = {"height": 90, "width": 120}
THINGS = [i for i, info in enumerate(STREET_CLASSES) if info.name in ("Car", "Pedestrian", "Bicyclist")]


def equal(one: StreetFrame, other: StreetFrame) -> bool:
    arrays = (
        (one.rgb, other.rgb),
        (one.labels, other.labels),
        (one.instances, other.instances),
        (one.depth, other.depth),
    )
    return all(np.array_equal(a, b) for a, b in arrays) and one.pts_us == other.pts_us


@pytest.mark.parametrize("look", ["simulated", "camera"])
def test_equal_configs_give_equal_frames(look):
    config = StreetConfig(seed=3, look=look, **SMALL)
    assert equal(StreetWorld(config).render(17), StreetWorld(config).render(17))


def test_a_frame_does_not_depend_on_what_was_rendered_before():
    config = StreetConfig(seed=4, motion="fast", **SMALL)
    straight, jumping = StreetWorld(config), StreetWorld(config)
    in_order = {i: straight.render(i) for i in range(0, 120, 30)}
    for i in (90, 0, 60, 30, 400, 90):
        frame = jumping.render(i)
        assert i not in in_order or equal(frame, in_order[i])


def test_rendering_does_not_touch_frames_handed_out_earlier():
    world = StreetWorld(StreetConfig(seed=5, **SMALL))
    first = world.render(0)
    kept = first.labels.copy(), first.rgb.copy(), first.depth.copy()
    world.render(1)
    assert np.array_equal(first.labels, kept[0])
    assert np.array_equal(first.rgb, kept[1])
    assert np.array_equal(first.depth, kept[2])


@pytest.mark.parametrize("motion", ["steady", "turning"])
def test_both_looks_share_labels_instances_and_depth(motion):
    clean = StreetWorld(StreetConfig(seed=6, look="simulated", motion=motion, **SMALL)).render(40)
    camera = StreetWorld(StreetConfig(seed=6, look="camera", motion=motion, **SMALL)).render(40)
    assert np.array_equal(clean.labels, camera.labels)
    assert np.array_equal(clean.instances, camera.instances)
    assert np.array_equal(clean.depth, camera.depth)
    assert not np.array_equal(clean.rgb, camera.rgb)


@settings(max_examples=12, deadline=None)
@given(height=st.integers(8, 97), width=st.integers(8, 131), seed=st.integers(0, 2**31), index=st.integers(0, 5000))
def test_any_size_and_moment_gives_whole_arrays(height, width, seed, index):
    frame = StreetWorld(StreetConfig(seed=seed, height=height, width=width)).render(index)
    assert frame.rgb.shape == (height, width, 3)
    assert frame.labels.shape == frame.instances.shape == frame.depth.shape == (height, width)
    assert (frame.rgb.dtype, frame.labels.dtype, frame.instances.dtype, frame.depth.dtype) == (
        np.uint8,
        np.uint8,
        np.uint16,
        np.float32,
    )
    assert frame.labels.max() < len(STREET_CLASSES)
    assert frame.depth.min() > 0


def test_every_class_appears_within_a_few_clips():
    seen = np.zeros(len(STREET_CLASSES), np.int64)
    for seed in range(16):
        frame = StreetWorld(StreetConfig(seed=seed, height=180, width=240)).render(seed * 7)
        seen += np.bincount(frame.labels.ravel(), minlength=len(STREET_CLASSES))
    assert (seen > 100).all(), dict(zip((info.name for info in STREET_CLASSES), seen.tolist(), strict=True))


def test_only_things_have_instances_and_each_is_of_one_class():
    for seed in range(6):
        frame = StreetWorld(StreetConfig(seed=seed, **SMALL)).render(10)
        assert np.array_equal(frame.instances > 0, np.isin(frame.labels, THINGS))
        for instance in np.unique(frame.instances[frame.instances > 0]):
            assert len(np.unique(frame.labels[frame.instances == instance])) == 1


def test_instances_keep_their_number_from_frame_to_frame():
    world = StreetWorld(StreetConfig(seed=2, motion="steady", height=180, width=240))
    before, after = world.render(30), world.render(31)
    large, area = np.unique(before.instances[before.instances > 0], return_counts=True)
    assert set(large[area > 150].tolist()) <= set(np.unique(after.instances).tolist())


def test_the_sky_and_nothing_else_is_infinitely_far():
    frame = StreetWorld(StreetConfig(seed=8, **SMALL)).render(5)
    assert np.array_equal(np.isinf(frame.depth), frame.labels == 0)


def test_the_road_ahead_recedes_towards_the_horizon():
    frame = StreetWorld(StreetConfig(seed=11, look="simulated", motion="steady", height=180, width=240)).render(0)
    for column in (90, 120):
        road = np.flatnonzero(frame.labels[:, column] == 3)
        assert road.size > 10
        assert (np.diff(frame.depth[road, column]) < 0).all()


def test_neighbouring_frames_agree_more_the_slower_the_camera():
    def change(motion: str) -> float:
        rates = []
        for seed in range(5):
            world = StreetWorld(StreetConfig(seed=seed, motion=motion, look="simulated", **SMALL))
            rates.append(np.mean(world.render(30).labels != world.render(33).labels))
        return float(np.mean(rates))

    stopped, steady, fast = change("stopped"), change("steady"), change("fast")
    assert stopped < 0.6 * steady < 0.9 * fast


def test_turning_swings_the_camera_more_than_driving_steadily():
    def swing(motion: str) -> float:
        spans = []
        for seed in range(5):
            world = StreetWorld(StreetConfig(seed=seed, motion=motion))
            yaw = [world.pose(i).yaw for i in range(0, 300, 10)]
            spans.append(max(yaw) - min(yaw))
        return float(np.mean(spans))

    assert swing("turning") > 2 * swing("steady")


def test_the_mixed_regime_stops_and_drives():
    world = StreetWorld(StreetConfig(seed=1, motion="mixed"))
    speeds = [world.pose(i).speed_m_s for i in range(400)]
    assert min(speeds) < 0.3
    assert max(speeds) > 5


def test_a_higher_frame_rate_samples_the_same_motion():
    slow = StreetWorld(StreetConfig(seed=9, fps=10, look="simulated", **SMALL)).render(6)
    quick = StreetWorld(StreetConfig(seed=9, fps=30, look="simulated", **SMALL)).render(18)
    assert np.array_equal(slow.labels, quick.labels)
    assert slow.pts_us == quick.pts_us


def test_clips_differ_from_each_other():
    frames = [StreetWorld(StreetConfig(seed=seed, **SMALL)).render(0) for seed in range(8)]
    for i, one in enumerate(frames):
        for other in frames[:i]:
            assert np.mean(one.labels != other.labels) > 0.05


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"height": 4}, {"width": 100000}, {"fps": 0}, {"look": "oil"}, {"motion": "sideways"}]
)
def test_a_config_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreetConfig(**wrong)
