"""What calibration is worth: ranges seen through the schedule or frame by frame, and clock rates on other video.

Ranges: INT8 variants of one network with ranges observed through `adaptive`, and under `full` on every frame; both
scored under `adaptive` and `alternate` on frames that neither was calibrated on. Clock rates: thresholds tuned for 0.4
on one part of a clip, and the rate on the other part and on other streets of the same motion. Memory: what observing
500 frames at 512x1024 adds to a process.

    python benchmarks/calibration.py [--json FILE] [--data ../shared/data/camvid]
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from common import environment, finish, parser

from edge_vss.bundle import load_bundle, write_bundle
from edge_vss.bundle.golden import read_clip
from edge_vss.calibration import calibrate_clock
from edge_vss.calibration.observe import observe
from edge_vss.calibration.observed_source import RANGE_FRAMES, Observed
from edge_vss.calibration.variants import VariantMaker
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.evaluation import EvalOptions, Evaluation, evaluate_bundle
from edge_vss.pixels import preprocess

COLUMNS = ("name", "schedule", "miou_fp32", "miou_through", "miou_by_frame", "through_gains", "rate", "mib", "exact")
RATE, LOW, HIGH = 0.4, 0.35, 0.45
MAX_MIB = 1500
STREET = "street:[seed={},look=camera,motion={},frames=120,size=256x384{}]"
MOTIONS, SEEDS, UNSEEN = ("steady", "fast", "turning"), (11, 12, 13), (21, 22, 23)


def scored(path: Path, data: str, schedules: tuple[str, ...], precision: str) -> dict[str, Evaluation]:
    """Schedule -> what it scores on ONNX Runtime."""
    options = EvalOptions(schedules=schedules, backend="onnxruntime", precision=precision, consistency=False)
    return {one.schedule: one for one in evaluate_bundle(path, data, options)}


def observed_under(path: Path, schedule: str, source: str) -> Observed:
    """Activations of the float32 variant, played through one schedule."""
    bundle = load_bundle(path)
    manifest = bundle.manifest
    engines = {stage: bundle.read(engine.file) for stage, engine in manifest.variants[0].engines.items()}
    with open_source(source) as frames:
        images = (preprocess(frame, manifest.input) for frame in itertools.islice(frames, RANGE_FRAMES))
        return Observed(schedule, observe(manifest.graph, manifest.schedule(schedule), engines, [images]))


def with_int8(path: Path, out: Path, observed: Observed, source: str) -> Path:
    """A copy of a bundle with an INT8 variant from these observations."""
    bundle = load_bundle(path)
    manifest = bundle.manifest
    maker = VariantMaker(
        graph=manifest.graph,
        schedules=manifest.schedules,
        engines={stage: bundle.read(engine.file) for stage, engine in manifest.variants[0].engines.items()},
        spec=manifest.input,
        outputs=manifest.outputs,
        source=source,
        clip=read_clip(bundle),
        observed=observed,
    )
    made = maker.make("onnxruntime", "int8")
    files = {name: bundle.read(name) for name in manifest.files} | dict(made.files)
    write_bundle(out, msgspec.structs.replace(manifest, variants=(*manifest.variants, made.variant)), files)
    return out


def range_rows(name: str, path: Path, source: str, data: str, folder: Path) -> list[dict[str, Any]]:
    """Both ways of observing, scored on other frames."""
    schedules = ("adaptive", "alternate")
    wanted = scored(path, data, schedules, "fp32")
    found = {}
    for way in ("adaptive", "full"):
        observed = observed_under(path, way, source)
        found[way] = scored(with_int8(path, folder / f"{way}.bundle", observed, source), data, schedules, "int8")
    return [
        {
            "name": f"ranges, {name}",
            "schedule": schedule,
            "miou_fp32": wanted[schedule].miou,
            "miou_through": found["adaptive"][schedule].miou,
            "miou_by_frame": found["full"][schedule].miou,
            "through_gains": 100 * (found["adaptive"][schedule].miou - found["full"][schedule].miou),
        }
        for schedule in schedules
    ]


def rate_row(name: str, path: Path, data: str) -> dict[str, Any]:
    """The update rate of the adaptive clock on other video than it was tuned on."""
    rates = scored(path, data, ("adaptive",), "fp32")["adaptive"].update_rate
    rate = min(rates.values())
    return {"name": f"rate 0.4, {name}", "schedule": "adaptive", "rate": rate, "exact": LOW <= rate <= HIGH}


def rate_rows(camvid: Path, street: Path, val: str) -> list[dict[str, Any]]:
    """One half of the CamVid clip and the other; one street and others of the same motion."""
    rows = []
    for tuned, other in (("[:50]", "[50:]"), ("[50:]", "[:50]")):
        calibrate_clock(camvid, f"{val}{tuned}", RATE)
        rows.append(rate_row(f"CamVid {tuned} to {other}", camvid, f"{val}{other}"))
    for motion in MOTIONS:
        calibrate_clock(street, STREET.format(SEEDS[0], motion, ""), RATE, frames=60)
        for seed in UNSEEN:
            rows.append(rate_row(f"street {motion}, {seed}", street, STREET.format(seed, motion, ",clips=1")))
    asked = []
    for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        calibrate_clock(camvid, f"{val}[:50]", rate)
        asked.append(rate_row("", camvid, f"{val}[50:]")["rate"])
    text = " ".join(f"{rate:.2f}" for rate in asked)
    rows.append({"name": f"rates 0.1 ... 0.9 give {text}", "schedule": "adaptive", "exact": asked == sorted(asked)})
    return rows


def observe_large(path: Path, frames: int) -> None:
    """Observe, and print by how many MiB the process grew; its engines count."""
    before = peak_mib()
    bundle = load_bundle(path)
    manifest = bundle.manifest
    engines = {stage: bundle.read(engine.file) for stage, engine in manifest.variants[0].engines.items()}
    with open_source(f"street:[seed=5,look=camera,frames={frames},size=256x512]") as source:
        images = (preprocess(frame, manifest.input) for frame in source)
        observe(manifest.graph, manifest.schedule("adaptive"), engines, [images])
    print(peak_mib() - before)


def peak_mib() -> float:
    """The most memory that this program held so far; the kernel's own count for getrusage outlives an exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024


def memory_row(path: Path, frames: int) -> dict[str, Any]:
    """Peak memory of a process of its own."""
    command = [sys.executable, __file__, "--observe", str(path), "--frames", str(frames)]
    mib = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"name": f"memory, {frames} frames at 512x1024", "mib": mib, "exact": mib < MAX_MIB}


def main() -> None:
    """All three parts."""
    made = parser(__doc__)
    made.add_argument("--data", default="../shared/data/camvid", help="folder of CamVid")
    made.add_argument("--frames", type=int, default=500, help="frames of the memory test")
    made.add_argument("--observe", type=Path, help="a bundle to observe; what the memory test calls")
    args = made.parse_args()
    if args.observe:
        return observe_large(args.observe, args.frames)
    val = f"camvid:{args.data}:val"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        camvid, street, large = folder / "camvid", folder / "street", folder / "large"
        deploy("zoo:clockwork-camvid", camvid, calibration=f"{val}[:50]")
        deploy("zoo:clockwork-street", street, height=256, width=384)
        deploy("zoo:clockwork-street", large, height=512, width=1024)
        rows = range_rows("CamVid [:50] to [50:]", camvid, f"{val}[:50]", f"{val}[50:]", folder)
        for seed, other in zip(SEEDS, UNSEEN):
            source, data = STREET.format(seed, "mixed", ""), STREET.format(other, "mixed", ",clips=1")
            rows += range_rows(f"street {seed} to {other}", street, source, data, folder)
        rows += rate_rows(camvid, street, val)
        rows.append(memory_row(large, args.frames))
    finish(rows, COLUMNS, args.json, environment())


if __name__ == "__main__":
    main()
