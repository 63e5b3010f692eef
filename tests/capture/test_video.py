"""Videos written through GStreamer: what they hold, and what is left of them after a kill."""

from __future__ import annotations

import subprocess
import sys
import time

import av
import numpy as np
import pytest

from capture.conftest import without
from edge_vss.errors import BadInput
from edge_vss.runtime import NativeVideo

HEIGHT, WIDTH, FPS = 121, 161, 30  # odd: 4:2:0 needs a row and a column more

ENDLESS = """
import sys, time
import numpy as np
from edge_vss.runtime import NativeVideo
video = NativeVideo(sys.argv[1], height=120, width=160, fps=30)
picture, begun, i = np.zeros((120, 160, 3), np.uint8), time.monotonic(), 0
while True:
    picture[:, :] = i * 3 % 256
    video.write(picture, round(i * 1e6 / 30))
    i += 1
    print(i, flush=True)
    time.sleep(max(0.0, begun + i / 30 - time.monotonic()))
"""


def picture(index: int) -> np.ndarray:
    """A ramp whose level tells which one it is."""
    rgb = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    rgb[..., 0] = np.linspace(0, 200, WIDTH, dtype=np.uint8)
    rgb[..., 1] = 30 + index * 3
    rgb[..., 2] = 220 - index * 3
    return rgb


def decoded(path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [(frame.time, frame.to_ndarray(format="rgb24")[:HEIGHT, :WIDTH]) for frame in frames]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_video_holds_every_picture_at_its_time(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    with NativeVideo(path, height=HEIGHT, width=WIDTH, fps=FPS) as video:
        for i in range(40):
            video.write(picture(i), 5_000_000 + round(i * 1e6 / FPS))
    frames = decoded(path)
    assert [round(seconds * FPS) for seconds, _ in frames] == list(range(40))
    for i, (_, rgb) in enumerate(frames):
        assert np.abs(rgb.astype(int) - picture(i)).mean() < 6
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_without_an_h264_encoder_another_one_is_taken(in_child, places, tmp_path):
    code = """
import json, sys
import numpy as np
from edge_vss.errors import DeviceError
from edge_vss.runtime import NativeVideo
try:
    NativeVideo(sys.argv[1].replace(".mkv", ".mp4"), height=120, width=160, fps=30)
except DeviceError as error:
    refused = str(error)
with NativeVideo(sys.argv[1], height=120, width=160, fps=30) as video:
    for i in range(20):
        video.write(np.full((120, 160, 3), i * 10, np.uint8), i * 33333)
    print(json.dumps([video.encoder, refused]))
"""
    hidden = without(places / "no-h264", "libgstopenh264.so", "libgstx264.so", "libgstlibav.so")
    path = tmp_path / "v.mkv"
    encoder, refused = in_child(code, hidden, path)
    assert encoder == "vp8enc"
    assert "no encoder for a .mp4 file; apt-get install" in refused
    assert len(decoded(path)) == 20


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_killed_process_leaves_a_video_that_lacks_less_than_two_seconds(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    child = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True, cwd="/")
    assert child.stdout is not None
    written = 0
    begun = time.monotonic()
    while written < 100 and time.monotonic() - begun < 30:
        written = int(child.stdout.readline())
    child.kill()
    child.wait()
    assert [entry.name for entry in tmp_path.iterdir()] == [f".{path.name}.{child.pid}.part"]
    assert len(decoded(next(tmp_path.iterdir()))) > written - 2 * FPS


def test_an_earlier_video_stays_until_there_is_something_to_replace_it(tmp_path):
    path = tmp_path / "v.mkv"
    path.write_bytes(b"earlier")
    NativeVideo(path, height=HEIGHT, width=WIDTH, fps=FPS).close()
    assert path.read_bytes() == b"earlier"
    with NativeVideo(path, height=HEIGHT, width=WIDTH, fps=FPS) as video:
        video.write(picture(0), 0)
        time.sleep(0.5)
        assert path.read_bytes() == b"earlier"
    assert len(decoded(path)) == 1


def test_what_cannot_be_written_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"known: \.mkv, \.mp4"):
        NativeVideo(tmp_path / "v.avi", height=HEIGHT, width=WIDTH, fps=FPS)
    with (
        pytest.raises(BadInput, match="cannot be written"),
        NativeVideo(tmp_path / "none" / "v.mkv", height=HEIGHT, width=WIDTH, fps=FPS) as video,
    ):
        for i in range(20):
            video.write(picture(i), i * 33333)
            time.sleep(0.01)
    with NativeVideo(tmp_path / "v.mkv", height=HEIGHT, width=WIDTH, fps=FPS) as video:
        video.write(picture(0), 1000)
        with pytest.raises(BadInput, match="pts_us must increase: got 1000 after 1000"):
            video.write(picture(1), 1000)
        with pytest.raises(BadInput, match="size"):
            video.write(np.zeros((8, 8, 3), np.uint8), 2000)


def test_a_disk_that_is_full_is_one_line_and_keeps_what_was_written(in_child, tmp_path):
    code = """
import json, resource, signal, sys
import numpy as np
from edge_vss.errors import BadInput
from edge_vss.runtime import NativeVideo
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
noise = np.random.default_rng(1)
video, written = NativeVideo(sys.argv[1], height=120, width=160, fps=30), 0
try:
    while written < 2000:
        video.write(noise.integers(0, 255, (120, 160, 3), np.uint8), written * 33333)
        written += 1
except BadInput as error:
    print(json.dumps([written, str(error)]))
"""
    path = tmp_path / "v.mkv"
    written, error = in_child(code, {}, path)
    assert 0 < written < 2000
    assert error.startswith(f"{path}: cannot be written (")
    assert not path.exists() and [bool(decoded(part)) for part in tmp_path.glob(".v.mkv.*.part")] == [True]
