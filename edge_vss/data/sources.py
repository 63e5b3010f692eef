"""Opens whatever hands out frames by its URI: video files, folders of pictures, the generated street, data sets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from glob import glob
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlparse

from edge_vss.data.datasets import READERS, open_dataset
from edge_vss.data.images import IMAGE_SUFFIXES, read_image
from edge_vss.data.street.reader import StreetClip
from edge_vss.data.street.spec import parse_street
from edge_vss.data.video_file import VideoDamage, probe_video, video_frames
from edge_vss.errors import BadInput, DeviceError
from edge_vss.frame import Frame

__all__ = ["PICTURES_FPS", "FrameSource", "open_source"]

PICTURES_FPS = 15.0
"""Rate at which pictures without a rate of their own are played."""
_LOG = logging.getLogger("edge_vss")
_CAMERAS = ("/dev/video", "v4l2:", "csi:", "rtsp:", "rtsps:", "test:")


class FrameSource:
    """Frames of equal size in order; every ``iter`` starts from the beginning.

    ``pts_us`` starts near 0 and strictly increases, also over the seams of a loop; ``sequence`` counts from 0.
    """

    def __init__(
        self,
        start: Callable[[], Iterator[Frame]],
        *,
        name: str = "",
        fps: float,
        height: int,
        width: int,
        length: int | None,
        loop: bool = False,
        damage: VideoDamage | None = None,
    ) -> None:
        self.fps = fps
        """Nominal frames per second."""
        self.height, self.width = height, width
        self.length = None if loop else length
        """Number of frames; ``None`` = endless or not known."""
        self.damage = damage or VideoDamage()
        """What was wrong with the file so far; logged as a warning on ``close``."""
        self._start, self._loop, self._name = start, loop, name
        self._told = False
        self._running: list[Iterator[Frame]] = []

    def __iter__(self) -> Iterator[Frame]:
        frames = self._laps()
        self._running.append(frames)
        return frames

    def _laps(self) -> Iterator[Frame]:
        pts_us, sequence = 0, 0
        while True:
            last: Frame | None = None
            for frame in self._start():
                self._check(frame)
                last = (
                    frame
                    if not sequence
                    else replace(frame, pts_us=frame.pts_us + pts_us, sequence=frame.sequence + sequence)
                )
                yield last
            if not self._loop or last is None:
                return
            pts_us, sequence = last.pts_us + max(1, round(1e6 / self.fps)), last.sequence + 1

    def _check(self, frame: Frame) -> None:
        if (frame.height, frame.width) != (self.height, self.width):
            first, other = f"{self.height}x{self.width}", f"{frame.height}x{frame.width}"
            raise BadInput(f"frame {frame.sequence} is {other}, the first one {first}; a source has frames of one size")

    def close(self) -> None:
        """End all iterations and free what they hold; calling it twice is fine."""
        for frames in self._running:
            frames.close()  # type: ignore[attr-defined]  # generators have it
        self._running.clear()
        if self.damage.as_dict() and not self._told:
            _LOG.warning("%s: %s", self._name, self.damage)
            self._told = True

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(uri: str, *, loop: bool = False) -> FrameSource:
    """Open a video file (``file://`` too), a folder or glob of pictures, ``street:[...]`` or a data set's URI.

    Args:
        uri: ``street:`` without ``frames`` is endless; data sets play clip after clip.
        loop: Start again at the end, with times that go on.

    Raises:
        BadInput: Nothing there, or nothing that holds frames.
        DeviceError: A camera: this build has no capture library.
    """
    if not uri.strip():
        raise BadInput("the source is empty; give a video, a folder of pictures or street:")
    if uri.startswith(_CAMERAS):
        raise DeviceError(
            f"{uri}: cameras need the GStreamer capture library, which this build does not have; give a file or street:"
        )
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
