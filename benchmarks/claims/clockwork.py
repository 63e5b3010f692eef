"""Clockwork: what schedules keep of a network, with and without training under them, beside per-frame students."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schedules import more_schedules

from claims.jobs import Job, Training
from claims.scores import InTorch, PerFrame
from claims.table import Claim, arm_row, native_row
from claims.world import Scale
from edge_vss.bundle import load_bundle
from edge_vss.calibration.clocks import calibrate_clock
from edge_vss.deploy import deploy
from edge_vss.evaluation import EvalOptions, evaluate_bundle

MOTIONS = ("steady", "mixed", "fast")
OTHER_STREETS = 3_000
"""Of which the clocks see unlabelled video."""
START, TUNE = 20, 10
FPS = 5
"""Of all clips: what a small machine gets done, and three times the motion of a camera's 15."""
ARMS = {
    "as published": ("supervised", "clockwork", 0.0),
    "trained under the schedule": ("clockwork", "clockwork", 0.0),
    "trained with imagined states": ("supervised", "clockwork", 0.5),
    "per-frame student of the mean cost": ("supervised", "perframe", 0.0),
}
"""Name → how the second part of its training goes on; the first is the same for all of a network."""
CLOCKED = ("clockwork", "under", "imagined")
ROWS = {
    "full": ("full",),
    "adaptive, 50 %": ("adaptive",),
    "alternate": ("every-2-phase-0", "every-2-phase-1"),
    "every 3rd": ("every-3-phase-0", "every-3-phase-1", "every-3-phase-2"),
    "re-used label maps, every 2nd": ("re-used-maps-every-2-phase-0", "re-used-maps-every-2-phase-1"),
    "pipeline-2": ("pipeline-2",),
    "pipeline-3": ("pipeline-3",),
}
IN_TORCH = ("full", "pipeline-3")
"""Of the first seed's network that was trained under the schedule, in mixed motion, to be compared with native ones."""


@dataclass(frozen=True)
class Schedules:
    """Every schedule of one arm, in every kind of motion; thresholds come from other streets, without their labels."""

    arm: str
    held_out: tuple[str, ...]
    unlabelled: tuple[str, ...]
    budgets: tuple[float, ...]

    def __call__(self, folder: Path, root: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as name:
            bundle = Path(name) / "bundle"
            deploy(root / self.arm / "checkpoint.safetensors", bundle, calibration=self.unlabelled[0])
            more_schedules(bundle, list(load_bundle(bundle).manifest.schedule("adaptive").clocks))
            for motion, data, source in zip(MOTIONS, self.held_out, self.unlabelled, strict=True):
                self.set_clock(bundle, source)
                wanted = tuple(name for names in ROWS.values() for name in names)
                scores = evaluate_bundle(bundle, data, EvalOptions(schedules=wanted, threads=1))
                found[motion] = {
                    each.schedule: {
                        "miou": each.miou,
                        "temporal_consistency": each.temporal_consistency,
                        "fires": each.update_rate["deep"],
                        "macs": each.macs_per_frame["mean"],
                    }
                    for each in scores
                }
        return found

    def set_clock(self, bundle: Path, source: str) -> None:
        """The budget under which the deep stage fires on half of other streets' frames, the first of a clip left out.

        What ``calibrate_clock`` reports counts those first frames, and budgets are seldom used up on clips so short.
        """
        rates = {}
        for budget in self.budgets:
            calibrate_clock(bundle, source, budget, "adaptive")
            (played,) = evaluate_bundle(bundle, source, EvalOptions(schedules=("adaptive",), threads=1))
            rates[budget] = played.update_rate["deep"]
        best = min(rates, key=lambda budget: abs(rates[budget] - 0.5))
        calibrate_clock(bundle, source, best, "adaptive")


def jobs(scale: Scale) -> list[Job]:
    data, found = scale.train_data(fps=FPS), []
    held_out = tuple(scale.held_out(motion=motion, fps=FPS) for motion in MOTIONS)
    unlabelled = tuple(scale.street(OTHER_STREETS, 8, motion=motion, fps=FPS) for motion in MOTIONS)
    for seed in range(scale.seeds):
        for network in ("clockwork", "perframe"):
            start = scale.config(START, network=network, stale=0.0)
            found.append(
                Job(f"clockwork/{network}-{seed}", Training(recipe="supervised", config=start, data=data, seed=seed))
            )
        for place, (recipe, network, stale) in enumerate(ARMS.values()):
            tune = scale.config(TUNE, network=network, stale=stale, rate=1e-3, frames_before=2)
            base, arm = f"clockwork/{network}-{seed}", f"clockwork/arm{place}-{seed}"
            work = Training(recipe=recipe, config=tune, data=data, init=base, seed=seed)
            found.append(Job(arm, work, (base,)))
            if network == "clockwork":
                found.append(Job(f"{arm}/schedules", Schedules(arm, held_out, unlabelled, scale.budgets), (arm,)))
        for motion, those in zip(MOTIONS, held_out, strict=True):
            cut = PerFrame(f"clockwork/arm0-{seed}", those, output="aux/score_middle")
            found.append(Job(f"clockwork/arm0-{seed}/cut-{motion}", cut, (f"clockwork/arm0-{seed}",)))
            student = PerFrame(f"clockwork/arm3-{seed}", those)
            found.append(Job(f"clockwork/arm3-{seed}/{motion}", student, (f"clockwork/arm3-{seed}",)))
    in_torch = InTorch("clockwork/arm1-0", held_out[MOTIONS.index("mixed")], IN_TORCH)
    found.append(Job("clockwork/torch", in_torch, ("clockwork/arm1-0",)))
    return found


def report(results: dict[str, dict[str, Any]], scale: Scale) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of arms and rows of claims."""
    seeds = range(scale.seeds)

    def row(place: int, motion: str, name: str, score: str = "miou") -> list[float]:
        """One value per seed, the mean over the phases."""
        tables = [results[f"clockwork/arm{place}-{seed}/schedules"][motion] for seed in seeds]
        return [mean([table[schedule][score] for schedule in ROWS[name]]) for table in tables]

    def other(kind: str, motion: str) -> list[float]:
        return [results[f"clockwork/{kind.format(seed=seed)}{motion}"]["miou"] for seed in seeds]

    rows = []
    for motion in MOTIONS:
        for place, arm in enumerate(list(ARMS)[:3]):
            for name in ROWS:
                scores = {score: row(place, motion, name, score) for score in ("miou", "temporal_consistency", "fires")}
                rows.append(arm_row(f"{motion}, {arm}, {name}", scores))
        rows.append(arm_row(f"{motion}, cut after the middle stage", {"miou": other("arm0-{seed}/cut-", motion)}))
        rows.append(arm_row(f"{motion}, per-frame student of the mean cost", {"miou": other("arm3-{seed}/", motion)}))
    native, in_torch = results["clockwork/arm1-0/schedules"]["mixed"], results["clockwork/torch"]
    rows += [
        native_row(f"mixed, trained under the schedule, {name}", native[name]["miou"], in_torch[name]["miou"])
        for name in IN_TORCH
    ]
    claims = [claim for motion in MOTIONS for claim in schedule_claims(row, other, motion)]
    for motion in MOTIONS:
        claims += adaptive_claims(row, 1, f"{motion}, trained under the schedule", motion)
    return rows, [claim.row() for claim in claims] + [recovered(row, motion) for motion in MOTIONS]


def schedule_claims(row: Any, other: Any, motion: str) -> list[Claim]:
    """Schedules of the published training beside each other and beside networks without clocks."""
    names = ("alternate", "re-used label maps, every 2nd", "pipeline-2", "pipeline-3")
    alternate, maps, two, three = (row(0, motion, name) for name in names)
    student, cut = other("arm3-{seed}/", motion), other("arm0-{seed}/cut-", motion)
    return [
        *adaptive_claims(row, 0, motion, motion),
        Claim(f"{motion}: alternate is better than re-used label maps", alternate, maps),
        Claim(f"{motion}: pipeline-2 is better than pipeline-3", two, three),
        Claim(f"{motion}: pipeline-3 is better than the network cut after its middle", three, cut),
        Claim(f"{motion}: alternate is better than the per-frame student", alternate, student),
    ]


def adaptive_claims(row: Any, place: int, title: str, motion: str) -> list[Claim]:
    """The adaptive clock of one arm between every frame and every second one."""
    full, adaptive, alternate = (row(place, motion, name) for name in ("full", "adaptive, 50 %", "alternate"))
    return [
        Claim(f"{title}: full is better than adaptive at 50 %", full, adaptive),
        Claim(f"{title}: adaptive is not below alternate by 0.2 points", adaptive, alternate, -0.2),
    ]


def recovered(row: Any, motion: str) -> dict[str, Any]:
    """Which share of the loss at a third of the updates is gone after training under the schedule."""
    plain_full, plain_third = row(0, motion, "full"), row(0, motion, "every 3rd")
    tuned_third = row(1, motion, "every 3rd")
    shares = [100 * ((t - p) / (f - p) - 0.3) for t, p, f in zip(tuned_third, plain_third, plain_full, strict=True)]
    claim = Claim("", [share / 100 for share in shares], [0.0] * len(shares)).row()
    return claim | {
        "claim": f"{motion}: training under the schedule recovers 30 % of the loss at every 3rd",
        "points": claim["points"] + 30,
        "at_least": 30.0,
    }


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
