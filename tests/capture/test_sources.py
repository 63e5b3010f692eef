"""Sources through GStreamer: what a frame carries, which cameras open, files as PyAV gives them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from edge_vss.data.sources import open_source
from edge_vss.errors import BadInput, DeviceError
from edge_vss.runtime import NativeSource

FACTS = """
import json, sys
from edge_vss.runtime import NativeSource
with NativeSource(sys.argv[1], timeout_ms=1000) as source:
    frames = []
    while len(frames) < 10:
        frame = source.next(2000)
        if frame is not None:
            frames.append(frame)
    last = frames[-1]
    print(json.dumps({
        "size": [source.height, source.width], "fps": source.fps, "live": source.live, "format": last.format,
        "range": last.range, "sequence": [f.sequence for f in frames], "mean": [float(p.mean()) for p in last.planes],
    }))
"""


def test_the_test_picture_comes_at_its_rate_with_capture_times():
    with open_source("test:[size=240x320,fps=50]") as source:
        assert (source.height, source.width, source.fps, source.live) == (240, 320, 50.0, True)
        begun = time.monotonic()
        frames = list(itertools.islice(source, 50))
        assert 0.8 < time.monotonic() - begun < 1.5
        age_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - frames[-1].captured_ns
    assert 0 <= age_ns < 200_000_000
    steps_us = np.diff([frame.pts_us for frame in frames])
    assert steps_us.min() > 0
    assert np.median(steps_us) == 20_000
    assert [frame.suspect for frame in frames] == [()] * 50
    assert frames[0].planes[0].shape == (240, 320)


def test_a_reader_that_is_late_gets_the_newest_frame_and_the_count_of_what_it_missed():
    with open_source("test:[size=64x96,fps=100]") as source:
        taken = []
        for frame in itertools.islice(source, 6):
            taken.append(frame.sequence)
            time.sleep(0.1)
        dropped = source.dropped()
    assert min(np.diff(taken)[1:]) >= 8
    assert dropped["newer"] >= 30
    assert source.dropped() == source.dropped()  # also after the end


@pytest.mark.parametrize(("pattern", "suspect"), [("black", {"black", "frozen"}), ("smpte", set()), ("snow", set())])
def test_black_and_frozen_pictures_are_suspect_and_colour_bars_are_not(pattern, suspect):
    with open_source(f"test:[size=64x96,fps=100,pattern={pattern}]") as source:
        frames = list(itertools.islice(source, 12))
    assert set(frames[-1].suspect) == suspect


@pytest.mark.parametrize("uri", ["csi://x", "test:[size=5]", "test:[pattern=odd]", "v4l2:///etc/passwd", "rtsp://a b"])
def test_what_is_no_source_is_bad_input(uri):
    with pytest.raises(BadInput):
        open_source(uri)


def test_a_camera_that_is_not_there_is_a_device_error_that_says_what_to_do():
    with pytest.raises(DeviceError, match=r"/dev/video77: .*; check that it is plugged in"):
        open_source("/dev/video77")
    with pytest.raises(DeviceError, match="JetPack"):
        open_source("csi://0")


@pytest.mark.parametrize(
    ("has", "size", "fps", "range_"),
    [
        ("capsfilter caps=video/x-raw,format=YUY2,width=640,height=480,framerate=15/1", [480, 640], 15, "limited"),
        ("capsfilter caps=video/x-raw,format=YUY2,width=1280,height=720,framerate=30/1", [720, 1280], 30, "limited"),
        ("video/x-raw,format=I420,width=1280,height=720,framerate=30/1 ! jpegenc", [720, 1280], 30, "full"),
    ],
    ids=["yuyv-odd-size", "yuyv", "mjpeg"],
)
def test_usb_cameras_open_with_what_they_have(in_child, usb_camera, has, size, fps, range_):
    environment = {**usb_camera, "EVSS_V4L2": f"videotestsrc is-live=true pattern=white ! {has}"}
    found = in_child(FACTS, environment, "v4l2:///dev/video0")
    assert (found["size"], found["fps"], found["live"]) == (size, fps, True)
    assert found["range"] == range_
    luma = found["mean"][0] if found["format"] != "yuyv" else 2 * found["mean"][0] - 128
    assert luma == pytest.approx(235, abs=2)  # the white that went in, untouched on its way


def test_a_network_camera_that_is_killed_and_comes_back_goes_on(in_child, rtsp_camera, free_port):
    code = """
import json, os, signal, subprocess, sys, time
from edge_vss.runtime import NativeSource
server, port, pipeline = sys.argv[1:4]
def start():
    process = subprocess.Popen([server, port, pipeline], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdout.readline()
    return process
process = start()
with NativeSource(f"rtsp://user:secret@127.0.0.1:{port}/camera", timeout_ms=1000, max_rebuilds=40) as source:
    def take(count):
        taken = []
        while len(taken) < count:
            frame = source.next(1000)
            if frame is not None:
                taken.append((frame.sequence, frame.pts_us))
        return taken
    first = take(30)
    process.kill(); process.wait()
    time.sleep(2.0)
    process = start(); back = time.monotonic()
    while (frame := source.next(100)) is None or frame.pts_us < first[-1][1] + 2_000_000:
        pass
    recovered_s = time.monotonic() - back
    second = take(20)
    print(json.dumps({"size": [source.height, source.width], "recovered_s": recovered_s, "pts": first + second,
                      "stats": source.stats()}))
process.kill()
"""
    picture = "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
    pipeline = f"( {picture} ! openh264enc gop-size=25 ! rtph264pay name=pay0 config-interval=1 )"
    found = in_child(code, {}, rtsp_camera, free_port, pipeline)
    assert found["size"] == [240, 320]
    assert found["recovered_s"] < 2.0
    assert found["stats"]["rebuilds"] >= 1
    steps = np.diff(np.array(found["pts"]), axis=0)
    assert steps.min() > 0


def same_frames(path: Path) -> int:
    """Number of frames that PyAV and GStreamer give alike, which is all of them."""
    count = 0
    with open_source(str(path)) as ours, NativeSource(path.as_uri()) as other:
        assert (ours.height, ours.width, other.live) == (other.height, other.width, False)
        for expected in ours:
            frame = other.next(10_000)
            assert frame is not None
            for name in ("format", "matrix", "range", "pts_us", "sequence"):
                assert getattr(frame, name) == getattr(expected, name), (name, count)
            for plane, wanted in zip(frame.planes, expected.planes, strict=True):
                np.testing.assert_array_equal(plane, wanted)
            count += 1
        with pytest.raises(StopIteration):
            other.next(10_000)
    return count


def test_gstreamer_and_pyav_give_the_same_planes_for_a_real_clip(real_data):
    clip = real_data / "highway_960x540_25fps.mp4"
    if not clip.is_file():
        pytest.skip(f"no {clip}")
    assert same_frames(clip) == 221


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize(("height", "space", "range_"), [(64, 5, 1), (64, 1, 2), (600, 1, 1), (720, 5, 2), (720, 1, 1)])
def test_gstreamer_and_pyav_agree_on_matrix_and_range(tmp_path, height, space, range_, tagged):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = height, 96, "yuv420p"
        if tagged:
            stream.codec_context.colorspace, stream.codec_context.color_range = space, range_
        for i in range(5):
            rgb = np.full((height, 96, 3), (40 * i, 90, 200 - 30 * i), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode())
    assert same_frames(path) == 5


def test_importing_the_runtime_loads_no_gstreamer():
    code = "import edge_vss.runtime; print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True).stdout
    assert "_native" in maps
    assert "gst" not in maps


def test_a_build_without_capture_says_what_installs_it(in_child):
    code = """
import json
from edge_vss.data.sources import open_source
from edge_vss.errors import DeviceError
try:
    open_source("test:")
except DeviceError as error:
    print(json.dumps({"error": str(error), "code": error.exit_code}))
"""
    found = in_child(code, {"EDGE_VSS_CAPTURE": "/nowhere/libedge_vss_capture.so"})
    assert found["code"] == 4
    assert "apt-get install libgstreamer1.0-dev" in found["error"]
