"""Label maps in shared memory, read by a C program and by a few lines of Python, while the writer goes on."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import chain_graph
from numpy.typing import NDArray

from edge_vss.errors import BadInput
from edge_vss.runtime import Pipeline, SharedLabels, include_dir
from edge_vss.schedule import Schedule
from edge_vss.sinks import open_sink

from .plain_bundles import random_frames, write_plain_bundle

ROOT = Path(__file__).parents[2]
HEADER = struct.Struct("=8s10IQ64s768s")
SLOT = struct.Struct("=QQqqqII")


class Reader:
    """What edge_vss_shm.h says, in Python."""

    def __init__(self, name: str) -> None:
        with (Path("/dev/shm") / name).open("rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        magic, _, self.first, self.slots, self.slot_bytes, self.height, self.width, self.labels_at, *_ = self.header()
        assert magic == b"EVSSHM1\0"

    def header(self) -> tuple[Any, ...]:
        return HEADER.unpack_from(self.memory)

    def read(self, number: int) -> tuple[tuple[Any, ...], NDArray[np.uint8]] | None:
        published = self.header()[11]
        if not published - self.slots <= number < published:
            return None
        place = self.first + number % self.slots * self.slot_bytes
        about = SLOT.unpack_from(self.memory, place)
        labels = np.frombuffer(
            self.memory[place + self.labels_at : place + self.labels_at + self.height * self.width], np.uint8
        )
        again = SLOT.unpack_from(self.memory, place)[0]
        good = about[0] == again == 2 * (number // self.slots + 1)
        return (about, labels.reshape(self.height, self.width)) if good else None


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")]).path


def test_a_reader_sees_every_map_that_is_still_there(bundle: Path) -> None:
    name = f"edge-vss-test-{os.getpid()}"
    palette = np.arange(15, dtype=np.uint8).reshape(5, 3)
    shared = SharedLabels(name, output="logits", palette=palette, height=32, width=48)
    reader = Reader(name)
    assert reader.read(0) is None
    want = []
    with Pipeline(bundle) as pipeline:
        for frame in random_frames(32, 48, 9):
            result = pipeline.process(frame)
            want.append(result)
            shared.write(result)
            for number in range(len(want)):
                found = reader.read(number)
                assert (found is not None) == (number >= len(want) - 4)
                if found is None:
                    continue
                about, labels = found
                np.testing.assert_array_equal(labels, want[number].labels["logits"])
                assert about[1:5] == (want[number].sequence, want[number].pts_us, 0, want[number].done_ns)
    header = reader.header()
    assert header[8:11] == (5, os.getpid(), 0) and header[12].startswith(b"logits\0")
    assert header[13][:15] == palette.tobytes()
    shared.close()
    shared.close()
    assert reader.header()[10] == 1, "readers are told that the writer has left"
    assert not (Path("/dev/shm") / name).exists()


def test_a_c_program_reads_what_run_writes_and_maps_are_never_torn(bundle: Path, tmp_path: Path) -> None:
    program, name = tmp_path / "read_labels", f"edge-vss-c-{os.getpid()}"
    source = ROOT / "examples" / "read_labels.c"
    header = include_dir() if include_dir().is_dir() else ROOT / "runtime" / "include"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{header}"]
    subprocess.run(["cc", *flags, source, "-o", program, "-lrt"], check=True)
    with subprocess.Popen([program, name, "100000"], stdout=subprocess.PIPE, text=True) as reader:
        sums = {}
        with Pipeline(bundle) as pipeline:
            shared = SharedLabels(name, output="logits", palette=np.zeros((5, 3), np.uint8), height=32, width=48)
            for frame in random_frames(32, 48, 3000):
                result = pipeline.process(frame)
                shared.write(result)
                sums[result.sequence] = int(result.labels["logits"].sum())
            shared.close()
        lines = [[int(word) for word in line.split()] for line in (reader.stdout or ())]
    assert reader.returncode == 0 and len(lines) > 10
    assert all(sums[sequence] == total for _, sequence, _, total in lines)
    assert lines[-1][0] == 2999, "the newest map can be read after the writer has left"


def test_names_that_cannot_be_or_are_taken_are_refused(bundle: Path) -> None:
    name = f"edge-vss-taken-{os.getpid()}"
    options: dict[str, Any] = {"outputs": {"logits": [(0, 0, 0)]}, "height": 4, "width": 4, "fps": 1}
    for bad in ("", "a/b", ".hidden", "x" * 300):
        with pytest.raises(BadInput, match="want a name"):
            open_sink(f"shm:{bad}", **options)
    first = open_sink(f"shm:{name}", **options)
    with pytest.raises(BadInput, match=f"process {os.getpid()} writes to it"):
        open_sink(f"shm:{name}", **options)
    first.close()
    place = Path("/dev/shm") / name
    place.write_bytes(b"somebody else's")
    with pytest.raises(BadInput, match="not ours"):
        open_sink(f"shm:{name}", **options)
    assert place.read_bytes() == b"somebody else's"
    place.unlink()


def test_what_a_killed_writer_left_is_taken_over() -> None:
    name = f"edge-vss-killed-{os.getpid()}"
    code = (
        "import numpy as np, os, signal\n"
        "from edge_vss.runtime import SharedLabels\n"
        f"s = SharedLabels({name!r}, output='x', palette=np.zeros((2, 3), np.uint8), height=4, width=4)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert (Path("/dev/shm") / name).exists()
    SharedLabels(name, output="x", palette=np.zeros((2, 3), np.uint8), height=8, width=8).close()
    assert not (Path("/dev/shm") / name).exists()
