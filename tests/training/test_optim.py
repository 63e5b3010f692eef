"""The learning rate's course, the averaged weights, and states that look old."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from edge_vss.networks import NetworkConfig, build_network
from edge_vss.training import TrainConfig
from edge_vss.training.optim import AveragedWeights, learning_rate, make_optimizer, optimizer_tensors, restore_optimizer
from edge_vss.training.stale import stale_states


def test_the_rate_rises_to_its_peak_and_falls_to_nothing() -> None:
    config = TrainConfig(rate=0.1, warm_up=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(0.1)
    assert int(np.argmax(rates)) in {9, 10}
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[-1] < 0.003


def test_averaged_weights_follow_and_smooth() -> None:
    layer = nn.BatchNorm2d(2)
    average = AveragedWeights(layer, 0.9)
    rng = torch.Generator().manual_seed(0)
    want = layer.weight.detach().clone()
    for step in range(5):
        with torch.no_grad():
            layer.weight.copy_(torch.rand(2, generator=rng))
        layer.num_batches_tracked += 1  # type: ignore[operator]
        average.update(layer, step)
        decay = min(0.9, (1 + step) / (10 + step))
        want = decay * want + (1 - decay) * layer.weight.detach()
    assert torch.allclose(average.tensors["weight"], want)
    assert average.tensors["num_batches_tracked"] == 5


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_an_optimizer_put_back_takes_the_same_next_step(name: str) -> None:
    def layer_and_optimizer() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = nn.Conv2d(2, 2, 1)
        return layer, make_optimizer(layer, TrainConfig(optimizer=name))  # type: ignore[arg-type]

    def step(layer: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        layer(torch.ones(1, 2, 3, 3)).square().sum().backward()
        optimizer.step()

    first, optimizer = layer_and_optimizer()
    step(first, optimizer)
    second, restored = layer_and_optimizer()
    second.load_state_dict(first.state_dict())
    restore_optimizer(restored, {key: tensor.clone() for key, tensor in optimizer_tensors(optimizer).items()})
    step(first, optimizer)
    step(second, restored)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_norms_and_biases_do_not_decay() -> None:
    network = build_network(NetworkConfig(stem=(8, 8), fine=8, middle=8, deep=8, deep_dilations=(1,)))
    decayed, others = make_optimizer(network, TrainConfig()).param_groups
    assert decayed["weight_decay"] > 0 == others["weight_decay"]
    assert {parameter.ndim for parameter in decayed["params"]} == {4}


def test_stale_states_move_and_others_stay() -> None:
    network = build_network(NetworkConfig(stem=(8, 8), fine=8, middle=8, deep=8, deep_dilations=(1,)))
    state = torch.arange(4 * 20 * 20, dtype=torch.float32).reshape(4, 1, 20, 20)
    moved = stale_states(network, 4, 1.0, np.random.default_rng(0))
    assert moved is not None
    assert set(moved) == {"deep"}
    assert not torch.allclose(moved["deep"](state), state, atol=0.5)
    half = stale_states(network, 64, 0.5, np.random.default_rng(0))
    assert half is not None
    many = state[:1].expand(64, -1, -1, -1).contiguous()
    same = [torch.allclose(new, old, atol=0.1) for new, old in zip(half["deep"](many), many, strict=True)]
    assert 16 < sum(same) < 48
    assert stale_states(network, 4, 0.0, np.random.default_rng(0)) is None
