"""Pixel kernels against the usual idioms of OpenCV, NumPy and torch, two threads a side.

Every row runs ours and all alternatives in turn within one loop, each for a burst of calls as a video makes them, and
compares medians of the later calls; "theirs" is the fastest of the alternatives. `exact` says that ours equals the
plain reference (labels: but for scores that tie within 4 ulp).

    python benchmarks/pixels.py [--json FILE] [--rounds 20] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from edge_vss.runtime._native import pixels

SOURCE, NETWORK, GRID, CLASSES = (720, 1280), (512, 1024), (64, 128), 19
SETTLE_S = 3e-3
WARM_S, TIMED_S, TIMED_CALLS = 20e-3, 12e-3, 12
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Row:
    """One comparison: ours, the named alternatives, and whether ours is what the reference says."""

    name: str
    ours: Callable[[], object]
    theirs: dict[str, Callable[[], object]]
    exact: Callable[[], bool]


def medians_ms(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median of the later calls of a burst, all sides in turn, so that a disturbance of the machine meets everyone.

    OpenMP's threads spin for a while after torch has gone: the pause lets them stop, or they would slow down whoever
    comes next. The first calls of a burst wake the caller's own threads, which takes milliseconds on a virtual machine
    whose second core was idle, and bring its own buffers back.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(SETTLE_S)
            burst = _burst_ms(call)
            if turn:
                times[name] += burst
    return {name: statistics.median(values) for name, values in times.items()}


def _burst_ms(call: Callable[[], object]) -> list[float]:
    """Times of the calls that follow the warming ones, at least one of each."""
    begin, found = time.perf_counter(), []
    call()
    while time.perf_counter() - begin < WARM_S:
        call()
    begin = time.perf_counter()
    while not found or (len(found) < TIMED_CALLS and time.perf_counter() - begin < TIMED_S):
        start = time.perf_counter()
        call()
        found.append((time.perf_counter() - start) * 1e3)
    return found


# --- pre-processing ---------------------------------------------------------------------------------------------------


def camera_planes(format: str, rng: np.random.Generator) -> list[np.ndarray]:
    height, width = SOURCE
    image = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
    if format != "nv12":
        return [image]
    stacked = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, chroma = stacked[: height * width].reshape(height, width), stacked[height * width :]
    return [luma, np.stack(np.split(chroma, 2), -1).reshape(height // 2, width // 2, 2).copy()]


def numpy_normalised(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, NETWORK[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)
    small -= np.float32(MEAN)
    small *= 1 / np.float32(STD)
    return np.ascontiguousarray(small.transpose(2, 0, 1))[None]


def split_normalised(image: np.ndarray) -> np.ndarray:
    out = np.empty((1, 3, *NETWORK), np.float32)
    small = cv2.resize(image, NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
    for channel, plane in enumerate(cv2.split(small)):
        np.subtract(plane, np.float32(MEAN[channel]), out=out[0, channel])
        np.multiply(out[0, channel], np.float32(1 / STD[channel]), out=out[0, channel])
    return out


def torch_normalised(image: np.ndarray) -> torch.Tensor:
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    x = torch.nn.functional.interpolate(x, NETWORK, mode="bilinear", align_corners=False)
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def preprocess_row(format: str, pool, rng) -> Row:
    planes, out = camera_planes(format, rng), np.empty((1, 3, *NETWORK), np.float32)
    made = pixels.Preprocessor(format, SOURCE, NETWORK, mean=MEAN, std=STD)

    def rgb() -> np.ndarray:
        if format == "nv12":
            return cv2.cvtColorTwoPlane(planes[0], planes[1], cv2.COLOR_YUV2RGB_NV12)
        return planes[0]

    def blob() -> np.ndarray:  # one factor for all channels is all that it offers
        return cv2.dnn.blobFromImage(rgb(), 1 / 57.6, NETWORK[::-1], MEAN, swapRB=format == "bgr")

    def exact() -> bool:
        want = np.empty_like(out)
        made.reference(planes, want)
        made.run(planes, out, pool=pool)
        return bool((out == want).all())

    def in_order(image: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if format == "bgr" else image

    theirs = {
        "blobFromImage": blob,
        "resize + numpy": lambda: numpy_normalised(in_order(rgb())),
        "resize + split": lambda: split_normalised(in_order(rgb())),
        "torch": lambda: torch_normalised(in_order(rgb())),
    }
    return Row(f"preprocess {format} 720p to 512x1024", lambda: made.run(planes, out, pool=pool), theirs, exact)


# --- scores to labels -------------------------------------------------------------------------------------------------


def street_labels() -> np.ndarray:
    """A real label map where the data is there, else a generated one with about as much boundary."""
    folder = Path(os.environ.get("EDGE_VSS_DATA", "../shared/data")) / "camvid"
    for line in (folder / "val.txt").read_text().splitlines() if (folder / "val.txt").is_file() else []:
        found = sorted(folder.rglob(Path(line.split()[-1]).name))
        label = next((p for p in found if p.suffix == ".png"), None)
        if label is not None:
            return cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    seeds = np.random.default_rng(5).uniform(0, 1, (16, 2))
    y, x = np.mgrid[0:360, 0:480] / 480
    return (((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2).argmin(-1) % 12).astype(np.uint8)


def real_scores(rng: np.random.Generator) -> np.ndarray:
    labels = street_labels()
    hot = [cv2.resize(np.float32(labels == c), GRID[::-1], interpolation=cv2.INTER_AREA) for c in range(CLASSES)]
    smooth = np.stack([cv2.blur(plane, (3, 3)) for plane in hot])
    return (smooth * 8 + rng.normal(0, 0.2, smooth.shape)).astype(np.float32)


def running_argmax(scores: np.ndarray) -> np.ndarray:
    best = cv2.resize(scores[0], NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(NETWORK, np.uint8)
    for channel in range(1, len(scores)):
        full = cv2.resize(scores[channel], NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
        wins = cv2.compare(full, best, cv2.CMP_GT)
        cv2.max(full, best, dst=best)
        labels[wins.view(bool)] = channel
    return labels


def masked_argmax(scores: np.ndarray) -> np.ndarray:
    best = cv2.resize(scores[0], NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(NETWORK, np.uint8)
    for channel in range(1, len(scores)):
        full = cv2.resize(scores[channel], NETWORK[::-1], interpolation=cv2.INTER_LINEAR)
        np.putmask(labels, full > best, channel)
        np.maximum(best, full, out=best)
    return labels


def stacked_argmax(scores: np.ndarray) -> np.ndarray:
    full = np.stack([cv2.resize(plane, NETWORK[::-1], interpolation=cv2.INTER_LINEAR) for plane in scores])
    return full.argmax(0).astype(np.uint8)


def torch_argmax(scores: np.ndarray) -> torch.Tensor:
    full = torch.nn.functional.interpolate(torch.from_numpy(scores)[None], NETWORK, mode="bilinear")
    return full.argmax(1).to(torch.uint8)


def upsample_row(name: str, scores: np.ndarray, pool) -> Row:
    geometry = pixels.fit_geometry(NETWORK, NETWORK, "stretch")
    y, x = pixels.grid_maps(geometry, GRID, "network")
    made = pixels.ScoreUpsampler(channels=CLASSES, grid=GRID, out=NETWORK, y=y, x=x)
    labels, batch = np.empty(NETWORK, np.uint8), np.ascontiguousarray(scores[None])

    def exact() -> bool:
        want, gap = np.empty_like(labels), np.empty(NETWORK, np.float32)
        made.reference(batch, want, gap)
        made.run(batch, labels, pool=pool)
        return not ((labels != want) & (gap > 4)).any()

    theirs = {
        "cv2.resize + running max": lambda: running_argmax(scores),
        "cv2.resize + numpy max": lambda: masked_argmax(scores),
        "cv2.resize + argmax": lambda: stacked_argmax(scores),
        "torch interpolate + argmax": lambda: torch_argmax(scores),
    }
    return Row(f"upsample + argmax, {name} scores", lambda: made.run(batch, labels, pool), theirs, exact)


# --- overlay and change -----------------------------------------------------------------------------------------------


def overlay_row(order: str, pool, rng) -> Row:
    image = rng.integers(0, 256, (*SOURCE, 3), np.uint8)
    labels = cv2.resize(street_labels(), SOURCE[::-1], interpolation=cv2.INTER_NEAREST)
    palette = rng.integers(0, 256, (256, 3), np.uint8)
    out, table = np.empty_like(image), palette.reshape(256, 1, 3)

    def in_order() -> np.ndarray:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if order == "bgr" else image

    def exact() -> bool:
        want = np.empty_like(out)
        pixels.reference_overlay(labels, image, palette, 0.5, want, order=order)
        pixels.overlay(labels, image, palette, 0.5, out, order=order, pool=pool)
        return bool((out == want).all())

    theirs = {
        "palette[labels] + addWeighted": lambda: cv2.addWeighted(in_order(), 0.5, palette[labels], 0.5, 0),
        "LUT + addWeighted": lambda: cv2.addWeighted(in_order(), 0.5, cv2.LUT(cv2.merge([labels] * 3), table), 0.5, 0),
        "applyColorMap + addWeighted": lambda: cv2.addWeighted(
            in_order(), 0.5, cv2.applyColorMap(labels, table), 0.5, 0
        ),
    }
    ours = lambda: pixels.overlay(labels, image, palette, 0.5, out, order=order, pool=pool)  # noqa: E731
    return Row(f"overlay {order} 720p", ours, theirs, exact)


def change_rows(rng) -> list[Row]:
    a = rng.integers(0, CLASSES, NETWORK, np.uint8)
    b = np.where(rng.uniform(size=NETWORK) < 0.1, a + 1, a).astype(np.uint8)
    x, y = (rng.normal(size=(1, 64, *GRID)).astype(np.float32) for _ in range(2))
    exact_change = float(np.abs(x.astype(float) - y).sum() / np.abs(y.astype(float)).sum())
    return [
        Row(
            "count changed labels 512x1024",
            lambda: pixels.count_changed(a, b),
            {
                "numpy": lambda: np.count_nonzero(a != b),
                "OpenCV": lambda: cv2.countNonZero(cv2.compare(a, b, cv2.CMP_NE)),
            },
            lambda: pixels.count_changed(a, b) == np.count_nonzero(a != b),
        ),
        Row(
            "relative change of 64x64x128 floats",
            lambda: pixels.relative_change(x, y),
            {
                "numpy": lambda: np.abs(x - y).sum() / np.abs(y).sum(),
                "OpenCV": lambda: cv2.norm(x.ravel(), y.ravel(), cv2.NORM_L1) / cv2.norm(y.ravel(), cv2.NORM_L1),
            },
            lambda: abs(pixels.relative_change(x, y) - exact_change) <= 1e-12 * exact_change,
        ),
    ]


# --- the table --------------------------------------------------------------------------------------------------------


def environment(threads: int) -> dict[str, object]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "isa": pixels.default_isa(),
        "load_average": round(os.getloadavg()[0], 2),
        "opencv": cv2.__version__,
        "numpy": np.__version__,
        "torch": torch.__version__,
    }


def measure(row: Row, rounds: int) -> dict[str, object]:
    ms = medians_ms({"ours": row.ours, **row.theirs}, rounds)
    best = min(row.theirs, key=lambda name: ms[name])
    others = ", ".join(f"{name} {ms[name]:.2f}" for name in row.theirs if name != best)
    print(
        f"{row.name:38} {ms['ours']:8.3f} {ms[best]:9.3f} {ms[best] / ms['ours']:8.1f}x  {best}  ({others})", flush=True
    )
    return {
        "name": row.name,
        "ours_ms": round(ms["ours"], 4),
        "theirs_ms": round(ms[best], 4),
        "ratio": round(ms[best] / ms["ours"], 2),
        "exact": bool(row.exact()),
        "compared": {name: round(ms[name], 4) for name in row.theirs},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    torch.set_num_threads(args.threads)
    rng, pool = np.random.default_rng(0), pixels.ParallelFor(args.threads)
    rows = [preprocess_row(name, pool, rng) for name in ("rgb", "bgr", "nv12")]
    rows.append(upsample_row("real", real_scores(rng), pool))
    rows.append(upsample_row("random", rng.normal(size=(CLASSES, *GRID)).astype(np.float32), pool))
    rows += [overlay_row(order, pool, rng) for order in ("rgb", "bgr")] + change_rows(rng)
    print(f"{'':38} {'ours ms':>8} {'theirs ms':>9} {'ratio':>9}  fastest alternative (the others, ms)")
    report = {"rows": [measure(row, args.rounds) for row in rows], "environment": environment(args.threads)}
    print("\n".join(f"{key}: {value}" for key, value in report["environment"].items()))
    wrong = [row["name"] for row in report["rows"] if not row["exact"]]
    print("all equal the reference" if not wrong else f"NOT equal to the reference: {', '.join(wrong)}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
