"""Frames by URI, videos written and read back, colours as tagged."""

from __future__ import annotations

import itertools
import os
from fractions import Fraction

import av
import numpy as np
import pytest

from edge_vss.data.colour import to_rgb
from edge_vss.data.sources import open_source
from edge_vss.data.video import VideoWriter, write_png
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

PATCHES = np.array([(200, 40, 30), (30, 180, 60), (40, 60, 210), (230, 220, 60), (128, 128, 128), (16, 235, 200)])


def patches(height, width):
    """(H, W, 3) uint8: six even patches side by side."""
    column = np.arange(width) * len(PATCHES) // width
    return np.repeat(PATCHES[column][None].astype(np.uint8), height, 0)


def patch_means(rgb):
    """The colour in the middle of each patch, (6, 3)."""
    width = rgb.shape[1] / len(PATCHES)
    middles = [rgb[:, round((i + 0.3) * width) : round((i + 0.7) * width)].reshape(-1, 3).mean(0) for i in range(6)]
    return np.array(middles)


def encode(path, rgb, *, space, range_, tag=True, pixel_format="yuv420p", stamps=(0, 1, 2)):
    """Encode a still with FFmpeg in a given matrix and range, tagged or not."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = rgb.shape[0], rgb.shape[1], pixel_format
        stream.codec_context.time_base = Fraction(1, 10)
        if tag:
            stream.codec_context.colorspace, stream.codec_context.color_range = space, range_
        for stamp in stamps:
            picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
                format=pixel_format, dst_colorspace={1: "itu709", 5: "itu601"}[space], dst_color_range=range_
            )
            picture.pts, picture.time_base = stamp, Fraction(1, 10)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


@pytest.mark.parametrize("range_", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("space", [1, 5], ids=["bt709", "bt601"])
def test_tagged_videos_keep_their_colours(tmp_path, space, range_):
    encode(tmp_path / "v.mp4", patches(64, 192), space=space, range_=range_)
    frame = next(iter(open_source(str(tmp_path / "v.mp4"))))
    assert (frame.format, frame.matrix, frame.range) == (
        "i420",
        {1: "bt709", 5: "bt601"}[space],
        ("", "limited", "full")[range_],
    )
    assert np.abs(patch_means(to_rgb(frame)) - PATCHES).max() < 4


@pytest.mark.parametrize(("height", "matrix", "space"), [(64, "bt601", 5), (720, "bt709", 1)])
def test_untagged_videos_are_taken_by_their_height(tmp_path, height, matrix, space):
    encode(tmp_path / "v.mp4", patches(height, 192), space=space, range_=1, tag=False)
    frame = next(iter(open_source(str(tmp_path / "v.mp4"))))
    assert (frame.matrix, frame.range) == (matrix, "limited")
    assert np.abs(patch_means(to_rgb(frame)) - PATCHES).max() < 4


@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv422p", "yuvj422p", "yuv420p10le", "nv12"])
def test_other_layouts_keep_their_colours(tmp_path, pixel_format):
    full = 2 if "yuvj" in pixel_format else 1
    encode(tmp_path / "v.mp4", patches(64, 192), space=1, range_=full, pixel_format=pixel_format)
    frame = next(iter(open_source(str(tmp_path / "v.mp4"))))
    assert frame.range == ("full" if full == 2 else "limited")
    assert np.abs(patch_means(to_rgb(frame)) - PATCHES).max() < 5


@pytest.mark.parametrize("format_", ["i420", "nv12", "yuyv", "bgr", "grey"])
def test_every_layout_shows_the_same_grey(format_):
    y = np.arange(35, dtype=np.uint8).reshape(5, 7) * 6 + 20
    half = np.full((3, 4), 128, np.uint8)
    yuyv = np.full((5, 8, 2), 128, np.uint8)
    yuyv[:, :7, 0] = y
    planes = {
        "i420": (y, half, half), "nv12": (y, np.stack([half, half], -1)), "yuyv": (yuyv,),
        "bgr": (np.repeat(y[..., None], 3, -1),), "grey": (y,),
    }[format_]  # fmt: skip
    frame = Frame(format=format_, planes=planes, height=5, width=7, pts_us=0, sequence=0, range="full")
    assert np.array_equal(to_rgb(frame), np.repeat(y[..., None], 3, -1))


def test_yuyv_and_i420_place_their_chroma_alike():
    rng = np.random.default_rng(0)
    y, u, v = rng.integers(0, 256, (2, 8), np.uint8), *rng.integers(0, 256, (2, 1, 4), np.uint8)
    yuyv = np.stack([y, np.repeat(np.stack([u[0], v[0]], -1).reshape(1, 8), 2, 0)], -1)
    shared = {"height": 2, "width": 8, "pts_us": 0, "sequence": 0, "matrix": "bt709"}
    one = to_rgb(Frame(format="yuyv", planes=(yuyv,), **shared))
    other = to_rgb(Frame(format="i420", planes=(y, u, v), **shared))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "gif"])
@pytest.mark.parametrize(("height", "width"), [(48, 96), (49, 97)])
def test_what_a_writer_wrote_a_source_reads(tmp_path, suffix, height, width):
    path = tmp_path / f"v.{suffix}"
    with VideoWriter(path, height, width, 10) as writer:
        for _ in range(5):
            writer.write(patches(height, width))
        assert not path.exists()
    frames = list(open_source(str(path)))
    assert len(frames) == 5
    shown = to_rgb(frames[4])[:height, :width]
    assert np.abs(patch_means(shown) - PATCHES).max() < (40 if suffix == "gif" else 5)
    assert [frame.pts_us for frame in frames] == [0, 100_000, 200_000, 300_000, 400_000]
    assert [path.name for path in tmp_path.iterdir()] == [f"v.{suffix}"]


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(tmp_path / "v.mp4", 32, 32, 10) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_writers_refuse_places_and_suffixes_by_name(tmp_path):
    with pytest.raises(BadInput, match="nowhere"):
        VideoWriter(tmp_path / "nowhere/v.mp4", 32, 32, 10)
    with pytest.raises(BadInput, match=r"\.mp4, \.mkv, \.gif"):
        VideoWriter(tmp_path / "v.xyz", 32, 32, 10)
    with pytest.raises(BadInput, match="nowhere"):
        write_png(tmp_path / "nowhere/a.png", np.zeros((2, 2), np.uint8))


def test_stamps_follow_the_stream_and_strictly_increase(tmp_path):
    encode(tmp_path / "v.mp4", patches(64, 96), space=5, range_=1, stamps=(3, 4, 9, 11))
    frames = list(open_source(str(tmp_path / "v.mp4")))
    assert [frame.pts_us for frame in frames] == [0, 100_000, 600_000, 800_000]
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3]


def test_a_looped_source_goes_on_in_time(tmp_path):
    encode(tmp_path / "v.mp4", patches(64, 96), space=5, range_=1)
    with open_source((tmp_path / "v.mp4").as_uri(), loop=True) as source:
        frames = list(itertools.islice(source, 8))
    assert source.length is None
    assert [frame.pts_us for frame in frames] == [i * 100_000 for i in range(8)]
    assert [frame.sequence for frame in frames] == list(range(8))


def test_pictures_play_sorted_at_fifteen_hertz(tmp_path):
    for i in (2, 0, 1):
        write_png(tmp_path / f"{i}.png", np.full((4, 6, 3), i, np.uint8))
    for uri in (str(tmp_path), str(tmp_path / "*.png")):
        source = open_source(uri)
        frames = list(source)
        assert (source.fps, source.length, source.height, source.width) == (15.0, 3, 4, 6)
        assert [int(frame.planes[0][0, 0, 0]) for frame in frames] == [0, 1, 2]
        assert [frame.pts_us for frame in frames] == [0, 66667, 133333]


def test_pictures_of_different_sizes_are_refused(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    write_png(tmp_path / "b.png", np.zeros((4, 8, 3), np.uint8))
    with pytest.raises(BadInput, match="4x8"):
        list(open_source(str(tmp_path)))


def test_street_without_frames_is_endless_and_with_frames_ends():
    with open_source("street:[size=16x24]") as source:
        assert source.length is None
        assert [frame.sequence for frame in itertools.islice(source, 40)] == list(range(40))
    assert len(list(open_source("street:[size=16x24,frames=3]"))) == 3
    assert len(list(open_source("street:[size=16x24,frames=3,clips=2]"))) == 6
    with pytest.raises(BadInput, match="frames"):
        open_source("street:[clips=2]")


def test_data_sets_play_clip_after_clip(real_data):
    source = open_source(f"camvid:{real_data}/camvid:val[:3]")
    assert [frame.pts_us for frame in source] == [0, 66667, 133333]
    assert (source.length, source.fps) == (3, 15.0)


def test_a_real_drive_hands_over_its_planes(real_data):
    with open_source(str(real_data / "highway_960x540_25fps.mp4")) as source:
        frames = list(itertools.islice(source, 3))
    assert (source.fps, source.height, source.width) == (25.0, 540, 960)
    assert [frame.format for frame in frames] == ["i420"] * 3


def test_what_holds_no_frames_is_refused_in_one_line(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "empty.mp4").write_bytes(b"")
    encode(tmp_path / "whole.mp4", patches(64, 96), space=5, range_=1)
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    for name in ("noise.mp4", "empty.mp4", "cut.mp4", "sound.mkv", "missing.mp4", ""):
        with pytest.raises(BadInput) as caught:
            list(open_source(str(tmp_path / name) if name else str(tmp_path)))
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["fifo.mp4", "fifo.png", "*.png", ""])
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path, name):
    for pipe in ("fifo.mp4", "fifo.png"):
        os.mkfifo(tmp_path / pipe)
    with pytest.raises(BadInput, match=r"is neither a file nor a folder|is not a file"):
        open_source(str(tmp_path / name))


def test_a_video_cut_in_the_middle_plays_what_is_whole(tmp_path):
    path = tmp_path / "v.mkv"
    with VideoWriter(path, 64, 96, 10) as writer:
        for i in range(30):
            writer.write(np.random.default_rng(i).integers(0, 256, (64, 96, 3), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert 3 < len(list(open_source(str(path)))) < 30
