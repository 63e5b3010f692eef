"""ETC: a temporal loss makes a per-frame network consistent, distillation better; the network stays the same."""

from __future__ import annotations

from typing import Any

from claims.jobs import Job, Training
from claims.scores import Native, PerFrame
from claims.table import Claim, arm_row, native_row, seeds_of
from claims.teacher import EVERY, TEACHER, teacher_job
from claims.world import Scale
from edge_vss.training import LossConfig

LOSS = LossConfig(distil=0.1, similarity=0.1, temperature=1.0)
ARMS = {
    "cross-entropy": (LossConfig(temporal=0.0), False),
    "+ temporal loss": (LossConfig(temporal=10.0), False),
    "+ temporal loss + distillation": (
        LossConfig(temporal=10.0, distil=1.0, similarity=1.0, pair=1.0, sequence=1.0, temperature=1.0),
        True,
    ),
}
SCORES = ("miou", "temporal_consistency", "vpq")


def jobs(scale: Scale) -> list[Job]:
    data = scale.train_data()
    found = [teacher_job(scale)]
    for seed in range(scale.seeds):
        base = f"etc/base-{seed}"
        start = scale.config(40, network="perframe", labelled_every=EVERY)
        found.append(Job(base, Training(recipe="supervised", config=start, data=data, seed=seed)))
        for place, (loss, taught) in enumerate(ARMS.values()):
            config = scale.config(25, network="perframe", labelled_every=EVERY, frames_before=2, rate=1e-3, loss=loss)
            arm = f"etc/arm{place}-{seed}"
            teacher = TEACHER if taught else None
            work = Training(recipe="etc", config=config, data=data, teacher=teacher, init=base, seed=seed)
            found.append(Job(arm, work, (base, *([teacher] if teacher else []))))
            found.append(Job(f"{arm}/score", PerFrame(arm, scale.held_out()), (arm,)))
    last = f"etc/arm{len(ARMS) - 1}-0"
    found.append(Job("etc/native", Native(last, (("held-out", scale.held_out()),)), (last,)))
    return found


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""
    found = {name: seeds_of(results, f"etc/arm{place}-{{}}/score", scale, SCORES) for place, name in enumerate(ARMS)}
    plain, temporal, taught = found.values()
    consistency = "temporal_consistency"
    claims = [
        Claim("the temporal loss raises TC by a point or more", temporal[consistency], plain[consistency], 1.0),
        Claim("and does not lower mIoU by half a point", temporal["miou"], plain["miou"], -0.5),
        Claim("distillation raises mIoU further", taught["miou"], temporal["miou"]),
        Claim("with distillation TC is above cross-entropy's", taught[consistency], plain[consistency]),
    ]
    rows = [arm_row(name, values) for name, values in found.items()]
    last = len(ARMS) - 1
    in_torch = results[f"etc/arm{last}-0/score"]["miou"]
    rows.append(native_row("the last", results["etc/native"]["held-out"]["full"]["miou"], in_torch))
    return rows, [claim.row() for claim in claims]
