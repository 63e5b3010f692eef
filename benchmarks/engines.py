"""Engines in float32, float16 and INT8: accuracy on labelled video, and time on ONNX Runtime, interleaved.

Accuracy: one and the same bundle under `full` and `adaptive`. ONNX Runtime's variants run on the native runtime;
TensorRT's engine files are computed as they are written (`session.disable_quant_qdq=1`), and float16 again by the
network in torch.float16. Time: every stage's float32 and INT8 engine in turn, all stages of one frame added up.

    python benchmarks/engines.py [--json FILE] [--checkpoint zoo:clockwork-camvid] [--data DATA] [--calibration SOURCE]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from common import environment, finish, parser

from edge_vss.bundle import Bundle, Variant, load_bundle
from edge_vss.data.datasets import open_dataset
from edge_vss.deploy import deploy
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.executor import ReferenceExecutor
from edge_vss.metrics import ConfusionMatrix
from edge_vss.pixels import fit_geometry, label_map, preprocess
from edge_vss.reference_engines import engine_function
from edge_vss.training.checkpoint import load_checkpoint

COLUMNS = (
    "name",
    "theirs_ms",
    "ours_ms",
    "ratio",
    "int8_macs_share",
    "schedule",
    "miou_fp32",
    "miou",
    "points_lost",
    "exact",
)
MAX_DROP, MIN_SHARE, MIN_RATIO, MAX_HALF_DROP = 1.0, 0.9, 2.2, 0.1
SCHEDULES = ("full", "adaptive")


def accuracy_rows(bundle: Bundle, data: str, shares: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Every variant under every schedule beside float32."""
    known = [schedule.name for schedule in bundle.manifest.schedules]
    schedules = tuple(name for name in SCHEDULES if name in known)
    rows, wanted = [], {}
    for variant in bundle.manifest.variants:
        options = EvalOptions(
            schedules=schedules,
            backend=variant.backend,
            precision=variant.precision,
            consistency=False,
            emulate=variant.backend != "onnxruntime",
        )
        for found in evaluate_bundle(bundle.path, data, options):
            wanted.setdefault(found.schedule, found.miou)
            lost = 100 * (wanted[found.schedule] - found.miou)
            share = shares[variant.name]
            limit = MAX_HALF_DROP if variant.precision == "fp16" else MAX_DROP
            rows.append(
                {
                    "name": variant.name,
                    "schedule": found.schedule,
                    "int8_macs_share": share,
                    "miou_fp32": wanted[found.schedule],
                    "miou": found.miou,
                    "points_lost": lost,
                    "exact": lost <= limit and (share is None or share >= MIN_SHARE),
                }
            )
    return rows


def torch_half_rows(bundle: Bundle, checkpoint: str, data: str, wanted: Mapping[str, float]) -> list[dict[str, Any]]:
    """The network in torch.float16, stage by stage, with the scheduling of the reference executor."""
    import torch

    network = load_checkpoint(checkpoint).network.eval().half()
    manifest = bundle.manifest

    def stage(module: torch.nn.Module) -> Any:
        def run(*values: Any) -> list[Any]:
            with torch.inference_mode():
                halves = [torch.as_tensor(value) for value in values]
                halves = [value.half() if value.is_floating_point() else value for value in halves]
                return [output.numpy() for output in module(*halves)]

        return run

    functions = {name: stage(module) for name, module in network.stage_modules.items()}
    dataset, output, rows = open_dataset(data), manifest.outputs[0], []
    for name in wanted:
        matrix = ConfusionMatrix(len(output.classes))
        for clip in dataset.clips:
            first = clip[0].frame
            valid = fit_geometry(first.height, first.width, manifest.input).valid
            executor = ReferenceExecutor(manifest.graph, manifest.schedule(name), functions, valid=valid)
            for place in range(len(clip)):
                sample = clip[place]
                step = executor.step(
                    preprocess(sample.frame, manifest.input), sequence=place, pts_us=sample.frame.pts_us
                )
                scores = step.outputs[output.tensor].astype(np.float32)
                if sample.labels is not None:
                    found = label_map(scores, output, manifest.input, sample.frame.height, sample.frame.width)
                    matrix.update(sample.labels, found)
        lost = 100 * (wanted[name] - matrix.miou)
        rows.append(
            {
                "name": "torch.float16",
                "schedule": name,
                "miou_fp32": wanted[name],
                "miou": matrix.miou,
                "points_lost": lost,
                "exact": lost <= MAX_HALF_DROP,
            }
        )
    return rows


def prepared(engine: bytes) -> Any:
    """A call of an engine on inputs of middling values."""
    function, values, rng = engine_function(engine), [], np.random.default_rng(0)
    for value in onnx.load_from_string(engine).graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        integers = rng.integers(64, 192, shape)
        values.append(integers.astype(kind) if kind == np.uint8 else ((integers - 128) / 64).astype(kind))
    return lambda: function(*values)


def timing_row(name: str, bundle: Bundle, rounds: int) -> dict[str, Any]:
    """Float32 and INT8 stages on ONNX Runtime in turn; the sum over stages of one frame, medians over rounds.

    The ratio is the median of the rounds' own: a neighbour that slows one round down slows both sides of it.
    """
    variants: dict[str, Variant] = {variant.name: variant for variant in bundle.manifest.variants}
    kinds = ("onnxruntime-fp32", "onnxruntime-int8")
    stages = [
        [prepared(bundle.read(variants[kind].engines[stage.name].file)) for kind in kinds]
        for stage in bundle.manifest.graph.stages
    ]
    totals: dict[str, list[float]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 3):
        taken = dict.fromkeys(kinds, 0.0)
        for calls in stages:
            for kind, call in zip(kinds, calls):
                start = time.perf_counter()
                call()
                taken[kind] += (time.perf_counter() - start) * 1e3
        if turn >= 3:
            for kind in kinds:
                totals[kind].append(taken[kind])
    theirs, ours = (float(np.median(totals[kind])) for kind in kinds)
    ratio = float(np.median(np.divide(*(totals[kind] for kind in kinds))))
    return {
        "name": f"engines of {name}, fp32 / int8",
        "theirs_ms": theirs,
        "ours_ms": ours,
        "ratio": ratio,
        "exact": ratio >= MIN_RATIO,
    }


def main() -> None:
    """Export once per size, score, time."""
    made = parser(__doc__)
    made.add_argument("--checkpoint", default="zoo:clockwork-camvid")
    made.add_argument("--data", default="camvid:../shared/data/camvid:val")
    made.add_argument("--calibration", default="camvid:../shared/data/camvid:val")
    made.add_argument("--size", default="512x1024", help="a second size to time, HxW")
    made.add_argument("--rounds", type=int, default=100)
    args = made.parse_args()
    height, width = map(int, args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        path, large = Path(folder) / "bundle", Path(folder) / "large"
        report = deploy(
            args.checkpoint,
            path,
            calibration=args.calibration,
            precisions=("fp32", "fp16", "int8"),
            backends=("onnxruntime", "tensorrt"),
        )
        deploy(
            args.checkpoint,
            large,
            height=height,
            width=width,
            calibration=args.calibration,
            precisions=("fp32", "int8"),
        )
        bundle = load_bundle(path)
        spec = bundle.manifest.input
        rows = [timing_row(f"{spec.height}x{spec.width}", bundle, args.rounds)]
        rows.append(timing_row(args.size, load_bundle(large), args.rounds))
        shares = {name: variant.int8_macs_share for name, variant in report.variants.items()}
        scored = accuracy_rows(bundle, args.data, shares)
        wanted = {row["schedule"]: row["miou_fp32"] for row in scored if row["name"] == "onnxruntime-fp32"}
        rows += scored + torch_half_rows(bundle, args.checkpoint, args.data, wanted)
    where = environment(checkpoint=args.checkpoint, data=args.data, calibration=args.calibration)
    finish(rows, COLUMNS, args.json, where)


if __name__ == "__main__":
    main()
