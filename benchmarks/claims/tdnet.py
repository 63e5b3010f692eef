"""TDNet: shallow sub-networks in turns, against one of them alone and against a per-frame network of the same cost."""

from __future__ import annotations

from typing import Any

import msgspec

from claims.jobs import Job, Training
from claims.scores import InTorch, Native, PerFrame
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.teacher import EVERY, TEACHER, teacher_job
from claims.world import Scale
from edge_vss.training import LossConfig, TrainConfig

ALONE, EPOCHS = 60, 40
"""Of one sub-network, or of the per-frame student, by labels; and of every arm, which goes on from there."""
FULL, GROUPED = 1.0, 0.5
LOSS = LossConfig(ohem=1.0, jaccard=0.5, aux=0.4, temperature=1.0, distil=FULL, similarity=0.0)
"""Of all arms. With the published share of the hardest pixels, a quarter, so short a training gets nowhere."""
TURNS = {
    "two sub-networks, no teacher": ("tdnet2", None),
    "two, the whole teacher": ("tdnet2", 0.0),
    "two, grouped teacher": ("tdnet2", GROUPED),
    "two, grouped teacher, plain sum": ("tdnet2-sum", GROUPED),
}
SINGLE_KIND, STUDENT_KIND = "tdnet2-single", "tdnet2-student"
SINGLE = {
    "one sub-network alone, no teacher": (SINGLE_KIND, False),
    "one sub-network alone, the whole teacher": (SINGLE_KIND, True),
    "per-frame student of the same cost, the whole teacher": (STUDENT_KIND, True),
}
SCORES = ("miou", "temporal_consistency", "vpq")
MOTIONS = ("mixed", "fast")
IN_TORCH = ("cycle", "alone")
"""Of the first seed's two with a grouped teacher, in mixed motion, to be compared with native ones."""


def jobs(scale: Scale) -> list[Job]:
    data, found = scale.train_data(), [teacher_job(scale)]

    def going_on(network: str, loss: LossConfig) -> TrainConfig:
        return scale.config(
            EPOCHS, network=network, labelled_every=EVERY, rate=1e-3, still=0.0, clip_rate=1.0, loss=loss
        )

    for seed in range(scale.seeds):
        for network in (SINGLE_KIND, STUDENT_KIND):
            config = scale.config(ALONE, network=network, labelled_every=EVERY, loss=LOSS)
            start = Training(recipe="supervised", config=config, data=data, seed=seed)
            found.append(Job(f"tdnet/{network}-{seed}", start))
        for place, (network, group) in enumerate(TURNS.values()):
            loss = msgspec.structs.replace(LOSS, group=group or 0.0)
            base, teacher = f"tdnet/{SINGLE_KIND}-{seed}", None if group is None else TEACHER
            arm = f"tdnet/turns{place}-{seed}"
            work = Training(
                recipe="tdnet", config=going_on(network, loss), data=data, teacher=teacher, init=base, seed=seed
            )
            found.append(Job(arm, work, tuple(filter(None, (base, teacher)))))
            streets = tuple((motion, scale.held_out(motion=motion)) for motion in MOTIONS)
            found.append(Job(f"{arm}/native", Native(arm, streets), (arm,)))
        for place, (network, taught) in enumerate(SINGLE.values()):
            arm, base = f"tdnet/single{place}-{seed}", f"tdnet/{network}-{seed}"
            recipe, teacher = ("distill", TEACHER) if taught else ("supervised", None)
            work = Training(
                recipe=recipe, config=going_on(network, LOSS), data=data, teacher=teacher, init=base, seed=seed
            )
            found.append(Job(arm, work, tuple(filter(None, (base, teacher)))))
            for motion in MOTIONS:
                found.append(Job(f"{arm}/{motion}", PerFrame(arm, scale.held_out(motion=motion)), (arm,)))
    in_torch = InTorch("tdnet/turns2-0", scale.held_out(motion="mixed"), IN_TORCH)
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
    alone = turns(2, "mixed", "alone")["miou"]
    claims = [
        Claim("1.5 points over one sub-network alone, labels only", none, single(0, "mixed")["miou"], 1.5),
        Claim("1.5 points over one sub-network alone, both taught", grouped, single(1, "mixed")["miou"], 1.5),
        Claim("better than a per-frame student of the same cost, both taught", grouped, single(2, "mixed")["miou"]),
        Claim("carrying over is better than not", grouped, alone),
        Claim("attention is better than a plain sum", grouped, plain),
        Claim("and under fast motion", turns(2, "fast")["miou"], turns(3, "fast")["miou"]),
        Claim("the whole teacher is better than none", whole, none),
        Claim("a grouped teacher is better than the whole alone", grouped, whole),
    ]
    return rows, [claim.row() for claim in claims]
