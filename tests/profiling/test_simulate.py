"""The simulator against cases worked out by hand, and against the native runtime's firings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules, ring_graph
from runtime.plain_bundles import random_frames, write_plain_bundle

from edge_vss.bundle import Bundle, load_bundle
from edge_vss.dry_run import ScriptedExecutor
from edge_vss.errors import BadInput
from edge_vss.profiling.frame_model import IMAGE, FrameWork, engines_ms
from edge_vss.profiling.prices import Prices, frame_work
from edge_vss.profiling.pricing import engine_digests
from edge_vss.profiling.simulate import check_match, simulate_schedule
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Every, Schedule

from .made import STAGES

MACS = {"s1": 10, "s2": 20, "s3": 70, "fuse": 5}
MS = {IMAGE: 1.0, "s1": 2.0, "s2": 3.0, "s3": 8.0, "fuse": 1.0}
CHAIN = {
    "s1": frozenset({IMAGE}),
    "s2": frozenset({"s1"}),
    "s3": frozenset({"s2"}),
    "fuse": frozenset({"s1", "s2", "s3"}),
}


def parts(scale: float = 1.0, **changes: float) -> dict[str, Any]:
    stages = {stage: MS[stage] * scale for stage in STAGES}
    between = sum(stages.values()) + MS[IMAGE]
    found = {
        "frames": 50,
        "interval_ms": 100 / 3,
        "service": 16.0,
        "pre": 1.0,
        "post": 0.5,
        "rest": 0.5,
        "pre_and_engines": between,
        "stages": stages,
    }
    return {**found, **changes}


def report(schedule: str = "full", **changes: Any) -> dict[str, Any]:
    """As a machine would give whose parts always take the same time."""
    columns = {"pre_ms": [1.0] * 4, "post_ms": [0.5] * 4, "post_begin_ms": [15.0] * 4, "service_ms": [16.0] * 4}
    return {
        "schedule": schedule,
        "environment": {"threads": 2},
        "stages": {stage: {} for stage in STAGES},
        "update_rate": dict.fromkeys(STAGES, 1.0),
        "samples": {**columns, "stages": {stage: {"ms": [MS[stage]] * 4} for stage in STAGES}},
        "prices": {
            "alone": {"2": [parts()], "1": [parts(1.5)]},
            "beside": None,
            "own": parts(),
            "wake_ms": 0.0,
            "firings": {"adaptive": {"s3": "1000"}},
        },
        "power": {"stages_mj": None, "idle_w": None},
        "null_because": {"power.stages_mj": "power: not available"},
        **changes,
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    graph = chain_graph()
    more = Schedule(name="third", clocks={"s3": Every(k=3, offset=1), "s2": Every(k=2)})
    path = tmp_path_factory.mktemp("bundles") / "chain.bundle"
    return load_bundle(write_plain_bundle(path, graph, [*chain_graph_schedules(graph), more]).path)


def test_parts_that_wait_for_each_other_add_up() -> None:
    assert engines_ms(FrameWork(MS, CHAIN, MACS), 0, 1.0) == pytest.approx(15.0)
    assert engines_ms(FrameWork(MS, CHAIN, MACS), 3, 2.0) == pytest.approx(15.0)


def test_a_late_stage_runs_beside_the_others_and_both_are_slowed_down() -> None:
    waits = {**CHAIN, "s3": frozenset[str]()}
    # s3 for 8 ms beside image, s1 and s2 for 6 ms, then 2 ms alone, then fuse for 1 ms.
    assert engines_ms(FrameWork(MS, waits, MACS), 1, 1.0) == pytest.approx(8 + 1)
    assert engines_ms(FrameWork(MS, waits, MACS), 1, 1.5) == pytest.approx(6 * 1.5 + 2 + 1)
    assert engines_ms(FrameWork(MS, waits, MACS), 0, 1.5) == pytest.approx(15.0), "nobody to run it beside"


def test_with_one_worker_the_dearest_late_stage_has_it_and_the_next_waits() -> None:
    waits = {**CHAIN, "s2": frozenset[str](), "s3": frozenset[str]()}
    ms = {**MS, "s2": 4.0}
    # Worker: s3, 8 ms. Here: image 1, s2 4, s1 2 (dearer first), then fuse waits until 8.
    assert engines_ms(FrameWork(ms, waits, MACS), 1, 1.0) == pytest.approx(8 + 1)
    # Two workers: s3 and s2 there; image, s1 here.
    assert engines_ms(FrameWork({**ms, "s3": 3.0}, waits, MACS), 2, 1.0) == pytest.approx(4 + 1)


def test_the_model_waits_for_what_the_executor_says(bundle: Bundle) -> None:
    manifest = bundle.manifest
    executor = ScriptedExecutor(manifest.graph, manifest.schedule("pipeline-2"), lambda stage, frame: True)
    found = []
    for index in range(2):
        step = executor.step(None, sequence=index, pts_us=index)
        found.append(frame_work(executor, step.fired, MS, MACS).waits)
    assert found[0]["s3"] == {"s2"}, "after a reset nothing is late"
    assert found[1] == {**CHAIN, "s3": frozenset()}


def test_mean_latency_of_sequential_schedules_is_the_sum_of_their_parts(bundle: Bundle) -> None:
    around = 0.5 + 0.5
    for name, want in (
        ("full", 15 + around),
        ("alternate", 15 - 8 / 2 + around),
        ("exponential", 15 - 3 / 2 - 8 * 3 / 4 + around),
        ("adaptive", 15 - 8 * 3 / 4 + around),
        ("reuse", 1 + 0.5),  # the label map is not made again
    ):
        found = simulate_schedule(bundle, report(), name, fps=30)
        assert found.latency.mean == pytest.approx(want, rel=2e-3), name
        assert found.dropped == 0


def test_a_stage_that_has_not_run_for_long_takes_the_time_of_that_pace(bundle: Bundle) -> None:
    slow = parts(interval_ms=200 / 3)
    slow["stages"] = {**slow["stages"], "s3": 14.0}
    slow["pre_and_engines"] += 6.0
    prices = report()["prices"]
    told = report(prices={**prices, "alone": {**prices["alone"], "2": [slow, parts()]}})
    means = {name: simulate_schedule(bundle, told, name, fps=30).latency.mean for name in ("full", "alternate")}
    assert means["full"] == pytest.approx(16.0, rel=2e-3), "every frame: as measured at that pace"
    assert means["alternate"] == pytest.approx(16 - 8 + 14 / 2, rel=2e-3), "every second frame: as at half the pace"
    between = simulate_schedule(bundle, told, "full", fps=20).latency.mean
    assert between == pytest.approx(16.0 + 6 / 2, rel=2e-2), "in between: in between"


def test_the_measurement_itself_counts_as_one_of_the_prices_at_its_pace(bundle: Bundle) -> None:
    prices = report()["prices"]
    slow = parts()
    slow["stages"] = {**slow["stages"], "s3": 12.0}
    told = report(prices={**prices, "own": slow})
    assert simulate_schedule(bundle, told, "full", fps=30).latency.mean == pytest.approx(16.0 + (12 - 8) / 2, rel=2e-3)
    other = report("alternate", prices={**prices, "own": slow})
    assert simulate_schedule(bundle, other, "full", fps=30).latency.mean == pytest.approx(16.0, rel=2e-3)


def test_pipelines_take_the_times_of_shared_threads_and_the_slowdown_that_was_measured(bundle: Bundle) -> None:
    shared = {stage: ms * 1.5 for stage, ms in MS.items()}  # of one thread
    alone = 12 + 1.5  # s3 outlasts image, s1 and s2 together: 1 + 3 + 4.5
    prices = report()["prices"]
    found = simulate_schedule(bundle, report(), "pipeline-2", fps=30)
    assert found.latency.mean == pytest.approx(alone + 1.0, rel=2e-3)
    slowed = 8.5 * 1.2 + (shared["s3"] - 8.5) + 1.5
    beside = {"schedule": "pipeline-2", **parts(1.5, pre_and_engines=slowed)}
    told = report(prices={**prices, "beside": beside})
    assert Prices(told, bundle.manifest).slowdown == pytest.approx(1.2, rel=1e-4)
    assert simulate_schedule(bundle, told, "pipeline-2", fps=30).latency.mean == pytest.approx(slowed + 1.0, rel=2e-3)


def test_a_camera_that_is_too_fast_loses_frames_and_the_newest_one_wins(bundle: Bundle) -> None:
    # 16 ms of work, a frame every 10 ms: taken at 0, 16 (frame 1), 32 (3), 48 (4), 64 (6), 80 (8) ...
    found = simulate_schedule(bundle, report(), "full", fps=100, deadline_ms=20.0, frames=1000)
    assert found.busy == pytest.approx(1.0, abs=0.01)
    assert found.dropped == pytest.approx(1000 * (1 - 10 / 16), abs=3)
    # Waiting is charged: 0, 6, 2, 8, 4 ms in turn.
    assert found.latency.mean == pytest.approx(16 + 4, abs=0.05)
    assert found.misses == pytest.approx(found.frames * 2 / 5, abs=2)
    ages = simulate_schedule(bundle, report(), "alternate", fps=100, frames=1000).age_frames
    assert ages["max"] == 2, "a dropped frame ages what is kept"


@pytest.mark.parametrize("name", ["full", "alternate", "exponential", "pipeline-2", "pipeline-3", "third", "reuse"])
def test_update_rates_of_fixed_clocks_are_those_of_the_native_runtime(bundle: Bundle, name: str) -> None:
    frames = 121
    found = simulate_schedule(bundle, report(), name, fps=10, frames=frames)
    with Pipeline(bundle.path, schedule=name) as pipeline:
        fired = [pipeline.process(frame).fired for frame in random_frames(32, 48, frames)]
    counted = fired[frames - found.frames :]
    assert found.update_rate == {stage: np.mean([stage in one for one in counted]) for stage in STAGES}


def test_rings_and_guards_are_played(tmp_path: Path) -> None:
    graph, schedule = ring_graph(3)
    ring = load_bundle(write_plain_bundle(tmp_path / "ring", graph, [schedule]).path)
    names = [stage.name for stage in graph.stages]
    stages = dict.fromkeys(names, 2.0)
    own = {
        "frames": 9,
        "interval_ms": 50.0,
        "service": 5.0,
        "pre": 1.0,
        "post": 0.0,
        "rest": 0.0,
        "pre_and_engines": 5.0,
        "stages": stages,
    }
    samples = {key: [1.0] * 3 for key in ("pre_ms", "post_ms", "post_begin_ms", "service_ms")}
    told = report(
        schedule="cycle",
        stages=stages,
        update_rate=dict.fromkeys(names, 1.0),
        samples={**samples, "stages": {}},
        prices={"alone": {"2": [own]}, "beside": None, "own": own, "firings": {}},
    )
    found = simulate_schedule(ring, told, "cycle", fps=20, frames=303)
    assert found.latency.mean == pytest.approx(1 + 2 + 2)
    assert [found.update_rate[f"propagate_{i}"] for i in range(3)] == pytest.approx([1 / 3] * 3, abs=1e-9)
    assert not any(found.update_rate[f"cold_{i}"] for i in range(3))


def test_energy_is_priced_where_the_report_knows_it_and_refused_where_not(bundle: Bundle) -> None:
    energies = {"frame": {"mj": 60.0}, "s3": {"mj": 180.0}}
    told = report(power={"stages_mj": energies, "idle_w": 4.0}, update_rate={**dict.fromkeys(STAGES, 1.0), "s3": 0.4})
    found = simulate_schedule(bundle, told, "alternate", fps=20)
    assert found.mj_per_frame == pytest.approx(4.0 * 50 + 60 + 90, rel=1e-3)
    assert found.mean_w == pytest.approx(found.mj_per_frame / 50, rel=1e-3)
    other = simulate_schedule(bundle, told, "exponential", fps=20)
    assert other.mj_per_frame is None and any("s2" in note for note in other.notes)
    assert simulate_schedule(bundle, report(), "full", fps=20).mj_per_frame is None


def test_what_a_report_lacks_is_said(bundle: Bundle) -> None:
    prices = report()["prices"]
    with pytest.raises(BadInput, match="no firings of schedule 'adaptive'"):
        simulate_schedule(bundle, report(prices={**prices, "firings": {}}), "adaptive", fps=30)
    with pytest.raises(BadInput, match="no stage times on 1 threads"):
        simulate_schedule(bundle, report(prices={**prices, "alone": {"2": [parts()]}}), "pipeline-2", fps=30)
    with pytest.raises(BadInput, match="counts no frame"):
        Prices(report(prices={"alone": {}}), bundle.manifest)
    with pytest.raises(BadInput, match="which this bundle lacks"):
        check_match(report("other"), bundle.manifest)
    with pytest.raises(BadInput, match="is of bundle 'street'"):
        check_match(report(bundle="street"), bundle.manifest)


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": {"threads": "x"}},
        {"prices": {**report()["prices"], "alone": None}},
        {"prices": {**report()["prices"], "wake_ms": None}},
        {"prices": {**report()["prices"], "own": {**parts(), "rest": None}}},
        {"samples": {**report()["samples"], "post_ms": ["x"] * 4}},
        {"power": None},
    ],
)
def test_a_damaged_report_is_refused(bundle: Bundle, changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="not as profile wrote it"):
        simulate_schedule(bundle, report(**changes), "full", fps=20)


def test_a_report_of_other_engines_is_refused(bundle: Bundle) -> None:
    variant = bundle.manifest.variants[0].name
    engines = engine_digests(bundle.manifest, variant)
    assert engines and set(engines) <= set(STAGES) and all(len(digest) == 64 for digest in engines.values())
    check_match(report(bundle=bundle.manifest.name, variant=variant, engines=engines), bundle.manifest)
    changed = {**engines, next(iter(engines)): "0" * 64}
    with pytest.raises(BadInput, match="other engines"):
        check_match(report(bundle=bundle.manifest.name, variant=variant, engines=changed), bundle.manifest)
