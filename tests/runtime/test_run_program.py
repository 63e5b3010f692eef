"""``edge-vss-run``, the loop without Python: the same label maps and keys, exit codes, signals."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import chain_graph, chain_graph_schedules
from numpy.typing import NDArray

from edge_vss.cli import main
from edge_vss.data.images import read_labels
from edge_vss.data.video import VideoWriter
from edge_vss.runtime import onnxruntime_library, run_program

from .plain_bundles import write_plain_bundle


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [str(run_program()), *(str(argument) for argument in arguments)]
    environment = {**os.environ, "EDGE_VSS_ONNXRUNTIME": onnxruntime_library()}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, **options)


def write_y4m(path: Path, frames: int, height: int, width: int, fps: int = 25) -> Path:
    rng = np.random.default_rng(0)
    half = (height + 1) // 2, (width + 1) // 2
    y, chroma = rng.integers(16, 235, (height, width)), [rng.integers(16, 240, half) for _ in range(2)]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for index in range(frames):
            file.write(b"FRAME\n")
            for plane in (np.roll(y, 2 * index, 1), *(np.roll(c, index, 1) for c in chroma)):
                file.write(plane.astype(np.uint8).tobytes())
    return path


def write_smooth_y4m(path: Path, frames: int, height: int, width: int) -> Path:
    """What an encoder keeps nearly as it is: ramps that wander."""
    y, x = np.mgrid[0:height, 0:width]
    half_y, half_x = np.mgrid[0 : height // 2, 0 : width // 2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for index in range(frames):
            planes = 40 + y + x // 2 + 4 * index, 100 + half_y, 110 + half_x
            file.write(b"FRAME\n" + b"".join(plane.astype(np.uint8).tobytes() for plane in planes))
    return path


def read_pgm(path: Path) -> NDArray[np.uint8]:
    kind, size, _, data = path.read_bytes().split(b"\n", 3)
    width, height = (int(number) for number in size.split())
    assert kind == b"P5"
    return np.frombuffer(data, np.uint8).reshape(height, width)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    graph = chain_graph()
    return write_plain_bundle(tmp_path / "plain", graph, chain_graph_schedules(graph), ladder=("full", "reuse")).path


@pytest.mark.parametrize("size", [(64, 96), (51, 75)])
def test_label_maps_and_statistics_are_those_of_python(
    tiny_bundle: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 12, *size)
    shared = ["--schedule", "alternate", "--as-fast-as-possible"]
    done = run(tiny_bundle, clip, *shared, "--output", tmp_path / "native", "--json", "-")
    assert done.returncode == 0, done.stderr
    python = [str(tiny_bundle), str(clip), *shared, "--output", str(tmp_path / "python")]
    assert main(["run", *python, "--json", str(tmp_path / "python.json")]) == 0
    names = [path.stem for path in sorted((tmp_path / "python").iterdir())]
    assert [path.name for path in sorted((tmp_path / "native").iterdir())] == [f"{name}.pgm" for name in names]
    assert len(names) == 12
    for name in names:
        native = read_pgm(tmp_path / "native" / f"{name}.pgm")
        np.testing.assert_array_equal(native, read_labels(tmp_path / "python" / f"{name}.png"))
    got, want = json.loads(done.stdout), json.loads((tmp_path / "python.json").read_text())
    assert got.keys() == want.keys() and got["latency_ms"].keys() == want["latency_ms"].keys()
    for key in ("frames", "dropped", "damage", "age_frames", "flags", "backend", "schedule", "precision"):
        assert got[key] == want[key], key
    assert {n: s["fired"] for n, s in got["stages"].items()} == {n: s["fired"] for n, s in want["stages"].items()}


def test_a_deadline_and_a_limit_are_kept(plain: Path, tmp_path: Path) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 30, 32, 48)
    done = run(
        plain, clip, "--frames=9", "--deadline-ms", "500", "--as-fast-as-possible", "--json", tmp_path / "s.json"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["frames"] == 9 and found["flags"] == {"reset": 1}


def test_statistics_go_into_a_pipe_and_a_full_device_is_an_error_not_a_file(plain: Path, tmp_path: Path) -> None:
    clip, pipe = write_y4m(tmp_path / "clip.y4m", 5, 32, 48), tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(pipe.read_text)
        done = run(plain, clip, "--as-fast-as-possible", "--json", pipe)
        assert done.returncode == 0, done.stderr
        assert json.loads(text.result())["frames"] == 5
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    full = run(plain, clip, "--as-fast-as-possible", "--json", "/dev/full")
    assert full.returncode == 3 and "cannot be written" in full.stderr
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize("arguments", [["--json", "-"], ["--help"], ["--version"]])
def test_standard_output_that_is_full_is_one_line_and_one_that_nobody_reads_is_none(
    plain: Path, tmp_path: Path, arguments: list[str]
) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 3, 32, 48)
    command = [str(run_program()), str(plain), str(clip), "--as-fast-as-possible", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    line = "edge-vss-run: stdout: cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (3, line)
    unread, end = os.pipe()
    os.close(unread)
    left = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(end)
    assert (left.returncode, left.stderr) == (0, "")


def test_the_command_of_the_environment_finds_onnx_runtime_by_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 3, 64, 96)
    command = [str(Path(sys.executable).with_name("edge-vss-run")), str(tiny_bundle), str(clip), "--json", "-"]
    without = {name: value for name, value in os.environ.items() if name != "EDGE_VSS_ONNXRUNTIME"}
    found = subprocess.run(command, capture_output=True, text=True, env=without, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["backend"] == "onnxruntime"
    refused = subprocess.run(
        command, capture_output=True, text=True, env={**without, "EDGE_VSS_ONNXRUNTIME": "/nowhere.so"}, timeout=60
    )
    assert refused.returncode == 4 and "/nowhere.so" in refused.stderr


def test_the_command_of_the_environment_imports_nothing_that_takes_time() -> None:
    code = "import sys, edge_vss.program as p; p.program_path(), p.onnxruntime_library(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"numpy", "edge_vss.runtime", "onnxruntime", "typing", "pathlib"} & set(found.stdout.split())


def test_an_interrupt_that_comes_before_the_program_has_begun_ends_it_as_later_ones_do(plain: Path) -> None:
    code = "import os, signal, sys; from edge_vss import program\n"
    code += "found = program.program_path\n"
    code += "program.program_path = lambda: os.kill(os.getpid(), signal.SIGINT) or found()\n"
    code += "program.main()"
    command = [sys.executable, "-c", code, str(plain), "test:[size=64x96]"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "edge-vss-run: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly_with_its_statistics(plain: Path, tmp_path: Path, number: signal.Signals) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 2000, 32, 48)
    command = [str(run_program()), str(plain), str(clip), "--output", str(tmp_path / "labels"), "--json", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        while len(list((tmp_path / "labels").glob("*.pgm"))) < 5:
            assert program.poll() is None
            time.sleep(0.02)
        program.send_signal(number)
        out, err = program.communicate(timeout=20)
    assert program.returncode == 130 and err == "edge-vss-run: interrupted\n"
    found, written = json.loads(out), len(list((tmp_path / "labels").iterdir()))
    assert written == found["frames"] - found["dropped"].get("sink", 0)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_an_earlier_video_is_replaced_when_the_run_has_ended_and_never_by_a_killed_one(
    plain: Path, tmp_path: Path, suffix: str
) -> None:
    import av

    video = tmp_path / f"old{suffix}"
    command = [str(run_program()), str(plain), "test:[size=64x96,fps=60]", "--output", str(video)]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 130)):
        video.write_bytes(b"earlier")
        with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
            part = tmp_path / f".{video.name}.{program.pid}.part"
            begun = time.monotonic()
            while not (part.exists() and part.stat().st_size > 20_000) and time.monotonic() - begun < 30:
                time.sleep(0.05)
            assert video.read_bytes() == b"earlier"
            program.send_signal(number)
            program.communicate(timeout=20)
        assert program.returncode == code and part.exists() == (code == -9)
        assert (video.read_bytes() == b"earlier") == (code == -9)
        with av.open(str(part if code == -9 else video)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 5
        part.unlink(missing_ok=True)


def test_a_run_that_fails_leaves_the_earlier_video_and_nothing_else(plain: Path, tmp_path: Path) -> None:
    video = tmp_path / "out" / "old.mkv"
    video.parent.mkdir()
    video.write_bytes(b"earlier")
    clip = write_y4m(tmp_path / "clip.y4m", 200, 64, 96)
    # A program cannot write more than so much into a file: as a disk that is full.
    limited = f"ulimit -f 40; trap '' XFSZ; exec {run_program()} {plain} {clip} --as-fast-as-possible --output {video}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3 and f"{video}: cannot be written (" in done.stderr, done.stderr
    assert [path.name for path in video.parent.iterdir()] == [video.name] and video.read_bytes() == b"earlier"


def test_exit_codes_and_one_line_for_everything_that_is_wrong(plain: Path, tmp_path: Path) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 3, 32, 48)
    (tmp_path / "text.y4m").write_text("no video")
    (tmp_path / "deep.y4m").write_bytes(b"YUV4MPEG2 W32 H32 F25:1 C420p10\n")
    (tmp_path / "sizeless.y4m").write_bytes(b"YUV4MPEG2 W0 H32 F25:1\n")
    (tmp_path / "torn.y4m").write_bytes(clip.read_bytes()[:-10])
    os.mkfifo(tmp_path / "pipe.mp4")
    header = clip.read_bytes().partition(b"FRAME\n")[0]
    (tmp_path / "header.y4m").write_bytes(header)
    (tmp_path / "cut.y4m").write_bytes(clip.read_bytes()[: len(header) + 500])
    (tmp_path / "garbled.y4m").write_bytes(clip.read_bytes().replace(b"FRAME\n", b"FRAUD\n"))
    for code, part, arguments in (
        (2, "want BUNDLE and SOURCE", [plain]),
        (2, "no such option: --fast", [plain, clip, "--fast", "1"]),
        (2, "--threads: x is not", [plain, clip, "--threads", "x"]),
        (2, "--deadline-ms: -1 is not", [plain, clip, "--deadline-ms", "-1"]),
        (2, "--json wants a value", [plain, clip, "--json"]),
        (2, "--output is empty", [plain, clip, "--output", ""]),
        (3, "no such bundle", [tmp_path / "nothing", clip]),
        (3, "no such bundle", ["", clip]),
        (3, "neither a folder nor a zip", [tmp_path / "pipe.mp4", clip]),
        (3, "the source is empty", [plain, ""]),
        (3, "pipe.mp4: is a pipe", [plain, tmp_path / "pipe.mp4"]),
        (3, "pipe.mp4: is a pipe", [plain, f"file://{tmp_path}/pipe%2Emp4"]),
        (3, "is a folder", [plain, tmp_path]),
        (3, "unknown schedule 'fast'", [plain, clip, "--schedule", "fast"]),
        (3, "No such file", [plain, tmp_path / "nothing.y4m"]),
        (3, "is not a YUV4MPEG2 file", [plain, tmp_path / "text.y4m"]),
        (3, "holds '420p10'", [plain, tmp_path / "deep.y4m"]),
        (3, "has no size", [plain, tmp_path / "sizeless.y4m"]),
        (3, "no picture where number 0", [plain, tmp_path / "garbled.y4m"]),
        (3, "header.y4m: holds no whole picture", [plain, tmp_path / "header.y4m"]),
        (3, "cut.y4m: holds no whole picture", [plain, tmp_path / "cut.y4m"]),
        (3, "unknown kind of output", [plain, clip, "--output", tmp_path / "x.mov"]),
        (4, "no variant", [plain, clip, "--backend", "tensorrt"]),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), (arguments, done)
        assert done.stderr.startswith("edge-vss-run: ") and done.stderr.count("\n") == 1 and part in done.stderr
    first = run(plain, clip, "--as-fast-as-possible", "--output", tmp_path / "labels")
    again = run(plain, clip, "--as-fast-as-possible", "--output", tmp_path / "labels")
    assert (first.returncode, again.returncode) == (0, 3) and "holds label maps already" in again.stderr
    for name, code in (("picture.png", 0), ("000001.png", 3)):  # the second is named as Python names label maps
        place = tmp_path / name.partition(".")[0]
        place.mkdir()
        (place / name).write_bytes(b"")
        assert run(plain, clip, "--as-fast-as-possible", "--output", place).returncode == code
    assert run("--version").stdout.startswith("edge-vss-run 0.") and "Example: " in run("--help").stdout


@pytest.mark.parametrize("missing", [10, 32 * 48 * 3 // 2 + 3])
def test_a_clip_that_was_cut_short_is_labelled_as_far_as_it_goes_with_a_warning(
    plain: Path, tmp_path: Path, missing: int
) -> None:
    clip = write_y4m(tmp_path / "clip.y4m", 3, 32, 48)
    whole = run(plain, clip, "--as-fast-as-possible", "--json", "-")
    assert whole.stderr == "" and json.loads(whole.stdout)["dropped"] == {}
    clip.write_bytes(clip.read_bytes()[:-missing])
    torn = run(plain, clip, "--as-fast-as-possible", "--json", "-")
    found = json.loads(torn.stdout)
    assert (torn.returncode, found["frames"], found["dropped"]) == (0, 2, {"damaged": 1})
    assert torn.stderr == f"edge-vss-run: warning: {clip}: is cut short; the last picture was left out\n"


def test_a_video_that_ends_before_its_time_is_told_as_python_tells_it(plain: Path, tmp_path: Path) -> None:
    video, rng = tmp_path / "cut.mkv", np.random.default_rng(0)
    with VideoWriter(video, 64, 96, 25) as writer:
        for _ in range(100):
            writer.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
    whole = run(plain, video, "--as-fast-as-possible", "--json", "-")
    assert whole.stderr == "" and json.loads(whole.stdout)["damage"] == {}
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    cut = run(plain, video, "--as-fast-as-possible", "--json", "-")
    assert main(["run", str(plain), str(video), "--as-fast-as-possible", "--json", str(tmp_path / "python.json")]) == 0
    found, python = json.loads(cut.stdout), json.loads((tmp_path / "python.json").read_text())
    assert cut.returncode == 0 and 20 < found["frames"] < 80
    assert found["damage"]["missing_s"] == pytest.approx(python["damage"]["missing_s"], abs=0.09)
    missing = f"{found['damage']['missing_s']:.1f} s"
    assert cut.stderr == f"edge-vss-run: warning: {video}: ends {missing} before the length that it states\n"


def test_its_overlay_video_shows_what_python_s_shows(tiny_bundle: Path, tmp_path: Path) -> None:
    import av

    clip, videos = write_smooth_y4m(tmp_path / "clip.y4m", 6, 64, 96), {}
    native = run(tiny_bundle, clip, "--as-fast-as-possible", "--output", tmp_path / "native.mkv")
    assert native.returncode == 0, native.stderr
    python = ["run", str(tiny_bundle), str(clip), "--as-fast-as-possible", "--output", str(tmp_path / "python.mkv")]
    assert main(python) == 0
    for name in ("native", "python"):
        with av.open(str(tmp_path / f"{name}.mkv")) as container:
            videos[name] = np.stack([p.to_ndarray(format="rgb24") for p in container.decode(video=0)]).astype(int)
    with av.open(str(clip)) as container:
        plain_pictures = np.stack([p.to_ndarray(format="rgb24") for p in container.decode(video=0)]).astype(int)
    apart = np.abs(videos["native"] - videos["python"]).mean()
    assert videos["native"].shape == (6, 64, 96, 3)
    assert apart < 0.2 * np.abs(plain_pictures - videos["python"]).mean(), apart


def test_a_camera_s_frames_are_labelled_and_filmed(plain: Path, tmp_path: Path) -> None:
    video = tmp_path / "labels.mkv"
    done = run(plain, "test:[size=64x96,fps=60]", "--frames", 30, "--output", video, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["frames"] == 30
    import av

    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30 - found["dropped"].get("sink", 0)
