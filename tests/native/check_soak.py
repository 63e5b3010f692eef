"""Plays the loop over 20,000 frames under every schedule: ``check_soak.py SOAK_LOOP COUNT_MALLOC CASES``.

Once it runs it must allocate nothing, and its memory must not grow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FRAMES = 20_000


def main(program: str, counter: str, cases: Path) -> int:
    """Exit code: 0 = nothing allocated anywhere."""
    failed = 0
    for case in ("plain-chain-full", "plain-chain-adaptive", "plain-chain-pipeline-3", "plain-ring-3", "deadline"):
        schedule = "cycle" if "ring" in case else "full" if case == "deadline" else case.removeprefix("plain-chain-")
        size = ("16", "24") if "ring" in case else ("32", "48")
        bundle = cases / case if case == "deadline" else cases / case / "bundle"
        deadline_ms = "0.3" if case == "deadline" else "0"
        command = [program, str(bundle), schedule, str(FRAMES), "2", *size, deadline_ms]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LD_PRELOAD": counter})
        if done.returncode:
            print(f"{case}: {done.stderr}")
            return 1
        found = json.loads(done.stdout)
        good = found["frames"] == FRAMES and found["allocations"] == 0 and found["resident_growth_kib"] < 256
        failed += not good
        print(f"{case}: {found}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
