"""Frames reach the network augmented as asked, labels moving with their pixels, and in an order that resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_vss.errors import BadInput
from edge_vss.training import AugmentConfig, TrainConfig, load_config
from edge_vss.training.augment import View, resized
from edge_vss.training.batches import batches, frame_indices
from edge_vss.training.frames import load_frames


@pytest.fixture
def picture() -> tuple[np.ndarray, np.ndarray]:
    """Labels are smooth shapes, and the red channel says which label a pixel has."""
    rows, columns = np.mgrid[:72, :96]
    labels = (((rows - 30) ** 2 + (columns - 50) ** 2) < 400).astype(np.uint8) + (columns > 70).astype(np.uint8)
    rgb = np.stack([labels * 100, 255 - labels * 100, np.full_like(labels, 50)], axis=-1).astype(np.uint8)
    return rgb, labels


def test_all_strengths_zero_gives_the_plain_frame(picture: tuple[np.ndarray, np.ndarray], plain: AugmentConfig) -> None:
    rgb, labels = View((72, 96), plain, 72, 96, np.random.default_rng(0)).seen(*picture)
    assert np.array_equal(rgb, picture[0])
    assert np.array_equal(labels, picture[1])


def test_labels_move_with_their_pixels(picture: tuple[np.ndarray, np.ndarray]) -> None:
    geometry = AugmentConfig(brightness=0, contrast=0, gamma=0, hue_deg=0, saturation=0, tint=0, blur=0, noise=0)
    right = total = 0
    for seed in range(20):
        rgb, labels = View((72, 96), geometry, 48, 64, np.random.default_rng(seed)).seen(*picture)
        inside = labels != 255
        right += int((np.rint(rgb[..., 0] / 100) == labels)[inside].sum())
        total += int(inside.sum())
    assert total > 20 * 48 * 64 * 0.4
    assert right / total > 0.97


def test_a_seed_fixes_the_view_and_another_gives_another(picture: tuple[np.ndarray, np.ndarray]) -> None:
    config = AugmentConfig(blur=1, noise=1, cutout=1)
    first, again, other = (
        View((72, 96), config, 48, 64, np.random.default_rng(seed)).seen(*picture) for seed in (4, 4, 5)
    )
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_what_lies_outside_the_frame_is_ignored(picture: tuple[np.ndarray, np.ndarray]) -> None:
    small = AugmentConfig(scale=(0.5, 0.5), stretch=0, rotate_deg=0)
    _, labels = View((72, 96), small, 72, 96, np.random.default_rng(0)).seen(*picture)
    assert 0.70 < (labels == 255).mean() < 0.80


def test_colours_leave_labels_alone_and_grey_grey() -> None:
    grey = np.full((16, 16, 3), 120, np.uint8)
    turned = AugmentConfig(scale=(1, 1), stretch=0, rotate_deg=0, hue_deg=180, tint=0, blur=0, noise=0)
    rgb, _ = View((16, 16), turned, 16, 16, np.random.default_rng(3)).seen(grey, np.zeros((16, 16), np.uint8))
    assert np.ptp(rgb.astype(int), axis=-1).max() <= 2


def test_resizing_to_half_averages_four_pixels(picture: tuple[np.ndarray, np.ndarray]) -> None:
    rgb, _ = picture
    assert resized(rgb, 72, 96) is rgb
    means = rgb.reshape(36, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(resized(rgb, 36, 48) - means).max() <= 1


def test_an_epoch_shows_every_frame_once_whatever_the_number_of_processes() -> None:
    alone = [frame for step in range(6) for frame in frame_indices(step, 4, 0, 1, 12, seed=1)]
    shared = [f for step in range(3) for rank in range(2) for f in frame_indices(step, 4, rank, 2, 12, seed=1)]
    assert alone == shared
    assert sorted(alone[:12]) == sorted(alone[12:]) == list(range(12))
    assert alone[:12] != alone[12:]


def test_batches_from_the_middle_are_those_of_an_unbroken_run(bands: str, tiny: TrainConfig) -> None:
    store = load_frames([bands], held_out=0)
    whole = list(batches(store, tiny, seed=0, start=0, stop=4))
    tail = list(batches(store, tiny, seed=0, start=2, stop=4))
    for views, again in zip(whole[2:], tail, strict=True):
        assert views.step == again.step
        assert np.array_equal(views.frames, again.frames)
        assert np.array_equal(views.labels, again.labels)


def test_the_end_of_every_clip_is_held_out(bands: str) -> None:
    whole, split = load_frames([bands], held_out=0), load_frames([bands], held_out=0.25)
    assert (len(split.train), len(split.held_out)) == (9, 3)
    assert np.array_equal(split.held_out[-1].rgb, whole.train[-1].rgb)
    assert split.pixel_counts().sum() == sum((example.labels != 255).sum() for example in split.train)


def test_an_error_while_making_batches_reaches_the_loop(
    bands: str, tiny: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("edge_vss.training.batches.View", fail)
    with pytest.raises(ZeroDivisionError):
        next(batches(load_frames([bands], 0), tiny, seed=0, start=0, stop=2))


def test_data_without_labelled_frames_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        load_frames([f"folder:{tmp_path}"], 0)


def test_a_configuration_file_overrides_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('epochs = 7\noptimizer = "sgd"\n[loss]\njaccard = 0.0\n[augment]\nscale = [0.75, 1.5]\n')
    config = load_config(path)
    assert (config.epochs, config.optimizer, config.loss.jaccard) == (7, "sgd", 0.0)
    assert config.augment.scale == (0.75, 1.5)
    assert config.batch == TrainConfig().batch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = 0", r"epochs lies in \[1, 1000000\], got 0"),
        ("power = -1.0", r"power lies in \[0, 100\], got -1"),
        ("epoch = 3", "epoch"),
        ("crop_height = 100", "multiple of 16"),
        ("epochs = [", "run.toml"),
        ("rate = -1.0", "positive"),
        ("held_out = 1.0", "held_out"),
        ("[loss]\nohem = 0.0", "ohem"),
        ("rate = nan", "rate wants finite numbers"),
        ("mean = [nan, 1.0, 1.0]", "mean wants finite"),
        ("std = [inf, 1.0, 1.0]", "std wants finite"),
        ("[loss]\nbalance = nan", "loss.balance lies in"),
        ("[augment]\nnoise = nan", "augment.noise lies in"),
        ("momentum = 1.5", "momentum lies in"),
        ("weight_decay = -1.0", "weight_decay is not negative"),
        ("[loss]\ntemperature = 0.0", "temperature is positive"),
    ],
)
def test_a_wrong_configuration_file_is_bad_input(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        load_config(path)
    with pytest.raises(BadInput, match="cannot read"):
        load_config(tmp_path / "absent.toml")
