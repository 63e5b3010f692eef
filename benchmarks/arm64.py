"""The aarch64 ``edge-vss-run`` under QEMU against the one of this machine and ``edge-vss run`` on the same clip.

A bundle is exported at a small size, float32 and INT8, and plays a generated clip on three programs: Python's, the
native one, and the native one cross-built for 64-bit ARM, both with the same version of ONNX Runtime. A row is a
precision and a schedule: the share of labels that equal those of the aarch64 program, and whether the same stages
fired. The C example prints what fired, frame by frame: its row compares that with `Pipeline`, from RGB pictures.

Python's ONNX Runtime is a newer one, which rounds integers differently: in INT8 its labels are shown and not held to
anything.

    make arm64, or
    python benchmarks/arm64.py --build build/arm64 --onnxruntime AARCH64_LIBRARY \\
        --native-onnxruntime X86_LIBRARY [--frames 30] [--json FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from common import environment, finish, parser

from edge_vss.data.images import read_labels
from edge_vss.data.sources import open_source
from edge_vss.frame import Frame
from edge_vss.runtime import Pipeline, onnxruntime_library, run_program

COLUMNS = ("name", "frames", "equal_to_native", "equal_to_python", "fired_equal", "exact")
EMULATOR = ("qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu")
SIZE, NETWORK = "144x192", "128x160"
EQUAL = 0.999
RUNS = (("fp32", "adaptive"), ("fp32", "pipeline-2"), ("int8", "full"), ("int8", "alternate"), ("int8", "adaptive"))


def play(command: Sequence[object], *, onnxruntime: Path | str | None = None) -> str:
    """What a program says; its failure ends the benchmark."""
    extra = {"EDGE_VSS_ONNXRUNTIME": str(Path(onnxruntime).resolve())} if onnxruntime else {}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **extra}, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def write_clip(folder: Path, frames: int) -> tuple[Path, list[Path], list[Frame]]:
    """A generated drive as .y4m, as PPM pictures and as the frames themselves."""
    pictures, shown = [], []
    with (
        open_source(f"street:[seed=11,size={SIZE},frames={frames}]") as source,
        (folder / "clip.y4m").open("wb") as clip,
    ):
        height, width = map(int, SIZE.split("x"))
        clip.write(f"YUV4MPEG2 W{width} H{height} F15:1 Ip A1:1 C420jpeg\n".encode())
        for frame in source:
            rgb = np.ascontiguousarray(frame.planes[0])
            planes = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv420p").to_ndarray()
            clip.write(b"FRAME\n" + planes.tobytes())
            pictures.append(folder / f"{frame.sequence:06d}.ppm")
            pictures[-1].write_bytes(f"P6 {width} {height} 255\n".encode() + rgb.tobytes())
            shown.append(frame)
    return folder / "clip.y4m", pictures, shown


def fired(statistics: dict[str, Any]) -> object:
    """What a run fired, and how old its label maps were: equal for equal firing lists."""
    stages = {name: stage["fired"] for name, stage in statistics["stages"].items()}
    return stages, statistics["age_frames"], statistics["flags"], statistics["frames"]


def equal_share(ours: Path, theirs: Path) -> float:
    """Share of equal labels over two folders of label maps."""
    equal = total = 0
    names = sorted(path.stem for path in theirs.iterdir())
    assert names == sorted(path.stem for path in ours.iterdir()), f"{ours} and {theirs} hold other frames"
    for one, other in zip(sorted(ours.iterdir()), sorted(theirs.iterdir())):
        same = read_labels(one) == read_labels(other)
        equal, total = equal + int(same.sum()), total + same.size
    return equal / total


def compare(bundle: Path, clip: Path, run: tuple[str, str], folder: Path, options: Namespace) -> dict[str, Any]:
    """One precision and schedule on all three programs."""
    precision, schedule = run
    programs: dict[str, tuple[list[object], Path | str]] = {
        "aarch64": ([*EMULATOR, options.build / "runtime" / "edge-vss-run"], options.onnxruntime),
        "native": ([run_program()], options.native_onnxruntime),
        "python": ([Path(sys.executable).with_name("edge-vss"), "run"], onnxruntime_library()),
    }
    played = {}
    for name, (program, onnxruntime) in programs.items():
        how = ["--precision", precision, "--schedule", schedule, "--as-fast-as-possible", "--json", "-"]
        command = [*program, bundle, clip, *how, "--output", folder / f"{name}-{precision}-{schedule}"]
        played[name] = json.loads(play(command, onnxruntime=onnxruntime))
    shares = {
        name: equal_share(folder / f"aarch64-{precision}-{schedule}", folder / f"{name}-{precision}-{schedule}")
        for name in ("native", "python")
    }
    same = fired(played["aarch64"]) == fired(played["native"]) == fired(played["python"])
    held = shares.values() if precision == "fp32" else [shares["native"]]
    return {
        "name": f"edge-vss-run {precision}, {schedule}",
        "frames": played["aarch64"]["frames"],
        "equal_to_native": shares["native"],
        "equal_to_python": shares["python"],
        "fired_equal": same,
        "exact": same and min(held) >= EQUAL,
    }


def compare_frame_by_frame(
    bundle: Path, pictures: list[Path], frames: list[Frame], options: Namespace
) -> dict[str, Any]:
    """The C example against `Pipeline`: stages fired and age of every frame, and the labels."""
    program = options.build / "tests" / "native" / "label_frames"
    said = play([*EMULATOR, program, bundle, "adaptive", *pictures], onnxruntime=options.onnxruntime).splitlines()
    equal = total = same = 0
    with Pipeline(bundle, schedule="adaptive", precision="fp32") as pipeline:
        for line, picture, frame in zip(said, pictures, frames, strict=True):
            want = pipeline.process(frame)
            (labels,), (age,) = want.labels.values(), want.age_frames.values()
            same += line.partition(", fired ")[2] == f"{' '.join(want.fired)}, age {age}"
            found = read_labels(picture.with_suffix(".pgm")) == labels
            equal, total = equal + int(found.sum()), total + found.size
    return {
        "name": "label_frames, adaptive, frame by frame",
        "frames": len(said),
        "equal_to_python": equal / total,
        "fired_equal": same == len(frames),
        "exact": same == len(frames) and equal / total >= EQUAL,
    }


def main() -> int:
    """Print the table; 1 where labels or firings differ."""
    made = parser(__doc__)
    made.add_argument("--build", type=Path, required=True)
    made.add_argument("--onnxruntime", type=Path, required=True)
    made.add_argument("--native-onnxruntime", type=Path, required=True)
    made.add_argument("--frames", type=int, default=30)
    options = made.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "small.bundle"
        command = [Path(sys.executable).with_name("edge-vss"), "export", "zoo:clockwork-street", "-o", bundle]
        calibration = ["--calibration", f"street:[seed=3,size={SIZE},frames=40]"]
        play([*command, "--size", NETWORK, "--precision", "fp32,int8", *calibration])
        clip, pictures, frames = write_clip(folder, options.frames)
        rows = [compare(bundle, clip, run, folder, options) for run in RUNS]
        rows.append(compare_frame_by_frame(bundle, pictures, frames, options))
    where = environment(
        emulator=" ".join(EMULATOR),
        onnxruntime=options.onnxruntime.name,
        native_onnxruntime=options.native_onnxruntime.name,
        python_onnxruntime=Path(onnxruntime_library()).name,
    )
    finish(rows, COLUMNS, options.json, where)
    return 0 if all(row["exact"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
