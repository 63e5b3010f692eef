"""What each schedule keeps of the network's accuracy on real video, and what it costs.

Thresholds come from frames 1-50 of CamVid's val clip without their labels, figures from frames 51-101. Beside the
adaptive clock: fixed rates (every phase scored, the mean is shown), both pipelines, label maps re-used at the same
rates, and a per-frame student whose multiply-adds equal the mean of `alternate`.

    python benchmarks/schedules.py [--json FILE] [--data camvid:../shared/data/camvid]
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from common import environment, finish, parser

from edge_vss.bundle import load_bundle, write_bundle
from edge_vss.calibration.clocks import calibrate_clock
from edge_vss.deploy import deploy
from edge_vss.evaluation import EvalOptions, Evaluation, evaluate_bundle
from edge_vss.schedule import Every, Schedule

COLUMNS = ("name", "miou", "kept", "clocked_rate", "macs_mean", "macs_max", "latency_p50", "latency_max", "age_mean")
RATES = {"adaptive": 0.50, "adaptive-third": 0.34}


def more_schedules(bundle: Path, clocked: Sequence[str]) -> dict[str, list[str]]:
    """Add fixed rates and re-used label maps in every phase, and a second adaptive schedule.

    Returns:
        Row name -> the schedules whose mean it shows.
    """
    loaded = load_bundle(bundle)
    manifest = loaded.manifest
    stages = [stage.name for stage in manifest.graph.stages]
    adaptive = manifest.schedule("adaptive")
    added, rows = [msgspec.structs.replace(adaptive, name="adaptive-third")], {}
    for k in (2, 3, 4):
        for kind, those in (("every", clocked), ("re-used-maps-every", stages)):
            names = [f"{kind}-{k}-phase-{offset}" for offset in range(k)]
            rows[f"{kind}-{k}"] = names
            added += [
                Schedule(name=name, clocks={stage: Every(k=k, offset=offset) for stage in those})
                for offset, name in enumerate(names)
            ]
    files = {name: loaded.read(name) for name in manifest.files}
    write_bundle(bundle, msgspec.structs.replace(manifest, schedules=(*manifest.schedules, *added)), files)
    return rows


def row(name: str, runs: Sequence[Evaluation], clocked: Sequence[str], full: float) -> dict[str, Any]:
    """Means over the phases of one schedule."""
    mean = lambda values: statistics.fmean(values)  # noqa: E731
    return {
        "name": name,
        "miou": mean(run.miou for run in runs),
        "kept": mean(run.miou for run in runs) / full,
        "clocked_rate": mean(max(run.update_rate.get(stage, 1.0) for stage in clocked) for run in runs),
        "macs_mean": mean(run.macs_per_frame["mean"] for run in runs) / 1e6,
        "macs_max": max(run.macs_per_frame["max"] for run in runs) / 1e6,
        "latency_p50": mean(run.latency_ms["p50"] for run in runs),
        "latency_max": max(run.latency_ms["max"] for run in runs),
        "age_mean": mean(run.age_frames["mean"] for run in runs),
    }


def main() -> None:
    """Export, set the clocks, score."""
    made = parser(__doc__)
    made.add_argument("--data", default="camvid:../shared/data/camvid")
    made.add_argument("--checkpoint", default="zoo:clockwork-camvid")
    made.add_argument("--per-frame", default="zoo:perframe-camvid")
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle, single = Path(folder) / "clockwork", Path(folder) / "per-frame"
        deploy(args.checkpoint, bundle)
        adaptive = load_bundle(bundle).manifest.schedule("adaptive")
        clocked = list(adaptive.clocks)
        phases = more_schedules(bundle, clocked)
        for schedule, rate in RATES.items():
            calibrate_clock(bundle, f"{args.data}:val[0:50]", rate, schedule)
        found = {
            e.schedule: e for e in evaluate_bundle(bundle, f"{args.data}:val[50:101]", EvalOptions(schedules=("all",)))
        }
        deploy(args.per_frame, single)
        per_frame = evaluate_bundle(single, f"{args.data}:val[50:101]", EvalOptions(schedules=("full",)))
    full = found["full"].miou
    names = {
        "full": ["full"],
        **{n: [n] for n in RATES},
        **phases,
        "pipeline-2": ["pipeline-2"],
        "pipeline-3": ["pipeline-3"],
    }
    rows = [row(name, [found[one] for one in group], clocked, full) for name, group in names.items()]
    rows.append(row("per-frame student", per_frame, clocked, full))
    finish(rows, COLUMNS, args.json, environment(checkpoint=args.checkpoint, per_frame=args.per_frame))


if __name__ == "__main__":
    main()
