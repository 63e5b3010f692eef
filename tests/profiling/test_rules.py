"""Run rules against exact arithmetic on the binomial distribution."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from edge_vss.profiling.rules import CONFIDENCE, Latencies, allowed_slower, frames_needed


def chance_of_at_most(slower: int, frames: int, share: Fraction) -> Fraction:
    """P(at most ``slower`` of ``frames``), each slower with chance 1 - share; without rounding."""
    return sum(
        (comb(frames, k) * (1 - share) ** k * share ** (frames - k) for k in range(slower + 1)), start=Fraction(0)
    )


@pytest.mark.parametrize("share", [Fraction(1, 2), Fraction(9, 10), Fraction(99, 100)])
@pytest.mark.parametrize("frames", [1, 10, 11, 63, 64, 65, 200, 661, 662, 900])
def test_frames_that_may_be_slower_are_those_of_the_exact_binomial(share: Fraction, frames: int) -> None:
    allowed = allowed_slower(frames, float(share))
    doubt = 1 - Fraction(99, 100)
    if allowed:
        assert chance_of_at_most(allowed, frames, share) < doubt
    assert chance_of_at_most(allowed + 1, frames, share) >= doubt


def test_fewest_frames_are_those_of_mlperf() -> None:
    assert [frames_needed(share) for share in (0.90, 0.99)] == [64, 662]
    half = frames_needed(0.5)
    assert (
        chance_of_at_most(1, half, Fraction(1, 2)) < Fraction(1, 100) <= chance_of_at_most(1, half - 1, Fraction(1, 2))
    )


def test_a_quarter_of_a_million_frames_do_not_overflow() -> None:
    frames = 262_144
    for share in (0.5, 0.9, 0.99):
        slower = allowed_slower(frames, share)
        deviations = (frames * (1 - share) - slower) / (frames * share * (1 - share)) ** 0.5
        assert deviations == pytest.approx(2.326, abs=0.05)  # the normal distribution's 99 %


def test_the_estimate_lies_above_the_true_percentile_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    true = -np.log(0.1)
    found = [Latencies.of(rng.exponential(size=300)).estimates["p90"] for _ in range(2000)]
    below = sum(estimate is not None and estimate.ms < true for estimate in found)
    assert below / len(found) <= (1 - CONFIDENCE) * 1.8
    plain = [np.percentile(rng.exponential(size=300), 90) for _ in range(200)]
    assert np.mean(np.array(plain) < true) > 0.3, "the percentile as measured errs low about every second time"


def test_percentiles_are_those_of_sorting_by_hand() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 1002, dtype=np.float64))
    found = Latencies.of(values)
    assert found.as_dict() == {"mean": 501.0, "p50": 501.0, "p90": 901.0, "p99": 991.0, "max": 1001.0}
    estimate = found.estimates["p90"]
    assert estimate is not None
    assert estimate.ms == 1001 - estimate.dropped and estimate.ms > 901
    assert not found.null_because


def test_what_too_few_frames_cannot_tell_is_none_with_the_reason() -> None:
    found = Latencies.of(np.arange(100.0))
    assert found.percentiles["p99"] is None and found.estimates["p99"] is None
    assert found.null_because == {"p99": "100 frames; p99 at confidence 0.99 needs 662"}
    assert found.percentiles["p90"] is not None and found.max == 99.0
    nothing = Latencies.of(np.array([]))
    assert set(nothing.as_dict().values()) == {None} and set(nothing.null_because) == {"p50", "p90", "p99"}
