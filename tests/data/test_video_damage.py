"""A damaged video is played as far as it decodes, and its damage is counted and said."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from edge_vss.data.sources import open_source
from edge_vss.data.video import VideoWriter

FRAMES, FPS = 60, 15.0


@pytest.fixture(params=["mp4", "mkv"])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"whole.{request.param}"
    random = np.random.default_rng(1)
    with VideoWriter(path, 64, 96, FPS) as writer:
        for _ in range(FRAMES):
            writer.write(random.integers(0, 256, (64, 96, 3), np.uint8))
    return path


def played(path: Path) -> tuple[int, dict[str, float]]:
    with open_source(str(path)) as source:
        return sum(1 for _ in source), source.damage.as_dict()


def test_a_whole_video_has_no_damage(video: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert played(video) == (FRAMES, {})
    assert not caplog.records


def test_packets_that_do_not_decode_are_counted(video: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = bytearray(video.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)  # several packets, and in Matroska the headers between them
    video.write_bytes(data)
    with caplog.at_level(logging.WARNING, "edge_vss"):
        count, damage = played(video)
    assert 8 < count < FRAMES
    # Matroska goes on with the next second, which begins anew.
    assert set(damage) >= ({"undecodable_packets"} if video.suffix == ".mp4" else {"damaged_frames"})
    (record,) = caplog.records
    assert video.name in record.getMessage()


def test_a_file_that_was_cut_short_says_how_much_is_missing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.mkv"
    with VideoWriter(path, 64, 96, FPS) as writer:
        for level in range(FRAMES):
            writer.write(np.random.default_rng(level).integers(0, 256, (64, 96, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count, damage = played(path)
    assert damage["missing_s"] == pytest.approx((FRAMES - count) / FPS, abs=1.5 / FPS)
    assert "before the length that it states" in caplog.text


def test_frames_that_were_not_asked_for_are_not_missing(video: Path) -> None:
    with open_source(str(video)) as source:
        frames = iter(source)
        for _ in range(5):
            next(frames)
    assert source.damage.as_dict() == {}
