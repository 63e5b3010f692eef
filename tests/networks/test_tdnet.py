"""TDNet: attention as written out, its chain through the ring, and clips in training that are what video will be."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
import pytest
import torch
from graphs import ring_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_vss.dry_run import check_schedule
from edge_vss.executor import ReferenceExecutor
from edge_vss.export import network_schedules, torch_functions
from edge_vss.networks import NetworkConfig, build_network, network_config
from edge_vss.networks.attention import Attention, Near, strided
from edge_vss.networks.tdnet import TDNet
from edge_vss.schedule import turn_schedules

SMALL = NetworkConfig(
    kind="tdnet2", classes=5, stem=(8, 8), fine=16, middle=16, deep=16, deep_dilations=(1, 2, 4, 8), decoder_blocks=0
)


def small(turns: int, seed: int = 0, carry: Literal["attention", "near"] = "attention") -> TDNet:
    """A network that takes much from older frames, in evaluation mode."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        dilations = (1, 2, 4, 8, 2, 4)[: turns * (4 // turns)]
        config = msgspec.structs.replace(
            SMALL, turns=turns, keys=8, key_stride=3, deep_dilations=dilations, carry=carry
        )
        network = build_network(config)
        for module in network.modules():
            if isinstance(module, Attention):
                nn.init.normal_(module.weigh.weight, std=0.5)
                nn.init.normal_(module.weigh.bias, std=0.5)
    assert isinstance(network, TDNet)
    return network.eval()


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """W softmax(q·k / √d) v + b, position by position; (d, H, W), (d, h, w), (c, h, w) → (c, H, W)."""
    depth, height, width = q.shape
    out = np.zeros((v.shape[0], height, width))
    for y in range(height):
        for x in range(width):
            likes = [
                math.exp(sum(q[i, y, x] * k[i, a, b] for i in range(depth)) / math.sqrt(depth))
                for a in range(k.shape[1])
                for b in range(k.shape[2])
            ]
            places = [(a, b) for a in range(k.shape[1]) for b in range(k.shape[2])]
            mixed = sum(like / sum(likes) * v[:, a, b] for like, (a, b) in zip(likes, places, strict=True))
            out[:, y, x] = weight @ mixed + bias
    return out


def slow_step(module: Attention, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    weight, bias = module.weigh.weight[:, :, 0, 0], module.weigh.bias
    assert bias is not None
    return slow_attention(q, k, v, weight.detach().double().numpy(), bias.detach().double().numpy())


def test_attention_agrees_with_a_loop_over_positions() -> None:
    attention = Attention(6)
    q, k, v = random(2, 4, 3, 5), random(2, 4, 2, 3, seed=2), random(2, 6, 2, 3, seed=3)
    found = attention(q, k, v).detach().numpy()
    for frame in range(2):
        wanted = slow_step(attention, *(tensor[frame].double().numpy() for tensor in (q, k, v)))
        np.testing.assert_allclose(found[frame], wanted, atol=1e-5)


@pytest.mark.parametrize(("size", "stride"), [((3, 5), 1), ((7, 5), 3), ((2, 1), 3)])
def test_attention_near_by_agrees_with_a_loop_over_positions(size: tuple[int, int], stride: int) -> None:
    near, sigma = Near(6, stride), 1.7
    with torch.no_grad():
        near.log_sigma.fill_(math.log(sigma))
    q, k, v = random(1, 4, *size), random(1, 4, *size, seed=2), random(1, 6, *size, seed=3)
    places = strided(torch.arange(size[0] * size[1]).reshape(1, 1, *size), stride).flatten().tolist()
    for queries, own in ((q, list(range(size[0] * size[1]))), (strided(q, stride), places)):
        found = near(queries, strided(k, stride), strided(v, stride))[0].flatten(1).detach()
        for index, place in enumerate(own):
            here = np.array(divmod(place, size[1]))
            likes, values = [], []
            for other in places:
                there = np.array(divmod(other, size[1]))
                alike = float(q[0].flatten(1)[:, place] @ k[0].flatten(1)[:, other]) / math.sqrt(4)
                likes.append(math.exp(alike - float(((here - there) ** 2).sum()) / (2 * sigma**2)))
                values.append(v[0].flatten(1)[:, other])
            mixed = sum(like / sum(likes) * value for like, value in zip(likes, values, strict=True))
            wanted = near.weigh(mixed[None, :, None, None])[0, :, 0, 0].detach()
            torch.testing.assert_close(found[:, index], wanted, atol=1e-5, rtol=1e-4)


def test_how_near_is_learnt() -> None:
    near = Near(6, 2)
    near(random(1, 4, 4, 6), random(1, 4, 2, 3, seed=2), random(1, 6, 2, 3, seed=3)).square().sum().backward()
    assert near.log_sigma.grad is not None and float(near.log_sigma.grad.abs()) > 0


@given(height=st.integers(1, 20), width=st.integers(1, 20), stride=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_strided_takes_every_kth_position_and_one_at_least(height: int, width: int, stride: int) -> None:
    x = torch.arange(height * width).reshape(1, 1, height, width)
    kept = strided(x, stride)[0, 0]
    assert kept.shape[0] in {height // stride, -(-height // stride)} - {0}
    assert kept.shape[1] in {width // stride, -(-width // stride)} - {0}
    assert ((kept[:, 1:] - kept[:, :-1]) == stride).all()
    assert ((kept[1:] - kept[:-1]) == stride * width).all()


def test_the_chain_of_four_is_the_published_recurrence() -> None:
    """V̂₂ = A(K₁, V₁, Q₂); V̂₃ = A(K₂, V̂₂ + V₂, Q₃); V̂ = A(K₃, V̂₃ + V₃, q), computed in loops."""
    network = small(4)
    propagate = network.propagate[0]
    ring = [random(1, 8 + 16 + 8, 2, 2, seed=age) for age in range(1, 4)]
    query = random(1, 8, 3, 4)
    parts = [(entry[:8], entry[8:24], entry[24:]) for entry in (entry[0].double().numpy() for entry in ring)]
    keys, values, queries = zip(*parts, strict=True)
    newest, middle, oldest = range(3)
    second = slow_step(propagate.steps[oldest], queries[middle], keys[oldest], values[oldest])
    third = slow_step(propagate.steps[middle], queries[newest], keys[middle], second + values[middle])
    wanted = slow_step(propagate.steps[newest], query[0].double().numpy(), keys[newest], third + values[newest])
    found = propagate.carried(query, *ring).detach().numpy()[0]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.abs(wanted).max() > 0.1


@pytest.mark.parametrize(("turns", "carry"), [(2, "attention"), (3, "near"), (4, "attention")])
def test_a_training_clip_gives_what_the_stages_give_on_video(turns: int, carry: Literal["attention", "near"]) -> None:
    network = small(turns, carry=carry)
    frames = random(2 * turns, 3, 48, 64)
    graph = network.graph(48, 64)
    for name, key in (("cycle", "logits"), ("alone", "sub")):
        schedule = next(s for s in network_schedules(network, graph) if s.name == name)
        executor = ReferenceExecutor(graph, schedule, torch_functions(network))
        for place, frame in enumerate(frames):
            step = executor.step(frame[None].numpy(), sequence=place, pts_us=place)
            if place < turns - 1:
                assert f"cold_{place}" in step.fired
                continue
            with torch.no_grad():
                outputs = network(frame[None], frames[None, place - turns + 1 : place])
            np.testing.assert_allclose(step.outputs["logits"], outputs[key][[place % turns]].numpy(), atol=1e-4)


def test_every_sub_network_has_its_turn_at_every_clip_and_clips_do_not_mix() -> None:
    network = small(3)
    clips = random(4, 3, 3, 32, 48)
    with torch.no_grad():
        together = network(clips[:, 2], clips[:, :2])
        for place in range(4):
            alone = network(clips[place : place + 1, 2], clips[place : place + 1, :2])
            for name in ("logits", "sub", "aux/middle"):
                torch.testing.assert_close(together[name][place::4], alone[name], atol=1e-5, rtol=1e-4)


def test_a_clip_without_earlier_frames_is_the_same_frame_again() -> None:
    network, images = small(3), random(3, 3, 32, 32)
    with torch.no_grad():
        still, repeated = network(images), network(images, images[:, None].expand(-1, 2, -1, -1, -1))
    torch.testing.assert_close(still["logits"], repeated["logits"])


def touched(network: TDNet, scores: torch.Tensor) -> set[int]:
    """The sub-networks whose first layers a loss on these scores reaches."""
    network.zero_grad()
    scores.square().sum().backward()
    firsts = [encode.fine.stem[0][0].weight.grad for encode in network.encode]
    return {i for i, grad in enumerate(firsts) if grad is not None and bool(grad.abs().max() > 0)}


def test_gradients_reach_the_sub_networks_of_older_frames_through_attention_alone() -> None:
    network = small(4)
    clip = random(1, 4, 3, 32, 48)
    assert touched(network, network(clip[:, 3], clip[:, :3])["logits"][2]) == {0, 1, 2, 3}
    assert touched(network, network(clip[:, 3], clip[:, :3])["sub"][2]) == {2}


def test_an_untrained_network_takes_nothing_from_other_frames() -> None:
    network = build_network(msgspec.structs.replace(SMALL, turns=2)).eval()
    with torch.no_grad():
        outputs = network(random(2, 3, 32, 32), random(2, 1, 3, 32, 32, seed=5))
    assert torch.equal(outputs["logits"], outputs["sub"])


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), turns=st.sampled_from([2, 4]), frames=st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_any_multiple_of_the_stride_will_do(rows: int, columns: int, turns: int, frames: int) -> None:
    network, (height, width) = small(turns), (16 * rows, 16 * columns)
    with torch.no_grad():
        outputs = network(torch.zeros(frames, 3, height, width))
    assert outputs["logits"].shape == outputs["sub"].shape == (turns * frames, 5, height // 4, width // 4)
    graph = network.graph(height, width)
    past = graph.tensor("past")
    assert (past.lives, past.depth) == ("ring", turns - 1)
    assert past.shape[1] == 8 + 16 + (8 if turns > 2 else 0)
    for schedule in network_schedules(network, graph):
        check_schedule(graph, schedule)


def test_multiply_adds_of_propagation_agree_with_a_count_by_hand() -> None:
    graph = small(4).graph(96, 128)
    positions, kept = 12 * 16, 4 * 5
    attention = 2 * kept * kept * (8 + 16) + positions * kept * (8 + 16) + 3 * kept * 16 * 16
    assert graph.stage("propagate_1").macs - graph.stage("cold_1").macs == attention


@pytest.mark.parametrize(("kind", "dearer"), [("tdnet2", 1.25), ("tdnet4", 1.25)])
def test_every_frame_costs_the_same_and_little_more_than_one_sub_network(kind: str, dearer: float) -> None:
    graph = build_network(network_config(kind, classes=11)).graph(352, 480)
    count = graph.tensor("past").depth + 1
    costs = {graph.stage(f"encode_{i}").macs + graph.stage(f"propagate_{i}").macs for i in range(count)}
    assert len(costs) == 1
    single = build_network(network_config(f"{kind}-single", classes=11)).graph(352, 480).macs
    assert single < costs.pop() <= dearer * single


@pytest.mark.parametrize("kind", ["tdnet2", "tdnet4"])
def test_the_per_frame_student_costs_what_every_frame_of_the_sub_networks_costs(kind: str) -> None:
    graph = build_network(network_config(kind, classes=11)).graph(352, 480)
    student = build_network(network_config(f"{kind}-student", classes=11)).graph(352, 480)
    assert student.macs == pytest.approx(graph.stage("encode_0").macs + graph.stage("propagate_0").macs, rel=0.01)


@pytest.mark.parametrize(("share", "kind"), [(0, "tdnet2-single"), (1, "tdnet2-single-1")])
def test_the_single_twin_has_the_layers_of_a_sub_network(share: int, kind: str) -> None:
    network = build_network(network_config("tdnet2", classes=11))
    single = build_network(network_config(kind, classes=11))
    assert isinstance(network, TDNet)
    graph, cold = network.graph(352, 480), network.propagate[share].head
    deep = [module for module in network.encode[share].modules() if isinstance(module, nn.Conv2d)]
    mine = [module for module in single.chain.modules() if isinstance(module, nn.Conv2d)]  # type: ignore[union-attr]
    own = [c for c in (*deep, *cold.modules()) if isinstance(c, nn.Conv2d)]
    shapes = sorted(tuple(c.weight.shape) + tuple(c.dilation) for c in own)
    for c in (network.encode[share].query, network.encode[share].key):
        shapes.remove(tuple(c.weight.shape) + tuple(c.dilation))
    assert shapes == sorted(tuple(c.weight.shape) + tuple(c.dilation) for c in mine)
    assert graph.stage("cold_0").macs < graph.stage("propagate_0").macs


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_schedule_of_turns_is_the_one_that_every_executor_plays(count: int) -> None:
    graph, written_out = ring_graph(count)
    made = turn_schedules(graph, "key")
    assert made[0].clocks == written_out.clocks
    for schedule in made:
        check_schedule(graph, schedule)


def test_dilations_that_do_not_share_out_are_refused() -> None:
    with pytest.raises(ValueError, match="3 dilations do not share out among 2"):
        NetworkConfig(turns=2, deep_dilations=(1, 2, 4))
    with pytest.raises(ValueError, match="turns and key_stride"):
        NetworkConfig(keys=128)
