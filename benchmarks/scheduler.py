"""What the native frame loop costs beyond its engines, and what it allocates.

First with engines that do nothing, so that only the scheduler is left: every schedule of a clockwork graph whose clock
looks at 64x128 labels, and a ring of four sub-networks. Then an exported bundle on ONNX Runtime: its own allocations
per frame, and, with one thread per engine, the latency of the pipelined schedules beside their slowest stage and beside
`full` with as many threads.

    python benchmarks/scheduler.py [--json FILE] [--bundle BUNDLE] [--frames 10000]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT, environment, finish, native_program, parser

sys.path.insert(0, str(ROOT / "tests"))

import msgspec
from graphs import chain_graph, chain_graph_schedules, ring_graph
from runtime.plain_bundles import write_plain_bundle

from edge_vss.bundle import EngineRef, load_bundle, write_bundle
from edge_vss.graph import Graph, Tensor
from edge_vss.runtime import onnxruntime_library
from edge_vss.schedule import Schedule

COLUMNS = ("name", "ours_ms", "beyond_us_p50", "beyond_us_p99", "allocations_max", "resident_growth_kib", "exact")
LIMIT_US = 30.0


def with_large_signal(graph: Graph) -> Graph:
    """The clockwork graph with a signal of 64 x 128 labels."""
    signal = Tensor(name="signal", shape=(1, 64, 128), dtype="uint8", lives="state")
    tensors = tuple(signal if tensor.name == "signal" else tensor for tensor in graph.tensors)
    return msgspec.structs.replace(graph, tensors=tensors)


def idle_bundle(path: Path, graph: Graph, schedules: Sequence[Schedule]) -> Path:
    """A bundle whose engines leave their outputs as they are."""
    bundle = write_plain_bundle(path, graph, schedules)
    variant = bundle.manifest.variants[0]
    engines = {stage: EngineRef(file="engines/none.json") for stage in variant.engines}
    variants = (msgspec.structs.replace(variant, engines=engines),)
    write_bundle(
        path,
        msgspec.structs.replace(bundle.manifest, variants=variants),
        {"engines/none.json": b'{"operation": "none"}'},
    )
    return path


def measure(bundle: Path, schedule: str, frames: int, threads: int, size: tuple[int, int]) -> dict[str, Any]:
    """One run of the native program in a process of its own, allocations counted."""
    counter = native_program("count_malloc").with_name("libcount_malloc.so")
    command = [native_program("bench_scheduler"), bundle, schedule, frames, threads, *size]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(counter), "EDGE_VSS_ONNXRUNTIME": onnxruntime_library()},
    )
    if done.returncode:
        sys.exit(f"bench_scheduler: {done.stderr.strip()}")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def idle_rows(folder: Path, frames: int) -> list[dict[str, Any]]:
    """Nothing but the scheduler."""
    chain = with_large_signal(chain_graph())
    schedules = [s for s in chain_graph_schedules(chain)]
    ring, cycle = ring_graph(4)
    path, ring_path = idle_bundle(folder / "chain", chain, schedules), idle_bundle(folder / "ring", ring, [cycle])
    rows = []
    for bundle, size, schedule in [(path, (32, 48), s.name) for s in schedules] + [(ring_path, (16, 24), "cycle")]:
        found = measure(bundle, schedule, frames, 1, size)
        good = (
            found["beyond_us_p50"] <= LIMIT_US and found["allocations_max"] == 0 and found["resident_growth_kib"] < 64
        )
        rows.append({"name": f"idle engines, {schedule}", "ours_ms": found["latency_ms_p50"], **found, "exact": good})
    return rows


def pipeline_rows(bundle: Path, frames: int) -> list[dict[str, Any]]:
    """Real engines: one thread each, as many lanes as the schedule has."""
    spec = load_bundle(bundle).manifest.input
    size = (spec.height, spec.width)
    rows = []
    for schedule, threads in (("full", 1), ("full", 2), ("pipeline-2", 2), ("full", 3), ("pipeline-3", 3)):
        found = measure(bundle, schedule, frames, threads, size)
        row = {"name": f"{schedule}, {threads} threads", "ours_ms": found["latency_ms_p50"], **found}
        row["slowest_stage_ms"] = found["slowest_stage_ms_p50"]
        row["latency_over_slowest"] = found["latency_ms_p50"] / found["slowest_stage_ms_p50"]
        if schedule != "full" or threads == 1:  # with more, ONNX Runtime's count follows who takes which block
            row["exact"] = found["allocations_max"] - found["allocations_min"] <= 2
        if schedule != "full":
            full = next(r for r in rows if r["name"] == f"full, {threads} threads")
            row |= {"theirs_ms": full["ours_ms"], "ratio": full["ours_ms"] / row["ours_ms"]}
        rows.append(row)
    return rows


def main() -> None:
    """Run both parts."""
    made = parser(__doc__)
    made.add_argument("--bundle", type=Path, help="an exported bundle; default: exports zoo:clockwork-street")
    made.add_argument("--frames", type=int, default=10_000)
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = args.bundle
        if bundle is None:
            from edge_vss.deploy import deploy

            bundle = Path(folder) / "bundle"
            deploy("zoo:clockwork-street", bundle)
        rows = idle_rows(Path(folder), args.frames)
        piped = pipeline_rows(bundle, max(60, args.frames // 50))
    finish(rows, COLUMNS, None, {})
    print()
    columns = (
        "name",
        "ours_ms",
        "slowest_stage_ms",
        "latency_over_slowest",
        "theirs_ms",
        "ratio",
        "allocations_min",
        "allocations_max",
        "exact",
    )
    finish(piped, columns, None, environment())
    if args.json:
        args.json.write_text(json.dumps({"rows": rows + piped, "environment": environment()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
