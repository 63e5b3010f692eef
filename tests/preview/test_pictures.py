"""The picture: the right colours, copied and encoded only when somebody looks."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_vss.data.colour import to_rgb
from edge_vss.frame import ColourMatrix, ColourRange, Frame, plane_shapes
from edge_vss.preview.pictures import MAX_WIDTH, PictureSlot, Taken
from edge_vss.runtime import OutputInfo

OUTPUT = OutputInfo(name="out", classes=(("road", (250, 10, 20)), ("sky", (0, 200, 40))))


def decode(jpeg: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(jpeg)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def flat_frame(format: Any, matrix: ColourMatrix, range: ColourRange, height: int, width: int) -> Frame:
    """Two colours, left and right, in every plane."""
    planes = []
    for shape in plane_shapes(format, height, width):
        plane = np.full(shape, 90, np.uint8)
        plane[:, shape[1] // 2 :] = 150
        planes.append(plane)
    return Frame(
        format=format,
        planes=tuple(planes),
        height=height,
        width=width,
        pts_us=0,
        sequence=7,
        matrix=matrix,
        range=range,
    )


@pytest.mark.parametrize("range", ["limited", "full"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("format", ["rgb", "bgr", "grey", "nv12", "i420", "yuyv"])
def test_every_format_is_shown_in_its_colours(format: str, matrix: ColourMatrix, range: ColourRange) -> None:
    frame = flat_frame(format, matrix, range, 63, 96)
    taken = Taken(frame, {"out": np.zeros((63, 96), np.uint8)}, [OUTPUT], 0.0)
    shown, wanted = decode(taken.jpeg("out", "camera")).astype(int), to_rgb(frame).astype(int)
    assert shown.shape == wanted.shape
    inner = [*np.arange(8, 36), *np.arange(60, 88)]  # away from the edge, which a JPEG smears
    assert np.abs(shown - wanted)[8:-8, inner].max() <= 5


def test_the_overlay_is_the_picture_with_the_colours_of_the_classes() -> None:
    frame = flat_frame("rgb", "bt601", "full", 64, 96)
    labels = np.zeros((64, 96), np.uint8)
    labels[:, 48:] = 1
    taken = Taken(frame, {"out": labels}, [OUTPUT], 0.0)
    picture, palette = to_rgb(frame).astype(float), np.array([colour for _, colour in OUTPUT.classes], float)
    for view, alpha in (("overlay", 0.55), ("labels", 1.0)):
        shown, wanted = decode(taken.jpeg("out", view)), picture * (1 - alpha) + palette[labels] * alpha
        assert np.abs(shown - wanted)[8:-8, [*range(8, 36), *range(60, 88)]].max() <= 6
    assert taken.shares("out") == [0.5, 0.5]


def test_a_large_frame_is_made_smaller_and_keeps_its_shape() -> None:
    frame = flat_frame("nv12", "bt709", "limited", 1080, 1920)
    taken = Taken(frame, {"out": np.zeros((1080, 1920), np.uint8)}, [OUTPUT], 0.0)
    assert decode(taken.jpeg("out", "overlay")).shape == (540, MAX_WIDTH, 3)


def test_padded_rows_of_a_camera_are_no_part_of_the_picture() -> None:
    rng = np.random.default_rng(0)
    padded = rng.integers(0, 255, (64, 160, 3), dtype=np.uint8)
    padded[:, :96] = 77
    frame = Frame(format="rgb", planes=(padded[:, :96],), height=64, width=96, pts_us=0, sequence=0)
    shown = decode(Taken(frame, {"out": np.zeros((64, 96), np.uint8)}, [OUTPUT], 0.0).jpeg("out", "camera"))
    assert np.abs(shown.astype(int) - 77).max() <= 2


def test_nothing_is_copied_while_nobody_looks() -> None:
    slot, frame = PictureSlot([OUTPUT]), flat_frame("rgb", "bt601", "full", 64, 96)
    for _ in range(100):
        slot.offer(frame, {"out": np.zeros((64, 96), np.uint8)})
    assert slot.copies == 0 and slot.newest is None


def test_the_copy_does_not_change_with_the_frame() -> None:
    slot, pixels, labels = PictureSlot([OUTPUT]), np.full((64, 96, 3), 50, np.uint8), np.zeros((64, 96), np.uint8)
    frame = Frame(format="rgb", planes=(pixels,), height=64, width=96, pts_us=0, sequence=3)
    slot.wait(0.0)
    slot.offer(frame, {"out": labels})
    pixels[:], labels[:] = 200, 1
    taken = slot.newest
    assert taken is not None and taken.sequence == 3 and taken.shares("out") == [1.0, 0.0]
    assert np.abs(decode(taken.jpeg("out", "camera")).astype(int) - 50).max() <= 2


def test_the_loop_passes_by_a_slot_that_is_being_looked_at() -> None:
    slot, frame = PictureSlot([OUTPUT]), flat_frame("rgb", "bt601", "full", 64, 96)
    slot.wait(0.0)
    with slot._changed:
        thread = threading.Thread(target=slot.offer, args=(frame, {"out": np.zeros((64, 96), np.uint8)}))
        thread.start()
        thread.join(5)
        assert not thread.is_alive() and slot.copies == 0
    slot.offer(frame, {"out": np.zeros((64, 96), np.uint8)})
    assert slot.copies == 1


def test_pictures_are_taken_at_a_bounded_rate_however_often_they_are_asked_for() -> None:
    now_s = 0.0
    slot, frame = PictureSlot([OUTPUT], lambda: now_s), flat_frame("rgb", "bt601", "full", 64, 96)
    for _ in range(1000):  # ten seconds at a hundred frames per second
        slot.wait(0.0)
        slot.offer(frame, {"out": np.zeros((64, 96), np.uint8)})
        now_s += 0.01
    assert 90 <= slot.copies <= 100


def test_whoever_waits_gets_a_frame_that_came_after_the_question() -> None:
    slot = PictureSlot([OUTPUT])
    seen: list[int] = []

    def look() -> None:
        taken = slot.wait(10.0)
        seen.append(-1 if taken is None else taken.sequence)

    for sequence in (11, 12):
        thread = threading.Thread(target=look)
        thread.start()
        while not slot._wanted:
            time.sleep(0.001)
        frame = Frame(
            format="grey", planes=(np.zeros((64, 96), np.uint8),), height=64, width=96, pts_us=0, sequence=sequence
        )
        while slot.copies < sequence - 10:
            slot.offer(frame, {"out": np.zeros((64, 96), np.uint8)})
        thread.join(10)
    assert seen == [11, 12]
