"""Frames for a whole measurement: seams, sources too long to be held, and who is charged for waiting."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_vss.data.sources import FrameSource
from edge_vss.errors import BadInput
from edge_vss.frame import Frame
from edge_vss.playing import play
from edge_vss.profiling import laps
from edge_vss.profiling.recorder import Recorder
from edge_vss.runtime import Pipeline

from .made import STAGES, chain_bundle, picture, played, source_of


def test_a_short_source_begins_again_with_a_reset_and_its_seam_is_marked(tmp_path: Path) -> None:
    footage = laps.open_footage(source_of(5), wanted=100)
    assert footage.held is not None and len(footage.held) == 5
    with Pipeline(chain_bundle(tmp_path / "b"), schedule="pipeline-2") as pipeline:
        found = list(itertools.islice(laps.play_laps(pipeline, footage, realtime=False, seam_frames=2), 12))
    assert [item.lap for item in found] == [0] * 5 + [1] * 5 + [2] * 2
    assert [item.seam for item in found] == [True, True, False, False, False] * 2 + [True, True]
    assert [index for index, item in enumerate(found) if "reset" in item.played.result.flags] == [0, 5, 10]
    assert all(set(item.played.result.fired) == set(STAGES) for item in found)


def test_a_source_too_long_to_be_held_is_decoded_beside_the_loop_and_plays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def labels(limit: int) -> list[np.ndarray]:
        monkeypatch.setattr(laps, "HELD_BYTES", limit)
        footage = laps.open_footage(source_of(40), wanted=10)
        assert (footage.held is None) == (limit < 40 * 32 * 48)
        with Pipeline(chain_bundle(tmp_path / f"b{limit}")) as pipeline:
            playing = laps.play_laps(pipeline, footage, realtime=False, seam_frames=1)
            found = [item.played.result.labels["logits"] for item in itertools.islice(playing, 90)]
            playing.close()  # type: ignore[attr-defined]
        return found

    held, streamed = labels(1 << 20), labels(20_000)
    assert len(held) == len(streamed) == 90
    assert all(np.array_equal(a, b) for a, b in zip(held, streamed))
    assert not [thread for thread in threading.enumerate() if thread.name == "edge-vss-decode"]


def test_a_decoder_that_fails_in_a_later_lap_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laps, "HELD_BYTES", 1)

    def start() -> Iterator[Frame]:
        yield picture(0)
        raise BadInput("drive.mp4: cut short")

    source = FrameSource(start, fps=100, height=32, width=48, length=2)
    footage = laps.open_footage(source, wanted=10)
    with Pipeline(chain_bundle(tmp_path / "b")) as pipeline, pytest.raises(BadInput, match="cut short"):
        list(laps.play_laps(pipeline, footage, realtime=False, seam_frames=1))


def test_of_an_endless_source_only_what_is_wanted_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    footage = laps.open_footage(source_of(None), wanted=7)
    assert footage.held is not None and len(footage.held) == 7 and footage.held_bytes == 7 * 32 * 48
    monkeypatch.setattr(laps, "HELD_BYTES", 3 * 32 * 48)
    footage = laps.open_footage(source_of(None), wanted=7)
    assert footage.held is not None and len(footage.held) == 3


def test_a_source_without_frames_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no frame"):
        laps.open_footage(source_of(0), wanted=3)


def test_a_loop_that_is_late_is_charged_for_the_waiting(tmp_path: Path) -> None:
    bundle = chain_bundle(tmp_path / "b", {"s1": 20.0}, ["full"])
    frames = [picture(index, fps=100.0) for index in range(10)]  # every 10 ms, but a frame takes 20
    with Pipeline(bundle) as pipeline:
        paced = [one.latency_ms for one in play(pipeline, frames, realtime=True)]
        pipeline.reset()
        free = [one.latency_ms for one in play(pipeline, frames, realtime=False)]
    assert all(ms >= 20 for ms in free) and np.median(free) < 35
    steps = np.diff(paced)
    assert np.median(steps) >= 9.5, "every frame waits 10 ms longer than the one before"
    assert paced[-1] >= 9 * 10 + 20


def test_a_loop_in_time_waits_for_capture_times(tmp_path: Path) -> None:
    frames = [picture(index, fps=50.0) for index in range(6)]
    with Pipeline(chain_bundle(tmp_path / "b")) as pipeline:
        found = list(play(pipeline, frames, realtime=True))
    assert found[-1].begin_s - found[0].begin_s >= 0.1 - 1e-3
    assert all(one.begin_s >= (one.due_s or 0.0) - 1e-6 and one.waited_s > 0 for one in found[1:])


def test_frames_of_a_camera_are_neither_held_nor_waited_for_and_count_from_their_capture(tmp_path: Path) -> None:
    class Camera(FrameSource):
        def dropped(self) -> dict[str, int]:
            return {"newer": 3}

    def start() -> Iterator[Frame]:
        for index in range(3):
            yield replace(picture(index, fps=0.01), captured_ns=time.monotonic_ns() - 30_000_000)

    camera = Camera(start, fps=30, height=32, width=48, length=None)
    camera.live = True
    footage = laps.open_footage(camera, wanted=5)
    assert footage.held is None and footage.live and footage.dropped() == {"newer": 3}
    with Pipeline(chain_bundle(tmp_path / "b")) as pipeline:
        playing = laps.play_laps(pipeline, footage, realtime=True, seam_frames=1)
        found = [item.played for item in itertools.islice(playing, 3)]
    assert all(30 <= one.latency_ms < 500 and one.waited_s == 0.0 for one in found)


def test_the_recorder_keeps_the_newest_frames_in_memory_that_does_not_grow() -> None:
    recorder = Recorder(STAGES, 8)
    before = recorder._rows.nbytes
    for index in range(21):
        recorder.add(played(begin_s=float(index), ms=6.0, fired=("s1",)), lap=0, seam=False)
    rows = recorder.rows()
    assert recorder.added == 21 and rows["begin_s"].tolist() == [float(index) for index in range(13, 21)]
    assert recorder._rows.nbytes == before
    assert rows["fired"][0].tolist() == [True, False, False, False] and rows["stage_ms"][0, 0] == pytest.approx(2.0)
    recorder.clear()
    assert recorder.added == 0 and recorder.rows().size == 0
