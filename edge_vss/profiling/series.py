"""Courses over time and frames in a row that a report carries for its charts and for ``simulate``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_vss.profiling.session import Measurement

__all__ = ["latencies_of", "over_time", "power_trace", "samples"]

SAMPLES = 1024
"""Frames whose parts are kept."""
POWER_POINTS = 600
STRETCH_S, STRETCHES = 1.0, 240
"""Shortest stretch, and how many there may be."""


def latencies_of(rows: NDArray[Any]) -> NDArray[np.float64]:
    """End-to-end latency of recorded frames, ms: from the moment a frame was due, or from its start."""
    since = np.where(np.isnan(rows["due_s"]), rows["begin_s"], rows["due_s"])
    return np.asarray((rows["end_s"] - since) * 1000, np.float64)


def over_time(rows: NDArray[Any], stages: tuple[str, ...], start_s: float) -> dict[str, Any]:
    """Update rates and latencies in stretches of about a second, for charts."""
    if not rows.size:
        return {"seconds": [], "update_rate": {}, "p50_ms": [], "max_ms": []}
    seconds = rows["begin_s"] - start_s
    width = max(STRETCH_S, float(seconds[-1] - seconds[0]) / STRETCHES)
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


def power_trace(measured: Measurement) -> dict[str, Any] | None:
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


def samples(counted: NDArray[Any], stages: tuple[str, ...], start_s: float) -> dict[str, Any]:
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
