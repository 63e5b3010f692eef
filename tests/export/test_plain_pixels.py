"""The plain pixel arithmetic against PyTorch's interpolation and the frames' own colour conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_vss.bundle import ClassInfo, InputSpec, OutputSpec
from edge_vss.data.colour import to_rgb
from edge_vss.executor import change_between
from edge_vss.frame import Frame, PixelFormat, plane_shapes
from edge_vss.pixels import (
    fit_geometry,
    frame_to_rgb,
    label_map,
    network_label_map,
    positions_inside,
    preprocess,
)
from edge_vss.runtime._native import pixels
from edge_vss.schedule import Signal

RANDOM = np.random.default_rng(5)


def a_frame(format: PixelFormat = "rgb", height: int = 37, width: int = 53, **fields: Any) -> Frame:
    planes = tuple(RANDOM.integers(0, 256, shape, np.uint8) for shape in plane_shapes(format, height, width))
    return Frame(format=format, planes=planes, height=height, width=width, pts_us=0, sequence=0, **fields)


def output(count: int, **fields: Any) -> OutputSpec:
    classes = tuple(ClassInfo(name=str(i), colour=(i, i, i)) for i in range(count))
    return OutputSpec(name="labels", tensor="logits", classes=classes, **fields)


def torch_resize(values: NDArray[Any], height: int, width: int, align_corners: bool = False) -> NDArray[Any]:
    tensor = torch.from_numpy(values.astype(np.float64))
    found: NDArray[Any] = F.interpolate(tensor, (height, width), mode="bilinear", align_corners=align_corners).numpy()
    return found


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("format", ["rgb", "bgr", "grey"])
def test_stretched_frames_are_resized_and_normalised(format: PixelFormat, order: Any) -> None:
    frame = a_frame(format)
    spec = InputSpec(height=64, width=32, order=order, mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0))
    rgb = to_rgb(frame)[..., :: 1 if order == "rgb" else -1]
    resized = torch_resize(rgb.transpose(2, 0, 1)[None], 64, 32)
    want = (resized - np.array(spec.mean)[:, None, None]) / np.array(spec.std)[:, None, None]
    np.testing.assert_allclose(preprocess(frame, spec), want, atol=1e-5)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("range_", ["limited", "full"])
@pytest.mark.parametrize("format", ["nv12", "i420", "yuyv"])
def test_even_colours_come_out_as_the_frames_own_conversion_says(format: PixelFormat, matrix: Any, range_: Any) -> None:
    for level in RANDOM.integers(0, 256, (8, 3)):
        planes = [np.empty(shape, np.uint8) for shape in plane_shapes(format, 10, 14)]
        if format == "yuyv":
            planes[0][..., 0], planes[0][:, 0::2, 1], planes[0][:, 1::2, 1] = level
        else:
            planes[0][:] = level[0]
            for place, value in enumerate(level[1:]):
                (planes[1][..., place] if format == "nv12" else planes[1 + place])[:] = value
        frame = Frame(
            format=format, planes=tuple(planes), height=10, width=14, pts_us=0, sequence=0, matrix=matrix, range=range_
        )
        assert np.abs(frame_to_rgb(frame).astype(int) - to_rgb(frame)).max() <= 1


def test_chroma_is_centred_on_its_pixels() -> None:
    luma, chroma = np.full((2, 8), 128, np.uint8), np.full((1, 4, 2), 128, np.uint8)
    chroma[0, :, 1] = [128, 128, 148, 148]
    frame = Frame(format="nv12", planes=(luma, chroma), height=2, width=8, pts_us=0, sequence=0, range="full")
    red = frame_to_rgb(frame)[0, :, 0].astype(int)
    assert list(red) == [128, 128, 128, 135, 149, 156, 156, 156]  # 1.402 * 20 in steps of a quarter and three quarters


def test_letterbox_pads_and_its_valid_part_is_the_picture() -> None:
    spec = InputSpec(height=40, width=40, fit="letterbox", pad=7.0, std=(1.0, 1.0, 1.0))
    frame = a_frame(height=20, width=40)
    found = preprocess(frame, spec)[0]
    assert fit_geometry(20, 40, spec).valid == (0.25, 0.0, 0.75, 1.0)
    assert np.array_equal(found[:, 10:30], to_rgb(frame).transpose(2, 0, 1))
    assert np.array_equal(found[:, :10], np.full((3, 10, 40), 7.0))


def test_crop_takes_the_middle_of_the_frame() -> None:
    spec = InputSpec(height=20, width=20, fit="crop", std=(1.0, 1.0, 1.0))
    frame = a_frame(height=20, width=33)
    assert np.array_equal(preprocess(frame, spec)[0], to_rgb(frame)[:, 6:26].transpose(2, 0, 1))


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_the_way_back_undoes_the_way_in(fit: Any) -> None:
    spec = InputSpec(height=96, width=128, fit=fit)
    for height, width in ((100, 300), (300, 100), (96, 128), (1, 1), (720, 1280)):
        geometry = fit_geometry(height, width, spec)
        for forth, back in zip(geometry.to_source(), geometry.to_network()):
            there_and_back = forth.then(back)
            assert there_and_back.scale == pytest.approx(1.0)
            assert there_and_back.offset == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("corners", ["half_pixel", "align_corners"])
def test_scores_grow_as_pytorch_grows_them(corners: Any) -> None:
    spec, scores = InputSpec(height=64, width=96), RANDOM.normal(size=(1, 6, 16, 24)).astype(np.float32)
    grown = torch_resize(scores, 64, 96, corners == "align_corners")[0]
    best = np.sort(grown, axis=0)
    clear = best[-1] - best[-2] > 1e-5
    found = network_label_map(scores, output(6, corners=corners), spec)
    assert clear.mean() > 0.99
    assert np.array_equal(found[clear], grown.argmax(axis=0)[clear])


def test_label_maps_of_the_sources_size_undo_the_fit() -> None:
    spec = InputSpec(height=32, width=32, fit="letterbox")
    scores = np.zeros((1, 3, 8, 8), np.float32)
    scores[0, 2] = 1.0  # padding
    scores[0, :, 2:6] = 0.0
    scores[0, 0, 2:6, :4] = 5.0
    scores[0, 1, 2:6, 4:] = 5.0
    found = label_map(scores, output(3), spec, 100, 200)
    assert found.shape == (100, 200)
    assert set(found[:, :99].ravel()) == {0} and set(found[:, 101:].ravel()) == {1}


def test_ties_go_to_the_lowest_id_and_ignored_channels_never_win() -> None:
    spec, scores = InputSpec(height=8, width=8), np.zeros((1, 4, 4, 4), np.float32)
    scores[0, 3] = 1.0
    assert set(network_label_map(scores, output(4), spec).ravel()) == {3}
    assert set(network_label_map(scores, output(4, ignored=(0, 3)), spec).ravel()) == {1}


def test_binary_scores_and_labels_have_their_own_rules() -> None:
    spec = InputSpec(height=8, width=8)
    score = np.array([[-1.0, 1.0], [-1.0, 1.0]], np.float32)[None, None]
    assert list(network_label_map(score, output(2, kind="binary"), spec)[0]) == [0, 0, 0, 0, 1, 1, 1, 1]
    labels = np.array([[[3, 7], [5, 1]]], np.int64)
    found = network_label_map(labels, output(9, kind="labels"), spec)
    assert np.array_equal(found, labels[0].repeat(4, 0).repeat(4, 1))


def test_positions_inside_are_those_that_a_signal_counts() -> None:
    for fit, size in (("letterbox", (50, 200)), ("letterbox", (90, 31)), ("crop", (50, 200))):
        valid = fit_geometry(*size, InputSpec(height=64, width=96, fit=fit)).valid  # type: ignore[arg-type]
        one = np.zeros((1, 8, 12), np.uint8)
        changes = 0
        for y, x in np.ndindex(8, 12):
            other = one.copy()
            other[0, y, x] = 1
            changes += change_between(other, one, Signal(tensor="t"), valid) > 0
        assert changes == positions_inside(one.shape, valid)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["nv12", "i420", "yuyv", "rgb", "grey"]),
    st.sampled_from(["stretch", "letterbox", "crop"]),
    st.tuples(*[st.integers(1, 40)] * 4),
    st.sampled_from(["bt601", "bt709"]),
    st.sampled_from(["limited", "full"]),
)
def test_odd_sizes_come_out_as_the_native_kernel_has_them(
    format: PixelFormat, fit: Any, sizes: tuple[int, int, int, int], matrix: Any, range_: Any
) -> None:
    height, width, network_height, network_width = sizes
    frame = a_frame(format, height, width, matrix=matrix, range=range_)
    spec = InputSpec(height=network_height, width=network_width, fit=fit, std=(1.0, 1.0, 1.0))
    native = np.empty((1, 3, network_height, network_width), np.float32)
    made = pixels.Preprocessor(format, (height, width), (network_height, network_width), fit=fit)
    made.run(list(frame.planes), native, matrix=matrix, range=range_)
    assert np.abs(preprocess(frame, spec) - native).max() < 0.1
