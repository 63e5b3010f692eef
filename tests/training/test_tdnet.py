"""The recipe ``tdnet``: clips, two phases, a teacher in groups, and runs that learn and go on after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from steps import before_step, kill
from torch import nn

from edge_vss.errors import BadInput, WrongUsage
from edge_vss.networks import build_network, network_config
from edge_vss.networks.chain import ChainNetwork
from edge_vss.training import AugmentConfig, TrainConfig, TrainOptions, load_checkpoint, load_config, train
from edge_vss.training.batches import batches
from edge_vss.training.checkpoint import read_tensors
from edge_vss.training.frames import Looks, load_frames
from edge_vss.training.grouped_teacher import GroupedTeacher, grouped_scores
from edge_vss.training.loop import LOG, Loop
from edge_vss.training.optim import learning_rate
from edge_vss.training.recipes import RECIPES
from edge_vss.training.resume import RESUME
from edge_vss.training.teacher import StagedTeacher
from edge_vss.training.train import _initialise

STREET = "street:[seed=5,clips=2,frames=6,size=64x96]"


@pytest.fixture(scope="module")
def quick(plain: AugmentConfig) -> TrainConfig:
    """24 steps on street clips, half of them on still ones."""
    return msgspec.structs.replace(
        RECIPES["tdnet"].defaults,
        height=64,
        width=96,
        crop_height=64,
        crop_width=96,
        epochs=8,
        batch=4,
        clip_rate=0.5,
        validate_every=0,
        save_every=1,
        ema=0.5,
        augment=plain,
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, quick: TrainConfig) -> str:
    config = msgspec.structs.replace(quick, network="tdnet2-student", epochs=1, rate=1e-4)
    out = tmp_path_factory.mktemp("teacher")
    return str(train(TrainOptions(recipe="supervised", data=[STREET], out=out, config=config)).checkpoint)


def run(out: Path, config: TrainConfig, **rest: object) -> Path:
    return train(TrainOptions(recipe="tdnet", data=[STREET], out=out, config=config, **rest)).checkpoint  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, quick: TrainConfig, teacher: str) -> Path:
    out = tmp_path_factory.mktemp("tdnet")
    run(out, quick, teacher=teacher)
    return out


def losses(folder: Path, config: TrainConfig, teacher: str | None) -> list[dict[str, float]]:
    """What every step of a run lost."""
    found: list[dict[str, float]] = []
    step = Loop._step

    def watched(self: Loop, *args: object) -> object:
        parts = step(self, *args)  # type: ignore[arg-type]
        found.append({name: float(value.detach()) for name, value in parts.items()})
        return parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", watched)
        run(folder, config, teacher=teacher)
    return found


def test_seconds_of_training_on_street_clips_lower_every_loss(quick: TrainConfig, teacher: str, tmp_path: Path) -> None:
    found = losses(tmp_path, quick, teacher)
    assert set(found[0]) == {"ce", "aux/middle", "sub", "group", "distil"}
    for name in ("ce", "aux/middle", "sub"):
        early, late = (np.mean([parts[name] for parts in part]) for part in (found[:6], found[-6:]))
        assert late < 0.9 * early, name
    checkpoint = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint.info.network.turns == 2
    assert checkpoint.info.training["recipe"] == "tdnet"


def test_a_killed_run_goes_on_and_ends_bit_for_bit_like_one_that_was_not(
    quick: TrainConfig, teacher: str, finished: Path, tmp_path: Path
) -> None:
    """The kill falls on the second step on real clips, right behind the change of phase."""

    def killed(loop: Loop) -> None:
        assert loop.second_from == 12
        kill(loop)

    with before_step(13, killed), pytest.raises(KeyboardInterrupt):
        run(tmp_path, quick, teacher=teacher)
    assert json.loads(read_tensors(tmp_path / RESUME)[1]["run"])["step"] == 12
    run(tmp_path, quick, teacher=teacher, resume=True)
    whole, resumed = (read_tensors(folder / RESUME)[0] for folder in (finished, tmp_path))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_without_a_teacher_labels_alone_are_learnt_from(quick: TrainConfig, tmp_path: Path) -> None:
    run(tmp_path, msgspec.structs.replace(quick, epochs=1, held_out=0.25, validate_every=1))
    log = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert {"ce", "sub", "aux/middle"} <= set(log[0])
    assert "distil" not in log[0] and "group" not in log[0]
    assert 0 <= log[-1]["held_out_miou"] <= 1


def test_an_undivided_teacher_teaches_the_whole_alone(quick: TrainConfig, teacher: str, tmp_path: Path) -> None:
    loss = msgspec.structs.replace(quick.loss, group=0.0)
    run(tmp_path, msgspec.structs.replace(quick, epochs=1, loss=loss), teacher=teacher)
    entry = json.loads((tmp_path / LOG).read_text().splitlines()[0])
    assert entry["distil"] > 0 and "group" not in entry


def test_every_sub_network_may_start_from_one_that_was_trained_alone(quick: TrainConfig, tmp_path: Path) -> None:
    first = msgspec.structs.replace(quick, network="tdnet2-single", epochs=1)
    train(TrainOptions(recipe="supervised", data=(STREET,), config=first, out=tmp_path / "alone"))
    alone = load_checkpoint(tmp_path / "alone" / "checkpoint.safetensors").network
    images = torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    network = build_network(network_config("tdnet2", classes=11)).eval()
    _initialise(network, str(tmp_path / "alone" / "checkpoint.safetensors"))
    with torch.no_grad():
        outputs, wanted = network(images), alone(images)
    # The first sub-network has the same dilations; the other has the same weights.
    torch.testing.assert_close(outputs["logits"][:2], wanted["logits"])
    torch.testing.assert_close(outputs["aux/middle"], wanted["aux/middle"].repeat(2, 1, 1, 1))
    own = network.state_dict()
    for name in alone.chain.stages["features"].state_dict():
        assert torch.equal(own[f"encode.0.{name}"], own[f"encode.1.{name}"])


def test_kept_positions_are_chosen_and_come_with_the_checkpoint(quick: TrainConfig, tmp_path: Path) -> None:
    path = run(tmp_path, msgspec.structs.replace(quick, network="tdnet2-near", epochs=1, key_stride=2))
    found = load_checkpoint(path)
    assert (found.info.network.key_stride, found.info.network.carry) == (2, "near")
    assert found.network.graph(64, 96).tensor("past").shape[-2:] == (4, 6)


def test_the_groups_of_a_convolution_add_up_to_it_and_one_group_is_all_of_it() -> None:
    torch.manual_seed(0)
    convolution, x = nn.Conv2d(8, 6, 3, padding=1, bias=False), torch.randn(2, 8, 5, 7)
    sums, parts = grouped_scores(x, convolution, lambda added: added, 4)
    torch.testing.assert_close(sums, convolution(x))
    torch.testing.assert_close(parts.sum(dim=1), 4 * convolution(x))
    third = F.conv2d(x[:, 4:6], convolution.weight[:, 4:6], padding=1)
    torch.testing.assert_close(parts[:, 2], 4 * third)
    whole, alone = grouped_scores(x, convolution, nn.ReLU(), 1)
    torch.testing.assert_close(alone[:, 0], whole)


@pytest.mark.parametrize("kind", ["perframe", "clockwork", "tdnet4-single"])
def test_a_grouped_teacher_answers_as_a_whole_like_the_network(kind: str) -> None:
    torch.manual_seed(1)
    network = build_network(network_config(kind, classes=5)).eval()
    assert isinstance(network, ChainNetwork)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.normal_(module.running_mean, std=0.2)
    image = torch.randn(2, 3, 32, 48)
    full, groups = GroupedTeacher(StagedTeacher(network), 4, "it").grouped(image)
    with torch.no_grad():
        torch.testing.assert_close(full, network(image)["logits"], atol=1e-4, rtol=1e-4)
    assert groups.shape == (2, 4, 5, 8, 12)
    assert not torch.allclose(groups[:, 0], groups[:, 1])
    _, one = GroupedTeacher(StagedTeacher(network), 1, "it").grouped(image)
    torch.testing.assert_close(one[:, 0], full)


def test_teachers_that_cannot_be_split_are_refused_with_the_remedy(finished: Path) -> None:
    network = load_checkpoint(finished / "checkpoint.safetensors").network
    with pytest.raises(BadInput, match=r"cannot be split among 2 sub-networks; .* group = 0"):
        GroupedTeacher(StagedTeacher(network), 2, "it")
    single = build_network(network_config("perframe", classes=5))
    with pytest.raises(BadInput, match="the 32 channels of teacher it do not share out among 3"):
        GroupedTeacher(StagedTeacher(single), 3, "it")


def test_frames_come_with_those_before_them_and_clips_do_not_mix() -> None:
    plain, store = load_frames([STREET], 0.5), load_frames([STREET], 0.5, Looks(before=2))
    assert len(store.train) == len(plain.train) == 6 and plain.train[0].before == ()
    for place, example in enumerate(store.train):
        assert np.array_equal(example.rgb, plain.train[place].rgb)
        assert np.array_equal(example.labels, plain.train[place].labels)
        within = place % 3
        for age, earlier in enumerate(reversed(example.before), 1):
            assert np.array_equal(earlier, store.train[place - min(age, within)].rgb)
    assert np.array_equal(store.held_out[0].before[-1], store.train[2].rgb)
    assert np.array_equal(store.held_out[3].before[-1], store.train[5].rgb)


def test_images_without_order_are_standing_scenes(bands: str) -> None:
    store = load_frames([bands], 0, Looks(before=1))
    assert all(example.before[0] is example.rgb for example in store.train)


def test_clips_are_viewed_alike_from_the_step_on_that_is_asked_for(quick: TrainConfig) -> None:
    store = load_frames([STREET], 0, Looks(before=1))
    config = msgspec.structs.replace(quick, augment=AugmentConfig(noise=0), crop_height=32, crop_width=48)
    found = list(batches(store, config, seed=0, start=0, stop=4, looks=Looks(before=1), clips_from=2))
    still = list(batches(store, config, seed=0, start=0, stop=4))
    assert [views.frames.shape for views in found] == [(4, 1, 32, 48, 3)] * 2 + [(4, 2, 32, 48, 3)] * 2
    for clips, single in zip(found, still, strict=True):
        assert np.array_equal(clips.frames[:, -1], single.frames[:, 0])
        assert np.array_equal(clips.labels, single.labels)
    older, newest = found[3].frames[:, 0].astype(int), found[3].frames[:, 1]
    near = np.abs(older - newest).mean()
    other = np.abs(older - np.roll(newest, 1, axis=0)).mean()
    assert 0 < near < 0.6 * other


def test_real_clips_are_learnt_from_at_a_rate_of_their_own(quick: TrainConfig) -> None:
    config = msgspec.structs.replace(quick, clip_rate=0.1, warm_up=0.1)
    rates = [learning_rate(step, 100, config, 40) for step in range(100)]
    assert max(rates[:40]) == pytest.approx(config.rate)
    assert max(rates[40:]) == pytest.approx(config.rate / 10)
    assert rates[39] < rates[4] and rates[99] < rates[46] and rates[40] < rates[45]
    assert [learning_rate(step, 40, config) for step in range(40)] == rates[:40]


@pytest.mark.parametrize(
    ("recipe", "network", "message"),
    [
        ("tdnet", "perframe", "tdnet alone trains tdnet2, tdnet4"),
        ("supervised", "tdnet2", "recipe supervised does not train network tdnet2"),
    ],
)
def test_recipe_and_network_must_go_together(
    tmp_path: Path, quick: TrainConfig, recipe: str, network: str, message: str
) -> None:
    config = msgspec.structs.replace(quick, network=network)
    with pytest.raises(WrongUsage, match=message):
        train(TrainOptions(recipe=recipe, data=[STREET], out=tmp_path, config=config))


def test_a_file_changes_what_it_names_and_leaves_the_rest_as_the_recipe_has_it(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text('network = "tdnet4"\n[loss]\ngroup = 0.25\n')
    config = load_config(path, RECIPES["tdnet"].defaults)
    assert (config.network, config.loss.group, config.loss.aux, config.loss.temperature) == ("tdnet4", 0.25, 0.1, 1.0)
    assert load_config(path).loss.aux == TrainConfig().loss.aux
    path.write_text("[loss]\nmagic = 1\n")
    with pytest.raises(BadInput, match="magic"):
        load_config(path, RECIPES["tdnet"].defaults)
