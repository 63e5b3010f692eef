"""Writes docs/systems.md from what `benchmarks/systems.py NAME --json benchmarks/results/NAME.json` left.

python benchmarks/systems_page.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from common import ROOT
from systems import NAMES

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "systems.md"
HEAD = """# The six systems and what each claims

Every table is the output of one command, run on two cores of a CPU. All arms of a system are trained on the same
generated streets ([sources and data](sources-and-data.md)), see as many frames with the same augmentation, and start
from the same weights, or all afresh; they are scored on streets that none has seen. Networks and frames are small, so
the level of the scores says little; the differences between arms are what is measured. Points are hundredths of the
score, `±` is the standard deviation over the seeds. A claim is *shown* where the difference, paired by seed, exceeds
what is claimed by more than its standard error; otherwise it is *not shown*, and the interval is what it is.
`off_torch` is how far the native runtime's mIoU is off that of torch.

The recipes are described in [training.md](training.md); what is published about each system, and where, in the
docstrings of `edge_vss/training/recipes/`. This page is written by `benchmarks/systems_page.py`.
"""
TITLES = {
    "clockwork": "Clockwork convnets",
    "divmbest": "DivMBest + SegNet re-ranking",
    "uda": "UDA-VSS: VAT + VST",
    "tdnet": "TDNet",
    "etc": "ETC",
    "weclick": "WeClick",
}
CLOCKWORK_NOTE = """\
`fires` is how often the deep stage did on these streets, the first frame of a clip left out. The
clock of `adaptive, 50 %` has that of six budgets whose rate on other streets, without their labels, is closest to a
half. All clips have five frames a second. Under `full` the network is itself the per-frame one of the largest cost. On
other streets, three seeds, with the rate brought to 43-50 % on them, the clock is behind `alternate` by 0.04 to 0.09
points in steady motion, 0.07 to 0.40 in mixed and 0.13 to 0.67 in fast motion: its signal, the labels of 48 positions,
is coarse. The squared change of those positions' class probabilities would put it ahead by 0.11 in steady and 0.12 in
fast motion and behind by 0.12 in mixed, means of the seeds; the relative change of the middle stage's features, a
signal that a bundle may name already, ahead by 0.08 and 0.29 and behind by 0.21. A `max_age` of 3 or 2 instead of 6
changes a score by 0.01 at most; where a quarter of the frames fire, 2 is worth 0.7 points for 8 % more of them.
"""
ETC_NOTE = """The teacher has seen three times as many streets, all labelled; of the students' frames every third is.
"""
DIVMBEST_NOTE = """\
The larger networks have seen three times as many streets, all labelled; of the others' frames every
third is. They choose among the solutions of `cross-entropy`, and are one network for all seeds. `miou_first` is that of
the most probable solutions, on every fourth frame of a clip; `rare_miou` that of poles, signs, fences, people and
bicyclists. For the rows of CamVid `cross-entropy` went on with either loss on CamVid's training pictures, 30 epochs at
96x128.
"""
UDA_NOTE = """\
From streets of a simulated look, labelled, to others of a camera's look, which are not; scored on a camera's
look. `accuracy` and `coverage` are those of the pseudo-labels against the truth, which no training saw. Pseudo-labels
of single frames are as many, the most probable of each class; both arms of them see 15 epochs more than the others,
with colours changed. Tried on other streets, two seeds: adversaries that weigh from 1e-3 to 3e-2 raise mIoU from 32.4
to 34.1 on single frames and from 32.4 to 33.9 on video, never apart by more than 0.3; streets at five frames a second,
one seed: 32.0 either way. From VAT's 32.3 there, one seed and no colours changed, 50 epochs more on the source stay at
32.3, as many frames of source and pseudo-labels give 31.5, with those of single frames 31.5, and pseudo-labels alone
30.8; temporal consistency goes from 67.2 to 63.5, 72.8, 72.9 and 75.6. Averaging over the four frames before and after
raises the mIoU of the labels themselves from 30.0 to 30.9, over the two before to 30.3. The source alone for 120 epochs
gives 33.3, 33.0 and 31.8, labels of the camera's look 38.1. What closes that gap is changing the colours: with them,
83 epochs on the source alone raise VAT's 32.3 and 33.6 to 37.7 and 37.9, and 50 on source and pseudo-labels, as many
frames, to 35.5 and 36.1; from 37.7 on, 30 epochs of both end at 38.4 and of the source alone at 38.5.
"""
TDNET_NOTE = """\
Schedule `cycle` unless the row says otherwise. `mixed` and `fast` are how the camera moves, `fast` at 5 frames a
second, all else at 15. The teacher is that of ETC. All arms start afresh and see the same labelled frames as often: of
two sub-networks each has its turn at every clip, so that their training costs four times that of one, and all are short
of what longer training gives: on other streets, one seed, 60 and 100 epochs give two 38.3 and 41.1 and one alone 37.7
and 40.0. Two that take turns flicker: their temporal consistency is the lower one. They keep every position of a past
frame at 1/8, there being so few, and attend near by. Tried before, on other streets: half of the turns for each, which
is worth half a point less; one start for both, which leaves nothing to gain over one alone, since they then err alike;
the published attention, 0.04 to 0.46 points below that near by in each of four kinds of motion. Averaging the scores of
two trained alone, on every frame, gains 1.1 points over either there, about what 100 epochs give two that take turns.
"""
WECLICK_NOTE = """\
Of every sixth frame a pixel per object is known, or, in one arm, the whole map. The teacher is larger and has
seen three times as many streets, a pixel per object on every frame of them, and never a whole map. Propagation, ours,
is the memory turned round: the frames before are drawn to what the labelled one is taken for, which its clicks hold and
which a camera that drives on sees from closer by. Tried on other streets: the memory without a teacher, one seed,
weighing 1, 5 and 20, gives 27.3, 24.5 and 18.5 against 27.6 of clicks alone, 26.7 over four frames, and 27.2 where
averaged weights remember; beside the teacher a weight of 5 gives 31.0 against 31.2. Propagation, two seeds, gives 28.98
and 28.32 against 28.07 and 27.21 of the same frames without it, 27.55 and 27.53 with the flow zeroed; beside the
teacher, which sees those frames itself, one seed, 30.5 against 30.9. The minutes contain other work.
"""
NOTES = {
    "clockwork": CLOCKWORK_NOTE,
    "divmbest": DIVMBEST_NOTE,
    "uda": UDA_NOTE,
    "tdnet": TDNET_NOTE,
    "etc": ETC_NOTE,
    "weclick": WECLICK_NOTE,
}
HIDDEN = ("arm", "seeds")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page, from the reports of those systems that were run."""
    parts = [HEAD]
    for name in NAMES:
        parts.append(f"## {TITLES[name]}\n")
        parts.append(
            section(results[name]) if name in results else f"Not run yet: `python benchmarks/systems.py {name}`.\n"
        )
    return "\n".join(parts)


def section(report: Mapping[str, Any]) -> str:
    """One system's command, arms and claims."""
    where = report["environment"]
    scores = [key for row in report["rows"] for key in row if key not in HIDDEN and not key.endswith("_spread")]
    columns = list(dict.fromkeys(scores))
    arms = [[row["arm"], *(score_cell(row, column) for column in columns)] for row in report["rows"]]
    claims = [
        [
            row["claim"],
            f"{row['points']:+.2f}" + ("" if row["error"] is None else f" ± {row['error']:.2f}"),
            f"{row['at_least']:g}",
            "shown" if row["shown"] else "**not shown**",
        ]
        for row in report["claims"]
    ]
    seeds = max(row.get("seeds", 1) for row in report["rows"])
    return "\n".join(
        [
            f"`{where['command']}`, {where['compute_minutes']} minutes of one core, {seeds} seeds.",
            NOTES[where["system"]],
            f"Trained on `{where['train']}`, scored on `{where['held_out']}` unless the row says otherwise.\n",
            table(["arm", *columns], arms),
            table(["claim", "difference, points", "at least", ""], claims),
        ]
    )


def score_cell(row: Mapping[str, Any], score: str) -> str:
    """A score with its spread; nothing where the arm has none."""
    if score not in row:
        return ""
    spread = row.get(f"{score}_spread")
    return f"{row[score]:.2f}" if spread is None else f"{row[score]:.2f} ± {spread:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def read_results() -> dict[str, Any]:
    """The committed reports, by system."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


if __name__ == "__main__":
    PAGE.write_text(page(read_results()))
