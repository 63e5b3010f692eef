"""Warping on tensors against warping in numpy, and its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_vss.data import warp
from edge_vss.training.warp import backward_warp, photometric_weight


def some_flow(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    flow = (rng.integers(-48, 49, (2, height, width, 2)) / 16).astype(np.float32)
    flow[0, 1, 2] = np.nan
    return flow


@pytest.mark.parametrize("nearest", [False, True])
def test_tensors_warp_as_arrays_do(nearest: bool) -> None:
    rng = np.random.default_rng(0)
    images, flow = rng.random((2, 11, 17, 3)).astype(np.float32), some_flow(rng, 11, 17)
    warped, valid = backward_warp(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(flow), nearest=nearest)
    for n in range(2):
        want, want_valid = warp.backward_warp(images[n], flow[n], nearest=nearest)
        np.testing.assert_array_equal(valid[n].numpy(), want_valid)
        np.testing.assert_allclose(warped[n].permute(1, 2, 0).numpy(), want, atol=1e-5)


def test_label_maps_warp_whole_numbers() -> None:
    rng = np.random.default_rng(1)
    labels, flow = rng.integers(0, 256, (2, 1, 9, 12)), some_flow(rng, 9, 12)
    warped, _ = backward_warp(torch.from_numpy(labels), torch.from_numpy(flow), nearest=True)
    assert warped.dtype == torch.int64
    for n in range(2):
        np.testing.assert_array_equal(warped[n, 0], warp.backward_warp(labels[n, 0], flow[n], nearest=True)[0])


def test_gradients_reach_what_was_sampled_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.random((1, 2, 5, 6))).requires_grad_()
    flow = torch.from_numpy(some_flow(rng, 5, 6)[:1])
    assert torch.autograd.gradcheck(lambda x: backward_warp(x, flow)[0], images)
    outside = torch.full((1, 5, 6, 2), 50.0)
    warped, valid = backward_warp(images, outside)
    assert not valid.any() and not warped.any()


def test_the_weight_of_tensors_is_that_of_arrays() -> None:
    rng = np.random.default_rng(3)
    picture, other = rng.integers(0, 256, (2, 4, 5, 3), np.uint8)
    tensors = (torch.from_numpy(each).permute(2, 0, 1)[None].float() for each in (picture, other))
    want = warp.photometric_weight(picture, other)
    np.testing.assert_allclose(photometric_weight(*tensors)[0].numpy(), want, rtol=1e-5)


def test_flow_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="is \\(N, H, W, 2\\)"):
        backward_warp(torch.zeros(1, 1, 4, 5), torch.zeros(1, 5, 4, 2))
