"""Where labelled frames go: overlay videos, label PNGs, shared memory.

A new sink is a class here and a line in ``open_sink``.

A sink's output appears whole when the run has ended well; until then what was there before stays as it was.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_vss.data.colour import to_rgb
from edge_vss.data.video import VideoWriter, write_png
from edge_vss.errors import BadInput, WrongUsage
from edge_vss.frame import Frame
from edge_vss.places import make_folder

if TYPE_CHECKING:
    from edge_vss.runtime import Result

__all__ = ["LabelFolder", "LabelMemory", "OverlayVideo", "Sink", "check_kind", "open_sink"]

VIDEO_SUFFIXES = (".mp4", ".mkv", ".gif")
KINDS = f"a video ({', '.join(VIDEO_SUFFIXES)}), a folder, a pattern such as x/*.png, or shm:NAME"
OVERLAY_ALPHA = 0.55
DIGITS = "%06d"

Colours = Sequence[tuple[int, int, int]]


class Sink(Protocol):
    """Takes labelled frames in order."""

    def write(self, frame: Frame, result: Result) -> None:
        """Take one frame and what it gave; their arrays are not kept."""

    def close(self) -> None:
        """Put the output in its place."""

    def discard(self) -> None:
        """Remove what was written; what was there before stays."""


class OverlayVideo:
    """The pictures with the colours of one output's classes blended over them.

    Args:
        path: ``.mp4``, ``.mkv`` or ``.gif``.
        output: Name of the output that is shown.
        colours: RGB per class.
    """

    def __init__(self, path: Path, *, output: str, colours: Colours, height: int, width: int, fps: float) -> None:
        from edge_vss.runtime import overlay

        self._blend = overlay
        self._output = output
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[: len(colours)] = np.array(colours, np.uint8)
        self._writer = VideoWriter(path, height, width, fps)

    def write(self, frame: Frame, result: Result) -> None:
        shown = result.labels[self._output]
        self._writer.write(self._blend(to_rgb(frame), shown, self._palette, OVERLAY_ALPHA))

    def close(self) -> None:
        self._writer.close()

    def discard(self) -> None:
        self._writer.discard()


class LabelFolder:
    """Label maps as 8-bit PNGs, one per frame, named by the frame's sequence number.

    Args:
        folder: Made where missing. Networks with several outputs get one folder inside per output.
        pattern: File name with one ``%d`` (``%06d``) for the sequence number.
        outputs: Names of the outputs to write.

    Raises:
        BadInput: It cannot be written, or holds files of such names already.
    """

    def __init__(self, folder: Path, *, pattern: str, outputs: Sequence[str]) -> None:
        self._folder, self._pattern, self._outputs = folder, pattern, tuple(outputs)
        make_folder(folder)
        self._refuse_mixing(folder)
        try:
            self._part = Path(tempfile.mkdtemp(prefix=".labels.", suffix=".part", dir=folder))
        except OSError as error:
            raise BadInput(f"{folder}: cannot write here: {error.strerror or error}") from None
        self._written: list[Path] = []

    def _refuse_mixing(self, folder: Path) -> None:
        """Label maps of two runs in one folder could not be told apart, and those there may be someone's only ones."""
        digits = re.sub(r"%%|%\d*d", lambda found: "%" if found[0] == "%%" else r"\d+", re.escape(self._pattern))
        ours = re.compile(digits)
        places = [folder / name for name in self._outputs] if len(self._outputs) > 1 else [folder]
        there = [path for place in places if place.is_dir() for path in place.iterdir() if ours.fullmatch(path.name)]
        if there:
            raise BadInput(
                f"{folder}: holds {len(there)} label maps already, such as {min(there).name}; remove them or choose "
                "another folder"
            )

    def write(self, frame: Frame, result: Result) -> None:
        for name in self._outputs:
            place = Path(name) if len(self._outputs) > 1 else Path()
            relative = place / (self._pattern % frame.sequence)
            (self._part / place).mkdir(exist_ok=True)
            write_png(self._part / relative, result.labels[name])
            self._written.append(relative)

    def close(self) -> None:
        try:
            self._refuse_mixing(self._folder)  # another run may have filled it meanwhile
            for relative in self._written:
                (self._folder / relative).parent.mkdir(exist_ok=True)
                (self._part / relative).replace(self._folder / relative)
        except OSError as error:
            raise BadInput(f"{self._folder}: cannot write here: {error.strerror or error}") from None
        finally:
            self.discard()

    def discard(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)


class LabelMemory:
    """Label maps of one output in shared memory, for other processes.

    Args:
        name: The segment is ``/dev/shm/NAME``.

    Raises:
        BadInput: The name cannot be, or another process writes to it.
    """

    def __init__(self, name: str, *, output: str, colours: Colours, height: int, width: int) -> None:
        from edge_vss.runtime import SharedLabels

        try:
            self._memory = SharedLabels(
                name, output=output, palette=np.array(colours, np.uint8), height=height, width=width
            )
        except ValueError as error:
            raise BadInput(f"shm:{name}: {error}") from None

    def write(self, frame: Frame, result: Result) -> None:
        self._memory.write(result)

    def close(self) -> None:
        self._memory.close()

    def discard(self) -> None:
        self._memory.close()


def open_sink(
    target: str, *, outputs: Mapping[str, Colours], height: int, width: int, fps: float
) -> OverlayVideo | LabelFolder | LabelMemory:
    """Open what ``--output`` names: ``x.mp4`` or ``x.mkv`` (overlay), a folder or ``x/*.png`` (label maps), or
    ``shm:NAME`` (shared memory).

    Args:
        outputs: Output -> RGB per class; the first one is what an overlay shows.
        height: Pixels, of the frames to come; ``width`` likewise.

    Raises:
        BadInput: The place cannot be written, or its kind is not known.
        WrongUsage: Nothing could be written there.
    """
    first = next(iter(outputs))
    check_kind(target)
    if target.startswith("shm:"):
        name = target.removeprefix("shm:")
        return LabelMemory(name, output=first, colours=outputs[first], height=height, width=width)
    path = Path(target)
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        if path.is_dir():
            raise BadInput(f"{target}: is a folder, not a place for a video")
        return OverlayVideo(path, output=first, colours=outputs[first], height=height, width=width, fps=fps)
    if suffix == ".png":
        return LabelFolder(path.parent, pattern=_file_pattern(path.name, target), outputs=list(outputs))
    if path.is_file() or (suffix and not path.is_dir() and not target.endswith("/")):
        hint = "" if path.is_file() else "; a folder that is to be made ends with /"
        raise BadInput(f"{target}: unknown kind of output; want {KINDS}{hint}")
    return LabelFolder(path, pattern=f"{DIGITS}.png", outputs=list(outputs))


def check_kind(target: str) -> None:
    """Refuse what can name no output at all.

    Raises:
        WrongUsage: It is empty, or a video that ends like a folder.
    """
    if not target.strip():
        raise WrongUsage(f"--output is empty; want {KINDS}")
    if target.endswith("/") and Path(target).suffix.lower() in VIDEO_SUFFIXES:
        raise WrongUsage(f"--output {target} ends like a folder and is named like a video; leave out the last /")


def _file_pattern(name: str, target: str) -> str:
    """``%d`` for the sequence number, from ``*`` or a printf form."""
    pattern = name.replace("%", "%%").replace("*", DIGITS) if "*" in name else name
    try:
        if (pattern % 7) != (pattern % 8):
            return pattern
    except (TypeError, ValueError):
        pass
    raise BadInput(f"{target}: a name for many label maps needs one * or %06d, such as labels/*.png")
