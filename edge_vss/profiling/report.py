"""One dictionary with every figure of a run: what ``report.json`` holds, and what the page and the terminal show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.profiling.energy import Window, energy_windows, stage_energies
from edge_vss.profiling.environment import describe_environment
from edge_vss.profiling.pricing import firing_pattern, parts_of
from edge_vss.profiling.rules import Latencies
from edge_vss.profiling.session import Measurement
from edge_vss.profiling.validity import FOREIGN_CORES, judge, judge_conclusive

__all__ = ["FORMAT", "build_report"]

FORMAT = "edge-vss profile 1"
SAMPLES = 1024
"""Frames whose parts are kept for charts and for ``simulate``."""
POWER_POINTS = 600
WINDOW_S = 1.0


def build_report(measured: Measurement) -> dict[str, Any]:
    """Figures of a measurement."""
    rows, options = measured.rows, measured.options
    counted = rows[~rows["seam"]]
    stages = tuple(measured.macs)
    latency_ms = latencies_of(counted)
    latencies = Latencies.of(latency_ms)
    watched = measured.watched.between(*measured.span_s)
    idle = measured.watched.between(*measured.idle_span_s)
    power, windows, no_power = _power(measured, rows)
    foreign_idle = idle.mean_foreign_cores()
    verdict = judge(
        counted,
        watched,
        measured.warm_up,
        power=no_power,
        realtime=options.paced,
        foreign_idle=options.idle_s > 0 and foreign_idle is not None and foreign_idle > FOREIGN_CORES,
    )
    seconds = measured.span_s[1] - measured.span_s[0]
    doubts = judge_conclusive(
        latencies, latency_ms, verdict, seconds=seconds, wanted_s=options.wanted_s, mlperf=options.mlperf
    )
    if measured.interrupted:
        doubts.append("the run was interrupted")
    if options.frames is not None and options.frames <= counted.size:  # as long as was asked for
        doubts = [reason for reason in doubts if not reason.startswith("measured ")]
    null_because = {f"latency_ms.{name}": why for name, why in latencies.null_because.items()}
    energy, why = _stage_energy(windows, stages, power, no_power)
    if energy is None:
        null_because["power.stages_mj"] = why
    for name in ("mean_w", "idle_w", "mj_per_frame"):
        if power[name] is None:
            null_because[f"power.{name}"] = no_power or "no idle baseline" if name == "idle_w" else no_power or why
    info = measured.info
    return {
        "format": FORMAT,
        "bundle": measured.bundle,
        "source": measured.source,
        "schedule": info.schedule,
        "backend": info.backend,
        "backend_version": info.backend_version,
        "precision": info.precision,
        "variant": info.variant,
        "valid": {"latency": not verdict.latency, "energy": not verdict.energy},
        "conclusive": not doubts,
        "invalid_because": {"latency": verdict.latency, "energy": verdict.energy},
        "inconclusive_because": doubts,
        "null_because": null_because,
        "environment": describe_environment(measured.board, watched, info, options.root),
        "pacing": _pacing(options.paced, measured.source_fps),
        "frames": int(counted.size),
        "frames_at_seams": int(rows["seam"].sum()),
        "frames_forgotten": measured.frames - int(rows.size),
        "seams": int(np.unique(rows["lap"][rows["seam"]]).size),
        "seconds": seconds,
        "dropped": {},
        "damage": measured.damage,
        "fps": measured.frames / seconds if seconds > 0 else 0.0,
        "latency_ms": latencies.as_dict(),
        "early_stopping_ms": {
            name: estimate and {"ms": estimate.ms, "frames": estimate.frames, "dropped": estimate.dropped}
            for name, estimate in latencies.estimates.items()
        },
        "jitter_ms": _jitter(latency_ms),
        "deadline": _deadline(latency_ms, options.deadline_ms),
        "service_ms": Latencies.of((counted["end_s"] - counted["begin_s"]) * 1000).as_dict(),
        "lateness_ms": _lateness(counted) if options.paced else None,
        "kernels": {name: Latencies.of(counted[f"{name}_ms"]).as_dict() for name in ("pre", "post")},
        "engines_ms": Latencies.of(counted["engines_ms"]).as_dict(),
        "stages": _stages(counted, stages, measured.macs),
        "update_rate": {stage: _share(counted["fired"][:, place]) for place, stage in enumerate(stages)},
        "age_frames": _age(counted["age_frames"]),
        "age_ms": _age(counted["age_ms"]),
        "flags": measured.flags,
        "power": {**power, "stages_mj": energy},
        "memory": {"high_water_mib": measured.memory_mib, "held_frames_mib": measured.held_mib},
        "held_frames": measured.held_frames,
        "load_ms": measured.load_ms,
        "first_frame_ms": measured.first_frame_ms,
        "warm_up": {
            "seconds": measured.warm_up.seconds,
            "frames": measured.warm_up.frames,
            "settled": measured.warm_up.settled,
        },
        "over_time": _over_time(rows, stages, measured.span_s[0]),
        "power_trace": _power_trace(measured),
        "samples": _samples(counted, stages, measured.span_s[0]),
        "prices": _prices(measured, counted, stages),
    }


def latencies_of(rows: NDArray[Any]) -> NDArray[np.float64]:
    """End-to-end latency of recorded frames, ms: from the moment a frame was due, or from its start."""
    since = np.where(np.isnan(rows["due_s"]), rows["begin_s"], rows["due_s"])
    return np.asarray((rows["end_s"] - since) * 1000, np.float64)


def _lateness(counted: NDArray[Any]) -> dict[str, float | None]:
    return Latencies.of((counted["begin_s"] - counted["due_s"]) * 1000).as_dict()


def _pacing(paced: bool, fps: float) -> dict[str, Any]:
    if paced:
        return {"by": "capture times", "fps": fps, "latency": "from the moment a frame was due to its label maps"}
    return {"by": "as fast as possible", "fps": None, "latency": "service time: nothing was due, so nothing was late"}


def _jitter(latency_ms: NDArray[np.float64]) -> dict[str, float | None]:
    if latency_ms.size < 2:
        return {"mean_step": None, "std": None}
    return {"mean_step": float(np.abs(np.diff(latency_ms)).mean()), "std": float(latency_ms.std(ddof=1))}


def _deadline(latency_ms: NDArray[np.float64], deadline_ms: float | None) -> dict[str, Any] | None:
    if deadline_ms is None:
        return None
    missed = latency_ms > deadline_ms
    return {"ms": deadline_ms, "misses": int(missed.sum()), "share": _share(missed)}


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


def _over_time(rows: NDArray[Any], stages: tuple[str, ...], start_s: float) -> dict[str, Any]:
    """Update rates and latencies in stretches of about a second, for charts."""
    if not rows.size:
        return {"seconds": [], "update_rate": {}, "p50_ms": [], "max_ms": []}
    seconds = rows["begin_s"] - start_s
    width = max(WINDOW_S, float(seconds[-1] - seconds[0]) / 240)
    stretch = ((seconds - seconds[0]) / width).astype(int)
    groups = [rows[stretch == index] for index in np.unique(stretch)]
    latency = [latencies_of(group) for group in groups]
    return {
        "seconds": [float(group["begin_s"][0]) - start_s for group in groups],
        "update_rate": {
            stage: [float(group["fired"][:, place].mean()) for group in groups] for place, stage in enumerate(stages)
        },
        "p50_ms": [float(np.median(values)) for values in latency],
        "max_ms": [float(values.max()) for values in latency],
    }


def _power_trace(measured: Measurement) -> dict[str, Any] | None:
    trace = measured.power
    if trace is None or not trace.time_s.size:
        return None
    start_s = measured.span_s[0]
    step = max(1, -(-trace.time_s.size // POWER_POINTS))
    starts = np.arange(0, trace.time_s.size, step)

    def thin(values: NDArray[np.float64]) -> list[float]:
        """Means of ``step`` samples in a row."""
        return [float(mean) for mean in np.add.reduceat(values, starts) / np.diff([*starts, values.size])]

    shown = {"total": trace.total_mw} if trace.total_rails else {}
    series = {**shown, **{rail: values for rail, values in trace.rails_mw.items()}}
    return {
        "seconds": thin(trace.time_s - start_s),
        "watts": {name: [value / 1000 for value in thin(values)] for name, values in series.items()},
        "idle_s": [moment - start_s for moment in measured.idle_span_s],
        "measured_s": [moment - start_s for moment in measured.span_s],
    }


def _samples(counted: NDArray[Any], stages: tuple[str, ...], start_s: float) -> dict[str, Any]:
    """Parts of frames in a row, from the middle of the run: enough for charts, and to draw times from."""
    first = max(0, (counted.size - SAMPLES) // 2)
    rows = counted[first : first + SAMPLES]

    def rounded(values: NDArray[Any]) -> list[float]:
        return [round(float(value), 4) for value in values]

    return {
        "seconds": rounded(rows["begin_s"] - start_s),
        "latency_ms": rounded(latencies_of(rows)),
        "pre_begin_ms": rounded(rows["pre_begin_ms"]),
        "pre_ms": rounded(rows["pre_ms"]),
        "post_begin_ms": rounded(rows["post_begin_ms"]),
        "post_ms": rounded(rows["post_ms"]),
        "service_ms": rounded((rows["end_s"] - rows["begin_s"]) * 1000),
        "age_frames": [int(value) for value in rows["age_frames"]],
        "stages": {
            stage: {
                "begin_ms": [_or_none(row["fired"], row["stage_begin_ms"], place) for row in rows],
                "ms": [_or_none(row["fired"], row["stage_ms"], place) for row in rows],
            }
            for place, stage in enumerate(stages)
        },
    }


def _or_none(fired: Any, values: Any, place: int) -> float | None:
    return round(float(values[place]), 4) if fired[place] else None


def _prices(measured: Measurement, counted: NDArray[Any], stages: tuple[str, ...]) -> dict[str, Any]:
    prices = dict(measured.prices)
    if not counted.size:
        return prices
    wake_ms = np.where(counted["waited_s"] > 0, (counted["begin_s"] - counted["due_s"]) * 1000, np.nan)
    prices["own"] = parts_of(counted, stages)
    prices["wake_ms"] = float(np.nanmean(wake_ms)) if np.isfinite(wake_ms).any() else 0.0
    if measured.info.schedule in prices["firings"]:  # the whole run says more than a few frames
        adaptive = tuple(prices["firings"][measured.info.schedule])
        prices["firings"][measured.info.schedule] = firing_pattern(counted[-65536:], stages, adaptive)
    return prices
