"""Losses along the flow, similarities between frames and the discriminator, against what their formulas say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge_vss.training.adversary import LEAST_PX, Adversary, discriminator
from edge_vss.training.losses import flow_at, flow_difference, pair_similarity, sequence_similarity, trust
from edge_vss.training.losses.temporal import HIDDEN, _gates

SMALL = st.integers(1, 9)


def test_flow_at_a_quarter_of_the_size_is_a_quarter_of_the_flow_at_the_pixels_in_the_middle() -> None:
    flow = torch.arange(8 * 12 * 2, dtype=torch.float32).view(1, 8, 12, 2)
    visible = torch.zeros(1, 8, 12, dtype=torch.bool)
    visible[0, 2, 6] = True
    small, seen = flow_at(flow, visible, 2, 3)
    for row in range(2):
        for column in range(3):
            assert torch.equal(small[0, row, column], flow[0, 4 * row + 2, 4 * column + 2] / 4)
    assert seen.tolist() == [[[False, True, False], [False, False, False]]]


@settings(max_examples=40, deadline=None)
@given(rows=SMALL, columns=SMALL, height=SMALL, width=SMALL)
def test_flow_at_any_size_points_to_the_same_share_of_the_picture(
    rows: int, columns: int, height: int, width: int
) -> None:
    flow = torch.tensor([columns / 4, -rows / 2]).expand(2, rows, columns, 2)
    moved, visible = flow_at(flow, torch.ones(2, rows, columns, dtype=torch.bool), height, width)
    assert moved.shape == (2, height, width, 2) and visible.shape == (2, height, width)
    assert torch.allclose(moved, torch.tensor([width / 4, -height / 2]).expand_as(moved))


def test_trust_falls_with_the_difference_of_the_pictures_and_is_nothing_where_points_are_hidden_or_leave() -> None:
    image = torch.full((1, 3, 4, 4), 100.0)
    other = image.clone()
    other[..., 0] += 20  # The left column looks other by one unit.
    flow, visible = torch.zeros(1, 4, 4, 2), torch.ones(1, 4, 4, dtype=torch.bool)
    visible[0, 0] = False
    flow[0, 3, :, 1] = 1
    weight = trust(image, other, flow, visible, 4, 4)
    assert weight[0, 0].tolist() == [0, 0, 0, 0]
    assert weight[0, 3].tolist() == [0, 0, 0, 0]
    assert weight[0, 1].tolist() == pytest.approx([math.exp(-1), 1, 1, 1])
    half = trust(image, other, flow, visible, 2, 2)
    assert half[0, 0].tolist() == pytest.approx([(1 + math.exp(-1)) / 4, 0.5])


def test_trust_follows_the_flow() -> None:
    image = torch.rand(1, 3, 5, 6) * 255
    other = torch.roll(image, 2, dims=3)
    flow = torch.tensor([2.0, 0.0]).expand(1, 5, 6, 2)
    weight = trust(image, other, flow, torch.ones(1, 5, 6, dtype=torch.bool), 5, 6)
    assert torch.allclose(weight[..., :4], torch.ones(1, 5, 4), atol=1e-4)
    assert not weight[..., 4:].any()


def log_odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def test_flow_difference_by_hand() -> None:
    """Chances of the second class 0.2, 0.7, 0.5 meet 0.6, 0.3 of the pixels to the right; the last leaves."""
    scores = torch.zeros(1, 2, 1, 3)
    scores[0, 1, 0] = torch.tensor([log_odds(0.2), log_odds(0.7), 0.0])
    other = torch.zeros(1, 2, 1, 3)
    other[0, 1, 0] = torch.tensor([log_odds(0.9), log_odds(0.6), log_odds(0.3)])
    flow = torch.tensor([1.0, 0.0]).expand(1, 1, 3, 2)
    weight = torch.tensor([[[1.0, 0.25, 1.0]]])
    found = flow_difference(scores, other, flow, weight)
    # The other class differs by as much, so each square counts twice.
    assert float(found) == pytest.approx((2 * 0.4**2 + 0.25 * 2 * 0.4**2) / 3)


@pytest.mark.parametrize("memory", [False, True])
def test_gradients_reach_both_frames_unless_the_other_is_a_memory(memory: bool) -> None:
    torch.manual_seed(0)
    scores, other = (torch.randn(2, 4, 5, 6).requires_grad_() for _ in range(2))
    flow = torch.rand(2, 5, 6, 2) - 0.5
    flow_difference(scores, other.detach() if memory else other, flow, torch.ones(2, 5, 6)).backward()
    assert scores.grad is not None and scores.grad.abs().sum() > 0
    assert (other.grad is None) == memory
    if other.grad is not None:
        assert other.grad.abs().sum() > 0


def pooled(features: Tensor, rows: int, columns: int) -> np.ndarray:
    """(places, C) unit vectors of the means over boxes, for sizes that divide."""
    channels, height, width = features.shape
    boxes = features.numpy().reshape(channels, rows, height // rows, columns, width // columns).mean(axis=(2, 4))
    places = boxes.reshape(channels, -1).T
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def test_pair_similarity_is_the_squared_difference_of_all_cosines_between_two_frames() -> None:
    torch.manual_seed(1)
    student = [torch.randn(2, 3, 4, 6) for _ in range(2)]
    teacher = [torch.randn(2, 7, 8, 6) for _ in range(2)]
    total = []
    for n in range(2):
        own = [pooled(frame[n], 2, 3) for frame in student]
        others = [pooled(frame[n], 2, 3) for frame in teacher]
        for i in range(6):
            for j in range(6):
                total.append((own[0][i] @ own[1][j] - others[0][i] @ others[1][j]) ** 2)
    found = pair_similarity([F.adaptive_avg_pool2d(frame, (2, 3)) for frame in student], teacher, cells=3)
    assert float(found) == pytest.approx(float(np.mean(total)), rel=1e-4)
    assert float(pair_similarity(student, student)) == pytest.approx(0, abs=1e-9)
    # Which frame is which matters: a pair is not its mirror image.
    assert not torch.isclose(pair_similarity(student, teacher), pair_similarity(student, teacher[::-1]))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def remembered(frames: list[np.ndarray], gates: np.ndarray) -> np.ndarray:
    """The ConvLSTM, one place of the map after the other; ``frames`` are (places, C) unit vectors."""
    size = len(frames[0])
    hidden, cell = np.zeros((HIDDEN, size, size)), np.zeros((HIDDEN, size, size))
    for places in frames:
        padded = np.pad(np.concatenate([(places @ places.T)[None], hidden]), ((0, 0), (1, 1), (1, 1)))
        mixed = np.zeros((4 * HIDDEN, size, size))
        for i in range(size):
            for j in range(size):
                mixed[:, i, j] = (gates * padded[None, :, i : i + 3, j : j + 3]).sum(axis=(1, 2, 3))
        entry, keep, out, new = np.split(mixed, 4)
        cell = sigmoid(keep) * cell + sigmoid(entry) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(cell)
    return hidden


def test_sequence_similarity_compares_what_a_convlstm_remembers_of_the_frames() -> None:
    torch.manual_seed(2)
    student = [torch.randn(1, 3, 2, 3) for _ in range(3)]
    teacher = [torch.randn(1, 5, 2, 3) for _ in range(3)]
    gates = _gates(torch.device("cpu")).numpy()
    own, others = (remembered([pooled(frame[0], 2, 3) for frame in frames], gates) for frames in (student, teacher))
    want = float(np.mean((own - others) ** 2))
    assert float(sequence_similarity(student, teacher)) == pytest.approx(want, rel=1e-4)
    assert float(sequence_similarity(student, student)) == 0
    assert want > 1e-4
    assert not torch.isclose(sequence_similarity(student, teacher), sequence_similarity(student[::-1], teacher))


def test_similarities_teach_the_student() -> None:
    torch.manual_seed(3)
    student = [torch.randn(2, 4, 6, 6).requires_grad_() for _ in range(2)]
    teacher = [torch.randn(2, 8, 6, 6) for _ in range(2)]
    for loss in (pair_similarity, sequence_similarity):
        optimizer = torch.optim.Adam(student, 0.05)
        start = float(loss(student, teacher).detach())
        for _ in range(30):
            optimizer.zero_grad()
            loss(student, teacher).backward()
            optimizer.step()
        assert float(loss(student, teacher).detach()) < 0.6 * start


@settings(max_examples=15, deadline=None)
@given(
    channels=st.integers(1, 24),
    height=st.integers(LEAST_PX, 100),
    width=st.integers(LEAST_PX, 100),
)
def test_the_discriminator_judges_every_32_pixels(channels: int, height: int, width: int) -> None:
    network = discriminator(channels).to("meta")
    judged = network(torch.zeros(2, channels, height, width, device="meta"))
    assert judged.shape == (2, 1, height // 32, width // 32)


def made(sharp: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(4, 3, 32, 32, generator=generator) * sharp).softmax(dim=1)


def test_the_adversary_learns_to_tell_two_kinds_of_predictions_apart() -> None:
    torch.manual_seed(0)
    adversary = Adversary(3)
    found = [float(adversary.learn(made(4.0, step), made(0.5, step))) for step in range(60)]
    assert found[0] == pytest.approx(math.log(2), abs=0.05)
    assert found[-1] < 0.2
    with torch.no_grad():
        source, target = (adversary.network(made(sharp, 1000)) for sharp in (4.0, 0.5))
    assert source.min() > 0 > target.max()
    assert float(adversary.deceived(made(0.5, 1000))) > 2
    assert float(adversary.deceived(made(4.0, 1000))) < 0.3


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40))
def test_maps_of_any_size_are_judged(height: int, width: int) -> None:
    target = torch.rand(1, 2, height, width).requires_grad_()
    Adversary(2).deceived(target).backward()
    assert target.grad is not None and (target.grad != 0).any()


def test_deceiving_changes_the_target_alone_and_learning_changes_the_discriminator_alone() -> None:
    torch.manual_seed(0)
    adversary = Adversary(3)
    source, target = (made(sharp, 0).requires_grad_() for sharp in (4.0, 0.5))
    before = {name: tensor.clone() for name, tensor in adversary.network.state_dict().items()}
    adversary.deceived(target).backward()
    assert target.grad is not None and target.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in adversary.network.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in adversary.network.state_dict().items())
    target.grad = None
    adversary.learn(source, target)
    assert source.grad is None and target.grad is None
    assert not any(torch.equal(before[name], tensor) for name, tensor in adversary.network.state_dict().items())


def test_a_restored_adversary_goes_on_as_the_one_that_was_kept() -> None:
    torch.manual_seed(0)
    kept = Adversary(3)
    for step in range(3):
        kept.learn(made(4.0, step), made(0.5, step))
    other = Adversary(3)
    other.restore({name: tensor.clone() for name, tensor in kept.tensors().items()})
    for step in range(3, 6):
        assert torch.equal(kept.learn(made(4.0, step), made(0.5, step)), other.learn(made(4.0, step), made(0.5, step)))
    one, two = kept.tensors(), other.tensors()
    assert one.keys() == two.keys() and any(name.startswith("moments/") for name in one)
    assert all(torch.equal(one[name], two[name]) for name in one)
