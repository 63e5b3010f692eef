"""The recipes that look at clips: what they see, miniature runs that learn and go on after a kill, what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.data.datasets import open_dataset
from edge_vss.errors import BadInput
from edge_vss.networks import build_network, network_config
from edge_vss.networks.chain import ChainNetwork
from edge_vss.training import (
    AugmentConfig,
    CheckpointInfo,
    InputInfo,
    LossConfig,
    TrainConfig,
    TrainOptions,
    load_checkpoint,
    save_checkpoint,
    train,
)
from edge_vss.training.batches import Batch, batches, to_batch
from edge_vss.training.checkpoint import read_tensors
from edge_vss.training.frames import Looks, load_frames
from edge_vss.training.loop import Loop
from edge_vss.training.recipes import RECIPES, LossContext
from edge_vss.training.recipes.schedule import old_states
from edge_vss.training.recipes.temporal import along_the_flow
from edge_vss.training.resume import RESUME

STREET = "street:[seed=5,clips=2,frames=6,size=64x96,look=simulated]"
CPU = torch.device("cpu")
STEPS, KILLED = 16, 10


def quick(recipe: str, **rest: object) -> TrainConfig:
    """16 steps of 3 street frames each."""
    config = RECIPES[recipe].defaults
    return msgspec.structs.replace(
        config,
        **{  # type: ignore[arg-type]
            "height": 64,
            "width": 96,
            "crop_height": 64,
            "crop_width": 96,
            "epochs": 4,
            "batch": 3,
            "rate": 2e-3,
            "warm_up": 0.1,
            "validate_every": 0,
            "save_every": 2,
            "ema": 0.5,
            "augment": AugmentConfig(scale=(0.9, 1.2), noise=0, blur=0),
            **rest,
        },
    )


def fresh(kind: str, path: Path) -> str:
    """A checkpoint that has learnt nothing."""
    torch.manual_seed(7)
    network = network_config(kind, classes=11)
    info = CheckpointInfo(
        network=network,
        classes=CAMVID_CLASSES,
        input=InputInfo(height=64, width=96, mean=TrainConfig().mean, std=TrainConfig().std),
    )
    save_checkpoint(path, build_network(network).state_dict(), info)
    return str(path)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory, bands: str) -> dict[str, dict[str, object]]:
    """What each recipe wants besides; the frames that ``uda`` adapts to have other classes and no order."""
    place = tmp_path_factory.mktemp("given")
    teacher = fresh("perframe", place / "teacher.safetensors")
    return {
        "clockwork": {"init": fresh("clockwork", place / "init.safetensors")},
        "etc": {"teacher": teacher},
        "weclick": {"teacher": teacher},
        "uda": {"target": [bands]},
    }


def watched(recipe: str, out: Path, kill: int | None = None, **rest: object) -> list[dict[str, float]]:
    """Runs, and tells what every step lost."""
    found: list[dict[str, float]] = []
    step = Loop._step

    def watch(self: Loop, batch: Batch, steps: int) -> object:
        assert steps == STEPS
        if batch.step == kill:
            raise KeyboardInterrupt
        parts = step(self, batch, steps)
        found.append({name: float(value.detach()) for name, value in parts.items()})
        return parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loop, "_step", watch)
        train(TrainOptions(recipe=recipe, data=[STREET], out=out, config=quick(recipe), **rest))  # type: ignore[arg-type]
    return found


PARTS = {
    "clockwork": {"ce", "jaccard", "aux/score_middle", "aux/deep"},
    "etc": {"ce", "jaccard", "aux/middle", "aux/deep", "temporal", "distil", "similarity", "pair", "sequence"},
    "weclick": {"ce", "aux/middle", "aux/deep", "memory", "distil", "similarity"},
    "uda": {"ce", "jaccard", "aux/middle", "aux/deep", "discriminator", "adversary"},
}


@pytest.mark.parametrize("recipe", PARTS)
def test_a_short_run_learns_and_ends_bit_for_bit_the_same_when_it_was_killed(
    recipe: str, more: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    losses = watched(recipe, whole, **more[recipe])
    assert len(losses) == STEPS and set(losses[0]) == PARTS[recipe]
    for name in ("ce", "aux/deep"):
        early, late = (np.mean([parts[name] for parts in part]) for part in (losses[:4], losses[-4:]))
        assert late < 0.9 * early, name
    with pytest.raises(KeyboardInterrupt):
        watched(recipe, broken, kill=KILLED, **more[recipe])
    assert json.loads(read_tensors(broken / RESUME)[1]["run"])["step"] == 8
    assert watched(recipe, broken, resume=True, **more[recipe]) == losses[8:]
    one, two = (read_tensors(folder / RESUME)[0] for folder in (whole, broken))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(name.startswith("adversary/moments/") for name in one) == (recipe == "uda")
    checkpoint = load_checkpoint(whole / "checkpoint.safetensors")
    assert checkpoint.info.network == network_config(quick(recipe).network, classes=11)
    assert checkpoint.info.training["recipe"] == recipe
    assert checkpoint.info.training.get("target") == more[recipe].get("target")


@pytest.mark.parametrize("recipe", ["etc", "weclick", "uda"])
def test_networks_with_states_learn_from_clips_too(
    recipe: str, more: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    config = quick(recipe, network="clockwork", epochs=1, batch=6)
    target = more[recipe].get("target", ())
    train(TrainOptions(recipe=recipe, data=[STREET], out=tmp_path, config=config, target=target))  # type: ignore[arg-type]
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").info.network.kind == "clockwork"


def some_batch(recipe: str, config: TrainConfig, **rest: object) -> Batch:
    looks = RECIPES[recipe].looks(config, 1)
    store = load_frames([STREET], 0, looks, **rest)  # type: ignore[arg-type]
    return to_batch(next(batches(store, config, seed=0, start=0, stop=1, looks=looks)), config, CPU)


def test_old_states_are_the_older_frames_deep_output_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = build_network(network_config("clockwork", classes=11)).eval()
    assert isinstance(network, ChainNetwork)
    config = quick("clockwork")
    batch = some_batch("clockwork", config)
    assert batch.before is not None and batch.before.shape[1] == 1
    with torch.no_grad():
        outputs = network(batch.together(), old_states(network, batch, config, np.random.default_rng(0)))
        now, older = network.chain.run(batch.images), network.chain.run(batch.before[:, 0])
        last = network.chain.wiring[-1]
        fused = {**now, **{name: older[name] for name in network.states}}
        want = network.chain.stages[last.name](*(fused[read.tensor] for read in last.inputs))[0]
    got = batch.apart(outputs["logits"])
    torch.testing.assert_close(got[0], want)
    torch.testing.assert_close(got[1], older["logits"])
    assert not torch.allclose(got[0], now["logits"], atol=1e-3)


def test_the_clockwork_recipe_shows_frames_of_every_age_up_to_the_oldest() -> None:
    looks = RECIPES["clockwork"].looks(quick("clockwork"), 1)
    plain = AugmentConfig(
        scale=(1, 1), stretch=0, rotate_deg=0, flip=False, brightness=0, contrast=0, gamma=0, hue_deg=0, saturation=0,
        tint=0, blur=0, noise=0,
    )  # fmt: skip
    config = quick("clockwork", augment=plain, batch=4)
    store = load_frames([STREET], 0, looks)
    (first, *_), clips = store.train, open_dataset(STREET).clips
    pictures = [[clip.world.render(index).rgb for index in range(6)] for clip in clips]
    ages = set()
    for views in batches(store, config, seed=0, start=0, stop=12, looks=looks):
        for older, newest in views.frames:
            ((clip, index),) = [(c, i) for c in range(2) for i in range(6) if np.array_equal(pictures[c][i], newest)]
            shown = [i for i in range(6) if np.array_equal(pictures[clip][i], older)]
            ages.add(index - shown[0])
    assert ages == {0, 1, 2}
    assert first.flows == ()


def test_what_a_network_makes_of_a_batch_comes_apart_as_it_was_put_together(bands: str) -> None:
    config = quick("uda", frames_before=2)
    batch = some_batch("uda", config, target=[bands])
    assert batch.before is not None and batch.target is not None
    assert batch.images.shape == (3, 3, 64, 96) and batch.target.shape == (3, 3, 3, 64, 96)
    apart = batch.apart(batch.together())
    assert batch.num_images == len(batch.together()) == 18
    want = [batch.images, *batch.before.unbind(1), *batch.target.unbind(1)]
    assert all(torch.equal(one, other) for one, other in zip(apart, want, strict=True))


def test_frames_before_are_warped_along_their_own_flow() -> None:
    """Noise that slid by 2 and 1 columns looks alike along the flow, and not at all when points are taken to stay."""
    std = TrainConfig().std
    image = torch.rand(2, 3, 32, 48) * 255 / torch.tensor(std)[:, None, None]
    slid = (2.0, 1.0)
    batch = Batch(
        step=0,
        images=image,
        labels=torch.zeros(2, 32, 48, dtype=torch.long),
        before=torch.stack([image.roll(int(columns), dims=3) for columns in slid], dim=1),
        flow=torch.tensor([[columns, 0.0] for columns in slid])[:, None, None].expand(2, 2, 32, 48, 2),
        visible=torch.ones(2, 2, 32, 48, dtype=torch.bool),
    )

    def along(flow: bool) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        config = LossConfig(flow=flow)
        context = LossContext(config=config, weights=torch.ones(3), rng=np.random.default_rng(0), std=std)
        return list(along_the_flow(batch.apart(batch.together())[..., ::2, ::2], batch, context))

    for age, (own, other, motion, weight) in enumerate(along(flow=True)):
        assert batch.before is not None
        assert torch.equal(own, image[..., ::2, ::2]) and torch.equal(other, batch.before[:, age, :, ::2, ::2])
        assert torch.equal(motion, torch.tensor([slid[age] / 2, 0]).expand(2, 16, 24, 2))
        assert torch.allclose(weight[..., :23], torch.ones(2, 16, 23), atol=1e-3)
        assert weight[..., 23].max() <= 0.5
    for *_, motion, weight in along(flow=False):
        assert not motion.any() and weight.mean() < 0.2


@pytest.mark.parametrize(("part", "drawn"), [("memory", [True, False, False]), ("propagation", [False, True, True])])
def test_memory_draws_the_labelled_frame_and_propagation_those_before_it_by_the_same_difference(
    part: str, drawn: list[bool]
) -> None:
    config = quick("weclick", loss=LossConfig(memory=2.0, propagation=2.0))
    batch = some_batch("weclick", config)
    scores = torch.randn(3 * len(batch.images), 11, 16, 24, generator=torch.Generator().manual_seed(0)).requires_grad_()
    context = LossContext(config=config.loss, weights=torch.ones(11), rng=np.random.default_rng(0), std=config.std)
    parts = RECIPES["weclick"].losses({"logits": scores}, batch, context)
    assert float(parts["memory"].detach()) == float(parts["propagation"].detach()) > 0
    (gradient,) = torch.autograd.grad(parts[part], scores)
    assert [bool(frame.any()) for frame in batch.apart(gradient)] == drawn


def test_every_third_frame_counts_as_labelled_and_those_between_come_along() -> None:
    whole = load_frames([STREET], 0)
    third = load_frames([STREET], 0, Looks(before=2, flow=True), every=3)
    assert len(third.train) == 4
    for example, index in zip(third.train, (2, 5, 8, 11), strict=True):
        assert np.array_equal(example.rgb, whole.train[index].rgb)
        for age, (older, motion) in enumerate(zip(example.before[::-1], example.flows[::-1], strict=True), 1):
            assert np.array_equal(older, whole.train[index - age].rgb)
            clip = open_dataset(STREET).clips[index // 6]
            exact = clip.flow(index % 6, index % 6 - age)  # type: ignore[attr-defined]
            assert np.array_equal(motion.visible, exact.visible & np.isfinite(exact.flow).all(axis=2))
            near = motion.visible & (np.abs(exact.flow).max(axis=2) < 30)
            assert np.abs(motion.flow - exact.flow)[near].max() < 0.02
    assert len(load_frames([STREET], 0, every=50).train) == 2


def test_clips_start_with_still_frames_whose_flow_is_nothing() -> None:
    first = load_frames([STREET], 0, Looks(before=2, flow=True)).train[0]
    assert all(np.array_equal(older, first.rgb) for older in first.before)
    assert all(not motion.flow.any() and motion.visible.all() for motion in first.flows)


def test_clicks_replace_labels_of_training_frames_and_not_of_held_out_ones() -> None:
    whole, clicked = load_frames([STREET], 0.5), load_frames([STREET], 0.5, clicks=True)
    assert clicked.points and not whole.points
    for full, points in zip(whole.train, clicked.train, strict=True):
        marks = points.labels != 255
        assert 0 < marks.sum() < 60
        assert np.array_equal(points.labels[marks], full.labels[marks])
    for full, kept in zip(whole.held_out, clicked.held_out, strict=True):
        assert np.array_equal(full.labels, kept.labels)


def test_a_target_of_other_classes_and_sizes_is_kept_without_labels(bands: str) -> None:
    other = "street:[seed=9,clips=1,frames=3,size=48x80]"
    store = load_frames([STREET], 0, Looks(before=1), target=[bands, other])
    assert len(store.train) == 12 and store.classes == tuple(CAMVID_CLASSES)
    assert [example.rgb.shape for example in store.target] == [(64, 96, 3)] * 12 + [(48, 80, 3)] * 3
    assert all((example.labels == 255).all() for example in store.target)
    assert np.array_equal(store.target[-1].before[0], store.target[-2].rgb)


def test_single_frames_can_be_told_apart_instead_of_pairs(bands: str, tmp_path: Path) -> None:
    config = quick("uda", epochs=1, batch=6)
    config = msgspec.structs.replace(config, loss=msgspec.structs.replace(config.loss, adversary_frames=1))
    train(TrainOptions(recipe="uda", data=[STREET], out=tmp_path, config=config, target=[bands]))
    assert read_tensors(tmp_path / RESUME)[0]["adversary/weights/0.weight"].shape[1] == 11


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frames_before = 0", "frames_before"),
        ("labelled_every = 0", "labelled_every"),
        ("frames_before = 1\n[loss]\nadversary_frames = 3", "adversary_frames"),
        ("batch = 100000000", "batch"),
        ("mean = [1e300, 1, 1]", "mean"),
        ("[loss]\nsmoothing = 1.0", "smoothing"),
        ("[loss]\njaccard = -1", "loss.jaccard"),
        ("[loss]\nbalance = 1e300", "loss.balance"),
        ("[augment]\nbrightness = -1", "augment.brightness"),
        ("[augment]\nblur = 5", "augment.blur"),
        ("[augment]\nscale = [1, 1e30]", "augment.scale"),
    ],
)
def test_numbers_out_of_range_are_bad_input(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        train(TrainOptions(recipe="uda", data=[STREET], target=[STREET], out=tmp_path / "out", config=path))


def test_frames_between_labelled_ones_may_leave_nothing_and_the_message_says_why(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "0.png"), np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(BadInput, match="labelled_every = 2"):
        load_frames([f"folder:{tmp_path}"], 0, every=2)
