"""Streaming histograms: no order or split of the data, and no outlier's place in it, may change a range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.calibration.observed_source import clips_of
from edge_vss.calibration.range_cache import load_observations, store_observations
from edge_vss.calibration.ranges import METHODS, Histogram
from edge_vss.errors import BadInput
from edge_vss.frame import Frame


def counted(*arrays: np.ndarray) -> Histogram:
    histogram = Histogram()
    for array in arrays:
        histogram.add(array)
    return histogram


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@given(order=st.permutations(range(5)), split=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_any_order_and_split_gives_the_same_range(method: str, order: list[int], split: int) -> None:
    arrays = [normal(seed, 1, 2, 8, 9) * np.float32(4.0**seed) for seed in range(5)]
    shuffled = [arrays[place] for place in order]
    merged = counted(*shuffled[:split])
    merged.merge(counted(*shuffled[split:]))
    assert merged.range(method) == counted(*arrays).range(method)


@pytest.mark.parametrize("method", METHODS)
def test_an_outlier_first_or_last_makes_no_difference(method: str) -> None:
    body, outlier = normal(0, 400, 250), np.full((1, 1), 20.0, np.float32)
    first, last = counted(outlier, body).range(method), counted(body, outlier).range(method)
    assert first == last
    if method in ("percentile", "entropy"):
        assert 3.0 < first[1] < 7.0  # one of 100,000 values does not stretch the range


def test_minmax_is_exact_and_ranges_hold_zero() -> None:
    values = np.array([[2.5, 7.25]], np.float32)
    assert counted(values).range("minmax") == (0.0, 7.25)


def test_mse_is_no_worse_than_minmax() -> None:
    values = np.random.default_rng(1).laplace(size=(300, 300)).astype(np.float32)

    def loss(limits: tuple[float, float]) -> float:
        step = (limits[1] - limits[0]) / 255
        return float(((np.round(np.clip(values, *limits) / step) * step - values) ** 2).mean())

    histogram = counted(values)
    assert loss(histogram.range("mse")) < 0.95 * loss(histogram.range("minmax"))


def test_memory_is_bounded_whatever_it_is_fed() -> None:
    histogram = counted(*(normal(seed, 64, 64) * np.float32(10.0 ** (seed - 6)) for seed in range(12)))
    assert len(histogram.bins[0]) <= 1 << 15


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(BadInput, match="NaN or infinite"):
        counted(np.array([[0.0, bad]], np.float32))


def test_what_is_kept_comes_back_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_VSS_RANGES", str(tmp_path / "ranges"))
    seen: dict[str, dict[str, Histogram]] = {"fine": {"image": Histogram(), "conv/1": Histogram()}}
    seen["fine"]["image"].add(np.random.default_rng(0).normal(size=(1, 3, 8, 8)))
    seen["fine"]["conv/1"].widen(np.array([-3.0, 9.0]))
    store_observations("key", seen)
    found = load_observations("key")
    assert found is not None
    assert found["fine"]["image"].range("mse") == seen["fine"]["image"].range("mse")
    assert found["fine"]["conv/1"].magnitude == 9.0 and not found["fine"]["conv/1"].filled
    assert load_observations("other") is None
    file = tmp_path / "ranges" / "key.npz"
    file.write_bytes(file.read_bytes()[:-40])
    assert load_observations("key") is None


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGE_VSS_RANGES", str(tmp_path / "file"))
    store_observations("key", {})
    assert load_observations("key") is None


def test_clips_end_where_time_jumps() -> None:
    times = [0, 100_000, 200_000, 900_000, 1_000_000, 50_000, 150_000]
    blank = np.zeros((2, 2, 3), np.uint8)
    frames = (
        Frame(format="rgb", planes=(blank,), height=2, width=2, pts_us=time, sequence=place)
        for place, time in enumerate(times)
    )
    assert [[frame.pts_us for frame in clip] for clip in clips_of(frames, 10.0)] == [times[:3], times[3:5], times[5:]]
