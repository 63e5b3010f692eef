"""The native scheduler against the reference executor, frame by frame and bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules, plain_functions, ring_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.errors import DeviceError
from edge_vss.executor import ReferenceExecutor
from edge_vss.graph import Graph
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Schedule

from .plain_bundles import all_cases, image_of, random_frames, write_plain_bundle

CASES = all_cases()


def play_both(
    path: Path,
    graph: Graph,
    schedule: Schedule,
    *,
    count: int = 120,
    resets: tuple[int, ...] = (37, 38, 90),
    **options: Any,
) -> None:
    """Run both over the same frames, with resets in mid-stream, and compare everything they say."""
    _, _, height, width = graph.tensor(graph.image).shape
    reference = ReferenceExecutor(graph, schedule, plain_functions(graph))
    with Pipeline(path, schedule=schedule.name, **options) as pipeline:
        for index, frame in enumerate(random_frames(height, width, count, seed=len(schedule.name))):
            if index in resets:
                reference.reset()
                pipeline.reset()
            want = reference.step(image_of(frame), sequence=frame.sequence, pts_us=frame.pts_us)
            got = pipeline.process(frame)
            assert got.fired == want.fired, f"frame {index}"
            assert got.changes == pytest.approx(want.changes, abs=1e-9)
            assert got.age_frames == want.age_frames
            assert got.age_ms == pytest.approx(want.age_ms)
            assert got.stage_age_frames == want.stage_age_frames
            for name, value in want.outputs.items():
                tensor = graph.tensor(name)
                np.testing.assert_array_equal(pipeline.read_tensor(name, tensor.shape, tensor.dtype), value)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("backend", ["plain", "plain-device"])
@pytest.mark.parametrize("case", CASES)
def test_native_scheduler_equals_the_reference_executor(tmp_path: Path, case: str, backend: str, threads: int) -> None:
    graph, schedule = CASES[case]
    write_plain_bundle(tmp_path / "bundle", graph, [schedule], backend=backend)
    play_both(tmp_path / "bundle", graph, schedule, threads=threads)


def test_schedules_that_share_a_bundle_do_not_disturb_each_other(tmp_path: Path) -> None:
    graph = chain_graph()
    schedules = chain_graph_schedules(graph)
    write_plain_bundle(tmp_path / "bundle", graph, schedules)
    for schedule in schedules:
        play_both(tmp_path / "bundle", graph, schedule, count=30, resets=(11,))


@settings(max_examples=25, deadline=None)
@given(delays=st.permutations([0, 3000, 6000]))
def test_results_do_not_depend_on_which_stage_is_slow(tmp_path_factory: Any, delays: list[int]) -> None:
    graph = chain_graph()
    schedule = next(s for s in chain_graph_schedules(graph) if s.name == "pipeline-3")
    path = tmp_path_factory.mktemp("slow") / "bundle"
    slow = {stage: {"sleep_us": delay // 10} for stage, delay in zip(("s1", "s2", "s3"), delays)}
    write_plain_bundle(path, graph, [schedule], extra=slow)
    play_both(path, graph, schedule, count=12, resets=(5,), threads=3)


def test_stages_that_delays_set_free_run_side_by_side(tmp_path: Path) -> None:
    graph = chain_graph()
    schedules = {s.name: s for s in chain_graph_schedules(graph)}
    slow = {stage: {"sleep_us": 20_000} for stage in ("s1", "s2", "s3")}
    write_plain_bundle(tmp_path / "bundle", graph, [schedules["full"], schedules["pipeline-3"]], extra=slow)
    latency = {}
    for name in ("full", "pipeline-3"):
        with Pipeline(tmp_path / "bundle", schedule=name, threads=3) as pipeline:
            latency[name] = [pipeline.process(frame).latency_ms for frame in random_frames(32, 48, 8)][3:]
    assert min(latency["full"]) >= 60
    assert min(latency["pipeline-3"]) < 1.5 * 20


def test_changing_the_schedule_keeps_the_state(tmp_path: Path) -> None:
    graph = chain_graph()
    schedules = chain_graph_schedules(graph)
    write_plain_bundle(tmp_path / "bundle", graph, schedules)
    frames = random_frames(32, 48, 4)
    with Pipeline(tmp_path / "bundle", schedule="full") as pipeline:
        first = pipeline.process(frames[0])
        pipeline.set_schedule("reuse")
        second = pipeline.process(frames[1])
        assert second.fired == () and second.flags == ("reused",)
        np.testing.assert_array_equal(first.labels["logits"], second.labels["logits"])
        pipeline.set_schedule("adaptive")
        assert "s3" in pipeline.process(frames[2]).fired, "a new adaptive clock has no reference and fires"
        with pytest.raises(ValueError, match="unknown schedule 'none'; the bundle has: full"):
            pipeline.set_schedule("none")


def test_an_engine_that_fails_resets_the_stream_and_says_which_stage(tmp_path: Path) -> None:
    graph, schedule = ring_graph(3)
    write_plain_bundle(tmp_path / "bundle", graph, [schedule], extra={"propagate_2": {"fail_after": 2}})
    frames = random_frames(16, 24, 9)
    with Pipeline(tmp_path / "bundle") as pipeline:
        for frame in frames[:5]:
            pipeline.process(frame)
        with pytest.raises(DeviceError, match="stage 'propagate_2': failed as its file asks for"):
            pipeline.process(frames[5])
        after = pipeline.process(frames[6])
        assert after.fired == ("encode_0", "cold_0") and after.flags == ("reset",)
