"""Clock thresholds for a wanted update rate, against a clock written out by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules, plain_functions
from numpy.typing import NDArray

from edge_vss.bundle import load_bundle
from edge_vss.calibration import calibrate_clock, fit_clocks, record_signals
from edge_vss.calibration.clocks import budget_for, max_age_for, pace_for
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.pixels import positions_inside
from edge_vss.schedule import Adaptive, Budget, Pace, Schedule

Maps = list[NDArray[np.uint8]]
GRAPH = chain_graph(128, 192)
SCHEDULES = {schedule.name: schedule for schedule in chain_graph_schedules(GRAPH)}


def drifting(frames: int = 120, seed: int = 0) -> Maps:
    """Label maps of which a varying share changes from frame to frame."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 11, GRAPH.tensor("signal").shape, np.uint8)
    found = []
    for _ in range(frames):
        moved = random.random(labels.shape) < random.uniform(0.0, 0.12)
        labels = np.where(moved, random.integers(0, 11, labels.shape, np.uint8), labels)
        found.append(labels)
    return found


def fired_by_hand(
    maps: Sequence[NDArray[Any]],
    threshold: float,
    max_age: int,
    delay: int = 0,
    budget: Budget | None = None,
    pace: Pace | None = None,
) -> list[bool]:
    """The adaptive clock as the paper, the age bound, the budget and the pace have it; with a delay, every frame sees
    the one before."""
    fired, reference, computed, factor = [], maps[0], 0, 1.0
    for now in range(len(maps)):
        seen = max(0, now - delay)
        spent = budget is not None and sum(fired[max(0, now - budget.frames + 1) :]) >= budget.fires
        changed = (maps[seen] != reference).mean() >= threshold * factor and not spent
        fires = now == 0 or now - computed > max_age or changed
        if fires:
            reference, computed = maps[seen], seen
        fired.append(fires)
        if pace:
            factor = np.clip(factor * (pace.rise if fires else pace.fall), pace.low, pace.high)
    return fired


@pytest.mark.parametrize("rate", [0.2, 0.34, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("name", ["adaptive", "adaptive-late"])
def test_fitted_threshold_fires_at_the_requested_rate(name: str, rate: float) -> None:
    maps = drifting()
    schedule, (fit,) = fit_clocks(GRAPH, SCHEDULES[name], {"signal": maps}, update_rate=rate)
    clock = schedule.clocks["s3"]
    assert isinstance(clock, Adaptive)
    assert (clock.threshold, clock.max_age, clock.budget) == (fit.threshold, max_age_for(rate), budget_for(rate))
    delay = int(name == "adaptive-late")
    free = fired_by_hand(maps, fit.threshold, fit.max_age, delay)
    assert rate - 0.08 <= np.mean(free[1:]) <= rate + 1e-9
    assert clock.pace == pace_for(rate)
    held = fired_by_hand(maps, fit.threshold, fit.max_age, delay, clock.budget, clock.pace)
    assert fit.update_rate == pytest.approx(np.mean(held[1:]))
    assert np.mean(free[1:]) - 0.15 <= fit.update_rate <= rate + 0.02


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.25, 0.34, 0.4, 0.5, 0.55, 0.8, 0.9])
def test_a_budget_stays_under_the_rate_and_comes_close(rate: float) -> None:
    budget = budget_for(rate)
    assert budget is not None
    assert rate - 0.05 <= budget.fires / budget.frames <= rate + 1e-9
    assert 1 <= budget.fires < budget.frames <= 64
    assert (budget.frames == 3) == (rate == 0.34)


def test_livelier_video_cannot_overrun_a_budget() -> None:
    schedule, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": drifting()}, update_rate=0.34)
    random = np.random.default_rng(5)
    wild = [random.integers(0, 11, GRAPH.tensor("signal").shape, np.uint8) for _ in range(121)]
    clock = schedule.clocks["s3"]
    assert isinstance(clock, Adaptive)
    assert all(fired_by_hand(wild, fit.threshold, fit.max_age))
    fired = fired_by_hand(wild, fit.threshold, fit.max_age, budget=clock.budget)
    assert 0.3 <= np.mean(fired[1:]) <= 0.34


@pytest.mark.parametrize("liveliness", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_a_pace_holds_the_rate_on_streets_that_change_more_or_less(liveliness: float) -> None:
    schedule, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": drifting()}, update_rate=0.4)
    clock = schedule.clocks["s3"]
    assert isinstance(clock, Adaptive)
    random = np.random.default_rng(9)
    labels, maps = random.integers(0, 11, GRAPH.tensor("signal").shape, np.uint8), []
    for _ in range(300):
        moved = random.random(labels.shape) < random.uniform(0.0, 0.12) * liveliness
        labels = np.where(moved, random.integers(0, 11, labels.shape, np.uint8), labels)
        maps.append(labels)
    fired = fired_by_hand(maps, fit.threshold, fit.max_age, budget=clock.budget, pace=clock.pace)
    assert 0.34 <= np.mean(fired[1:]) <= 0.41


def test_thresholds_lie_midway_between_two_attainable_values() -> None:
    _, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": drifting()}, update_rate=0.5)
    positions = GRAPH.tensor("signal").elements
    assert (fit.threshold * positions) % 1 == pytest.approx(0.5)


def test_padding_counts_in_no_threshold() -> None:
    maps, valid = drifting(), (0.25, 0.0, 0.75, 1.0)
    for labels in maps:
        labels[:, : labels.shape[1] // 4] = np.random.default_rng().integers(0, 11, 1)  # flickering padding
    _, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": maps}, update_rate=0.5, valid=valid)
    positions = positions_inside(maps[0].shape, valid)
    inside = [labels[:, 2:6] for labels in maps]
    assert positions == inside[0].size
    fired = fired_by_hand(inside, fit.threshold, fit.max_age, budget=budget_for(0.5), pace=pace_for(0.5))
    assert fit.update_rate == np.mean(fired[1:])


def test_still_video_fires_when_max_age_says_so() -> None:
    maps = [drifting(1)[0]] * 71
    _, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": maps}, update_rate=0.5)
    assert fit.update_rate == pytest.approx(1 / 7)


def test_max_age_is_at_least_six_and_grows_for_rare_firing() -> None:
    assert [max_age_for(rate) for rate in (1.0, 0.5, 0.34, 0.25, 0.1)] == [6, 6, 6, 8, 20]


def test_relative_signals_are_fitted_too() -> None:
    random = np.random.default_rng(3)
    values = list(np.cumsum(random.normal(size=(60, *GRAPH.tensor("middle").shape)), axis=0).astype(np.float32))
    _, (fit,) = fit_clocks(GRAPH, SCHEDULES["adaptive-relative"], {"middle": values}, update_rate=0.4)
    assert 0.25 <= fit.update_rate <= 0.4 and 0 < fit.threshold < 1


def test_signals_are_recorded_without_running_what_comes_after() -> None:
    ran = set()
    functions = plain_functions(GRAPH)

    def watch(name: str) -> Any:
        def run(*inputs: Any) -> Any:
            ran.add(name)
            return functions[name](*inputs)

        return run

    random = np.random.default_rng(0)
    images = (random.random(GRAPH.tensor("image").shape, np.float32) for _ in range(9))
    signals = record_signals(GRAPH, ["signal"], {name: watch(name) for name in functions}, images)
    assert [labels.shape for labels in signals["signal"]] == [GRAPH.tensor("signal").shape] * 9
    assert ran == {"s1", "s2"}


def test_too_few_frames_black_ones_and_schedules_without_a_clock_are_refused() -> None:
    images = [np.zeros(GRAPH.tensor("image").shape, np.float32)] * 3
    with pytest.raises(BadInput, match="at least"):
        record_signals(GRAPH, ["signal"], plain_functions(GRAPH), images)
    with pytest.raises(BadInput, match="of one colour"):
        record_signals(GRAPH, ["signal"], plain_functions(GRAPH), images * 3)
    with pytest.raises(BadInput, match="no adaptive clock"):
        fit_clocks(GRAPH, Schedule(name="full"), {"signal": drifting()}, update_rate=0.5)
    with pytest.raises(WrongUsage, match="share of frames"):
        fit_clocks(GRAPH, SCHEDULES["adaptive"], {"signal": drifting()}, update_rate=0.0)


def test_calibrating_a_bundle_changes_thresholds_and_goldens_only(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(tiny_bundle, path)
    before = load_bundle(path)
    steps: list[tuple[int, int]] = []
    source = "street:[size=64x96,frames=24,seed=8]"
    report = calibrate_clock(path, source, 0.2, progress=lambda done, total: steps.append((done, total)))
    after = load_bundle(path)
    after.check_files()
    clock = after.manifest.schedule("adaptive").clocks["deep"]
    assert isinstance(clock, Adaptive)
    assert report.thresholds == {"deep": clock.threshold} and clock.max_age == 10
    assert report.update_rate <= 0.2 and report.frames == 24 and steps[-1][0] == 24
    old, new = (bundle.manifest for bundle in (before, after))
    assert {n: f for n, f in old.files.items() if "adaptive" not in n} == {
        n: f for n, f in new.files.items() if "adaptive" not in n
    }
    assert new.calibration["source"] == source
    fired = new.variants[0].golden["adaptive"].fired
    wanted = [
        index == 0 or change.get("deep", -1.0) >= clock.threshold or stale(fired, index, clock.max_age)
        for index, change in enumerate(new.variants[0].golden["adaptive"].changes)
    ]
    assert ["deep" in stages for stages in fired] == wanted
    same = msgspec.structs.replace(new, schedules=old.schedules, variants=old.variants, calibration={}, files={})
    assert same == msgspec.structs.replace(old, calibration={}, files={})


def stale(fired: Sequence[tuple[str, ...]], index: int, max_age: int) -> bool:
    return not any("deep" in stages for stages in fired[max(0, index - max_age) : index])


def test_a_failed_calibration_leaves_the_bundle_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(tiny_bundle, path)
    manifest = (path / "manifest.json").read_bytes()
    for source, schedule in (
        ("street:[size=64x96,frames=4]", "adaptive"),
        ("nowhere.mp4", "adaptive"),
        ("street:", "full"),
    ):
        with pytest.raises(BadInput):
            calibrate_clock(path, source, 0.5, schedule, frames=12)
    with pytest.raises(BadInput, match="it has: full"):
        calibrate_clock(path, "street:", 0.5, "nothing")
    assert (path / "manifest.json").read_bytes() == manifest
