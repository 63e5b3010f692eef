"""What a frame costs when sub-networks take turns: every sub-network's turn, one alone, and a per-frame student.

Weights are random, as they change nothing about the cost. The networks run natively on generated street video, some
frames of each in turn, so that whatever else the machine does meets all of them. Exit code 1 where a sub-network's
turn costs more than was aimed at.

    python benchmarks/turns.py [--json FILE] [--size 352x480] [--frames 200] [--threads 0] [--bundles FOLDER]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import environment, finish, parser

from edge_vss.bundle import load_bundle
from edge_vss.data.classes import CAMVID_CLASSES
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.graph import Graph
from edge_vss.networks import build_network, network_config
from edge_vss.networks.attention import Attention
from edge_vss.runtime import Pipeline
from edge_vss.training import CheckpointInfo, InputInfo, save_checkpoint

COLUMNS = ("network", "turn", "macs_m", "median_ms", "largest_over_mean", "over_single")
KINDS = ("tdnet2", "tdnet2-near", "tdnet2-single", "tdnet2-student", "tdnet4", "tdnet4-single", "tdnet4-student")
ROUND = 24
LIMITS = {"largest_over_mean": 1.2, "over_single": 1.25}
"""Of the medians of a network's turns, the largest over their mean and over that of one sub-network alone."""
NUMBERS = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def random_bundle(folder: Path, kind: str, height: int, width: int) -> Path:
    """A network with random weights, exported; the one that is there where there is one."""
    if (folder / kind).exists():
        return folder / kind
    torch.manual_seed(0)
    config = network_config(kind, classes=len(CAMVID_CLASSES))
    network = build_network(config)
    for module in network.modules():
        if isinstance(module, Attention):
            torch.nn.init.kaiming_normal_(module.weigh.weight)
    size = InputInfo(height=height, width=width, mean=NUMBERS[0], std=NUMBERS[1])
    info = CheckpointInfo(network=config, classes=CAMVID_CLASSES, input=size)
    save_checkpoint(folder / f"{kind}.safetensors", network.state_dict(), info)
    deploy(folder / f"{kind}.safetensors", folder / kind, calibration=f"street:[size={height}x{width},frames=4]")
    return folder / kind


def main() -> int:
    """Export what is missing, time all in turn, print; 1 where a limit is passed."""
    made = parser(__doc__)
    made.add_argument("--size", default="352x480", help="of the networks' input, HxW")
    made.add_argument("--frames", type=int, default=200, help="of every network")
    made.add_argument("--threads", type=int, default=0, help="0 = one per core")
    made.add_argument("--bundles", type=Path, help="keep the exported networks here, for the next time")
    args = made.parse_args()
    height, width = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = args.bundles or Path(name)
        bundles = {kind: random_bundle(folder, kind, height, width) for kind in KINDS}
        times: dict[str, list[float]] = {kind: [] for kind in KINDS}
        with open_source(f"street:[size={height}x{width},frames={ROUND}]") as source:
            frames = list(itertools.islice(source, ROUND))
        for _ in range(-(-args.frames // ROUND)):
            for kind, path in bundles.items():
                with Pipeline(path, threads=args.threads) as pipeline:
                    times[kind] += [pipeline.process(frame).engines_ms for frame in frames]
        rows = [row for kind in KINDS for row in rows_of(kind, times, bundles)]
    finish(rows, COLUMNS, args.json, environment(size=args.size, threads=args.threads or "one per core"))
    passed = True
    for column, limit in LIMITS.items():
        worst = max(row[column] for row in rows if row["turns"] > 1)
        passed &= worst <= limit
        print(f"{column}, the worst turn of all: {worst:.3f}, aim {limit}: {'yes' if worst <= limit else 'NO'}")
    return 0 if passed else 1


def rows_of(kind: str, times: dict[str, list[float]], bundles: dict[str, Path]) -> list[dict[str, Any]]:
    """A row per sub-network; the first frames of every round, cold or warming up, do not count."""
    graph = load_bundle(bundles[kind]).manifest.graph
    turns = turns_of(graph)
    counted = [(place % ROUND, ms) for place, ms in enumerate(times[kind]) if place % ROUND >= 4]
    medians = [statistics.median(ms for place, ms in counted if place % turns == turn) for turn in range(turns)]
    single = statistics.median(
        ms for place, ms in enumerate(times[f"{kind.split('-')[0]}-single"]) if place % ROUND >= 4
    )
    return [
        {
            "network": kind,
            "turns": turns,
            "turn": turn,
            "macs_m": sum(stage.macs for stage in graph.stages if stage.name in fired(graph, turn)) / 1e6,
            "median_ms": medians[turn],
            "largest_over_mean": max(medians) / statistics.fmean(medians),
            "over_single": medians[turn] / single,
        }
        for turn in range(turns)
    ]


def turns_of(graph: Graph) -> int:
    """How many sub-networks take turns."""
    return max(1, sum(stage.name.startswith("encode_") for stage in graph.stages))


def fired(graph: Graph, turn: int) -> tuple[str, ...]:
    """The stages of one frame once the ring is full."""
    if turns_of(graph) == 1:
        return tuple(stage.name for stage in graph.stages)
    return f"encode_{turn}", f"propagate_{turn}"


if __name__ == "__main__":
    sys.exit(main())
