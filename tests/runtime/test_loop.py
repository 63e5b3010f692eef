"""The loop from Python: the label maps of a pipeline, the source's own errors, pacing, scene cuts, systemd."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules

from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.runtime import Loop, Pipeline

from .plain_bundles import random_frames, write_plain_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    graph = chain_graph()
    return write_plain_bundle(tmp_path / "b", graph, chain_graph_schedules(graph)).path


@pytest.mark.parametrize("schedule", ["full", "adaptive", "pipeline-3"])
def test_the_loop_gives_what_the_pipeline_gives(bundle: Path, schedule: str) -> None:
    frames = [
        dataclasses.replace(frame, captured_ns=1000 + i, suspect=("black",) if i == 3 else ())
        for i, frame in enumerate(random_frames(32, 48, 60))
    ]
    with Pipeline(bundle, schedule=schedule, threads=2) as pipeline:
        want = [pipeline.process(frame) for frame in frames]
    with Pipeline(bundle, schedule=schedule, threads=2) as pipeline, Loop(pipeline, frames, scene_cut=0) as loop:
        count = 0
        for frame, expected, got in zip(frames, want, loop):
            np.testing.assert_array_equal(got.frame.planes[0], frame.planes[0])
            np.testing.assert_array_equal(got.result.labels["logits"], expected.labels["logits"])
            assert (got.result.fired, got.result.age_frames) == (expected.fired, expected.age_frames)
            assert got.result.captured_ns == got.frame.captured_ns == frame.captured_ns
            assert got.result.suspect == got.frame.suspect == frame.suspect
            count += 1
        stats, (first, records) = loop.stats(), loop.records()
    assert count == stats.frames == len(frames) and stats.dropped == {} and first == 0
    assert stats.flags == {"reset": 1, "suspect": 1, "suspect_black": 1} | (
        {"reused": n} if (n := stats.flags.get("reused")) else {}
    )
    assert stats.fired == {name: sum(name in result.fired for result in want) for name in ("s1", "s2", "s3", "fuse")}
    assert records["sequence"].tolist() == [frame.sequence for frame in frames]
    assert stats.age_max == max(max(result.age_frames.values()) for result in want)
    fired_s3 = records["fired"] >> np.uint64(2) & np.uint64(1)
    assert ((records["stage_ms"][:, 2] > 0) <= (fired_s3 == 1)).all() and fired_s3.sum() == stats.fired["s3"]


def test_what_a_source_raises_comes_out_of_the_loop_after_its_frames(bundle: Path) -> None:
    def torn() -> Iterator[Frame]:
        yield from random_frames(32, 48, 5)
        raise BadInput("the tape tore")

    seen = []
    with Pipeline(bundle) as pipeline, Loop(pipeline, torn()) as loop, pytest.raises(BadInput, match="the tape tore"):
        for labelled in loop:
            seen.append(labelled.result.sequence)
    assert len(seen) == 5


def test_a_loop_left_early_gives_its_threads_back(bundle: Path) -> None:
    def endless() -> Iterator[Frame]:
        index = 0
        while True:
            yield dataclasses.replace(random_frames(32, 48, 1)[0], sequence=index, pts_us=index)
            index += 1

    def threads() -> int:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208

    before = threads()
    for _ in range(5):
        with Pipeline(bundle, threads=2) as pipeline, Loop(pipeline, endless()) as loop:
            next(iter(loop))
            assert threads() > before
    until_s = time.monotonic() + 2.0  # a thread that was joined is listed until the kernel has taken it apart
    while threads() > before and time.monotonic() < until_s:
        time.sleep(0.01)
    assert threads() == before


def test_a_frame_that_restarts_the_stream_resets_the_state_and_its_time_begins_anew(bundle: Path) -> None:
    lap = [dataclasses.replace(frame, pts_us=i * 20_000) for i, frame in enumerate(random_frames(32, 48, 4))]
    again = dataclasses.replace(lap[0], restart=True)
    frames = [*lap, again, *lap[1:], again]
    with Pipeline(bundle, schedule="alternate") as pipeline:
        want = [pipeline.process(frame) for frame in lap]
    with Pipeline(bundle, schedule="alternate") as pipeline, Loop(pipeline, frames, realtime=True) as loop:
        got = []
        for labelled in loop:
            np.testing.assert_array_equal(
                labelled.result.labels["logits"], want[len(got) % 4].labels["logits"], f"frame {len(got)}"
            )
            got.append((labelled.frame.restart, "reset" in labelled.result.flags, labelled.result.fired))
        stats, (_, records) = loop.stats(), loop.records()
    assert [restart for restart, _, _ in got] == [index in (4, 8) for index in range(9)]
    assert [reset for _, reset, _ in got] == [index in (0, 4, 8) for index in range(9)]
    assert [fired for _, _, fired in got[:4]] == [fired for _, _, fired in got[4:8]]
    assert stats.scene_cuts == 0 and records["restart"].tolist() == [int(index in (4, 8)) for index in range(9)]
    due_ms = records["captured_ns"] / 1e6
    np.testing.assert_allclose(np.diff(due_ms)[[0, 1, 2, 4, 5, 6]], 20, atol=1e-3)
    assert (np.diff(due_ms)[[3, 7]] < 15).all(), "the first frame of a lap is due at once"


def test_a_loop_without_a_queue_hands_nothing_on_and_records_what_results_would_say(bundle: Path) -> None:
    frames = random_frames(32, 48, 30)
    with Pipeline(bundle, schedule="adaptive") as pipeline:
        want = [pipeline.process(frame) for frame in frames]
        schedules = pipeline.info.schedules
    with Pipeline(bundle, schedule="adaptive") as pipeline, Loop(pipeline, frames, queue=0, scene_cut=0) as loop:
        while loop.wait(50):
            pass
        first, records = loop.records()
    assert first == 0 and records["sequence"].size == 30 and loop.stats().dropped == {}
    assert {schedules[place] for place in records["schedule"]} == {"adaptive"}
    for place, stage in enumerate(("s1", "s2", "s3", "fuse")):
        change = [result.changes.get(stage, -1.0) for result in want]
        np.testing.assert_allclose(records["change"][:, place], change, rtol=1e-6)
    begun = records["stage_begin_ms"] + records["stage_ms"]
    assert (begun.max(axis=1) <= records["post_begin_ms"] + 0.05).all()
    assert (records["post_begin_ms"] + records["post_ms"] <= records["latency_ms"] + 1e-3).all()


def test_files_are_played_at_their_own_rate_and_due_times_are_capture_times(bundle: Path) -> None:
    frames = [dataclasses.replace(frame, pts_us=i * 20_000) for i, frame in enumerate(random_frames(32, 48, 11))]
    begin = time.monotonic()
    with Pipeline(bundle) as pipeline, Loop(pipeline, frames, realtime=True) as loop:
        captured = [labelled.result.captured_ns for labelled in loop]
        stats = loop.stats()
    assert 0.2 <= time.monotonic() - begin < 1.0
    assert np.diff(captured).tolist() == [20_000_000] * 10
    assert 0.1 < stats.waited_s <= stats.seconds


def test_a_limit_ends_the_loop(bundle: Path) -> None:
    with Pipeline(bundle) as pipeline, Loop(pipeline, random_frames(32, 48, 30), limit=7) as loop:
        assert len([labelled.result.sequence for labelled in loop]) == 7
        assert loop.stats().frames == 7


def test_no_cut_is_seen_inside_real_video_and_every_join_is_one(bundle: Path, real_data: Path) -> None:
    def luma(uri: str, limit: int) -> list[Frame]:
        with open_source(uri) as source:
            found = [frame for frame, _ in zip(source, range(limit))]
        return [
            Frame(format="grey", planes=(f.planes[0],), height=f.height, width=f.width, pts_us=0, sequence=0)
            if f.format != "rgb"
            else dataclasses.replace(f, pts_us=0, sequence=0)
            for f in found
        ]

    highway = luma(str(real_data / "highway_960x540_25fps.mp4"), 1000)
    camvid = luma(f"camvid:{real_data / 'camvid'}:val", 20)
    streets = [luma(f"street:[seed={seed},size=88x120,frames=12]", 12) for seed in (1, 4)]
    assert len(highway) > 200
    clips = [highway, camvid, streets[0], highway[:30], streets[1], camvid]
    frames = [
        dataclasses.replace(frame, sequence=i, pts_us=i * 1000)
        for i, frame in enumerate(frame for clip in clips for frame in clip)
    ]
    joins = np.cumsum([len(clip) for clip in clips])[:-1].tolist()
    with Pipeline(bundle, threads=2) as pipeline, Loop(pipeline, frames) as loop:
        cuts = [labelled.result.sequence for labelled in loop if "scene_cut" in labelled.result.flags]
        assert loop.stats().scene_cuts == len(joins)
    assert cuts == joins


SERVICE = """
import signal, sys, time
from edge_vss.runtime import Loop, Pipeline
sys.path.insert(0, sys.argv[2])
from runtime.plain_bundles import random_frames
import dataclasses

def frames():
    picture = random_frames(32, 48, 1)[0]
    for index in range(10**9):
        if index == 40:
            print("stuck", flush=True)
            time.sleep(1.5)
        yield dataclasses.replace(picture, sequence=index, pts_us=index * 10_000)

def leave(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, leave)
with Pipeline(sys.argv[1]) as pipeline, Loop(pipeline, frames(), realtime=True, notify=True) as loop:
    try:
        for labelled in loop:
            pass
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_of_readiness_of_progress_alone_and_of_the_end(
    bundle: Path, tmp_path: Path, abstract: bool
) -> None:
    address = f"@edge-vss-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
        command = [sys.executable, "-c", SERVICE, str(bundle), str(Path(__file__).parents[1])]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as service:
            assert manager.recv(100) == b"READY=1"
            assert service.stdout is not None and service.stdout.readline() == b"stuck\n"
            time.sleep(0.3)
            manager.setblocking(False)
            before = drain(manager)
            time.sleep(0.6)
            assert drain(manager) == [], "a loop that gets no frames says nothing"
            time.sleep(1.2)
            after = drain(manager)
            service.send_signal(signal.SIGTERM)
            assert service.wait(20) == 0
            assert set(before) == set(after) == {b"WATCHDOG=1"}
            assert drain(manager)[-1] == b"STOPPING=1"


def drain(manager: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(manager.recv(100))
        except BlockingIOError:
            return found


def test_a_source_without_frames_leaves_no_records(bundle: Path) -> None:
    with Pipeline(bundle, threads=1) as pipeline, Loop(pipeline, iter(())) as loop:
        assert list(loop) == []
        first, columns = loop.records()
        assert first == 0 and columns["sequence"].shape == (0,) and loop.stats().frames == 0
