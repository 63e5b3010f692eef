"""Frames for a whole measurement: seams, sources too long to be held, and who is charged for waiting."""

from __future__ import annotations

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
from edge_vss.profiling import laps
from edge_vss.profiling.recorder import Recorder, Rows
from edge_vss.runtime import Pipeline
from edge_vss.runtime.pipeline import FLAGS

from .made import STAGES, chain_bundle, picture, played, source_of


def label(
    bundle: Path, footage: laps.Footage, frames: int, *, schedule: str = "full", realtime: bool = False, seam: int = 1
) -> Rows:
    """Rows of so many frames."""
    with (
        Pipeline(bundle, schedule=schedule) as pipeline,
        laps.Laps(pipeline, footage, realtime=realtime, seam_frames=seam, limit=frames) as playing,
    ):
        return np.concatenate(list(playing))


def flagged(rows: Rows, name: str) -> list[int]:
    """Places of the rows with this flag."""
    bit = next(bit for bit, flag in FLAGS.items() if flag == name)
    return np.nonzero(rows["flags"] & bit)[0].tolist()


def test_a_short_source_begins_again_with_a_reset_and_its_seam_is_marked(tmp_path: Path) -> None:
    footage = laps.open_footage(source_of(5), wanted=100)
    assert footage.held is not None and len(footage.held) == 5
    rows = label(chain_bundle(tmp_path / "b"), footage, 12, schedule="pipeline-2", seam=2)
    assert rows["lap"].tolist() == [0] * 5 + [1] * 5 + [2] * 2
    assert rows["seam"].tolist() == [True, True, False, False, False] * 2 + [True, True]
    assert flagged(rows, "reset") == [0, 5, 10]
    assert rows["fired"].all() and rows["fired"].shape == (12, len(STAGES))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_seams_are_the_same_however_many_frames_are_looked_at_at_once(size: int) -> None:
    playing = laps.Laps.__new__(laps.Laps)
    playing._lap, playing._place, playing._seam_frames = 0, 0, 2
    restart = np.array([False, False, False, True, True, False, False, False, True])
    parts = [playing._where(restart[begin : begin + size]) for begin in range(0, restart.size, size)]
    assert np.concatenate([lap for lap, _ in parts]).tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3]
    seams = np.concatenate([seam for _, seam in parts]).astype(int).tolist()
    assert seams == [1, 1, 0, 1, 1, 1, 0, 0, 1]


def test_a_source_too_long_to_be_held_is_decoded_beside_the_loop_and_plays_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pictures that change now and then, so that what an adaptive clock sees tells them apart.
    lights = np.random.default_rng(3).integers(0, 2, 40) * 40
    shown = [replace(picture(index), planes=picture(int(light)).planes) for index, light in enumerate(lights)]

    def ages(limit: int) -> Rows:
        monkeypatch.setattr(laps, "HELD_BYTES", limit)
        source = FrameSource(lambda: iter(shown), fps=100, height=32, width=48, length=40)
        footage = laps.open_footage(source, wanted=10)
        assert (footage.held is None) == (limit < 40 * 32 * 48)
        return label(chain_bundle(tmp_path / f"b{limit}"), footage, 90, schedule="adaptive")

    held, streamed = ages(1 << 20), ages(20_000)
    for column in ("lap", "seam", "fired", "change", "age_frames", "flags"):
        np.testing.assert_array_equal(held[column], streamed[column])
    assert held.size == 90 and 10 < held["fired"][:, 2].sum() < 80, "pictures differ, but not all of them"
    assert not [thread for thread in threading.enumerate() if thread.name == "edge-vss-feed"]


def test_a_decoder_that_fails_in_a_later_lap_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laps, "HELD_BYTES", 1)

    def start() -> Iterator[Frame]:
        yield picture(0)
        raise BadInput("drive.mp4: cut short")

    source = FrameSource(start, fps=100, height=32, width=48, length=2)
    footage = laps.open_footage(source, wanted=10)
    with pytest.raises(BadInput, match="cut short"):
        label(chain_bundle(tmp_path / "b"), footage, 10)


def test_of_an_endless_source_only_what_is_wanted_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    footage = laps.open_footage(source_of(None), wanted=7)
    assert footage.held is not None and len(footage.held) == 7 and footage.held_bytes == 7 * 32 * 48
    monkeypatch.setattr(laps, "HELD_BYTES", 3 * 32 * 48)
    footage = laps.open_footage(source_of(None), wanted=7)
    assert footage.held is not None and len(footage.held) == 3


def test_a_source_without_frames_is_bad_input() -> None:
    with pytest.raises(BadInput, match="no frame"):
        laps.open_footage(source_of(0), wanted=3)


def latency_ms(rows: Rows) -> np.ndarray:
    since = np.where(np.isnan(rows["due_s"]), rows["begin_s"], rows["due_s"])
    return np.asarray((rows["end_s"] - since) * 1000)


def test_a_loop_that_is_late_is_charged_for_the_waiting_until_the_lap_ends(tmp_path: Path) -> None:
    bundle = chain_bundle(tmp_path / "b", {"s1": 20.0}, ["full"])
    footage = laps.open_footage(source_of(10), wanted=10)  # every 10 ms, but a frame takes 20
    paced = latency_ms(label(bundle, footage, 12, realtime=True))
    free = latency_ms(label(bundle, footage, 12))
    assert all(ms >= 20 for ms in free) and np.median(free) < 35
    steps = np.diff(paced[:10])
    assert np.median(steps) >= 9.5, "every frame waits 10 ms longer than the one before"
    assert paced[9] >= 9 * 10 + 20
    assert paced[10] < paced[5], "nobody is charged for what the lap before left behind"


def test_a_loop_in_time_waits_for_capture_times(tmp_path: Path) -> None:
    footage = laps.open_footage(source_of(4, fps=50.0), wanted=10)
    rows = label(chain_bundle(tmp_path / "b"), footage, 8, realtime=True)
    np.testing.assert_allclose(np.diff(rows["due_s"][:4]), 0.02, atol=1e-6)
    assert (rows["begin_s"] >= rows["due_s"] - 1e-6).all()
    assert (rows["waited_s"] > 0).tolist() == ([False] + [True] * 3) * 2


def test_frames_of_a_camera_are_neither_held_nor_waited_for_and_count_from_their_capture(tmp_path: Path) -> None:
    def start() -> Iterator[Frame]:
        for index in range(3):
            yield replace(picture(index, fps=0.01), captured_ns=time.monotonic_ns() - 30_000_000)

    camera = FrameSource(start, fps=30, height=32, width=48, length=None)
    camera.live = True
    footage = laps.open_footage(camera, wanted=5)
    assert footage.held is None and footage.live
    rows = label(chain_bundle(tmp_path / "b"), footage, 3, realtime=True)
    found = latency_ms(rows)
    assert ((found >= 30) & (found < 500)).all() and (rows["waited_s"] == 0).all()


def test_what_a_file_says_of_its_camera_is_no_due_time(tmp_path: Path) -> None:
    frames = [replace(picture(index), captured_ns=1 + index) for index in range(3)]
    footage = laps.open_footage(FrameSource(lambda: iter(frames), fps=100, height=32, width=48, length=3), wanted=3)
    assert np.isnan(label(chain_bundle(tmp_path / "b"), footage, 6)["due_s"]).all()


def test_the_recorder_keeps_the_newest_frames_in_memory_that_does_not_grow() -> None:
    recorder = Recorder(len(STAGES), 8)
    before = recorder._rows.nbytes
    for index in range(21):
        recorder.extend(played(begin_s=float(index), ms=6.0, fired=("s1",)))
    rows = recorder.rows()
    assert recorder.added == 21 and rows["begin_s"].tolist() == [float(index) for index in range(13, 21)]
    assert recorder._rows.nbytes == before
    assert rows["fired"][0].tolist() == [True, False, False, False] and rows["stage_ms"][0, 0] == pytest.approx(2.0)
    recorder.extend(np.concatenate([played(begin_s=float(index), ms=6.0) for index in range(21, 40)]))
    assert recorder.rows()["begin_s"].tolist() == [float(index) for index in range(32, 40)]
    recorder.clear()
    assert recorder.added == 0 and recorder.rows().size == 0
