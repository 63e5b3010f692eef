"""Upsampling with argmax, overlay and change of label maps against plain references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.runtime._native import pixels

ISAS = pixels.supported_isas()
sizes = st.one_of(st.integers(1, 5), st.integers(1, 40))


def axis_map(out_size: int, grid_size: int, corners: str = "half_pixel") -> tuple[float, float]:
    if corners == "align_corners":
        return ((grid_size - 1) / (out_size - 1) if out_size > 1 else 0.0), 0.0
    return grid_size / out_size, 0.5 * grid_size / out_size - 0.5


def numpy_scores(scores: np.ndarray, y_map, x_map, out: tuple[int, int]) -> np.ndarray:
    """Bilinear scores (C, H, W) in float64."""

    def axis(mapping, count, size):
        at = np.clip(np.arange(count) * mapping[0] + mapping[1], 0, size - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, size - 1), at - low

    y0, y1, wy = axis(y_map, out[0], scores.shape[1])
    x0, x1, wx = axis(x_map, out[1], scores.shape[2])
    scores = scores.astype(np.float64)
    rows = scores[:, y0] * (1 - wy)[:, None] + scores[:, y1] * wy[:, None]
    return rows[:, :, x0] * (1 - wx) + rows[:, :, x1] * wx


def blocky_scores(rng: np.random.Generator, channels: int, height: int, width: int, block: int) -> np.ndarray:
    """Scores that mostly agree with their neighbours, as a network's do."""
    labels = rng.integers(0, channels, (height // block + 1, width // block + 1)).repeat(block, 0).repeat(block, 1)
    hot = (labels[None, :height, :width] == np.arange(channels)[:, None, None]) * 4.0
    return (hot + rng.normal(0, 0.5, hot.shape)).astype(np.float32)


@st.composite
def problems(draw):
    channels, grid = draw(st.one_of(st.integers(1, 4), st.integers(1, 30))), (draw(sizes), draw(sizes))
    out = (draw(st.integers(1, 70)), draw(st.integers(1, 90)))
    type_ = draw(st.sampled_from(["float32", "uint8", "int8"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    style = draw(st.sampled_from(["random", "blocky", "ties"]))
    if type_ != "float32":
        info = np.iinfo(type_)
        scores = rng.integers(info.min, info.max + 1, (channels, *grid)).astype(type_)
        if style != "random":
            scores = (scores // 64).astype(type_)
    elif style == "blocky":
        scores = blocky_scores(rng, channels, *grid, block=draw(st.integers(2, 8)))
    else:
        scores = rng.normal(size=(channels, *grid)).astype(np.float32)
        if style == "ties":
            scores = np.round(scores)
    corners = draw(st.sampled_from(["half_pixel", "align_corners"]))
    ignored = draw(st.lists(st.integers(0, channels - 1), unique=True, max_size=channels - 1))
    return scores, out, corners, ignored


def upsampler(scores, out, y, x, isa=None, **options):
    return pixels.ScoreUpsampler(
        type=scores.dtype.name, channels=scores.shape[0], grid=scores.shape[1:], out=out, y=y, x=x, isa=isa, **options
    )


def check_against_reference(scores, out, y, x, **options):
    """Every instruction set equals the reference but for near ties, and the first instruction set always."""
    want, gap, first = np.zeros(out, np.uint8), np.zeros(out, np.float32), None
    upsampler(scores, out, y, x, **options).reference(scores[None], want, gap)
    for isa in ISAS:
        labels = np.full(out, 250, np.uint8)
        assert upsampler(scores, out, y, x, isa, **options).run(scores[None], labels)
        assert not ((labels != want) & (gap > 4)).any(), isa
        first = labels if first is None else first
        np.testing.assert_array_equal(labels, first, err_msg=isa)
    return first


@settings(deadline=None, max_examples=300)
@given(problems())
def test_labels_equal_the_reference_but_for_near_ties(problem):
    scores, out, corners, ignored = problem
    y, x = (axis_map(out[i], scores.shape[i + 1], corners) for i in range(2))
    labels = check_against_reference(scores, out, y, x, ignored=ignored)
    exact = numpy_scores(scores, y, x, out)
    exact[ignored] = -np.inf
    best = exact.max(axis=0)
    chosen = np.take_along_axis(exact, labels[None].astype(int), axis=0)[0]
    assert (best - chosen <= 1e-5 * np.maximum(1, np.abs(scores).max())).all()
    assert not np.isin(labels, ignored).any()


@settings(deadline=None)
@given(problems(), st.floats(-2, 2, width=32))
def test_binary_maps_are_thresholded_after_upsampling(problem, threshold):
    scores, out, corners, _ = problem
    scores = scores[:1]
    y, x = (axis_map(out[i], scores.shape[i + 1], corners) for i in range(2))
    labels = check_against_reference(scores, out, y, x, kind="binary", threshold=threshold)
    exact = numpy_scores(scores, y, x, out)[0]
    sure = np.abs(exact - threshold) > 1e-4
    np.testing.assert_array_equal(labels[sure], (exact > threshold)[sure])


@settings(deadline=None)
@given(
    st.tuples(sizes, sizes),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.sampled_from(["stretch", "letterbox", "crop"]),
    st.sampled_from(["half_pixel", "align_corners"]),
    st.sampled_from(["network", "source"]),
)
def test_labels_of_the_source_undo_the_fit(source, network, fit, corners, output):
    grid = (-(-network[0] // 4), -(-network[1] // 4))
    geometry = pixels.fit_geometry(source, network, fit)
    y, x = pixels.grid_maps(geometry, grid, output, corners)
    rng = np.random.default_rng(source[0] * 50 + network[1])
    scores = blocky_scores(rng, 5, *grid, block=3)
    out = network if output == "network" else source
    labels = check_against_reference(scores, out, y, x)
    for axis, (mapping, back) in enumerate(
        zip((y, x), (geometry.source_to_network_y, geometry.source_to_network_x), strict=True)
    ):
        pixel = out[axis] / 3
        at = pixel if output == "network" else pixel * back[0] + back[1]
        scale, offset = axis_map(network[axis], grid[axis], corners)
        assert pixel * mapping[0] + mapping[1] == pytest.approx(at * scale + offset, abs=1e-9)
    assert labels.shape == tuple(out)


def test_matches_torch_interpolation():
    torch = pytest.importorskip("torch")
    scores = blocky_scores(np.random.default_rng(1), 19, 33, 65, block=5)
    for corners in ("half_pixel", "align_corners"):
        y, x = axis_map(200, 33, corners), axis_map(400, 65, corners)
        labels = check_against_reference(scores, (200, 400), y, x)
        full = torch.nn.functional.interpolate(
            torch.from_numpy(scores)[None], (200, 400), mode="bilinear", align_corners=corners == "align_corners"
        )[0]
        top = full.topk(2, dim=0).values
        sure = (top[0] - top[1]).numpy() > 1e-4
        np.testing.assert_array_equal(labels[sure], full.argmax(0).numpy()[sure])


@pytest.mark.parametrize("channels", [2, 255])
def test_many_channels_and_an_identical_size(channels):
    scores = np.random.default_rng(channels).normal(size=(channels, 20, 300)).astype(np.float32)
    labels = check_against_reference(scores, (20, 300), (1.0, 0.0), (1.0, 0.0))
    np.testing.assert_array_equal(labels, scores.argmax(0))


def test_ties_go_to_the_lowest_class_that_is_not_ignored():
    scores = np.zeros((6, 4, 4), np.float32)
    y, x = axis_map(16, 4), axis_map(16, 4)
    assert (check_against_reference(scores, (16, 16), y, x) == 0).all()
    assert (check_against_reference(scores, (16, 16), y, x, ignored=[0, 1]) == 2).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_scores_that_are_not_finite_are_reported(isa, value):
    scores = np.zeros((3, 7, 9), np.float32)
    made = upsampler(scores, (56, 72), axis_map(56, 7), axis_map(72, 9), isa)
    labels = np.zeros((56, 72), np.uint8)
    assert made.run(scores[None], labels)
    scores[1, 6, 8] = value
    assert not made.run(scores[None], labels)
    ignoring = upsampler(scores, (56, 72), axis_map(56, 7), axis_map(72, 9), isa, ignored=[1])
    assert ignoring.run(scores[None], labels)


def test_threads_and_row_strides_do_not_change_the_labels():
    scores = blocky_scores(np.random.default_rng(3), 19, 32, 64, block=4)
    made = upsampler(scores, (301, 499), axis_map(301, 32), axis_map(499, 64))
    want, store = np.zeros((301, 499), np.uint8), np.full((301, 510), 77, np.uint8)
    made.run(scores[None], want)
    made.run(scores[None], store[:, :499], pool=pixels.ParallelFor(3))
    np.testing.assert_array_equal(store[:, :499], want)
    assert (store[:, 499:] == 77).all()


def test_wrong_upsamplers_are_refused():
    scores = np.zeros((2, 3, 3), np.float32)
    with pytest.raises(ValueError, match="all channels are ignored"):
        upsampler(scores, (6, 6), (0.5, 0.0), (0.5, 0.0), ignored=[0, 1])
    with pytest.raises(ValueError, match="an ignored channel does not exist"):
        upsampler(scores, (6, 6), (0.5, 0.0), (0.5, 0.0), ignored=[2])
    with pytest.raises(ValueError, match="scale >= 0"):
        upsampler(scores, (6, 6), (-0.5, 0.0), (0.5, 0.0))


# --- label maps -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from(["uint8", "int32", "int64"]))
def test_label_maps_are_resized_to_the_nearest_sample(grid, out, dtype):
    labels = np.random.default_rng(grid[0]).integers(0, 256, grid).astype(dtype)
    y, x = axis_map(out[0], grid[0]), axis_map(out[1], grid[1])
    got = np.zeros(out, np.uint8)
    pixels.resize_labels(labels, got, y, x)
    rows, columns = (
        np.floor(np.clip(np.arange(out[i]) * m[0] + m[1], 0, grid[i] - 1) + 0.5).astype(int)
        for i, m in ((0, y), (1, x))
    )
    np.testing.assert_array_equal(got, labels[rows][:, columns])


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 600)),
    st.floats(0, 1),
    st.sampled_from(["rgb", "bgr"]),
    st.integers(1, 256),
    st.integers(0, 2**32 - 1),
)
def test_overlay_blends_as_documented(size, alpha, order, colours, seed):
    rng = np.random.default_rng(seed)
    labels, palette = rng.integers(0, 256, size, np.uint8), rng.integers(0, 256, (colours, 3), np.uint8)
    store = rng.integers(0, 256, (size[0], size[1] + 3, 3), np.uint8)
    image = store[:, : size[1]]
    rgb = (image if order == "rgb" else image[..., ::-1]).astype(int)
    share = int(np.floor(alpha * 256 + 0.5))
    tint = np.concatenate([palette, np.zeros((256 - colours, 3), np.uint8)])[labels].astype(int)
    want = np.where((labels < colours)[..., None], (rgb * (256 - share) + tint * share + 128) >> 8, rgb)
    plain = np.empty((*size, 3), np.uint8)
    pixels.reference_overlay(labels, image, palette, alpha, plain, order=order)
    np.testing.assert_array_equal(plain, want)
    for isa in ISAS:
        out = np.empty((*size, 3), np.uint8)
        pixels.overlay(labels, image, palette, alpha, out, order=order, isa=isa)
        np.testing.assert_array_equal(out, want, err_msg=isa)
        in_place = store.copy()[:, : size[1]]
        pixels.overlay(labels, in_place, palette, alpha, in_place, order=order, isa=isa)
        np.testing.assert_array_equal(in_place, want, err_msg=isa)


@settings(deadline=None)
@given(st.data())
def test_changed_labels_are_counted_inside_the_valid_rectangle(data):
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 300))
    dtype = data.draw(st.sampled_from(["uint8", "int32", "int64"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a, b = (rng.integers(0, 3, (height, width + 2)).astype(dtype)[:, :width] for _ in range(2))
    x, y = data.draw(st.integers(0, width)), data.draw(st.integers(0, height))
    w, h = data.draw(st.integers(0, width - x)), data.draw(st.integers(0, height - y))
    want = int((a != b)[y : y + h, x : x + w].sum())
    for isa in ISAS:
        assert pixels.count_changed(a, b, (x, y, w, h), isa=isa) == want
        assert pixels.count_changed(a, b, isa=isa) == int((a != b).sum())


def test_counting_does_not_overflow():
    a, b = np.zeros((3, 20000), np.uint8), np.ones((3, 20000), np.uint8)
    for isa in ISAS:
        assert pixels.count_changed(a, b, isa=isa) == 60000


def summed(values: np.ndarray) -> float:
    """Sixteen running sums, then a binary tree."""
    lanes = np.zeros(16)
    for i in range(0, len(values), 16):
        part = values[i : i + 16]
        lanes[: len(part)] += part
    for half in (8, 4, 2, 1):
        lanes[:half] += lanes[half : 2 * half]
    return float(lanes[0])


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_relative_change_has_the_documented_bits(count, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, count)).astype(np.float32)
    top, bottom = summed(np.abs(a.astype(float) - b.astype(float))), summed(np.abs(b.astype(float)))
    want = top / bottom if bottom else 0.0
    assert [pixels.relative_change(a, b, isa=isa) for isa in ISAS] == [want] * len(ISAS)


def test_relative_change_of_nothing_is_zero_and_from_nothing_infinite():
    zero, one = np.zeros(40, np.float32), np.ones(40, np.float32)
    assert pixels.relative_change(zero, zero) == 0.0
    assert pixels.relative_change(one, zero) == np.inf
    assert pixels.relative_change(zero, one) == 1.0
