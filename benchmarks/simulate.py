"""What `simulate` predicts from one report against runs of every schedule, on this machine, in this run.

One schedule is profiled and the report prices all; then every schedule is really played. Both sides take turns, so that
they meet the same machine, and the median over turns counts. Ours is simulated, theirs is real: mean latency is to come
out within 10 %, and fixed clocks are to fire on the very frames on which the simulation fires them (`exact`).

    python benchmarks/simulate.py [--json FILE] [--turns 3] [--frames 60] [--fps 25]
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from common import environment, finish, parser

from edge_vss.bundle import Bundle, load_bundle
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.dry_run import ScriptedExecutor
from edge_vss.profiling.laps import Footage, Laps, open_footage
from edge_vss.profiling.pricing import seam_frames_of
from edge_vss.profiling.report import build_report
from edge_vss.profiling.series import latencies_of
from edge_vss.profiling.session import ProfileOptions, measure
from edge_vss.profiling.simulate import simulate_schedule
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Adaptive, Schedule

COLUMNS = ("name", "ours_ms", "theirs_ms", "ratio", "ours_p99_ms", "theirs_p99_ms", "rate_off", "exact", "holds")
TOLERANCE = 0.10
PROFILE_S, WARM_UP = 6.0, 10


@dataclass
class Played:
    """Frames of one schedule, simulated and real; by turns where lists are of lists."""

    simulated_ms: list[float] = field(default_factory=list)
    """Mean of each turn."""
    simulated_p99: list[float] = field(default_factory=list)
    rate: dict[str, float] = field(default_factory=dict)
    turns: list[list[float]] = field(default_factory=list)
    """Latencies of real frames, those at seams left out."""
    fired: list[tuple[str, ...]] = field(default_factory=list)
    """Of the same frames."""
    unforeseen: int = 0
    """Frames on which other stages fired than the reference executor says; adaptive clocks apart."""


def simulate_all(bundle: Bundle, source: str, schedule: str, fps: float, played: dict[str, Played]) -> dict[str, Any]:
    """Profile one schedule and price all; returns the environment."""
    options = ProfileOptions(schedule=schedule, duration_s=PROFILE_S, idle_s=0.0, warm_up_s=5.0)
    report = build_report(measure(bundle.path, source, options, lambda doing, share: None))
    for name, found in played.items():
        simulated = simulate_schedule(bundle, report, name, fps=fps)
        found.simulated_ms.append(simulated.latency.mean or float("nan"))
        found.simulated_p99.append(simulated.latency.percentiles["p99"] or float("nan"))
        found.rate = simulated.update_rate
    return dict(report["environment"])


def play_all(bundle: Bundle, source: str, frames: int, played: dict[str, Played], *, begins: bool) -> None:
    """Play every schedule for real; a turn begins or goes on."""
    manifest = bundle.manifest
    with open_source(source) as opened:
        footage = open_footage(opened, frames)
        for schedule in manifest.schedules:
            found = played[schedule.name]
            if begins:
                found.turns.append([])
            seam = seam_frames_of(manifest, schedule)
            with (
                Pipeline(bundle.path, schedule=schedule.name) as pipeline,
                Laps(pipeline, footage, realtime=True, seam_frames=seam, limit=WARM_UP + frames) as laps,
            ):
                rows = np.concatenate(list(laps))
            names = [stage.name for stage in manifest.graph.stages]
            fired = [tuple(name for name, there in zip(names, row) if there) for row in rows["fired"]]
            if not is_adaptive(schedule):
                found.unforeseen += sum(a != b for a, b in zip(fired, foreseen(bundle, schedule, footage, rows.size)))
            counted = ~rows["seam"] & (np.arange(rows.size) >= WARM_UP)
            found.turns[-1] += latencies_of(rows[counted]).tolist()
            found.fired += [one for one, there in zip(fired, counted) if there]


def foreseen(bundle: Bundle, schedule: Schedule, footage: Footage, frames: int) -> list[tuple[str, ...]]:
    """Stages that fire by the reference executor, frame by frame."""
    executor = ScriptedExecutor(bundle.manifest.graph, schedule, lambda stage, frame: False)
    found = []
    for frame in itertools.islice(footage.laps(), frames):
        if frame.restart:
            executor.reset()
        found.append(executor.step(None, sequence=frame.sequence, pts_us=frame.pts_us).fired)
    return found


def is_adaptive(schedule: Schedule) -> bool:
    """Whether what fires depends on the pictures."""
    return any(isinstance(clock, Adaptive) for clock in schedule.clocks.values())


def row(schedule: Schedule, found: Played) -> dict[str, Any]:
    """One schedule: predicted and played."""
    # The median over turns: one that something else disturbed does not decide.
    real = [statistics.fmean(turn) for turn in found.turns]
    ratio = statistics.median(ours / theirs for ours, theirs in zip(found.simulated_ms, real))
    rates = {stage: statistics.fmean(stage in one for one in found.fired) for stage in found.rate}
    return {
        "name": schedule.name,
        "ours_ms": statistics.median(found.simulated_ms),
        "theirs_ms": statistics.median(real),
        "ratio": ratio,
        "ours_p99_ms": statistics.median(found.simulated_p99),
        "theirs_p99_ms": float(np.percentile(np.concatenate(found.turns), 99)),
        "rate_off": max(abs(found.rate[stage] - rates[stage]) for stage in rates),
        "exact": None if is_adaptive(schedule) else not found.unforeseen,
        "holds": abs(ratio - 1) <= TOLERANCE and not found.unforeseen,
    }


def main() -> None:
    """Export, then profile and play in turns."""
    made = parser(__doc__)
    made.add_argument("--turns", type=int, default=3, help="some 50 s each")
    made.add_argument("--frames", type=int, default=60, help="of every schedule that is played, per turn")
    made.add_argument("--fps", type=float, default=25.0)
    made.add_argument("--size", default="352x480")
    made.add_argument("--profiled", default="full", help="the schedule that the report is of")
    made.add_argument("--bundle", type=Path, help="default: export zoo:clockwork-street")
    args = made.parse_args()
    source = f"street:[frames=120,size={args.size},fps={args.fps:g}]"
    with tempfile.TemporaryDirectory() as folder:
        path = args.bundle or Path(folder) / "street.bundle"
        if not args.bundle:
            deploy("zoo:clockwork-street", path)
        bundle = load_bundle(path)
        played = {schedule.name: Played() for schedule in bundle.manifest.schedules}
        for _ in range(args.turns):
            # Before and after, so that a machine that changes its pace changes it for both sides.
            play_all(bundle, source, args.frames // 2, played, begins=True)
            found = simulate_all(bundle, source, args.profiled, args.fps, played)
            play_all(bundle, source, args.frames // 2, played, begins=False)
        rows = [row(schedule, played[schedule.name]) for schedule in bundle.manifest.schedules]
    where = {key: found[key] for key in ("threads", "foreign_cores", "onnxruntime")}
    finish(rows, COLUMNS, args.json, environment(profiled=args.profiled, fps=args.fps, **where))
    print(f"mean latency of every schedule within {TOLERANCE:.0%}: {all(one['holds'] for one in rows)}")


if __name__ == "__main__":
    main()
