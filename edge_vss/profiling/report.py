"""One dictionary with every figure of a run: what ``report.json`` holds, and what the page and the terminal show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.profiling.energy import Window, energy_windows, stage_energies
from edge_vss.profiling.environment import describe_environment
from edge_vss.profiling.monitor import Watched
from edge_vss.profiling.pricing import firing_pattern, parts_of
from edge_vss.profiling.rules import Latencies
from edge_vss.profiling.series import latencies_of, over_time, power_trace, samples
from edge_vss.profiling.session import Measurement
from edge_vss.profiling.validity import FOREIGN_CORES, judge, judge_conclusive
from edge_vss.runtime.pipeline import FLAGS

__all__ = ["FORMAT", "build_report"]

FORMAT = "edge-vss profile 1"
WINDOW_S = 1.0


def build_report(measured: Measurement) -> dict[str, Any]:
    """Figures of a measurement."""
    counted = measured.rows[~measured.rows["seam"]]
    stages, info, options = tuple(measured.macs), measured.info, measured.options
    power, windows, no_power = _power(measured, measured.rows)
    energy, why = _stage_energy(windows, stages, power, no_power)
    null_because = {} if energy is not None else {"power.stages_mj": why}
    for name in ("mean_w", "idle_w", "mj_per_frame"):
        if power[name] is None:
            null_because[f"power.{name}"] = no_power or (
                "no idle baseline" if name == "idle_w" else "samples are missing"
            )
    trust, watched = _trust(measured, counted, no_power)
    latencies = Latencies.of(latencies_of(counted))
    null_because |= {f"latency_ms.{name}": reason for name, reason in latencies.null_because.items()}
    return {
        "format": FORMAT,
        "bundle": measured.bundle,
        "source": measured.source,
        "schedule": info.schedule,
        "backend": info.backend,
        "backend_version": info.backend_version,
        "precision": info.precision,
        "variant": info.variant,
        "engines": measured.engines,
        "clocks": measured.clocks,
        "realtime_priority": options.realtime_priority,
        **trust,
        "null_because": null_because,
        "environment": describe_environment(measured.board, watched, info, options.root),
        **_counts(measured, counted),
        **_times(measured, counted, latencies),
        "update_rate": {stage: _share(counted["fired"][:, place]) for place, stage in enumerate(stages)},
        "age_frames": _age(counted["age_frames"]),
        "age_ms": _age(counted["age_ms"]),
        "power": {**power, "stages_mj": energy},
        "memory": {"high_water_mib": measured.memory_mib, "held_frames_mib": measured.held_mib},
        "over_time": over_time(measured.rows, stages, measured.span_s[0]),
        "power_trace": power_trace(measured),
        "samples": samples(counted, stages, measured.span_s[0]),
        "prices": _prices(measured, counted, stages),
    }


def _trust(measured: Measurement, counted: NDArray[Any], no_power: str | None) -> tuple[dict[str, Any], Watched]:
    """Whether the figures can be trusted, and what was seen of the machine meanwhile."""
    options, values_ms = measured.options, latencies_of(counted)
    watched = measured.watched.between(*measured.span_s)
    idle = measured.watched.between(*measured.idle_span_s).mean_foreign_cores() if options.idle_s > 0 else None
    verdict = judge(
        counted,
        watched,
        measured.warm_up,
        power=no_power,
        realtime=options.paced and not measured.live,
        foreign_idle=idle is not None and idle > FOREIGN_CORES,
        fallbacks=measured.fallbacks,
    )
    seconds = measured.span_s[1] - measured.span_s[0]
    # As long as was asked for, where frames were asked for.
    wanted_s = options.wanted_s if options.frames is None or options.mlperf or options.frames > counted.size else 0.0
    doubts = judge_conclusive(
        Latencies.of(values_ms), values_ms, verdict, seconds=seconds, wanted_s=wanted_s, mlperf=options.mlperf
    )
    if measured.interrupted:
        doubts.append("the run was interrupted")
    found = {
        "valid": {"latency": not verdict.latency, "energy": not verdict.energy},
        "conclusive": not doubts,
        "invalid_because": {"latency": verdict.latency, "energy": verdict.energy},
        "inconclusive_because": doubts,
    }
    return found, watched


def _counts(measured: Measurement, counted: NDArray[Any]) -> dict[str, Any]:
    rows, warm_up = measured.rows, measured.warm_up
    seconds = measured.span_s[1] - measured.span_s[0]
    return {
        "pacing": _pacing(measured),
        "frames": int(counted.size),
        "frames_at_seams": int(rows["seam"].sum()),
        "frames_forgotten": measured.frames - int(rows.size),
        "seams": int(np.unique(rows["lap"][rows["seam"]]).size),
        "seconds": seconds,
        "dropped": measured.dropped,
        "fallbacks": measured.fallbacks,
        "damage": measured.damage,
        "fps": measured.frames / seconds if seconds > 0 else 0.0,
        "flags": measured.flags,
        "held_frames": measured.held_frames,
        "load_ms": measured.load_ms,
        "first_frame_ms": measured.first_frame_ms,
        "warm_up": {"seconds": warm_up.seconds, "frames": warm_up.frames, "settled": warm_up.settled},
    }


def _times(measured: Measurement, counted: NDArray[Any], latencies: Latencies) -> dict[str, Any]:
    values_ms, options = latencies_of(counted), measured.options
    return {
        "latency_ms": latencies.as_dict(),
        "early_stopping_ms": {
            name: estimate and {"ms": estimate.ms, "frames": estimate.frames, "dropped": estimate.dropped}
            for name, estimate in latencies.estimates.items()
        },
        "jitter_ms": _jitter(values_ms),
        "deadline": _deadline(measured, counted, values_ms) if options.deadline_ms else None,
        "service_ms": Latencies.of((counted["end_s"] - counted["begin_s"]) * 1000).as_dict(),
        "lateness_ms": None if np.isnan(counted["due_s"]).any() else _lateness(counted),
        "kernels": {name: Latencies.of(counted[f"{name}_ms"]).as_dict() for name in ("pre", "post")},
        "engines_ms": Latencies.of(counted["engines_ms"]).as_dict(),
        "stages": _stages(counted, tuple(measured.macs), measured.macs),
    }


def _lateness(counted: NDArray[Any]) -> dict[str, float | None]:
    return Latencies.of((counted["begin_s"] - counted["due_s"]) * 1000).as_dict()


def _pacing(measured: Measurement) -> dict[str, Any]:
    since_due = "from the moment a frame was due to its label maps"
    if measured.live:
        told = not np.isnan(measured.rows["due_s"]).any()
        latency = "from the moment the camera took a frame to its label maps" if told else "from the frame's arrival"
        return {"by": "the camera", "fps": measured.source_fps, "latency": latency}
    if measured.options.paced:
        return {"by": "capture times", "fps": measured.source_fps, "latency": since_due}
    return {"by": "as fast as possible", "fps": None, "latency": "service time: nothing was due, so nothing was late"}


def _jitter(latency_ms: NDArray[np.float64]) -> dict[str, float | None]:
    if latency_ms.size < 2:
        return {"mean_step": None, "std": None}
    return {"mean_step": float(np.abs(np.diff(latency_ms)).mean()), "std": float(latency_ms.std(ddof=1))}


def _deadline(measured: Measurement, counted: NDArray[Any], latency_ms: NDArray[np.float64]) -> dict[str, Any]:
    """Misses, and what was done to avoid them: how often which schedule was played."""
    deadline_ms = measured.options.deadline_ms
    missed = latency_ms > deadline_ms
    names = (*measured.schedules, "reuse")
    shares = dict.fromkeys(names, 0.0)  # a bundle may have a "reuse" of its own
    for place, name in enumerate(names):
        shares[name] += _share(counted["schedule"] == place) or 0.0
    bits = {name: bit for bit, name in FLAGS.items()}
    return {
        "ms": deadline_ms,
        "misses": int(missed.sum()),
        "share": _share(missed),
        **{name: int(np.count_nonzero(counted["flags"] & np.uint32(bits[name]))) for name in ("late", "degraded")},
        "schedules": {name: share for name, share in shares.items() if share},
    }


def _share(mask: NDArray[np.bool_]) -> float | None:
    return float(mask.mean()) if mask.size else None


def _age(values: NDArray[Any]) -> dict[str, float | None]:
    if not values.size:
        return {"mean": None, "max": None}
    return {"mean": float(values.mean()), "max": float(values.max())}


def _stages(counted: NDArray[Any], stages: tuple[str, ...], macs: dict[str, int]) -> dict[str, Any]:
    found = {}
    for place, stage in enumerate(stages):
        fired = counted["fired"][:, place]
        times = Latencies.of(counted["stage_ms"][fired, place]).as_dict()
        found[stage] = {
            "fired": int(fired.sum()),
            **{f"{name}_ms": value for name, value in times.items()},
            "macs": macs[stage],
        }
    return found


def _power(measured: Measurement, rows: NDArray[Any]) -> tuple[dict[str, Any], list[Window], str | None]:
    """Power figures, the windows behind them, and why there are none."""
    nothing: dict[str, Any] = {
        "available": False,
        "label": None,
        "rails": [],
        "mean_w": None,
        "idle_w": None,
        "mj_per_frame": None,
    }
    trace = measured.power
    if trace is None:
        return {**nothing, "windows": 0}, [], "not available"
    if not trace.total_rails:
        return {**nothing, "rails": list(trace.rails_mw), "windows": 0}, [], "no module total is known of these rails"
    windows = energy_windows(rows, trace, WINDOW_S)
    mean_mw = trace.mean_mw(*measured.span_s)
    idle_mw = trace.mean_mw(*measured.idle_span_s) if measured.options.idle_s > 0 else None
    frames = sum(window.frames for window in windows)
    energy_mj = sum(window.energy_mj for window in windows)
    figures = {
        "available": True,
        "label": trace.label,
        "rails": list(trace.rails_mw),
        "total_rails": list(trace.total_rails),
        "mean_w": mean_mw / 1000 if mean_mw is not None else None,
        "idle_w": idle_mw / 1000 if idle_mw is not None else None,
        "mj_per_frame": energy_mj / frames if frames else None,
        "mj_per_frame_over_idle": (energy_mj - idle_mw * sum(window.seconds for window in windows)) / frames
        if frames and idle_mw is not None
        else None,
        "windows": len(windows),
        "rails_w": {
            rail: value / 1000 if (value := trace.mean_mw(*measured.span_s, rail)) is not None else None
            for rail in trace.rails_mw
        },
        "failed_reads": trace.failed,
    }
    return figures, windows, None if windows else f"no stretch of {WINDOW_S:g} s with samples all through it"


def _stage_energy(
    windows: list[Window], stages: tuple[str, ...], power: dict[str, Any], no_power: str | None
) -> tuple[dict[str, Any] | None, str]:
    if no_power is not None:
        return None, f"power: {no_power}"
    idle_w = power["idle_w"]
    found, why = stage_energies(windows, stages, idle_w and idle_w * 1000)
    if found is None:
        return None, why
    return {name: {"mj": one.mj, "low_mj": one.low_mj, "high_mj": one.high_mj} for name, one in found.items()}, ""


def _prices(measured: Measurement, counted: NDArray[Any], stages: tuple[str, ...]) -> dict[str, Any]:
    prices = dict(measured.prices)
    if not counted.size:
        return prices
    wake_ms = np.where(counted["waited_s"] > 0, (counted["begin_s"] - counted["due_s"]) * 1000, np.nan)
    if not measured.options.deadline_ms:
        prices["own"] = parts_of(counted, stages)
    prices["wake_ms"] = float(np.nanmean(wake_ms)) if np.isfinite(wake_ms).any() else 0.0
    if measured.info.schedule in prices["firings"]:  # the whole run says more than a few frames
        adaptive = tuple(prices["firings"][measured.info.schedule])
        prices["firings"][measured.info.schedule] = firing_pattern(counted[-65536:], stages, adaptive)
    return prices
