"""What `simulate` predicts from one report against runs of every schedule, on this machine, in this run.

One schedule is profiled; the report prices all. Then every schedule is really played, schedules taking turns so that
all meet the same machine. Mean latency is to come out within 10 %, and fixed clocks are to fire on the very frames that
the simulation fires them on (`unforeseen` counts the others).

    python benchmarks/simulate.py [--json FILE] [--frames 300] [--fps 25]
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
from edge_vss.executor import ScriptedExecutor
from edge_vss.profiling.laps import open_footage, play_laps
from edge_vss.profiling.pricing import seam_frames_of
from edge_vss.profiling.report import build_report
from edge_vss.profiling.session import ProfileOptions, measure
from edge_vss.profiling.simulate import simulate_schedule
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Adaptive, Schedule

COLUMNS = ("name", "simulated_ms", "ours_ms", "error", "simulated_p99", "real_p99", "rate_off", "unforeseen", "exact")
TOLERANCE = 0.10
TURNS = 3


@dataclass
class Played:
    """Real frames of one schedule."""

    latency_ms: list[float] = field(default_factory=list)
    fired: list[tuple[str, ...]] = field(default_factory=list)
    """Of the same frames, those at seams left out."""
    unforeseen: int = 0
    """Frames on which other stages fired than the reference executor says; adaptive clocks apart."""


def play_all(bundle: Bundle, source: str, frames: int) -> dict[str, Played]:
    """Play every schedule for real; they take turns."""
    manifest, played = bundle.manifest, {schedule.name: Played() for schedule in bundle.manifest.schedules}
    with open_source(source) as opened:
        footage = open_footage(opened, frames)
        for schedule in [schedule for _ in range(TURNS) for schedule in manifest.schedules]:
            found, lap = played[schedule.name], -1
            foreseen = ScriptedExecutor(manifest.graph, schedule, lambda stage, frame: False)
            with Pipeline(bundle.path, schedule=schedule.name) as pipeline:
                seam_frames = seam_frames_of(manifest, schedule)
                laps = play_laps(pipeline, footage, realtime=True, seam_frames=seam_frames)
                for item in itertools.islice(laps, frames // TURNS):
                    if item.lap != lap:
                        foreseen.reset()
                        lap = item.lap
                    frame, fired = item.played.frame, item.played.result.fired
                    step = foreseen.step(None, sequence=frame.sequence, pts_us=frame.pts_us)
                    found.unforeseen += step.fired != fired and not is_adaptive(schedule)
                    if not item.seam:
                        found.latency_ms.append(item.played.latency_ms)
                        found.fired.append(fired)
    return played


def is_adaptive(schedule: Schedule) -> bool:
    """Whether what fires depends on the pictures."""
    return any(isinstance(clock, Adaptive) for clock in schedule.clocks.values())


def row(bundle: Bundle, name: str, report: dict[str, Any], fps: float, real: Played) -> dict[str, Any]:
    """One schedule: predicted and played."""
    found = simulate_schedule(bundle, report, name, fps=fps)
    simulated, ours = found.latency.mean or float("nan"), statistics.fmean(real.latency_ms)
    rates = {stage: statistics.fmean(stage in one for one in real.fired) for stage in found.update_rate}
    return {
        "name": name,
        "simulated_ms": simulated,
        "ours_ms": ours,
        "error": simulated / ours - 1,
        "simulated_p99": found.latency.percentiles["p99"],
        "real_p99": float(np.percentile(real.latency_ms, 99)),
        "rate_off": max(abs(found.update_rate[stage] - rates[stage]) for stage in rates),
        "unforeseen": None if is_adaptive(bundle.manifest.schedule(name)) else real.unforeseen,
        "exact": abs(simulated / ours - 1) <= TOLERANCE and not real.unforeseen,
    }


def main() -> None:
    """Export, profile once, play everything."""
    made = parser(__doc__)
    made.add_argument("--frames", type=int, default=300, help="of every schedule that is played")
    made.add_argument("--fps", type=float, default=25.0)
    made.add_argument("--size", default="352x480")
    made.add_argument("--profiled", default="full", help="the schedule that the report is of")
    made.add_argument("--bundle", type=Path, help="default: export zoo:clockwork-street")
    args = made.parse_args()
    source = f"street:[frames=150,size={args.size},fps={args.fps:g}]"
    with tempfile.TemporaryDirectory() as folder:
        path = args.bundle or Path(folder) / "street.bundle"
        if not args.bundle:
            deploy("zoo:clockwork-street", path)
        bundle = load_bundle(path)
        options = ProfileOptions(schedule=args.profiled, duration_s=args.frames / args.fps, idle_s=0.0, warm_up_s=10.0)
        report = build_report(measure(path, source, options, lambda doing, share: None))
        real = play_all(bundle, source, args.frames)
        rows = [row(bundle, name, report, args.fps, real[name]) for name in real]
    where = {key: report["environment"][key] for key in ("threads", "foreign_cores", "onnxruntime")}
    finish(rows, COLUMNS, args.json, environment(profiled=args.profiled, fps=args.fps, **where))
    print(f"mean latency within {TOLERANCE:.0%} of every schedule: {all(found['exact'] for found in rows)}")


if __name__ == "__main__":
    main()
