"""How a run ends: by its source, by a signal, by being killed; and what is then left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
from graphs import chain_graph
from runtime.plain_bundles import write_plain_bundle

from edge_vss.schedule import Schedule

FPS = 15


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_plain_bundle(tmp_path / "b", chain_graph(), [Schedule(name="full")]).path


def start(bundle: Path, *arguments: object) -> subprocess.Popen[str]:
    street = f"street:[size=64x96,fps={FPS}]"
    command = [sys.executable, "-m", "edge_vss.cli", "run", str(bundle), street, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def wait_for(folder: Path, pattern: str, size: int) -> Path:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        found = list(folder.glob(pattern))
        if found and found[0].stat().st_size > size:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"{pattern} did not come")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_killed_run_leaves_a_video_that_plays_up_to_its_last_two_seconds(
    bundle: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with start(bundle, "--output", out / f"x.{suffix}", "--output", "shm:edge-vss-kill") as program:
        part = wait_for(out, f".x.{suffix}.*.part", 2000)
        began, seen = time.monotonic(), Path("/dev/shm/edge-vss-kill")
        time.sleep(4.0)
        with seen.open("rb") as memory:
            published = int.from_bytes(memory.read(56)[48:56], sys.byteorder)
        program.kill()
        program.wait(20)
    assert program.returncode == -signal.SIGKILL and time.monotonic() - began > 3.9
    seen.unlink()
    assert published > 3 * FPS
    assert frames_of(part) >= published - 2 * FPS
    assert not (out / f"x.{suffix}").exists(), "only what ended well has its own name"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_with_whole_outputs_and_code_130(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out, report = tmp_path / "out", tmp_path / "run.json"
    out.mkdir()
    with start(bundle, "--output", out / "x.mp4", "--output", out / "labels", "--json", report) as program:
        wait_for(out, "labels/.labels.*.part/000010.png", 0)
        program.send_signal(number)
        _, err = program.communicate(timeout=30)
    assert program.returncode == 130 and err.splitlines()[-1] == "edge-vss: interrupted"
    found = json.loads(report.read_text())
    labels = [path.name for path in sorted((out / "labels").iterdir())]
    written = found["frames"] - found["dropped"].get("sink", 0)
    assert labels == [f"{index:06d}.png" for index in range(written)] and written >= 10
    assert frames_of(out / "x.mp4") == written
    assert not list(out.glob(".*"))


def test_a_feeding_process_that_is_killed_ends_the_run_with_what_came(bundle: Path, tmp_path: Path) -> None:
    pipe, out = tmp_path / "feed.y4m", tmp_path / "labels"
    os.mkfifo(pipe)
    code = (
        "import sys, time, os\n"
        "with open(sys.argv[1], 'wb') as file:\n"
        "    file.write(b'YUV4MPEG2 W48 H32 F25:1 C420jpeg\\n')\n"
        "    while True:\n"
        "        file.write(b'FRAME\\n' + os.urandom(48 * 32 * 3 // 2)); file.flush(); time.sleep(0.01)\n"
    )
    from edge_vss.runtime import run_program

    with subprocess.Popen([sys.executable, "-c", code, str(pipe)]) as feeder:
        command = [run_program(), bundle, pipe, "--as-fast-as-possible", "--output", out, "--json", "-"]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as program:
            wait_for(tmp_path, "labels/000020.pgm", 0)
            feeder.kill()
            text, _ = program.communicate(timeout=20)
    assert program.returncode == 0
    assert json.loads(text)["frames"] == len(list(out.iterdir())) >= 20
