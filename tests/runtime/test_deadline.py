"""Deadlines: what the governor plays, what it says of it, and that the reference executor gives the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules, plain_functions, ring_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_vss.executor import Firing, ReferenceExecutor
from edge_vss.graph import Graph
from edge_vss.runtime import Pipeline, Result

from .plain_bundles import image_of, random_frames, write_plain_bundle

GRAPH = chain_graph()
SCHEDULES = {schedule.name: schedule for schedule in chain_graph_schedules(GRAPH)}
LADDER = ("full", "adaptive", "alternate", "exponential", "reuse")
MAX_AGE = 4
"""Of the adaptive clock of these schedules."""
MS = 1000


def bundle(path: Path, sleeps_us: dict[str, Any], *, backend: str = "plain", ladder: Sequence[str] = LADDER) -> Path:
    extra = {stage: {"sleep_us": sleep} for stage, sleep in sleeps_us.items()}
    return write_plain_bundle(path, GRAPH, list(SCHEDULES.values()), extra=extra, ladder=ladder, backend=backend).path


def firing_of(result: Result) -> Firing:
    landed = frozenset(result.landed)
    return Firing(fired=frozenset(result.fired) - landed, landed=landed, started=frozenset(result.started))


def replayed(
    path: Path, graph: Graph, count: int, *, resets: Sequence[int] = (), rest_ms: float = 0.0, **options: Any
) -> list[Result]:
    """Play frames natively, and what fired again on the reference executor: outputs and ages must be the same."""
    _, _, height, width = graph.tensor(graph.image).shape
    schedules = SCHEDULES if graph is GRAPH else {schedule.name: schedule for schedule in (ring_graph(3)[1],)}
    reference = ReferenceExecutor(graph, next(iter(schedules.values())), plain_functions(graph))
    results = []
    with Pipeline(path, **options) as pipeline:
        for index, frame in enumerate(random_frames(height, width, count, seed=count)):
            if index in resets:
                pipeline.reset()
                reference.reset()
            got = pipeline.process(frame)
            reference.schedule = schedules.get(got.schedule, reference.schedule)
            want = reference.replay(image_of(frame), firing_of(got), sequence=frame.sequence, pts_us=frame.pts_us)
            assert got.fired == want.fired, f"frame {index}"
            assert got.age_frames == want.age_frames, f"frame {index}"
            assert got.stage_age_frames == want.stage_age_frames, f"frame {index}"
            for name, value in want.outputs.items():
                tensor = graph.tensor(name)
                np.testing.assert_array_equal(pipeline.read_tensor(name, tensor.shape, tensor.dtype), value)
            results.append(got)
            time.sleep(rest_ms / 1000)
    return results


@settings(max_examples=12, deadline=None)
@given(
    deep_us=st.lists(st.integers(0, 9000), min_size=1, max_size=6),
    others_us=st.lists(st.integers(0, 900), min_size=3, max_size=3),
    deadline_ms=st.floats(1.0, 9.0),
    backend=st.sampled_from(["plain", "plain-device"]),
)
def test_whatever_the_stages_take_the_reference_executor_gives_the_same(
    tmp_path_factory: Any, deep_us: list[int], others_us: list[int], deadline_ms: float, backend: str
) -> None:
    sleeps: dict[str, Any] = dict(zip(("s1", "s2", "fuse"), others_us)) | {"s3": deep_us}
    path = bundle(tmp_path_factory.mktemp("deadline") / "b", sleeps, backend=backend)
    results = replayed(path, GRAPH, 40, resets=(23,), rest_ms=0.5, threads=2, deadline_ms=deadline_ms, max_age=6)
    assert max(max(result.age_frames.values()) for result in results) <= 6


def test_a_deep_stage_that_is_too_dear_runs_in_the_background_and_frames_are_in_time(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", {"s3": 20 * MS, "s2": MS})
    results = replayed(path, GRAPH, 60, rest_ms=4, threads=2, deadline_ms=12.0, max_age=12)[10:]
    late = [result for result in results if "late" in result.flags]  # none, but for a machine that is busy otherwise
    assert len(late) <= len(results) / 5
    assert sum("s3" in result.landed for result in results) >= 5
    assert all("degraded" in result.flags for result in results if result.started)
    assert "schedule full, stage s3 in the background" in {result.reasons.get("degraded") for result in results}
    assert all("fuse" in result.fired for result in results), "the rest of the network stays on every frame"


def test_without_a_background_every_miss_is_a_refresh_that_max_age_forces(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", {"s3": 25 * MS, "s2": MS})
    results = replayed(path, GRAPH, 60, threads=2, deadline_ms=15.0, background=False)[3:]
    late = [result for result in results if "late" in result.flags]
    assert late and len(late) < len(results) / 3
    assert all("s3" in result.fired for result in late)
    assert all(result.reasons["late"].startswith(f"max_age {MAX_AGE} forces stage") for result in late)
    assert not any(result.started or result.landed for result in results)
    assert max(max(result.age_frames.values()) for result in results) <= MAX_AGE


def test_with_room_for_everything_the_richest_schedule_is_played_without_a_flag(tmp_path: Path) -> None:
    results = replayed(bundle(tmp_path / "b", {}), GRAPH, 20, threads=2, deadline_ms=1000.0)
    assert {result.schedule for result in results} == {"full"}
    assert all(result.fired == ("s1", "s2", "s3", "fuse") for result in results)
    assert {flag for result in results for flag in result.flags} == {"reset"}


def test_a_spell_of_slowness_is_answered_with_a_cheaper_rung_and_forgotten(tmp_path: Path) -> None:
    slow_then_fast = [0] * 20 + [15 * MS] * 8 + [0] * 400
    results = replayed(
        bundle(tmp_path / "b", {"s1": slow_then_fast}), GRAPH, 260, threads=1, deadline_ms=8.0, background=False
    )
    schedules = [result.schedule for result in results]
    assert "reuse" in schedules and schedules[-1] == "full"


def test_the_schedule_asked_for_is_the_richest_and_a_deadline_can_be_lifted(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", {})
    frames = random_frames(32, 48, 30)
    with Pipeline(path, schedule="alternate", deadline_ms=1000.0, threads=2) as pipeline:
        played = {pipeline.process(frame).schedule for frame in frames[:10]}
        assert played == {"alternate"} and pipeline.info.schedule == "alternate"
        pipeline.set_schedule("pipeline-2")
        assert {pipeline.process(frame).schedule for frame in frames[10:20]} == {"pipeline-2"}
        pipeline.set_deadline(0.0001)
        assert "late" in pipeline.process(frames[20]).flags
        pipeline.set_deadline(0)
        assert all(pipeline.process(frame).flags == () for frame in frames[25:])
        with pytest.raises(ValueError, match="deadline_ms"):
            pipeline.set_deadline(-1.0)


def test_a_bundle_without_a_ladder_re_uses_the_label_map_where_nothing_fits(tmp_path: Path) -> None:
    graph, schedule = ring_graph(3)
    path = write_plain_bundle(tmp_path / "b", graph, [schedule], extra={"encode_1": {"sleep_us": 20 * MS}}).path
    results = replayed(path, graph, 40, threads=2, deadline_ms=10.0, max_age=3)
    assert {result.schedule for result in results} == {"cycle", "reuse"}
    assert max(max(result.age_frames.values()) for result in results) <= 3


def test_an_engine_that_fails_in_the_background_is_an_error_of_a_later_frame(tmp_path: Path) -> None:
    from edge_vss.errors import DeviceError

    extra = {"s3": {"sleep_us": 12 * MS, "fail_after": 6}}
    path = write_plain_bundle(tmp_path / "b", GRAPH, list(SCHEDULES.values()), extra=extra, ladder=LADDER).path
    frames = random_frames(32, 48, 80)
    with Pipeline(path, threads=2, deadline_ms=6.0, max_age=20) as pipeline:
        seen = []
        with pytest.raises(DeviceError, match="stage 's3': failed as its file asks for"):
            for frame in frames:
                seen.append(pipeline.process(frame))
                time.sleep(0.003)
        assert any(result.started for result in seen)
        assert "reset" in pipeline.process(frames[-1]).flags


def test_a_stage_in_the_background_starts_before_max_age_forces_it(tmp_path: Path) -> None:
    # Its clock has it start on every fourth frame. A flight takes as long, six or seven of the camera's frames: begun
    # then, it might land when what is used has grown too old.
    path = bundle(tmp_path / "b", {"s3": 20 * MS, "s2": MS})
    results = replayed(path, GRAPH, 120, rest_ms=4, schedule="exponential", threads=2, deadline_ms=4.0, max_age=14)
    early = [index for index, result in enumerate(results) if result.started and index % 4]
    assert len(early) >= 5
    assert sum(bool(result.landed) for result in results) >= 10
    assert max(max(result.age_frames.values()) for result in results) <= 14
