"""The native runtime against the reference executor that runs the torch stages, frame by frame, under every schedule.

The reference is plain all the way: numpy pre-processing, torch modules, numpy upsampling and argmax. Where an adaptive
clock's signal lies within 3 positions of its threshold, rounding may decide a firing: such frames are listed, and from
there the reference follows the native firing list.

    python benchmarks/parity.py [--json FILE] [--checkpoint zoo:clockwork-camvid] [--source SOURCE] [--frames 101]
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import environment, finish, parser

from edge_vss.bundle import Manifest, load_bundle
from edge_vss.data.sources import open_source
from edge_vss.deploy import deploy
from edge_vss.executor import ReferenceExecutor, Step
from edge_vss.export.network import torch_functions
from edge_vss.frame import Frame
from edge_vss.pixels import fit_geometry, label_map, positions_inside, preprocess
from edge_vss.runtime import Pipeline
from edge_vss.schedule import Adaptive, Schedule, Signal
from edge_vss.training.checkpoint import load_checkpoint

COLUMNS = ("name", "frames", "agreement", "fired_equal", "ages_equal", "near_threshold", "exact")
TOLERANCE = 0.001


class Follower(ReferenceExecutor):
    """A reference executor whose adaptive clocks fire as they are told; it remembers what they would have done."""

    told: tuple[str, ...] = ()
    found: dict[str, float]
    decided: dict[str, bool | None]
    thresholds: dict[str, float]

    def _decide(self) -> dict[str, bool | None]:
        adaptive = [name for name, clock in self.schedule.clocks.items() if isinstance(clock, Adaptive)]
        self.thresholds = {stage: self.threshold(stage) for stage in adaptive}
        self.decided = super()._decide()
        return self.decided

    def _change(self, stage: str, signal: Signal) -> float:
        self.found[stage] = super()._change(stage, signal)
        return np.inf if stage in self.told else -1.0

    def follow(self, image: Any, frame: Frame, fired: tuple[str, ...]) -> Step:
        """One frame with the native firing list; ``found`` then holds the signals as the reference sees them."""
        self.told, self.found = fired, {}
        return self.step(image, sequence=frame.sequence, pts_us=frame.pts_us)

    def own_firing(self) -> tuple[str, ...]:
        """The stages that fire by the reference's own signals."""
        fires = {
            stage: decision if decision is not None else self.found[stage] >= self.thresholds[stage]
            for stage, decision in self.decided.items()
        }
        return tuple(stage.name for stage in self.graph.stages if fires.get(stage.name))

    def near_threshold(self) -> bool:
        """Whether a label signal lies within 3 positions of its threshold."""
        for stage, change in self.found.items():
            clock = self._clock(stage)
            positions = positions_inside(self.graph.tensor(clock.signal.tensor).shape, self.valid)
            if clock.signal.kind == "labels" and abs(change - self.thresholds[stage]) <= 3 / positions:
                return True
        return False

    def _clock(self, stage: str) -> Adaptive:
        clock = self.schedule.clock(stage)
        assert isinstance(clock, Adaptive)
        return clock


def compare(
    manifest: Manifest, bundle: Path, schedule: Schedule, functions: Any, frames: list[Frame], images: list[Any]
) -> dict[str, Any]:
    """One schedule over all frames."""
    geometry = fit_geometry(frames[0].height, frames[0].width, manifest.input)
    reference = Follower(manifest.graph, schedule, functions, valid=geometry.valid)
    output = manifest.outputs[0]
    equal = total = fired_equal = ages_equal = 0
    near: list[int] = []
    with Pipeline(bundle, schedule=schedule.name) as pipeline:
        for index, (frame, image) in enumerate(zip(frames, images)):
            got = pipeline.process(frame)
            want = reference.follow(image, frame, got.fired)
            labels = label_map(want.outputs[output.tensor], output, manifest.input, frame.height, frame.width)
            equal += int((labels == got.labels[output.name]).sum())
            total += labels.size
            near += [index] if reference.near_threshold() else []
            fired_equal += reference.own_firing() == got.fired or reference.near_threshold()
            ages = {one.name: want.age_frames[one.tensor] for one in manifest.outputs}
            ages_equal += ages == got.age_frames and want.stage_age_frames == got.stage_age_frames
    count = len(frames)
    agreement = equal / total
    return {
        "name": schedule.name,
        "frames": count,
        "agreement": round(agreement, 7),
        "fired_equal": fired_equal == count,
        "ages_equal": ages_equal == count,
        "near_threshold": ",".join(map(str, near)) or "-",
        "exact": agreement >= 1 - TOLERANCE and fired_equal == count and ages_equal == count,
    }


def main() -> None:
    """Export, then play every schedule on both sides."""
    made = parser(__doc__)
    made.add_argument("--checkpoint", default="zoo:clockwork-camvid")
    made.add_argument("--source", default="camvid:../shared/data/camvid:val")
    made.add_argument("--frames", type=int, default=101)
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        deploy(args.checkpoint, bundle)
        manifest = load_bundle(bundle).manifest
        with open_source(args.source) as source:
            frames = list(itertools.islice(source, args.frames))
        images = [preprocess(frame, manifest.input) for frame in frames]
        network = load_checkpoint(args.checkpoint).network.eval()
        functions = torch_functions(network)
        rows = [compare(manifest, bundle, schedule, functions, frames, images) for schedule in manifest.schedules]
    finish(rows, COLUMNS, args.json, environment(checkpoint=args.checkpoint, source=args.source, numpy=np.__version__))


if __name__ == "__main__":
    main()
