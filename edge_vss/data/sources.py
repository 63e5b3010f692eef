"""Opens whatever hands out frames by its URI: video files, folders of pictures, the generated street, data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path
from urllib.parse import unquote, urlparse

from edge_vss.data.cameras import CameraOptions, CameraSource, is_camera
from edge_vss.data.datasets import READERS, open_dataset
from edge_vss.data.frame_source import FrameSource
from edge_vss.data.images import IMAGE_SUFFIXES, read_image
from edge_vss.data.street.reader import StreetClip
from edge_vss.data.street.spec import parse_street
from edge_vss.data.video_file import VideoDamage, probe_video, video_frames
from edge_vss.errors import BadInput
from edge_vss.frame import Frame

__all__ = ["PICTURES_FPS", "FrameSource", "open_source"]

PICTURES_FPS = 15.0
"""Rate at which pictures without a rate of their own are played."""


def open_source(uri: str, *, loop: bool = False, camera: CameraOptions | None = None) -> FrameSource:
    """Open a video file (``file://`` too), pictures, ``street:[...]``, a data set's URI, a camera or ``test:``.

    Args:
        uri: ``street:`` without ``frames`` is endless; data sets play clip after clip.
        loop: Start again at the end, with times that go on.
        camera: How a camera is opened; with a ``pipeline`` in it, ``uri`` only names the source.

    Raises:
        BadInput: Nothing there, or nothing that holds frames.
        DeviceError: A camera that does not open, or a build without the capture library.
    """
    if not uri.strip():
        raise BadInput("the source is empty; give a video, a folder of pictures or street:")
    if is_camera(uri) or (camera is not None and camera.pipeline):
        return CameraSource(uri, camera)
    if camera is not None and camera != CameraOptions():
        raise BadInput(f"{uri}: size, rate and flip are options of cameras; a file is played as it is")
    kind = uri.partition(":")[0]
    if kind == "street":
        return _open_street(uri, loop)
    if kind in READERS:
        return _open_clips(uri, loop)
    if kind == "file":
        parsed = urlparse(uri)
        uri = unquote(parsed.netloc + parsed.path)
    path = Path(uri).expanduser()
    if path.is_dir():
        found = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise BadInput(
                f"{path}: no pictures in this folder ({', '.join(IMAGE_SUFFIXES)}); data sets open as folder:{path}"
            )
        return _open_pictures(found, loop)
    if path.is_file():
        return _open_pictures([path], loop) if path.suffix.lower() in IMAGE_SUFFIXES else _open_video(path, loop)
    if path.exists():  # a pipe may never be opened
        raise BadInput(f"{uri}: is neither a file nor a folder")
    matches = sorted(Path(match) for match in glob(str(path)))  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not matches:
        raise BadInput(f"{uri}: no such file, folder or pattern")
    return _open_pictures(matches, loop)


def _open_video(path: Path, loop: bool) -> FrameSource:
    facts, damage = probe_video(path), VideoDamage()
    return FrameSource(
        lambda: video_frames(path, damage),
        name=str(path),
        damage=damage,
        fps=facts.fps,
        height=facts.height,
        width=facts.width,
        length=facts.length,
        loop=loop,
    )


def _open_pictures(paths: list[Path], loop: bool) -> FrameSource:
    for path in paths:
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: is not a file, so no picture")
    first = read_image(paths[0])

    def start() -> Iterator[Frame]:
        for i, path in enumerate(paths):
            yield read_image(path, pts_us=round(i * 1e6 / PICTURES_FPS), sequence=i)

    return FrameSource(start, fps=PICTURES_FPS, height=first.height, width=first.width, length=len(paths), loop=loop)


def _open_street(uri: str, loop: bool) -> FrameSource:
    spec = parse_street(uri.partition(":")[2])
    if spec.frames is not None:
        return _open_clips(uri if spec.clips is not None else _one_clip(uri), loop)
    if spec.clips is not None and spec.clips > 1:
        raise BadInput(f"{uri}: clips without frames would never reach the second clip; add frames=N")
    config = spec.config

    def start() -> Iterator[Frame]:
        clip, index = StreetClip(config, 1 << 40), 0
        while True:
            yield clip[index].frame
            index += 1

    return FrameSource(start, fps=config.fps, height=config.height, width=config.width, length=None)


def _one_clip(uri: str) -> str:
    """A source is one clip unless it says otherwise (a data set is four)."""
    return f"street:[{uri.partition(':')[2].strip().strip('[]')},clips=1]"


def _open_clips(uri: str, loop: bool) -> FrameSource:
    dataset = open_dataset(uri)
    first = dataset.clips[0][0].frame
    fps = dataset.clips[0].fps or PICTURES_FPS

    def start() -> Iterator[Frame]:
        offset_us, sequence = 0, 0
        for clip in dataset.clips:
            last_us = offset_us
            for i in range(len(clip)):
                frame = clip[i].frame
                played_us = frame.pts_us if clip.fps else round(i * 1e6 / PICTURES_FPS)
                last_us = offset_us + played_us
                yield replace(frame, pts_us=last_us, sequence=sequence)
                sequence += 1
            offset_us = last_us + max(1, round(1e6 / (clip.fps or PICTURES_FPS)))

    return FrameSource(start, fps=fps, height=first.height, width=first.width, length=dataset.num_frames, loop=loop)
