"""TDNet: shallow sub-networks in turns, against each of them alone and against a per-frame network of the same cost."""

from __future__ import annotations

import statistics
from typing import Any

import msgspec

from claims.jobs import Job, Training
from claims.scores import InTorch, Native, PerFrame
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.teacher import EVERY, TEACHER, teacher_job
from claims.world import Scale
from edge_vss.training import LossConfig

EPOCHS = 60
STILL = 0.3
"""Of those of sub-networks that take turns, as published: one frame, again and again, before there are clips."""
FULL, GROUPED = 1.0, 0.5
LOSS = LossConfig(ohem=1.0, jaccard=0.5, aux=0.4, temperature=1.0, distil=FULL, similarity=0.0)
"""Of all arms. With the published share of the hardest pixels, a quarter, so short a training gets nowhere."""
TURNS = {
    "two sub-networks, no teacher": ("tdnet2-near", None),
    "two, the whole teacher": ("tdnet2-near", 0.0),
    "two, grouped teacher": ("tdnet2-near", GROUPED),
    "two, grouped teacher, plain sum": ("tdnet2-sum", GROUPED),
}
"""Name → network and weight of the teacher's groups; None: no teacher."""
SINGLE = {
    "the first alone, no teacher": ("tdnet2-single", False),
    "the first alone, the whole teacher": ("tdnet2-single", True),
    "the second alone, the whole teacher": ("tdnet2-single-1", True),
    "per-frame student of the same cost, the whole teacher": ("tdnet2-student", True),
}
SCORES = ("miou", "temporal_consistency", "vpq")
MOTIONS = {"mixed": 15, "fast": 5}
"""How the camera moves → frames a second."""
IN_TORCH = ("cycle", "alone")
"""Of the first seed's two with a grouped teacher, in mixed motion, to be compared with native ones."""


def jobs(scale: Scale) -> list[Job]:
    data, found = scale.train_data(), [teacher_job(scale)]
    held_out = {motion: scale.held_out(motion=motion, fps=fps) for motion, fps in MOTIONS.items()}

    def config(network: str, loss: LossConfig) -> Any:
        return scale.config(
            EPOCHS, network=network, labelled_every=EVERY, still=STILL, clip_rate=1.0, key_stride=1, loss=loss
        )

    for seed in range(scale.seeds):
        for place, (network, group) in enumerate(TURNS.values()):
            loss = msgspec.structs.replace(LOSS, group=group or 0.0)
            arm, teacher = f"tdnet/turns{place}-{seed}", None if group is None else TEACHER
            work = Training(recipe="tdnet", config=config(network, loss), data=data, teacher=teacher, seed=seed)
            found.append(Job(arm, work, (teacher,) if teacher else ()))
            found.append(Job(f"{arm}/native", Native(arm, tuple(held_out.items())), (arm,)))
        for place, (network, taught) in enumerate(SINGLE.values()):
            recipe, teacher = ("distill", TEACHER) if taught else ("supervised", None)
            arm = f"tdnet/single{place}-{seed}"
            work = Training(recipe=recipe, config=config(network, LOSS), data=data, teacher=teacher, seed=seed)
            found.append(Job(arm, work, (teacher,) if teacher else ()))
            for motion, streets in held_out.items():
                found.append(Job(f"{arm}/{motion}", PerFrame(arm, streets), (arm,)))
    in_torch = InTorch("tdnet/turns2-0", held_out["mixed"], IN_TORCH)
    found.append(Job("tdnet/torch", in_torch, ("tdnet/turns2-0",)))
    return found


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""

    def turns(place: int, motion: str, schedule: str = "cycle") -> dict[str, list[float]]:
        return seeds_of(results, f"tdnet/turns{place}-{{}}/native", scale, SCORES, motion, schedule)

    def single(place: int, motion: str) -> dict[str, list[float]]:
        return seeds_of(results, f"tdnet/single{place}-{{}}/{motion}", scale, SCORES)

    rows = []
    for motion in MOTIONS:
        rows += [arm_row(f"{name} ({motion})", turns(place, motion)) for place, name in enumerate(TURNS)]
        rows.append(arm_row(f"two, grouped teacher, nothing carried over ({motion})", turns(2, motion, "alone")))
        rows += [arm_row(f"{name} ({motion})", single(place, motion)) for place, name in enumerate(SINGLE)]
    native, in_torch = results["tdnet/turns2-0/native"]["mixed"], results["tdnet/torch"]
    rows += [
        native_row(f"two, grouped teacher (mixed), {name}", native[name]["miou"], in_torch[name]["miou"])
        for name in IN_TORCH
    ]
    none, whole, grouped, plain = (turns(place, "mixed")["miou"] for place in range(4))
    unaided, first, second, student = (single(place, "mixed")["miou"] for place in range(4))
    each = [statistics.fmean(pair) for pair in zip(first, second, strict=True)]
    fast, fast_plain = (turns(place, "fast") for place in (2, 3))
    claims = [
        Claim("better than its sub-networks alone, both taught", grouped, each),
        Claim("by 1.5 points", grouped, each, 1.5),
        Claim("better than the first alone, labels only", none, unaided),
        Claim("better than a per-frame student of the same cost, both taught", grouped, student),
        Claim("carrying over is better than not", grouped, turns(2, "mixed", "alone")["miou"]),
        Claim("attention near by is better than a plain sum", grouped, plain),
        Claim("and under fast motion", fast["miou"], fast_plain["miou"]),
        Claim("the whole teacher is better than none", whole, none),
        Claim("a grouped teacher is better than the whole alone", grouped, whole),
    ]
    return rows, [claim.row() for claim in claims]
