"""WeClick: a click per object, a memory along the flow and a teacher that knew clicks alone, against label maps."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from claims.jobs import Job, Training
from claims.scores import Native, PerFrame
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.teacher import more_streets
from claims.world import Scale
from edge_vss.training import LossConfig

EVERY = 6
FPS = 5
"""Of the clips: what is labelled and what is not lie further apart than at the camera's rate."""
PLAIN = LossConfig(memory=0.0)
DISTIL = 3.0
TAUGHT = LossConfig(memory=0.0, distil=DISTIL)
MEMORY = LossConfig(memory=1.0, distil=DISTIL)
TEACHER_EPOCHS = 30
"""On three times the streets, with clicks on every frame and not one whole map."""
BEFORE = 4
"""Frames that propagation reaches back, nearly as far as the last labelled one."""


@dataclass(frozen=True)
class Arm:
    """What one arm is trained with."""

    loss: LossConfig
    clicks: bool = True
    taught: bool = False
    before: int = 1


ARMS = {
    "clicks": Arm(PLAIN),
    "clicks + teacher": Arm(TAUGHT, taught=True),
    "clicks + teacher + memory flow": Arm(MEMORY, taught=True),
    "the same, flow zeroed": Arm(LossConfig(memory=1.0, distil=DISTIL, flow=False), taught=True),
    "whole label maps": Arm(PLAIN, clicks=False),
    "clicks, four frames before seen": Arm(PLAIN, before=BEFORE),
    "clicks + propagation to those": Arm(LossConfig(memory=0.0, propagation=1.0), before=BEFORE),
    "clicks + propagation, flow zeroed": Arm(LossConfig(memory=0.0, propagation=1.0, flow=False), before=BEFORE),
}
SCORES = ("miou", "temporal_consistency", "vpq")
RECOVERED = 0.4


def jobs(scale: Scale) -> list[Job]:
    data = scale.train_data(fps=FPS)
    teacher = scale.config(TEACHER_EPOCHS, network="teacher", clicks=True, frames_before=1, loss=PLAIN)
    found = [Job("weclick/teacher", Training(recipe="weclick", config=teacher, data=more_streets(scale, FPS)))]
    for seed in range(scale.seeds):
        for place, each in enumerate(ARMS.values()):
            config = scale.config(
                60,
                network="perframe",
                labelled_every=EVERY,
                clicks=each.clicks,
                frames_before=each.before,
                loss=each.loss,
            )
            arm, by = f"weclick/arm{place}-{seed}", "weclick/teacher" if each.taught else None
            work = Training(recipe="weclick", config=config, data=data, teacher=by, seed=seed)
            found.append(Job(arm, work, (by,) if by else ()))
            found.append(Job(f"{arm}/score", PerFrame(arm, scale.held_out()), (arm,)))
    found.append(
        Job("weclick/native", Native("weclick/arm2-0", (("held-out", scale.held_out()),)), ("weclick/arm2-0",))
    )
    return found


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""
    found = {
        name: seeds_of(results, f"weclick/arm{place}-{{}}/score", scale, SCORES) for place, name in enumerate(ARMS)
    }
    clicks, taught, memory, still, whole, seen, spread, astray = (values["miou"] for values in found.values())
    shares = [(m - c) / (w - c) for m, c, w in zip(memory, clicks, whole, strict=True)]
    error = statistics.stdev(shares) / math.sqrt(len(shares)) if len(shares) > 1 else math.inf
    recovered = statistics.fmean(shares)
    claims = [
        {
            "claim": "teacher and memory close 40 % of the gap to whole label maps",
            "points": 100 * recovered,
            "error": 100 * error if math.isfinite(error) else None,
            "at_least": 100 * RECOVERED,
            "shown": bool(recovered - RECOVERED > error),
        },
        Claim("clicks + teacher is better than clicks", taught, clicks).row(),
        Claim("the memory along the flow adds to the teacher", memory, taught).row(),
        Claim("and less so with the flow zeroed", memory, still).row(),
        Claim("without a teacher, propagation along the flow adds to the clicks", spread, seen).row(),
        Claim("and is better than with the flow zeroed", spread, astray).row(),
    ]
    rows = [arm_row(name, values) for name, values in found.items()]
    in_torch = results["weclick/arm2-0/score"]["miou"]
    rows.append(native_row("memory flow", results["weclick/native"]["held-out"]["full"]["miou"], in_torch))
    return rows, claims
