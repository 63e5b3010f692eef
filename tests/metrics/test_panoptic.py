"""Video panoptic quality against sets of pixels and cases worked by hand."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.metrics import VideoPanopticQuality

Frame = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""True labels, true numbers, predicted labels, predicted numbers."""


def slow_vpq(clips: list[list[Frame]], classes: int, things: set[int], window: int) -> list[float]:
    """Per class, from sets of (frame, pixel): tubes are sets, their overlap is the overlap of sets."""
    iou, found, wrong, missed = (defaultdict(float) for _ in range(4))
    for clip in clips:
        for start in range(len(clip) - window + 1):
            true, said = defaultdict(set), defaultdict(set)
            for at in range(start, start + window):
                labels, numbers, guess, guess_numbers = clip[at]
                for pixel in range(labels.size):
                    c, g = int(labels.flat[pixel]), int(guess.flat[pixel])
                    true[c, int(numbers.flat[pixel]) if c in things else 0].add((at, pixel))
                    said[g, int(guess_numbers.flat[pixel]) if g in things else 0].add((at, pixel))
            void = true.pop((255, 0), set())
            crowds = {c: true.pop((c, 0), set()) for c in things}
            matched = set()
            for (c, _), pixels in true.items():
                best = None
                for key, guess_pixels in said.items():
                    overlap = len(pixels & guess_pixels) / len((pixels | guess_pixels) - (void - pixels))
                    if key[0] == c and overlap > 0.5:
                        best = key, overlap
                if best:
                    matched.add(best[0])
                    iou[c] += best[1]
                    found[c] += 1
                else:
                    missed[c] += 1
            for key, pixels in said.items():
                excused = void | crowds.get(key[0], set())
                if key not in matched and len(pixels & excused) <= 0.5 * len(pixels):
                    wrong[key[0]] += 1
    result = []
    for c in range(classes):
        total = found[c] + wrong[c] / 2 + missed[c] / 2
        result.append(iou[c] / total if total else math.nan)
    return result


def quality(clips: list[list[Frame]], classes: int, things: set[int]) -> VideoPanopticQuality:
    made = VideoPanopticQuality(classes, things=things)
    for clip in clips:
        made.start_clip()
        for labels, numbers, guess, guess_numbers in clip:
            made.update(labels, guess, truth_instances=numbers, instances=guess_numbers)
    return made


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), things=st.sampled_from([set(), {1}, {1, 2}]), noise=st.sampled_from([0.05, 0.4]))
def test_vpq_matches_sets_of_pixels(seed: int, things: set[int], noise: float) -> None:
    rng = np.random.default_rng(seed)

    def blocks(choices: list[int]) -> np.ndarray:
        return np.kron(rng.choice(choices, (2, 3)), np.ones((2, 2), np.int64))

    clips = []
    for length in (5, 2):
        labels, numbers = blocks([0, 1, 2, 255]), blocks([0, 1, 2])
        clip = []
        for _ in range(length):
            odd = rng.random((4, 6)) < noise
            guess = np.where(odd, rng.integers(0, 3, (4, 6)), np.where(labels == 255, 0, labels))
            guess_numbers = np.where(rng.random((4, 6)) < noise, 3, numbers)
            clip.append((labels.astype(np.uint8), numbers.astype(np.uint16), guess.astype(np.uint8), guess_numbers))
        clips.append([(a, b, c, d.astype(np.uint16)) for a, b, c, d in clip])
    made = quality(clips, 3, things)
    want = {window: slow_vpq(clips, 3, things, window) for window in (1, 2, 3, 4)}
    for row, window in enumerate((1, 2, 3, 4)):
        np.testing.assert_allclose(made.per_class[row], want[window], equal_nan=True)
    means = [np.nanmean(values) for values in want.values() if not np.isnan(values).all()]
    assert made.value == pytest.approx(float(np.mean(means)))


def test_a_window_worked_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    first, second = np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8)
    made = VideoPanopticQuality(3, windows=(1, 2))
    made.update(truth, first)
    made.update(truth, second)
    # Windows of 1: class 0 IoU 1 and 1/2 (no match: one missed, one wrong); class 1 IoU 1 and 2/3.
    assert made.per_class[0, :2].tolist() == [1 / 2, (1 + 2 / 3) / 2]
    # One window of 2: class 0 shares 3 of 4 pixels, class 1 shares 4 of 5; class 2 occurs nowhere.
    assert made.per_class[1, :2].tolist() == [3 / 4, 4 / 5]
    assert math.isnan(made.per_class[1, 2])
    assert made.value == pytest.approx(((0.5 + 5 / 6) / 2 + (0.75 + 0.8) / 2) / 2)


def test_a_swapped_identity_costs_windows_but_not_single_frames() -> None:
    labels = np.ones((1, 8), np.uint8)
    numbers = np.array([[1, 1, 1, 1, 2, 2, 2, 2]], np.uint16)
    made = VideoPanopticQuality(2, things={1}, windows=(1, 2))
    for guess in (numbers, 3 - numbers):
        made.update(labels, labels, truth_instances=numbers, instances=guess)
    assert made.per_window[1] == 1.0
    assert made.per_window[2] == 0.0


def test_a_semantic_model_is_right_about_one_object_and_wrong_about_two() -> None:
    labels = np.ones((1, 8), np.uint8)
    one, two = np.full((1, 8), 7, np.uint16), np.array([[1, 1, 1, 1, 2, 2, 2, 2]], np.uint16)
    alone, together = VideoPanopticQuality(2, things={1}), VideoPanopticQuality(2, things={1})
    alone.update(labels, labels, truth_instances=one)
    together.update(labels, labels, truth_instances=two)  # halves: IoU is exactly one half, which is no match
    assert alone.value == 1.0
    assert together.value == 0.0
    classes = VideoPanopticQuality(2)
    classes.update(labels, labels)
    assert classes.value == 1.0


def test_perfect_label_maps_score_one_and_clips_do_not_touch() -> None:
    rng = np.random.default_rng(0)
    made = VideoPanopticQuality(5)
    for _ in range(3):
        made.start_clip()
        for _ in range(2):
            labels = rng.integers(0, 5, (8, 9), np.uint8)
            made.update(labels, labels)
    assert made.per_window[1] == made.per_window[2] == made.value == 1.0
    assert math.isnan(made.per_window[3]) and math.isnan(made.per_window[4])


def test_odd_input_is_refused() -> None:
    made = VideoPanopticQuality(2, things={1})
    zeros = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="instance numbers"):
        made.update(zeros, zeros)
    plain = VideoPanopticQuality(2)
    with pytest.raises(ValueError, match="differ in size"):
        plain.update(zeros, np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="true label 7"):
        plain.update(zeros + 7, zeros)
    with pytest.raises(ValueError, match="predicted label 255"):
        plain.update(zeros, zeros + 255)
    with pytest.raises(ValueError, match="things"):
        VideoPanopticQuality(2, things={2})
    assert math.isnan(plain.value)
