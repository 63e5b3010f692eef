"""Frames per second of the metrics on label maps of 2048x1024, and the usual idioms for the confusion matrix.

Label maps are those of the generated street, the prediction a neighbouring frame of it, with a tenth of the truth
ignored. `exact` says that ours gives the counts of the idiom; the aim is 30 frames per second for mIoU.

    python benchmarks/metrics.py [--json FILE] [--rounds 15]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from common import environment, finish, parser

from edge_vss.data.street import STREET_CLASSES, STREET_THINGS, StreetConfig, StreetWorld
from edge_vss.metrics import BoundaryMatrix, ConfusionMatrix, TemporalConsistency, VideoPanopticQuality

HEIGHT, WIDTH, CLASSES, AIM_FPS = 1024, 2048, len(STREET_CLASSES), 30.0
Maps = tuple[np.ndarray, np.ndarray]


def masked_bincount(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    kept = truth < CLASSES
    pairs = CLASSES * truth[kept].astype(np.int64) + prediction[kept]
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def torch_bincount(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    there, said = torch.from_numpy(truth), torch.from_numpy(prediction)
    kept = there < CLASSES
    pairs = CLASSES * there[kept].long() + said[kept]
    return torch.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES).numpy()


def opencv_histogram(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    counts = cv2.calcHist([truth, prediction], [0, 1], None, [256, 256], [0, 256, 0, 256])
    return counts[:CLASSES, :CLASSES].astype(np.int64)


def ours(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    matrix = ConfusionMatrix(CLASSES)
    matrix.update(truth, prediction)
    return matrix.counts


def medians_ms(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """All sides in turn within one loop; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def row(name: str, own_ms: float, **more: object) -> dict[str, Any]:
    return {"name": name, "ours_ms": round(own_ms, 3), "fps": round(1e3 / own_ms, 1), **more}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, default=15)
    args = made.parse_args()
    world = StreetWorld(StreetConfig(seed=3, height=HEIGHT, width=WIDTH, motion="steady"))
    here, there, field = world.render(10), world.render(11), world.flow(10, 11)
    truth, prediction = here.labels.copy(), there.labels
    truth[np.random.default_rng(0).random(truth.shape) < 0.1] = 255
    idioms = {"numpy mask + bincount": masked_bincount, "torch": torch_bincount, "OpenCV calcHist": opencv_histogram}
    boundary, consistency = BoundaryMatrix(CLASSES), TemporalConsistency(CLASSES)
    semantic, panoptic = VideoPanopticQuality(CLASSES), VideoPanopticQuality(CLASSES, things=STREET_THINGS)
    calls: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(truth, prediction),
        **{name: (lambda call=call: call(truth, prediction)) for name, call in idioms.items()},
        "boundary IoU": lambda: boundary.update(truth, prediction),
        "temporal consistency": lambda: consistency.update(here.labels, prediction, field.flow),
        "VPQ, classes": lambda: semantic.update(truth, prediction),
        "VPQ, instances": lambda: panoptic.update(truth, prediction, truth_instances=here.instances),
    }
    ms = medians_ms(calls, args.rounds)
    best = min(idioms, key=lambda name: ms[name])
    exact = all(np.array_equal(ours(truth, prediction), idiom(truth, prediction)) for idiom in idioms.values())
    compared = {name: round(ms[name], 3) for name in idioms}
    rows = [
        row(
            "mIoU (confusion matrix)",
            ms["ours"],
            theirs_ms=round(ms[best], 3),
            ratio=round(ms[best] / ms["ours"], 2),
            exact=exact,
            aim_met=1e3 / ms["ours"] >= AIM_FPS,
            compared=compared,
        )
    ]
    rows += [row(name, ms[name]) for name in calls if name not in (*idioms, "ours")]
    columns = ["name", "ours_ms", "fps", "theirs_ms", "ratio", "exact", "aim_met"]
    finish(rows, columns, args.json, environment(size=f"{WIDTH}x{HEIGHT}", fastest_idiom=best, numpy=np.__version__))


if __name__ == "__main__":
    main()
