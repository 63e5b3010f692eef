"""Labels from the flow: against plain loops on clips whose flow is exact, with mistakes planted in one frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.data.dataset import Sample
from edge_vss.data.datasets import open_dataset
from edge_vss.data.warp import FlowField
from edge_vss.frame import Frame
from edge_vss.networks import build_network, network_config
from edge_vss.training import Checkpoint, CheckpointInfo, InputInfo, TrainConfig
from edge_vss.training.pseudo_labels import FlowLabels, aggregated, chances_of, flow_labels

HEIGHT, WIDTH = 6, 10


class Sliding:
    """Noise that slides to the right by one column a frame; what comes in on the left was not seen before."""

    name = "sliding"

    def __init__(self, fps: float | None = 10.0, frames: int = 4) -> None:
        self.fps, self.frames = fps, frames
        rng = np.random.default_rng(0)
        self.rgb = rng.integers(0, 256, (HEIGHT, WIDTH + frames, 3), np.uint8)
        self.labels = rng.integers(0, 3, (HEIGHT, WIDTH + frames))
        self.negative: int | None = None

    def __len__(self) -> int:
        return self.frames

    def shown(self, scene: np.ndarray, index: int) -> np.ndarray:
        start = self.frames - index
        return np.ascontiguousarray(scene[:, start : start + WIDTH])

    def __getitem__(self, index: int, /) -> Sample:
        picture = self.shown(self.rgb, index)
        planes = (255 - picture if index == self.negative else picture,)
        return Sample(
            frame=Frame(format="rgb", planes=planes, height=HEIGHT, width=WIDTH, pts_us=index, sequence=index)
        )

    def flow(self, index: int, other: int, /) -> FlowField:
        flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
        flow[..., 0] = other - index
        columns = np.arange(WIDTH) + other - index
        return FlowField(flow=flow, visible=np.tile((columns >= 0) & (columns < WIDTH), (HEIGHT, 1)))

    def depth(self, index: int, /) -> None:
        return None


def sure(labels: np.ndarray, chance: float = 0.6) -> Tensor:
    """(3, H, W): ``chance`` for the label, the rest shared out."""
    return torch.from_numpy(np.stack([np.where(labels == c, chance, (1 - chance) / 2) for c in range(3)])).float()


def with_mistakes(clip: Sliding, frame: int, where: tuple[slice, slice]) -> tuple[list[Tensor], np.ndarray]:
    """The right labels of every frame, but for a box of one; and that box."""
    found = []
    for index in range(len(clip)):
        labels = clip.shown(clip.labels, index).copy()
        if index == frame:
            labels[where] = (labels[where] + 1) % 3
        found.append(sure(labels))
    box = np.zeros((HEIGHT, WIDTH), bool)
    box[where] = True
    return found, box


def test_mistakes_of_one_frame_are_dropped_and_without_the_filter_corrected() -> None:
    clip = Sliding()
    chances, box = with_mistakes(clip, 3, np.s_[1:4, 4:8])
    truth = clip.shown(clip.labels, 3)
    filtered = flow_labels(clip, 3, chances.__getitem__, FlowLabels(before=2))
    assert np.array_equal(filtered, np.where(box, 255, truth))
    corrected = flow_labels(clip, 3, chances.__getitem__, FlowLabels(before=2, agree=False))
    assert np.array_equal(corrected, truth)


def test_mistakes_of_an_earlier_frame_do_no_harm_and_the_frame_itself_has_its_mistakes_alone() -> None:
    clip = Sliding()
    chances, _ = with_mistakes(clip, 2, np.s_[:, :])
    truth = clip.shown(clip.labels, 3)
    labels = flow_labels(clip, 3, chances.__getitem__, FlowLabels(before=2))
    # Only two frames show the second column, and the weight of the wrong one is the right one's: neither wins for sure.
    assert np.array_equal(labels[:, 2:], truth[:, 2:])
    assert np.array_equal(labels[:, :1], truth[:, :1])


def test_points_that_earlier_frames_do_not_show_keep_what_the_frame_found() -> None:
    clip = Sliding()
    chances, box = with_mistakes(clip, 3, np.s_[:, :1])
    labels = flow_labels(clip, 3, chances.__getitem__, FlowLabels(before=3))
    assert np.array_equal(labels != clip.shown(clip.labels, 3), box)
    assert (labels != 255).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), before=st.integers(0, 4), index=st.integers(0, 3))
def test_the_aggregate_is_the_weighted_mean_pixel_by_pixel(seed: int, before: int, index: int) -> None:
    clip, rng = Sliding(), np.random.default_rng(seed)
    clip.rgb = np.clip(clip.rgb.astype(int) + rng.integers(-40, 41, clip.rgb.shape), 0, 255).astype(np.uint8)
    torch.manual_seed(seed)
    chances = [torch.randn(3, HEIGHT, WIDTH).softmax(dim=0) for _ in range(4)]
    found = aggregated(clip, index, chances.__getitem__, before)
    pictures = [clip.shown(clip.rgb, frame).astype(float) for frame in range(4)]
    for row in range(HEIGHT):
        for column in range(WIDTH):
            total, weights = chances[index][:, row, column].double().numpy(), 1.0
            for other in range(max(0, index - before), index):
                there = column + other - index
                if there < 0:
                    continue
                gap = np.abs(pictures[index][row, column] - pictures[other][row, there]).mean()
                weight = math.exp(-gap / 20)
                total, weights = total + weight * chances[other][:, row, there].double().numpy(), weights + weight
            np.testing.assert_allclose(found[:, row, column].numpy(), total / weights, atol=1e-5)


def test_pictures_that_differ_have_little_say() -> None:
    """The earlier frame is sure of another class; then its picture becomes a negative."""
    clip = Sliding()
    labels = clip.shown(clip.labels, 1)
    chances = [sure((clip.shown(clip.labels, 0) + 1) % 3, 0.99), sure(labels, 0.5)]
    assert (flow_labels(clip, 1, chances.__getitem__, FlowLabels(before=1))[:, 1:] == 255).all()
    clip.rgb = np.where(clip.rgb < 128, clip.rgb // 4, 255 - (255 - clip.rgb) // 4).astype(np.uint8)
    clip.negative = 0
    assert np.array_equal(flow_labels(clip, 1, chances.__getitem__, FlowLabels(before=1)), labels)


def test_with_no_earlier_frames_a_label_is_the_best_guess() -> None:
    torch.manual_seed(0)
    chances = [torch.randn(5, HEIGHT, WIDTH).softmax(dim=0) for _ in range(4)]
    for clip, before in ((Sliding(), 0), (Sliding(fps=None), 2)):
        for index in range(4):
            labels = flow_labels(clip, index, chances.__getitem__, FlowLabels(before=before))
            assert labels.dtype == np.uint8
            assert np.array_equal(labels, chances[index].argmax(dim=0).numpy())


def test_confidence_and_coverage_keep_the_most_probable_pixels_of_each_class() -> None:
    torch.manual_seed(1)
    chances = [torch.randn(3, HEIGHT, WIDTH).softmax(dim=0)]
    best = chances[0].max(dim=0).values.numpy()
    labels = flow_labels(Sliding(), 0, chances.__getitem__, FlowLabels(confidence=0.6))
    assert np.array_equal(labels != 255, best >= 0.6) and 0 < (labels == 255).sum() < 60
    guesses = chances[0].argmax(dim=0).numpy()
    for coverage in (0.25, 0.5, 1.0):
        labels = flow_labels(Sliding(), 0, chances.__getitem__, FlowLabels(coverage=coverage))
        for name in range(3):
            place = guesses == name
            kept = labels[place] != 255
            assert kept.sum() == round(coverage * place.sum()) > 0, "of each class as large a share"
            assert best[place][kept].min() >= best[place][~kept].max(initial=0)
    flat = [torch.full((3, HEIGHT, WIDTH), 1 / 3)]
    assert (flow_labels(Sliding(), 0, flat.__getitem__, FlowLabels(coverage=0.1)) != 255).sum() == 6


@pytest.mark.parametrize("wrong", [{"before": -1}, {"confidence": 1.5}, {"coverage": 0.0}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FlowLabels(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["perframe", "tdnet2"])
def test_a_network_labels_every_frame_of_a_clip_from_its_own_probabilities(kind: str) -> None:
    torch.manual_seed(0)
    config = TrainConfig()
    network = network_config(kind, classes=11)
    info = CheckpointInfo(
        network=network,
        classes=CAMVID_CLASSES,
        input=InputInfo(height=32, width=48, mean=config.mean, std=config.std),
    )
    checkpoint = Checkpoint(info=info, network=build_network(network).eval())
    (clip,) = open_dataset("street:[seed=3,clips=1,frames=4,size=40x60]").clips
    chances = chances_of(checkpoint, clip, kept=2)
    labels = [flow_labels(clip, index, chances, FlowLabels(before=1)) for index in range(4)]
    assert [found.shape for found in labels] == [(40, 60)] * 4
    guesses = [chances(index).argmax(dim=0).numpy() for index in range(4)]
    assert np.array_equal(labels[0], guesses[0])
    for found, guess in zip(labels[1:], guesses[1:], strict=True):
        kept = found != 255
        assert np.array_equal(found[kept], guess[kept]) and kept.mean() > 0.3
    assert torch.allclose(chances(2).sum(dim=0), torch.ones(40, 60))
