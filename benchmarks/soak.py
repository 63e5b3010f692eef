"""The loop for a long time, as fast as it goes: flat memory, no drift of p99, no allocation per frame.

Three schedules of a small clockwork graph on plain engines, a deadline, and a schedule of an exported bundle on ONNX
Runtime where a bundle is named (ONNX Runtime allocates a few dozen times per run; its memory must stay flat all the
same).

    python benchmarks/soak.py [--frames 100000] [--bundle BUNDLE --size 360x480 --bundle-frames 10000] [--json FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from common import ROOT, environment, finish, native_program, parser

sys.path.insert(0, str(ROOT / "tests"))

from graphs import chain_graph, chain_graph_schedules
from runtime.plain_bundles import write_plain_bundle

from edge_vss.runtime import onnxruntime_library

COLUMNS = (
    "name",
    "frames",
    "allocations",
    "resident_growth_kib",
    "resident_growth_second_half_kib",
    "p99_ms_first",
    "p99_ms_last",
    "p99_ratio",
    "exact",
)
GROWTH_KIB, SETTLING_KIB = 128, 4096
"""Growth after the first tenth, plain engines; ONNX Runtime's pools grow for some ten thousand frames, so there it is
that of the second half, and the second number bounds the whole."""
DRIFT, NOISE_MS = 1.5, 0.05
"""p99 of the last tenths over that of the first ones, and what is too short to compare."""


def soak(
    name: str, bundle: Path, schedule: str, frames: int, size: tuple[int, int], plain: bool, *, deadline_ms: float = 0.0
) -> dict[str, Any]:
    """One run of the native program in a process of its own."""
    counter = native_program("count_malloc").with_name("libcount_malloc.so")
    command = [native_program("soak_loop"), bundle, schedule, frames, 2, *size, deadline_ms]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(counter), "EDGE_VSS_ONNXRUNTIME": onnxruntime_library()},
    )
    if done.returncode:
        sys.exit(f"soak_loop: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    first, last = median(found["p99_ms"][1:4]), median(found["p99_ms"][-3:])
    steady = last <= max(DRIFT * first, first + NOISE_MS)
    whole, half = found["resident_growth_kib"], found["resident_growth_second_half_kib"]
    flat = whole < GROWTH_KIB and found["allocations"] == 0 if plain else half < GROWTH_KIB and whole < SETTLING_KIB
    return {
        "name": name,
        **found,
        "p99_ms_first": first,
        "p99_ms_last": last,
        "p99_ratio": last / first,
        "exact": steady and flat and found["frames"] == frames,
    }


def main() -> int:
    """Print the table; 1 where something grew or drifted."""
    made = parser(__doc__)
    made.add_argument("--frames", type=int, default=100_000)
    made.add_argument("--bundle", type=Path)
    made.add_argument("--bundle-frames", type=int, default=10_000)
    made.add_argument("--size", default="360x480")
    options = made.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        graph = chain_graph()
        schedules = chain_graph_schedules(graph)
        path = write_plain_bundle(Path(folder) / "chain", graph, schedules).path
        for name in ("full", "adaptive", "pipeline-3"):
            rows.append(soak(f"plain engines, {name}", path, name, options.frames, (32, 48), True))
        slow = write_plain_bundle(Path(folder) / "slow", graph, schedules, extra={"s3": {"sleep_us": 400}}).path
        rows.append(soak("plain engines, deadline", slow, "full", options.frames, (32, 48), True, deadline_ms=0.3))
    if options.bundle:
        height, width = (int(side) for side in options.size.split("x"))
        row = soak("onnxruntime, adaptive", options.bundle, "adaptive", options.bundle_frames, (height, width), False)
        rows.append(row)
    finish(rows, COLUMNS, options.json, environment())
    return 0 if all(row["exact"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
