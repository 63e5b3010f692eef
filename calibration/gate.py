"""The accuracy gate: how much of an INT8 variant may stay on integers for a bound on the loss of mIoU.

Stages that are not faster in INT8 go back to float first. Then nodes go back, those with the worst signal-to-noise
ratio first, as few as the bound asks for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_vss.bundle import Bundle, EngineRef, Variant, write_bundle
from edge_vss.calibration.qdq import FORMS, Form
from edge_vss.calibration.sensitivity import able_nodes, engine_ms, node_signal_to_noise, stage_inputs
from edge_vss.calibration.variants import Kept, VariantMaker
from edge_vss.errors import GateRefused
from edge_vss.evaluation import EvalOptions, evaluate_bundle
from edge_vss.pixels import preprocess

__all__ = ["GateReport", "StageFinding", "pass_gate"]

SNR_FRAMES = 4
"""Golden frames on which nodes are compared."""
SCHEDULES = ("full", "adaptive")
"""Those of them that the bundle has must keep the bound."""
Say = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class StageFinding:
    """One stage in INT8."""

    macs_share: float
    """Of its multiply-adds, how many could be on integers, 0..1."""
    miou_alone: float
    """mIoU under ``full`` when every other stage is float32, 0..1."""
    ms_float: float | None
    """Median time of its float32 engine here; None where the back end is not here to be timed."""
    ms_int8: float | None
    worst_snr_db: float
    """Of its nodes, the worst signal-to-noise ratio, alone in INT8."""
    worst_node: str


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """What the gate found and did for one variant."""

    variant: str
    max_drop: float
    """mIoU points."""
    miou_before: dict[str, float]
    """Schedule -> mIoU in float32, 0..1."""
    miou_int8: dict[str, float]
    """The same with everything able in INT8."""
    miou_after: dict[str, float]
    """The same after nodes were reverted."""
    int8_macs_share: float
    """Share of the multiply-adds on integers in the end, 0..1."""
    reverted: tuple[str, ...]
    """``STAGE/NODE`` that went back to float, worst first; ``STAGE`` where all of it did, for its time."""
    stages: dict[str, StageFinding]
    trials: int
    """How many candidates were scored."""

    @property
    def drop(self) -> float:
        """Points lost under the schedule that loses most."""
        return _drop(self.miou_before, self.miou_after)


def _drop(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    return 100.0 * max(before[schedule] - after[schedule] for schedule in before)


def pass_gate(
    bundle: Bundle, maker: VariantMaker, backend: str, data: str, max_drop: float, say: Say
) -> tuple[GateReport, dict[str, list[str]]]:
    """Find the nodes that have to stay float.

    Args:
        backend: Of the INT8 variant to gate; engines of a back end other than ONNX Runtime are emulated.
        data: URI of labelled data.
        max_drop: Most mIoU points that the variant may lose against float32, under every one of ``SCHEDULES``.

    Returns:
        What was found, and for ``VariantMaker.make``: stage -> nodes to keep in float.

    Raises:
        GateRefused: The bound is kept only when nothing is left in INT8.
        BadInput: The data does not load or does not fit.
    """
    trials = _Trials(bundle, maker, backend, data)
    say("scoring float32", 0.0)
    before = trials.score_float()
    say("scoring int8", 0.05)
    everything = trials.score({})
    stages, order = _attribute(maker, backend, trials, say)
    slow = [name for name, found in stages.items() if (found.ms_int8 or 0.0) > (found.ms_float or 0.0)]
    order = [(stage, node) for stage, node in order if stage not in slow]

    def kept(count: int) -> dict[str, list[str]]:
        return _kept(maker, FORMS[backend], slow, order[:count])

    after, count = (trials.score(kept(0)) if slow else everything), 0
    if _drop(before, after) > max_drop:
        after, count = _search(trials, before, kept, len(order), max_drop, say)
    shares = maker.narrow(backend, "int8", kept(count)).shares
    share = maker.macs_share(shares)
    if share == 0.0:
        raise GateRefused(f"{backend}-int8: no stage is faster on integers here; the variant was left as it was")
    return GateReport(
        variant=f"{backend}-int8",
        max_drop=max_drop,
        miou_before=before,
        miou_int8=everything,
        miou_after=after,
        int8_macs_share=share,
        reverted=(*slow, *(f"{stage}/{node}" for stage, node in order[:count])),
        stages=stages,
        trials=trials.count,
    ), kept(count)


def _kept(maker: VariantMaker, form: Form, slow: list[str], reverted: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Stage -> nodes in float: all of a stage that is slow or has no node left that computes."""
    found: dict[str, list[str]] = {}
    for name, engine in maker.engines.items():
        computing, able = able_nodes(engine, maker.free_boundaries, form)
        mine = [node for stage, node in reverted if stage == name]
        if name in slow or set(computing) <= set(mine):
            mine = able
        if mine:
            found[name] = mine
    return found


def _search(
    trials: _Trials,
    before: Mapping[str, float],
    kept: Callable[[int], Kept],
    nodes: int,
    max_drop: float,
    say: Say,
) -> tuple[dict[str, float], int]:
    """The smallest number of reverted nodes, found by doubling and then halving, that keeps the bound."""
    low, count, scores = 0, 1, dict(before)
    while count < nodes:
        say(f"{count} nodes in float", 0.6)
        scores = trials.score(kept(count))
        if _drop(before, scores) <= max_drop:
            break
        low, count = count, count * 2
    else:
        raise GateRefused(
            f"{trials.backend}-int8 loses more than {max_drop:g} mIoU points with any of its {nodes} nodes on "
            "integers; the variant was left as it was"
        )
    while count - low > 1:
        middle = (low + count) // 2
        say(f"{middle} nodes in float", 0.8)
        found = trials.score(kept(middle))
        if _drop(before, found) <= max_drop:
            count, scores = middle, found
        else:
            low = middle
    return scores, count


def _attribute(
    maker: VariantMaker, backend: str, trials: _Trials, say: Say
) -> tuple[dict[str, StageFinding], list[tuple[str, str]]]:
    """What each stage loses and gains alone, and all nodes that compute, worst first."""
    form = FORMS[backend]
    count = SNR_FRAMES + 2 * max(tensor.depth for tensor in maker.graph.tensors) - 2
    images = [preprocess(maker.clip.frame(place), maker.spec) for place in range(min(count, len(maker.clip.frames)))]
    inputs = stage_inputs(maker.graph, maker.schedules, maker.engines, images)
    everything = maker.narrow(backend, "int8")
    stages, noise = {}, []
    for place, stage in enumerate(maker.graph.stages):
        say(f"attributing the loss: {stage.name}", 0.1 + 0.4 * place / len(maker.graph.stages))
        engine = maker.engines[stage.name]
        ratios = node_signal_to_noise(
            maker.graph, stage, engine, maker.ranges(stage.name), inputs[stage.name], form, maker.free_boundaries
        )
        if not ratios:
            continue
        others = [other.name for other in maker.graph.stages if other.name != stage.name]
        alone = trials.score(_kept(maker, form, others, []), ("full",))
        times: list[float | None] = [None, None]
        if backend == "onnxruntime":
            times = [*engine_ms([engine, everything.engines[stage.name]])]
        worst = min(ratios, key=lambda node: ratios[node])
        stages[stage.name] = StageFinding(
            macs_share=everything.shares[stage.name],
            miou_alone=next(iter(alone.values())),
            ms_float=times[0],
            ms_int8=times[1],
            worst_snr_db=ratios[worst],
            worst_node=worst,
        )
        noise += [(ratio, stage.name, node) for node, ratio in ratios.items()]
    return stages, [(stage, node) for _, stage, node in sorted(noise)]


class _Trials:
    """Scores candidates on the native runtime."""

    def __init__(self, bundle: Bundle, maker: VariantMaker, backend: str, data: str) -> None:
        self.backend, self.count = backend, 0
        self._bundle, self._maker, self._data = bundle, maker, data
        names = [schedule.name for schedule in bundle.manifest.schedules]
        self._schedules = tuple(name for name in SCHEDULES if name in names) or (names[0],)
        old = [one for one in bundle.manifest.variants if one.name == f"{backend}-int8"]
        self._thresholds = old[0].thresholds if old else {}

    def score_float(self) -> dict[str, float]:
        """Schedule -> mIoU of the float32 variant."""
        options = EvalOptions(schedules=self._schedules, backend="onnxruntime", precision="fp32", consistency=False)
        return {one.schedule: one.miou for one in evaluate_bundle(self._bundle.path, self._data, options)}

    def score(self, kept: Kept, schedules: tuple[str, ...] = ()) -> dict[str, float]:
        """Schedule -> mIoU with these nodes in float."""
        self.count += 1
        narrow = self._maker.narrow(self.backend, "int8", kept)
        paths = {stage: f"engines/{stage}.onnx" for stage in narrow.engines}
        variant = Variant(
            name="candidate",
            backend=self.backend,
            precision="int8",
            engines={stage: EngineRef(file=path) for stage, path in paths.items()},
            tensors=dict(narrow.stored),
            thresholds=self._thresholds,
        )
        manifest = msgspec.structs.replace(self._bundle.manifest, variants=(variant,), golden_frames="", files={})
        known = set(self._schedules)
        options = EvalOptions(
            schedules=tuple(name for name in schedules if name in known) or self._schedules,
            consistency=False,
            emulate=self.backend != "onnxruntime",
        )
        with tempfile.TemporaryDirectory(prefix="edge-vss-") as folder:
            path = Path(folder) / "candidate.bundle"
            write_bundle(path, manifest, {paths[stage]: engine for stage, engine in narrow.engines.items()})
            return {one.schedule: one.miou for one in evaluate_bundle(path, self._data, options)}
