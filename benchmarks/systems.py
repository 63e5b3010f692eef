"""What each published system claims, as differences between runs that share everything else.

Every arm is trained on the same generated streets with as many frames seen, the same augmentation, teacher and initial
weights, and scored on streets that none has seen. A claim is shown when the difference between arms, paired by seed,
exceeds what was claimed by more than its standard error over the seeds. A run that was stopped goes on.

    python benchmarks/systems.py NAME [--json FILE] [--folder build/systems] [--quick]
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from claims.jobs import play
from claims.world import QUICK, TINY, WHOLE
from common import ROOT, environment, parser, print_table

NAMES = ("clockwork", "divmbest", "uda", "tdnet", "etc", "weclick")


def main() -> int:
    """Train what is not trained yet, score, print; 1 where a claim is not shown."""
    made = parser(__doc__)
    made.add_argument("name", choices=NAMES)
    made.add_argument("--folder", type=Path, default=ROOT / "build" / "systems", help="what is trained is kept here")
    made.add_argument("--quick", action="store_true", help="minutes: that it runs, not what it shows")
    made.add_argument("--tiny", action="store_true", help="seconds, as the tests play it; 0 whatever is shown")
    made.add_argument("--seeds", type=int, help="instead of 3")
    made.add_argument("--trial", action="store_true", help="score on other streets, those that recipes are tried on")
    made.add_argument("--camvid", metavar="FOLDER", help="rows of CamVid's val split too, where a system has them")
    args = made.parse_args()
    kind = "tiny" if args.tiny else "quick" if args.quick else "whole"
    scale = {"tiny": TINY, "quick": QUICK, "whole": WHOLE}[kind]
    if args.seeds:
        scale = replace(scale, seeds=args.seeds)
    if args.camvid:
        scale = replace(scale, camvid=args.camvid)
    if args.trial:
        scale = replace(scale, held_out_seed=80_000)
    system = importlib.import_module(f"claims.{args.name}")
    if args.folder.exists() and not args.folder.is_dir():
        made.error(f"--folder {args.folder} is no folder")
    start = time.monotonic()
    results = play(system.jobs(scale), args.folder / kind)
    arms, claims = system.report(results, scale)
    columns = list(dict.fromkeys(name for row in arms for name in row))
    print_table(arms, columns)
    print_table(claims, ("claim", "points", "error", "at_least", "shown"))
    spent = sum(result["seconds"] for result in results.values())
    where = environment(
        system=args.name,
        command=f"python benchmarks/systems.py {args.name}"
        + ("" if kind == "whole" else f" --{kind}")
        + (" --camvid FOLDER" if args.camvid else ""),
        held_out=scale.held_out(),
        train=scale.train_data(),
        compute_minutes=round(spent / 60, 1),
        this_run_minutes=round((time.monotonic() - start) / 60, 1),
    )
    print("\n".join(f"{key}: {value}" for key, value in where.items()))
    if args.json:
        args.json.write_text(json.dumps({"rows": arms, "claims": claims, "environment": where}, indent=2) + "\n")
    return 0 if kind == "tiny" or all(row["shown"] for row in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
